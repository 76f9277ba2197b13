/** Relays a translated answer that is no conversation: gathers it, and writes it anew in the caller's dialect. */
import { type Translation, translateError } from "../dialects/hub.js";
import type { JsonObject } from "../dialects/semantic.js";
import { type TellingJob, type ToldAnswer, tellOperation } from "../dialects/tell-operation.js";
import { type Failure, failure, isFailure } from "../errors.js";
import type { AnswerHead } from "./answer-head.js";
import { answerHeaders } from "./answer-headers.js";
import { AnswerSample } from "./answer-sample.js";
import type { Attempt, Relay } from "./attempt.js";
import type { Delivery } from "./ledger.js";
import { outputScreenOf, whenScreened } from "./output-screen.js";
import { AnswerLosses, lossesOf } from "./translated-answer.js";

const NOTHING = Buffer.alloc(0);
/** The pool gives up on what it has no room for; there will be room again soon. */
const RETRY_SECONDS = 1;

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
    this.#tell(body);
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

  /** Small answers are told here, large ones (long lists of numbers, images) on a pool thread. */
  #tell(body: Buffer): void {
    const { node } = this.#attempt;
    const job = this.#job(body);
    if (body.length <= node.config.pool.inline_bytes) {
      this.#show(tellOperation(job));
      return;
    }
    node.translator
      .tell(job)
      .then(
        (told) => this.#show(told),
        () => this.#show(failure("overloaded", undefined, null, RETRY_SECONDS)),
      )
      .catch((error: unknown) => {
        node.reportFault(error);
        this.#attempt.refuseInstead(failure("internal_error"));
      });
  }

  #job(body: Buffer): TellingJob {
    const { exchange } = this.#attempt;
    const { client, wire } = this.#translation;
    return {
      client,
      wire,
      body,
      told: this.#told,
      model: exchange.view?.model ?? "",
      requestId: exchange.id,
      created: Math.floor(exchange.startedAtWall / 1_000),
      headers: this.#head.passed,
    };
  }

  #show(told: ToldAnswer | Failure): void {
    const attempt = this.#attempt;
    if (attempt.concluded !== null) return;
    if (isFailure(told)) {
      attempt.refuseInstead(told);
      return;
    }
    const { body } = told;
    this.#answer = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
    const losses = new AnswerLosses(attempt, this.#translation);
    for (const name of told.losses) losses.add(name);
    this.#tally(told);
    attempt.exchange.recording?.add(this.#answer);
    this.#screenThenConclude();
  }

  /** The caller's dialect says in its own words what was used; names are those that the upstream gave. */
  #tally({ unitsGuessed, responseModel, responseId }: ToldAnswer): void {
    const { exchange, tally } = this.#attempt;
    const observer = exchange.route.dialect.answerObserver(exchange.route.operation, tally);
    observer.feed(this.#answer);
    observer.finish();
    if (unitsGuessed) {
      tally.unitsGuessed = true;
      this.#attempt.estimated = true;
    }
    tally.responseModel = responseModel;
    tally.responseId = responseId;
  }

  #screenThenConclude(): void {
    const attempt = this.#attempt;
    const conclude = () => attempt.conclude({ status: 200, error: "", complete: true, delivery: this });
    const screen = outputScreenOf(attempt.exchange, attempt.node);
    if (screen === null) {
      conclude();
      return;
    }
    whenScreened(screen.whole(this.#answer), attempt.node, (shown) => {
      if (isFailure(shown)) {
        attempt.refuseInstead(shown);
        return;
      }
      this.#answer = shown;
      conclude();
    });
  }
}
