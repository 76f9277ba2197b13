/**
 * Relays an answer that must be translated and is not streamed on both sides: gathers it, reads it as
 * events, and writes them in the caller's dialect, whole or as a stream, as the caller asked.
 */
import {
  decodeStream,
  decodeWhole,
  encodeAsStream,
  encodeWhole,
  parseObject,
  type Translation,
  translateError,
} from "../dialects/hub.js";
import type { AnswerEvent } from "../dialects/semantic.js";
import { parseSse } from "../dialects/sse.js";
import { type Failure, failure, isFailure } from "../errors.js";
import { type AnswerHead, isEventStream } from "./answer-head.js";
import { AnswerSample } from "./answer-sample.js";
import { answerHeaders } from "./answer-headers.js";
import type { Attempt, Relay } from "./attempt.js";
import type { Delivery } from "./ledger.js";
import { outputScreenOf, whenScreened } from "./output-screen.js";
import { AnswerLosses, codecContext, lossesOf, tallyEvent } from "./translated-answer.js";

export class TranslatingRelay implements Relay, Delivery {
  readonly #attempt: Attempt;
  readonly #head: AnswerHead;
  readonly #translation: Translation;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #answer = "";

  constructor(attempt: Attempt, head: AnswerHead, translation: Translation) {
    this.#attempt = attempt;
    this.#head = head;
    this.#translation = translation;
  }

  take(chunk: Buffer): boolean {
    this.#pieces.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes > this.#attempt.node.config.limits.body_bytes) {
      this.#attempt.giveUp(failure("upstream_decode_error", "The upstream's answer is too large to translate."));
    }
    return true;
  }

  finish(): void {
    const body = this.#pieces.length === 1 ? (this.#pieces[0] as Buffer) : Buffer.concat(this.#pieces);
    const { status } = this.#head;
    if (status >= 400) {
      const { passed } = this.#head;
      const error = translateError(this.#translation, { status, body, headers: passed }, this.#attempt.exchange.id);
      passed.push(...error.headers);
      this.#answer = error.body;
      this.#attempt.conclude({ status, error: "upstream_error", complete: true, delivery: this });
      return;
    }
    const events = this.#events(body);
    if (events === null) {
      this.#attempt.refuseInstead(failure("upstream_decode_error"));
      return;
    }
    for (const event of events) tallyEvent(event, this.#attempt.tally);
    const broken = events.find((event) => event.kind === "error");
    if (broken?.kind === "error") {
      const { status: wanted, message } = broken.error;
      this.#attempt.refuseInstead(failure("upstream_decode_error", `The upstream failed (${wanted}): ${message}`));
      return;
    }
    if (!this.#encode(events)) {
      this.#attempt.refuseInstead(failure("upstream_decode_error"));
      return;
    }
    this.#attempt.exchange.recording?.add(Buffer.from(this.#answer));
    this.#screenThenConclude();
  }

  #screenThenConclude(): void {
    const attempt = this.#attempt;
    const conclude = () => attempt.conclude({ status: 200, error: "", complete: true, delivery: this });
    const screen = outputScreenOf(attempt.exchange, attempt.node);
    if (screen === null) {
      conclude();
      return;
    }
    const answer = Buffer.from(this.#answer);
    const result = attempt.exchange.view?.stream === true ? screen.events(answer) : screen.whole(answer);
    whenScreened(result, attempt.node, (shown) => {
      if (isFailure(shown)) {
        attempt.refuseInstead(shown);
        return;
      }
      if (shown !== answer) this.#answer = shown.toString("utf8");
      conclude();
    });
  }

  fail(problem: Failure): void {
    this.#attempt.refuseInstead(problem);
  }

  /** Nothing has been sent yet, so there is nothing to keep alive and nobody slow. */
  tick(): void {}

  sample(): AnswerSample {
    const sample = new AnswerSample();
    sample.add(Buffer.from(this.#answer));
    return sample;
  }

  deliver(): void {
    const { exchange } = this.#attempt;
    if (exchange.sink.closed) return;
    exchange.responseBytes = Buffer.byteLength(this.#answer);
    exchange.sink.answer(exchange.status, answerHeaders(this.#attempt, lossesOf(this.#attempt)), this.#answer);
  }

  /** null: the answer means nothing, or something no codec foresaw; that costs this answer, not the thread. */
  #events(body: Buffer): readonly AnswerEvent[] | null {
    try {
      if (isEventStream(this.#head.contentType)) return decodeStream(this.#translation, parseSse(body));
      const parsed = parseObject(body);
      return parsed === null ? null : decodeWhole(this.#translation, parsed);
    } catch {
      return null;
    }
  }

  #encode(events: readonly AnswerEvent[]): boolean {
    const context = codecContext(this.#attempt, this.#translation);
    const encode = this.#attempt.exchange.view?.stream === true ? encodeAsStream : encodeWhole;
    try {
      const losses = new AnswerLosses(this.#attempt, this.#translation);
      this.#answer = encode(this.#translation, events, context, losses);
      return true;
    } catch {
      return false;
    }
  }
}
