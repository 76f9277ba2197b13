/** Relays a translated answer that is no conversation: gathers it, and writes it anew in the caller's dialect. */
import type { DecodedOperation, OperationAnswer } from "../dialects/operation-codec.js";
import { DecodeError } from "../dialects/codec.js";
import { mustHaveCodec } from "../dialects/operations.js";
import { type Translation, translateError } from "../dialects/hub.js";
import { asObject, asString, parseValue } from "../dialects/json.js";
import type { JsonObject, JsonValue } from "../dialects/semantic.js";
import { type Failure, failure, isFailure } from "../errors.js";
import type { AnswerHead } from "./answer-head.js";
import { answerHeaders } from "./answer-headers.js";
import { AnswerSample } from "./answer-sample.js";
import type { Attempt, Relay } from "./attempt.js";
import type { Delivery } from "./ledger.js";
import { outputScreenOf, whenScreened } from "./output-screen.js";
import { AnswerLosses, lossesOf } from "./translated-answer.js";

const NOTHING = Buffer.alloc(0);
const MAX_NAME = 256;

export class OperationRelay implements Relay, Delivery {
  readonly #attempt: Attempt;
  readonly #head: AnswerHead;
  readonly #translation: Translation;
  readonly #told: JsonObject;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #answer: Buffer = NOTHING;

  /** The translation is that of an operation: it has something told of its request. */
  constructor(attempt: Attempt, head: AnswerHead, translation: Translation) {
    this.#attempt = attempt;
    this.#head = head;
    this.#translation = translation;
    this.#told = translation.told ?? {};
  }

  take(chunk: Buffer): boolean {
    this.#pieces.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes > this.#attempt.node.config.limits.body_bytes) {
      this.#pieces = [];
      this.#attempt.giveUp(failure("upstream_decode_error", "The upstream's answer is too large to translate."));
    }
    return true;
  }

  finish(): void {
    const attempt = this.#attempt;
    const body = this.#pieces.length === 1 ? (this.#pieces[0] as Buffer) : Buffer.concat(this.#pieces);
    this.#pieces = [];
    const { status, passed } = this.#head;
    if (status >= 400) {
      const error = translateError(this.#translation, { status, body, headers: passed }, attempt.exchange.id);
      passed.push(...error.headers);
      this.#answer = Buffer.from(error.body);
      attempt.conclude({ status, error: "upstream_error", complete: true, delivery: this });
      return;
    }
    const said = parseValue(body.toString("utf8"));
    const decoded = said === undefined ? null : this.#decoded(said);
    if (said === undefined || decoded === null || isFailure(decoded)) {
      attempt.refuseInstead(isFailure(decoded) ? decoded : failure("upstream_decode_error"));
      return;
    }
    this.#answer = Buffer.from(JSON.stringify(decoded.body));
    this.#tally(decoded, said);
    attempt.exchange.recording?.add(this.#answer);
    this.#screenThenConclude();
  }

  fail(problem: Failure): void {
    this.#attempt.refuseInstead(problem);
  }

  /** Nothing has been sent yet, so there is nothing to keep alive and nobody slow. */
  tick(): void {}

  sample(): AnswerSample {
    const sample = new AnswerSample();
    sample.add(this.#answer);
    return sample;
  }

  deliver(): void {
    const { exchange } = this.#attempt;
    if (exchange.sink.closed) return;
    exchange.responseBytes = this.#answer.length;
    exchange.sink.answer(exchange.status, answerHeaders(this.#attempt, lossesOf(this.#attempt)), this.#answer);
  }

  /** null: the answer means nothing, or something no codec foresaw; that costs this answer, not the thread. */
  #decoded(body: JsonValue): DecodedOperation | Failure | null {
    const { client, wire } = this.#translation;
    try {
      return mustHaveCodec(client, wire).decodeAnswer({ ...this.#facts(), body });
    } catch (error) {
      return error instanceof DecodeError ? failure("upstream_decode_error", error.message) : null;
    }
  }

  #facts(): Omit<OperationAnswer, "body"> {
    const { exchange } = this.#attempt;
    const { passed } = this.#head;
    return {
      told: this.#told,
      losses: new AnswerLosses(this.#attempt, this.#translation),
      model: exchange.view?.model ?? "",
      requestId: exchange.id,
      created: Math.floor(exchange.startedAtWall / 1_000),
      header: (name) => {
        const at = passed.findIndex((entry, index) => index % 2 === 0 && entry === name);
        return at < 0 ? "" : (passed[at + 1] ?? "");
      },
    };
  }

  /** The caller's dialect says in its own words what was used; names are those that the upstream gave. */
  #tally({ unitsGuessed }: DecodedOperation, said: JsonValue): void {
    const { exchange, tally } = this.#attempt;
    const observer = exchange.route.dialect.answerObserver(exchange.route.operation, tally);
    observer.feed(this.#answer);
    observer.finish();
    if (unitsGuessed === true) {
      tally.unitsGuessed = true;
      this.#attempt.estimated = true;
    }
    const upstream = asObject(said);
    tally.responseModel = asString(upstream?.model).slice(0, MAX_NAME);
    tally.responseId = asString(upstream?.id).slice(0, MAX_NAME);
  }

  #screenThenConclude(): void {
    const attempt = this.#attempt;
    const conclude = () => attempt.conclude({ status: 200, error: "", complete: true, delivery: this });
    const screen = outputScreenOf(attempt.exchange, attempt.node);
    if (screen === null) {
      conclude();
      return;
    }
    whenScreened(screen.whole(this.#answer), (shown) => {
      if (isFailure(shown)) {
        attempt.refuseInstead(shown);
        return;
      }
      this.#answer = shown;
      conclude();
    });
  }
}
