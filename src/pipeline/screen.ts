/** Stage 4: what must not pass does not. Guardrails on the request, before anything is spent on it. */
import { spliceTexts, type TextSpan } from "../dialects/text-spans.js";
import { textsOfDialect } from "../dialects/texts.js";
import { type Failure, failure, isFailure } from "../errors.js";
import { askAll, type RemoteAnswer } from "../guardrails/ask-remote.js";
import type { HookPlan } from "../guardrails/plan.js";
import { screenBody } from "../guardrails/screen-body.js";
import type { ScreenResult } from "../guardrails/screen-job.js";
import { maskedTexts } from "../guardrails/text-screen.js";
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";
import { waitFor } from "./pending.js";
import type { Stage, StageOutcome } from "./pipeline.js";
import { remoteMasks, type Screening, screeningOf } from "./screening.js";
import { voidAdmission } from "./settle-leases.js";

export const screen: Stage = {
  name: "screen",
  needs: "body",
  failures: ["content_filter", "invalid_request_error", "overloaded"],
  run(exchange: Exchange, node: Node): StageOutcome {
    const screening = screeningOf(exchange, node);
    if (screening === null) return "next";
    exchange.screening = screening;
    const refusal = unreadable(exchange, screening);
    if (refusal !== null) {
      voidAdmission(exchange, node);
      return refusal;
    }
    const hook = screening.plan.input;
    // A request about something that is kept elsewhere says nothing itself.
    return hook === null || exchange.body.length === 0
      ? "next"
      : new InputScreen(exchange, node, { screening, hook }).run();
  },
};

/** A raw request of which nothing is known cannot be looked at, nor can its answer. */
function unreadable({ route, spoken }: Exchange, screening: Screening): Failure | null {
  if (route.operation !== "passthrough" || spoken !== null) return null;
  const { input, output } = screening.plan;
  return (
    (input === null ? null : screening.judgeUnreadable(input)) ??
    (output === null ? null : screening.judgeUnreadable(output))
  );
}

/** The pool had no room; there will be some again soon. */
const NO_ROOM = "no-room";
const RETRY_SECONDS = 1;

interface InputParts {
  readonly screening: Screening;
  readonly hook: HookPlan;
}

class InputScreen {
  readonly #exchange: Exchange;
  readonly #node: Node;
  readonly #screening: Screening;
  readonly #hook: HookPlan;

  constructor(exchange: Exchange, node: Node, { screening, hook }: InputParts) {
    this.#exchange = exchange;
    this.#node = node;
    this.#screening = screening;
    this.#hook = hook;
  }

  /** Small bodies here; large ones on a pool thread, so that other requests do not wait for them. */
  run(): StageOutcome {
    const { body, speech, headers } = this.#exchange;
    const { contentType } = headers;
    const hook = this.#hook;
    if (body.length <= this.#node.config.pool.inline_bytes) {
      return this.#local(screenBody(body, textsOfDialect(speech.dialect.id).request, hook.finders, contentType));
    }
    const job = {
      dialect: speech.dialect.id,
      direction: hook.direction,
      body,
      contentType,
      name: hook.name,
      rules: hook.local,
      wantsTexts: hook.remote.length > 0,
    };
    const work = this.#node.guards.screen(job).catch((): typeof NO_ROOM => NO_ROOM);
    return waitFor(this.#exchange, this.#node, work, (result) =>
      result === NO_ROOM ? this.#refused(failure("overloaded", undefined, null, RETRY_SECONDS)) : this.#local(result),
    );
  }

  #local(screened: ScreenResult): StageOutcome {
    const { findings, body, spans, unreadable } = screened;
    const refusal =
      this.#screening.judge(this.#hook, findings) ??
      (unreadable ? this.#screening.judgeUnreadable(this.#hook) : null) ??
      (body === null ? null : this.#replaceBody(Buffer.from(body.buffer, body.byteOffset, body.byteLength)));
    if (refusal !== null) return this.#refused(refusal);
    const { remote } = this.#hook;
    return remote.length === 0 || spans.length === 0 ? "next" : this.#ask(spans);
  }

  /** The remote rules see what the local ones have masked. */
  #ask(spans: readonly TextSpan[]): StageOutcome {
    const texts = spans.map(({ text }) => text);
    const asked = askAll(this.#hook.remote, this.#screening.question(this.#hook, texts), this.#screening.signal);
    return waitFor(this.#exchange, this.#node, asked, (answers) => this.#remote(spans, answers));
  }

  #remote(spans: readonly TextSpan[], answers: readonly RemoteAnswer[]): StageOutcome {
    const refusal = this.#screening.judgeRemote(this.#hook, answers) ?? this.#maskRemote(spans, answers);
    return refusal === null ? "next" : this.#refused(refusal);
  }

  #maskRemote(spans: readonly TextSpan[], answers: readonly RemoteAnswer[]): Failure | null {
    const masks = remoteMasks(this.#hook, answers);
    if (masks.length === 0) return null;
    return this.#replaceBody(spliceTexts(this.#exchange.body, spans, maskedTexts(spans, masks)));
  }

  /** What stood somewhere in the body stands elsewhere now. */
  #replaceBody(body: Buffer): Failure | null {
    const exchange = this.#exchange;
    const { outgoing, speech } = exchange;
    const named = exchange.headers.model || exchange.pathParameter || null;
    const override = outgoing === null ? named : exchange.view?.model || null;
    const view = speech.dialect.readRequest(body, speech.operation, override, exchange.headers.contentType);
    if (isFailure(view)) return view;
    exchange.body = body;
    exchange.view = view;
    if (outgoing !== null) exchange.outgoing = { ...outgoing, body };
    return null;
  }

  /** Nothing has been done for it: nothing is consumed. */
  #refused(refusal: Failure): Failure {
    voidAdmission(this.#exchange, this.#node);
    return refusal;
  }
}
