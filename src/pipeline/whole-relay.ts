/**
 * Relays an answer that is not a stream of events. Small ones leave in one piece, with their length; larger
 * ones flow through, the last chunk held back until the usage line is on file.
 */
import { observerOf, verbatimForm } from "./verbatim.js";
import type { AnswerForm, AnswerObserver } from "../dialects/dialect.js";
import { answerFacts } from "../dialects/answer-facts.js";
import { ERRORS, type Failure, failure, isFailure } from "../errors.js";
import type { AnswerHead } from "./answer-head.js";
import { answerHeaders } from "./answer-headers.js";
import { AnswerSample } from "./answer-sample.js";
import type { Attempt, Relay } from "./attempt.js";
import type { Delivery } from "./ledger.js";
import { type OutputScreen, outputScreenOf, type Screened, whenScreened } from "./output-screen.js";

export class WholeRelay implements Relay, Delivery {
  readonly #attempt: Attempt;
  readonly #head: AnswerHead;
  readonly #observer: AnswerObserver;
  readonly #sample = new AnswerSample();
  /** Guardrails see the whole answer before the client sees any of it; null = none. */
  readonly #screen: OutputScreen | null;
  readonly #form: AnswerForm | "raw";
  /** The answer is one JSON object or none at all; while it is held, it is not looked at before it is whole. */
  readonly #isJson: boolean;
  #unread = false;
  /** The answer holds an error, whatever its status says. */
  #failed = false;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #blockedSince = 0;

  constructor(attempt: Attempt, head: AnswerHead) {
    this.#attempt = attempt;
    this.#head = head;
    const { speech, body, view } = attempt.exchange;
    const { dialect, operation } = speech;
    const good = head.status < 300 && view !== null;
    const form = (good ? dialect.answerForm?.(operation, body, view) : null) ?? "json";
    // Sound holds no text.
    const screened = good && form !== "flowing";
    this.#screen = screened ? outputScreenOf(attempt.exchange, attempt.node) : null;
    this.#form = this.#screen === null ? verbatimForm(attempt, head, form) : form;
    this.#observer = observerOf(attempt, head);
    this.#isJson = this.#form === "json" && head.status < 300;
    this.#unread = this.#isJson && this.#observer.finishWhole !== undefined;
  }

