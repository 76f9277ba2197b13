/**
 * Relays a stream of events. Chunks of one socket read are collected and forwarded in one write at the end
 * of the turn (measured: six times the rate of a write a chunk, at no cost in latency); only whole events
 * leave, so that an error event can follow whenever the upstream breaks.
 */
import { type Failure, failure } from "../errors.js";
import type { AnswerHead } from "./answer-head.js";
import { answerHeaders } from "./answer-headers.js";
import { AnswerSample } from "./answer-sample.js";
import type { Attempt, Relay } from "./attempt.js";
import type { Delivery } from "./ledger.js";

const KEEP_ALIVE = ": keep-alive\n\n";
const LF = 0x0a;
/** Ends what has left of an event that was too long to be held back. */
const BLANK_LINE = "\n\n";

/** What stands between an upstream's bytes and the caller's: whole events out, the end and errors noticed. */
export interface EventTap {
  /** Bytes to forward now, or null. */
  push(batch: Buffer): Buffer | null;
  /** The upstream has ended: what is still to forward. */
  end(): Buffer | null;
  /** The upstream has broken off: the answer's end, where nothing but that is missing and it may be made up. */
  close?(): Buffer | null;
  /** The answer's terminator is among what was given out. */
  readonly terminal: boolean;
  /** An error event is. */
  readonly failed: boolean;
  /** Events so far after which the answer is whole if nothing follows; absent = the dialect has none. */
  readonly wholes?: number;
  /** Inside an event too long to be held back: nothing may be put between. */
  readonly oversize: boolean;
  /** The error event, where it is not among what was given out already; asked when nobody takes over. */
  errorBytes?(): Buffer | null;
  /** A line feed that the last event forwarded still lacks, or null. */
  owedLineFeed(): Buffer | null;
  /** Where guardrails stand between: events may come out later than they came in, or never. */
  readonly screen?: TapScreen;
}

/** What the relay must know of guardrails in its tap. */
export interface TapScreen {
  /** The answer may not be shown. */
  readonly refusal: Failure | null;
  /** The answer's end is held back. */
  readonly waiting: boolean;
  /** Calls back when events that were held back may leave. */
  onReady(callback: () => void): void;
}

export class StreamRelay implements Relay, Delivery {
  readonly #attempt: Attempt;
  readonly #head: AnswerHead;
  readonly #tap: EventTap;
  readonly #sample = new AnswerSample();
  #pending: Buffer[] = [];
  #scheduled = false;
  #ended = false;
  /** Events that may be the last ones, held back: an answer's end leaves when its usage line is on file. */
  #held: Buffer | null = null;
  #wholes = 0;
  /** The stream's last bytes, while their usage line is being written. */
  #last: Buffer | null = null;
  #blockedSince = 0;
  #lastWriteAt: number;
  readonly #flush = () => {
    try {
      this.#forward();
    } catch (error) {
      reportAndGiveUp(this.#attempt, error);
    }
  };

