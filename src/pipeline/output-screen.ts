/** Guardrails on answers, whole or streamed, from an upstream or from the cache. */
import type { FrameTexts } from "../dialects/frame-texts.js";
import { spliceTexts, type TextShape, type TextSpan } from "../dialects/text-spans.js";
import { textsOfDialect } from "../dialects/texts.js";
import { type Failure, failure } from "../errors.js";
import { askAll } from "../guardrails/ask-remote.js";
import type { HookPlan } from "../guardrails/plan.js";
import { screenBody } from "../guardrails/screen-body.js";
import type { ScreenResult } from "../guardrails/screen-job.js";
import { maskedTexts } from "../guardrails/text-screen.js";
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";
import { ScreenedStream } from "./screened-stream.js";
import { ScreenedTap } from "./screened-tap.js";
import { remoteMasks, type Screening } from "./screening.js";
import type { EventTap } from "./stream-relay.js";

/** The answer as the caller may see it, or why it may not. */
export type Screened = Buffer | Failure;

interface OutputParts {
  readonly screening: Screening;
  readonly hook: HookPlan;
  readonly answer: TextShape;
  /** null: no text is streamed. */
  readonly frame: FrameTexts | null;
}

/**
 * Goes on with what is shown, at once where it is there. What nobody foresaw, in the screen or behind it, ends the
 * answer with `internal_error`: `goOn` must bear being called again.
 */
export function whenScreened(
  result: Screened | Promise<Screened>,
  node: Pick<Node, "reportFault">,
  goOn: (shown: Screened) => void,
): void {
  if (!(result instanceof Promise)) {
    goOn(result);
    return;
  }
  const faulty = (error: unknown) => {
    node.reportFault(error);
    return failure("internal_error");
  };
  result
    .catch(faulty)
    .then(goOn)
    .catch((error: unknown) => goOn(faulty(error)))
    .catch((error: unknown) => node.reportFault(error));
}

/** null: no guardrail concerns the exchange's answer, or the answer holds no text of a model. */
export function outputScreenOf(exchange: Exchange, node: Node): OutputScreen | null {
  const { screening } = exchange;
  const hook = screening?.plan.output ?? null;
  if (screening === null || hook === null) return null;
  const { answer, frame } = textsOfDialect(exchange.speech.dialect.id);
  if (answer === null || SILENT.has(exchange.speech.operation)) return null;
  return new OutputScreen(exchange, node, { screening, hook, answer, frame });
}

/** Operations of speaking dialects whose answers are numbers or sound. */
const SILENT: ReadonlySet<string> = new Set(["count_tokens", "input_tokens", "speech"]);
const RETRY_SECONDS = 1;

export class OutputScreen {
  readonly #exchange: Exchange;
  readonly #node: Node;
  readonly #parts: OutputParts;

  constructor(exchange: Exchange, node: Node, parts: OutputParts) {
    this.#exchange = exchange;
    this.#node = node;
    this.#parts = parts;
  }

  /** Screens a stream as it comes. */
  tap(inner: EventTap): EventTap {
    const stream = this.#stream();
    return stream === null ? inner : new ScreenedTap(inner, stream);
  }

  /** Screens a whole answer in the caller's dialect; at once where that is possible. Never rejects. */
  whole(body: Buffer): Screened | Promise<Screened> {
    const { hook, answer } = this.#parts;
    if (body.length <= this.#node.config.pool.inline_bytes) {
      return this.#local(body, screenBody(body, answer, hook.finders));
    }
    const job = {
      dialect: this.#exchange.speech.dialect.id,
      direction: hook.direction,
      body,
      name: hook.name,
      rules: hook.local,
      contentType: "",
      wantsTexts: hook.remote.length > 0,
    };
    return this.#node.guards.screen(job).then(
      (result) => this.#local(body, result),
      () => failure("overloaded", undefined, null, RETRY_SECONDS),
    );
  }

  /** Screens a streamed answer that is there as a whole. Never rejects. */
  async events(bytes: Buffer): Promise<Screened> {
    const stream = this.#stream();
    if (stream === null) return bytes;
    stream.take(bytes);
    stream.close();
    const out: Buffer[] = [];
    for (;;) {
      const ready = new Promise<void>((done) => {
        stream.onReady = done;
      });
      const piece = stream.drain();
      if (piece !== null) out.push(piece);
      if (stream.refusal !== null) return stream.refusal;
      if (stream.empty) return Buffer.concat(out);
      await ready;
    }
  }

  #stream(): ScreenedStream | null {
    const { frame, hook, screening } = this.#parts;
    return frame === null ? null : new ScreenedStream(frame, hook, screening);
  }

  #local(body: Buffer, screened: ScreenResult): Screened | Promise<Screened> {
    const { screening, hook } = this.#parts;
    const refusal =
      screening.judge(hook, screened.findings) ?? (screened.unreadable ? screening.judgeUnreadable(hook) : null);
    if (refusal !== null) return refusal;
    const { body: masked, spans } = screened;
    const shown = masked === null ? body : Buffer.from(masked.buffer, masked.byteOffset, masked.byteLength);
    return hook.remote.length === 0 || spans.length === 0 ? shown : this.#remote(shown, spans);
  }

  async #remote(body: Buffer, spans: readonly TextSpan[]): Promise<Screened> {
    const { screening, hook } = this.#parts;
    const texts = spans.map(({ text }) => text);
    const answers = await askAll(hook.remote, screening.question(hook, texts), screening.signal);
    const refusal = screening.judgeRemote(hook, answers);
    if (refusal !== null) return refusal;
    const masks = remoteMasks(hook, answers);
    return masks.length === 0 ? body : spliceTexts(body, spans, maskedTexts(spans, masks));
  }
}