  take(chunk: Buffer): boolean {
    if (!this.#unread) this.#observer.feed(chunk);
    this.#sample.add(chunk);
    this.#attempt.exchange.recording?.add(chunk);
    const { sink } = this.#attempt.exchange;
    if (this.#screen !== null) return this.#holdForScreen(chunk);
    if (this.#form === "flowing") return this.#flow(chunk);
    if (this.#form === "raw") return this.#pass(chunk);
    if (!sink.started && this.#heldBytes + chunk.length <= this.#attempt.node.config.limits.answer_buffer_bytes) {
      this.#held.push(chunk);
      this.#heldBytes += chunk.length;
      return true;
    }
    this.#readHeld(chunk);
    const flowing = this.#releaseHeld();
    this.#held = [chunk];
    this.#heldBytes = chunk.length;
    return flowing;
  }

  finish(): void {
    if (!this.#read()) {
      this.#attempt.refuseInstead(failure("upstream_decode_error", "The upstream's answer is not a JSON object."));
      return;
    }
    // Some upstreams say 200 and tell of the error in the body; an answer with output in it is one all the same.
    if (this.#attempt.tally.outputTokens > 0) this.#failed = false;
    if (this.#failed && this.#attempt.supersededInBand()) return;
    if (this.#screen === null) this.#conclude();
    else whenScreened(this.#screen.whole(this.#takeHeld()), this.#attempt.node, (shown) => this.#conclude(shown));
  }

  /** `shown`: what guardrails have made of the answer. */
  #conclude(shown?: Screened): void {
    if (isFailure(shown)) {
      this.#attempt.refuseInstead(shown);
      return;
    }
    if (shown !== undefined) this.#held = [shown];
    const upstreamFailed = this.#head.status >= 400 || this.#failed;
    this.#attempt.conclude({
      status: this.#head.status,
      error: upstreamFailed ? "upstream_error" : "",
      complete: true,
      delivery: this,
    });
  }

  /** Once something of the answer has left, all that can be said is that it is not whole. */
  fail(problem: Failure): void {
    const { sink } = this.#attempt.exchange;
    if (!sink.started) {
      this.#attempt.refuseInstead(problem);
      return;
    }
    const delivery: Delivery = { deliver: () => sink.abort() };
    this.#attempt.conclude({ status: ERRORS[problem.code].status, error: problem.code, complete: false, delivery });
  }

  tick(now: number): void {
    if (this.#blockedSince > 0) this.#attempt.awaitClient(this.#blockedSince, now);
  }

  sample(): AnswerSample {
    return this.#sample;
  }

  /** The usage line is on file: the rest may leave. */
  deliver(): void {
    const { exchange } = this.#attempt;
    if (exchange.sink.closed) return;
    const rest = this.#takeHeld();
    exchange.responseBytes += rest.length;
    if (exchange.sink.started) exchange.sink.end(rest);
    else exchange.sink.answer(this.#head.status, answerHeaders(this.#attempt), rest);
  }

  /** All but the last byte leaves at once: with that one the answer is whole, so it waits for the usage line. */
  #flow(chunk: Buffer): boolean {
    const end = chunk.length - 1;
    this.#held.push(chunk.subarray(0, end));
    const out = this.#takeHeld();
    if (out.length === 0) this.#held = [];
    const flowing = this.#releaseHeld();
    this.#held = [Buffer.from(chunk.subarray(end))];
    return flowing;
  }

  /** Nothing is held back: whoever reads a stream of an unknown kind waits for its last byte, too. */
  #pass(chunk: Buffer): boolean {
    this.#held = [chunk];
    const flowing = this.#releaseHeld();
    this.#held = [];
    return flowing;
  }

  #holdForScreen(chunk: Buffer): boolean {
    this.#heldBytes += chunk.length;
    if (this.#heldBytes > this.#attempt.node.config.limits.body_bytes) {
      this.#attempt.giveUp(failure("upstream_decode_error", "The upstream's answer is too large to be screened."));
    } else this.#held.push(chunk);
    return true;
  }

  /**
   * Reads what the answer says. False: a success that is no JSON object (a proxy's page, an answer cut short) is none.
   * Only an answer that is still held can be taken back; a longer one has begun to leave.
   */
  #read(): boolean {
    const { exchange } = this.#attempt;
    const isHeld = this.#isJson && !exchange.sink.started;
    if (!isHeld) {
      this.#observer.finish();
      return true;
    }
    const body = this.#takeHeld();
    const facts = (this.#unread ? this.#observer.finishWhole?.(body) : undefined) ?? answerFacts(body);
    if (!facts.sound) return false;
    this.#failed = facts.failed;
    exchange.recording?.judge(facts.keepable);
    if (!this.#unread) this.#observer.finish();
    return true;
  }

  /** The answer is too long to be held: from now on it is read as it comes. */
  #readHeld(next: Buffer): void {
    if (!this.#unread) return;
    this.#unread = false;
    for (const chunk of this.#held) this.#observer.feed(chunk);
    this.#observer.feed(next);
  }

  /** What is held, in one piece. */
  #takeHeld(): Buffer {
    const whole = this.#held.length === 1 ? (this.#held[0] as Buffer) : Buffer.concat(this.#held);
    this.#held = [whole];
    return whole;
  }

  /** False: the client is slow. */
  #releaseHeld(): boolean {
    const { exchange } = this.#attempt;
    if (!exchange.sink.started) exchange.sink.start(this.#head.status, answerHeaders(this.#attempt));
    let flowing = true;
    for (const chunk of this.#held) {
      exchange.responseBytes += chunk.length;
      flowing = exchange.sink.write(chunk);
    }
    if (!flowing) this.#waitForClient();
    return flowing;
  }

  #waitForClient(): void {
    this.#blockedSince = performance.now();
    this.#attempt.exchange.sink.onWritable(() => {
      this.#blockedSince = 0;
      this.#attempt.resume();
    });
  }
}