  constructor(attempt: Attempt, head: AnswerHead, tap: EventTap) {
    this.#attempt = attempt;
    this.#head = head;
    this.#tap = tap;
    this.#lastWriteAt = performance.now();
    tap.screen?.onReady(() => this.#schedule());
  }

  take(chunk: Buffer): boolean {
    this.#pending.push(chunk);
    this.#schedule();
    return this.#blockedSince === 0;
  }

  finish(): void {
    this.#ended = true;
    this.#schedule();
  }

  fail(problem: Failure): void {
    // What came before the break is still the client's.
    let rest = this.#pending.length > 0 ? this.#push() : null;
    const { screen } = this.#tap;
    if (screen === undefined) rest = joined(rest, this.#tap.close?.() ?? null);
    else rest = screen.refusal === null ? joined(rest, this.#tap.end()) : null;
    rest = joined(this.#takeHeld(), rest);
    if (this.#tap.terminal || this.#tap.wholes) this.#conclude(rest, "", true);
    else this.#concludeBroken(rest, problem);
  }

  tick(now: number): void {
    const { timeouts } = this.#attempt.node.config;
    if (this.#blockedSince > 0) {
      this.#attempt.awaitClient(this.#blockedSince, now);
      return;
    }
    const silence = timeouts.keep_alive_comment_ms;
    if (silence > 0 && now - this.#lastWriteAt >= silence && this.#mayComment()) this.#write(KEEP_ALIVE);
  }

  /** Not inside an event, and not where the answer's head must wait for the first event so that a slow one fails over. */
  #mayComment(): boolean {
    if (this.#tap.oversize) return false;
    const { exchange, streamTimeoutMs } = this.#attempt;
    return exchange.sink.started || exchange.succession === null || streamTimeoutMs === null;
  }

  sample(): AnswerSample {
    return this.#sample;
  }

  /** The usage line is on file: the end may leave. */
  deliver(): void {
    const { exchange } = this.#attempt;
    if (exchange.sink.closed) return;
    if (!exchange.sink.started) exchange.sink.start(this.#head.status, answerHeaders(this.#attempt));
    if (this.#last !== null) exchange.responseBytes += this.#last.length;
    exchange.sink.end(this.#last);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(this.#flush);
  }

  #forward(): void {
    this.#scheduled = false;
    if (this.#attempt.concluded !== null) return;
    const { screen } = this.#tap;
    let out = this.#pending.length > 0 || screen !== undefined ? this.#push() : null;
    if (this.#ended) out = joined(out, this.#rest());
    if (screen !== undefined && this.#screened(screen, out)) return;
    out = joined(this.#takeHeld(), out);
    if (this.#tap.terminal) out = joined(out, this.#tap.owedLineFeed());
    if (this.#tap.failed) this.#fail(out);
    else if (this.#tap.terminal) this.#conclude(out, "", true);
    else if (this.#ended) this.#end(out);
    else if (this.#isWhole()) this.#held = out;
    else if (out !== null && out.length > 0) this.#write(out);
  }

  #end(out: Buffer | null): void {
    if (this.#tap.wholes) this.#conclude(out, "", true);
    else this.#concludeBroken(out, failure("transport_error", "The upstream ended the stream early."));
  }

  /** Has an event come, since this was asked last, with which the answer may end? */
  #isWhole(): boolean {
    const { wholes = 0 } = this.#tap;
    const more = wholes > this.#wholes;
    this.#wholes = wholes;
    return more;
  }

  #takeHeld(): Buffer | null {
    const held = this.#held;
    this.#held = null;
    return held;
  }

  /** The upstream has told of an error inside its stream. */
  #fail(out: Buffer | null): void {
    const { sink } = this.#attempt.exchange;
    const begun = sink.started;
    if (!this.#attempt.supersededInBand()) {
      this.#conclude(joined(out, this.#tap.errorBytes?.() ?? null), "upstream_error", false);
    } else if (begun && out !== null) this.#write(out);
  }

  /** True: guardrails have the last word on this turn. An answer of which nothing has left is refused as a whole. */
  #screened(screen: TapScreen, out: Buffer | null): boolean {
    const { refusal } = screen;
    if (refusal === null && !screen.waiting) return false;
    if (out !== null && (refusal === null || this.#attempt.exchange.sink.started)) this.#write(out);
    if (refusal !== null) this.#attempt.giveUp(refusal);
    return true;
  }

  /** An event that the upstream did not finish is none, unless it is the terminator and lacks but its blank line. */
  #rest(): Buffer | null {
    const rest = this.#tap.end();
    if (rest === null || this.#tap.terminal || this.#tap.failed || this.#tap.screen !== undefined) return rest;
    return rest.length > 1 && rest[rest.length - 1] === LF && rest[rest.length - 2] === LF ? rest : null;
  }

  /** Sampled is what comes out: an estimate reads the caller's dialect. */
  #push(): Buffer | null {
    const out = this.#tap.push(this.#takePending());
    if (out !== null) this.#sample.add(out);
    return out;
  }

  #takePending(): Buffer {
    const batch = this.#pending.length === 1 ? (this.#pending[0] as Buffer) : Buffer.concat(this.#pending);
    this.#pending = [];
    return batch;
  }

  #write(bytes: Buffer | string): void {
    const { exchange } = this.#attempt;
    if (exchange.sink.closed) return;
    if (!exchange.sink.started) exchange.sink.start(this.#head.status, answerHeaders(this.#attempt));
    exchange.responseBytes += bytes.length;
    this.#lastWriteAt = performance.now();
    if (exchange.sink.write(bytes) || this.#blockedSince > 0) return;
    this.#blockedSince = this.#lastWriteAt;
    exchange.sink.onWritable(() => {
      this.#blockedSince = 0;
      this.#attempt.resume();
    });
  }

  #conclude(last: Buffer | null, error: "" | "upstream_error", complete: boolean): void {
    this.#last = last;
    this.#attempt.conclude({ status: this.#head.status, error, complete, delivery: this });
  }

  /** The client gets what there is, then an error event of its dialect and no success terminator. */
  #concludeBroken(rest: Buffer | null, problem: Failure): void {
    const { exchange } = this.#attempt;
    if (!exchange.sink.started && rest === null) {
      this.#attempt.refuseInstead(problem);
      return;
    }
    const begun = exchange.sink.started;
    if (this.#attempt.supersededBy(problem)) {
      if (begun && rest !== null) this.#write(rest);
      return;
    }
    const event = exchange.speech.dialect.renderStreamError(problem, exchange.id);
    this.#last = joined(rest, Buffer.from(this.#tap.oversize ? BLANK_LINE + event : event));
    this.#attempt.conclude({ status: this.#head.status, error: problem.code, complete: false, delivery: this });
  }
}

function reportAndGiveUp(attempt: Attempt, error: unknown): void {
  attempt.node.reportFault(error);
  attempt.giveUp(failure("internal_error"));
}

function joined(first: Buffer | null, second: Buffer | null): Buffer | null {
  if (first === null || first.length === 0) return second;
  if (second === null || second.length === 0) return first;
  return Buffer.concat([first, second]);
}
