/**
 * Relays the answer of a provider's own token counter whose form is not the caller's. Where the provider turns out
 * to have no counter for the model, the gateway counts itself and says so: a caller who asks how long a prompt is
 * has more use for an estimate than for that news.
 */
import { refuseState, translateError } from "../dialects/hub.js";
import { renderTokenCount } from "../dialects/token-count-answer.js";
import { type Failure, failure } from "../errors.js";
import { type Counter, cannotCount, countIn } from "../providers/counter.js";
import { noteCounterRefusal } from "./absent-counters.js";
import type { AnswerHead } from "./answer-head.js";
import { answerHeaders } from "./answer-headers.js";
import { AnswerSample } from "./answer-sample.js";
import type { Attempt, Relay } from "./attempt.js";
import { answerHere, estimateHeaders } from "./count-here.js";
import type { Delivery } from "./ledger.js";

/** Errors may quote the request; a count is a line. */
const MAX_BYTES = 1024 * 1024;
const RETRY_SECONDS = 1;
const NO_SAMPLE = new AnswerSample();

export class CountRelay implements Relay, Delivery {
  readonly #attempt: Attempt;
  readonly #head: AnswerHead;
  readonly #counter: Counter;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #answer: Buffer = Buffer.alloc(0);
  /** The answer is the gateway's own. */
  #estimated = false;

  constructor(attempt: Attempt, head: AnswerHead, counter: Counter) {
    this.#attempt = attempt;
    this.#head = head;
    this.#counter = counter;
  }

  take(chunk: Buffer): boolean {
    this.#pieces.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes > MAX_BYTES) {
      this.#attempt.giveUp(
        failure("upstream_decode_error", "The answer of the provider's token counter is too large."),
      );
    }
    return true;
  }

  finish(): void {
    const body = Buffer.concat(this.#pieces);
    const { status } = this.#head;
    if (status >= 300) {
      if (cannotCount(status, body)) this.#estimate(status);
      else this.#fail(status, body);
      return;
    }
    const count = countIn(this.#counter, body);
    if (count < 0) {
      this.#attempt.refuseInstead(failure("upstream_decode_error", "The provider's token counter said no count."));
      return;
    }
    this.#answer = Buffer.from(renderTokenCount(this.#attempt.exchange.route.dialect.id, count));
    this.#attempt.conclude({ status: 200, error: "", complete: true, delivery: this });
  }

  fail(problem: Failure): void {
    this.#attempt.refuseInstead(problem);
  }

  /** Nothing has been sent yet, so there is nothing to keep alive and nobody slow. */
  tick(): void {}

  sample(): AnswerSample {
    return NO_SAMPLE;
  }

  deliver(): void {
    const { exchange, node } = this.#attempt;
    if (exchange.sink.closed) return;
    exchange.responseBytes = this.#answer.length;
    const headers = this.#estimated ? estimateHeaders(exchange, node) : answerHeaders(this.#attempt);
    exchange.sink.answer(exchange.status, headers, this.#answer);
  }

  #fail(status: number, body: Buffer): void {
    const { translation, exchange } = this.#attempt;
    const { passed } = this.#head;
    // Without a translation the answer's filter has given the error its envelope already.
    if (translation === null) this.#answer = body;
    else {
      const error = translateError(translation, { status, body, headers: passed }, exchange.id);
      passed.push(...error.headers);
      this.#answer = Buffer.from(error.body);
    }
    this.#attempt.conclude({ status, error: "upstream_error", complete: true, delivery: this });
  }

  /** The attempt is open until the pool has counted: its deadline holds, and the client may leave. */
  #estimate(status: number): void {
    const { exchange, node, target, candidate } = this.#attempt;
    const refusal = refuseState(exchange.route.dialect.id, exchange.body);
    if (refusal !== null) {
      this.#attempt.refuseInstead(refusal);
      return;
    }
    noteCounterRefusal(target, candidate.model.upstreamModel, status);
    answerHere(exchange, node)
      .then(
        (answer) => {
          this.#estimated = true;
          this.#answer = answer;
          this.#attempt.conclude({ status: 200, error: "", complete: true, delivery: this });
        },
        () => this.#attempt.refuseInstead(failure("overloaded", undefined, null, RETRY_SECONDS)),
      )
      .catch((error: unknown) => node.reportFault(error));
  }
}
