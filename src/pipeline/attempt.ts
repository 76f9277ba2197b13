/**
 * One attempt at one target: sends the request, hands the answer to a relay, and concludes exactly once,
 * whether the upstream ended, broke, was too slow, or the client left.
 */
import type { Translation } from "../dialects/hub.js";
import { UsageTally } from "../dialects/usage-tally.js";
import { type ErrorCode, ERRORS, type Failure, failure } from "../errors.js";
import type { AnswerFilter } from "../providers/answer-filter.js";
import { AuthError } from "../providers/auth/auth.js";
import { DecodingHandler, decoderFor } from "../providers/decoding.js";
import type { Target } from "../providers/target.js";
import type { UpstreamCall, UpstreamFailureKind, UpstreamHandler } from "../providers/upstream.js";
import type { UsageEvent } from "../usage/event.js";
import type { PlannedCandidate } from "../routing/plan.js";
import { type Lease, releasePlace, settleLease } from "../quota/lease.js";
import { type AnswerHead, isEventStream } from "./answer-head.js";
import { readHead } from "./attempt-head.js";
import { endFaulty } from "./end-faulty.js";
import { EMPTY_BODY, type Exchange, type WorkUnderWay } from "./exchange.js";
import type { Delivery } from "./ledger.js";
import type { Node } from "./node.js";
import { concludeRecording, recordAnew } from "./record-answer.js";
import { isOfTarget, refusalStatus, refuse } from "./refuse.js";
import { settle } from "./settle.js";
import { releasePlaces, settleLeases } from "./settle-leases.js";
import { MISHAP_CODES, type Mishap } from "./succession.js";
import { attemptBegins, attemptEnds } from "./target-health.js";
import { relayFor } from "./relays.js";
import { AnswerSample } from "./answer-sample.js";
import { failureOf } from "./upstream-failure.js";
import { missingUsage, usageEventOf } from "./usage-of.js";
import { timeOver } from "./time-over.js";

/** How an answer's body goes to the client: whole, or as a stream of events. */
export interface Relay {
  /** False: pause the upstream; `attempt.resume()` follows. */
  take(chunk: Buffer): boolean;
  /** The upstream has sent everything. */
  finish(): void;
  /** The upstream broke off. */
  fail(problem: Failure): void;
  tick(now: number): void;
  /** The beginning of the answer in the caller's dialect, for an estimate. */
  sample(): AnswerSample;
}

/** How an attempt ended, as its relay saw it. */
export interface Conclusion {
  readonly status: number;
  /** "" = success. */
  readonly error: ErrorCode | "" | "upstream_error";
  /** The upstream answered wholly and the client gets all of it. */
  readonly complete: boolean;
  /** Sends what is left to send. */
  readonly delivery: Delivery;
}

/** How long an upstream may take to end a body after the dialect's terminator. */
const LINGER_MS = 2_000;
/** A request looks at its clock four times a second. */
const PARENT_LATE_MS = 1_000;
const NOTHING_LEFT: Delivery = { deliver() {} };
const NO_SAMPLE = new AnswerSample();

export class Attempt implements UpstreamHandler, WorkUnderWay, Delivery {
  readonly exchange: Exchange;
  readonly node: Node;
  readonly candidate: PlannedCandidate;
  readonly target: Target;
  readonly translation: Translation | null;
  readonly tally = new UsageTally();
  readonly number: number;
  readonly startedAt: number;
  head: AnswerHead | null = null;
  firstByteAt = 0;
  /** Decoded bytes of the answer so far. */
  answerBytes = 0;
  estimated = false;
  concluded: Conclusion | null = null;
  /** What this attempt holds of the limits of its own target; null = nothing. */
  readonly lease: Lease | null;
  /** Why another attempt took over; null = none did. */
  mishap: Mishap | null = null;
  #call: UpstreamCall | null = null;
  #decoding: DecodingHandler | null = null;
  #filter: AnswerFilter | null = null;
  #relay: Relay | null = null;
  #upstreamDone = false;
  #credentialsMissing = false;
  readonly #deadline: number;

  /** `translation`: null when caller and target speak the same dialect. */
  constructor(exchange: Exchange, node: Node, candidate: PlannedCandidate, translation: Translation | null) {
    this.translation = translation;
    this.exchange = exchange;
    this.node = node;
    this.candidate = candidate;
    this.target = candidate.target;
    exchange.attempts += 1;
    if (exchange.parent !== null) exchange.parent.attempts += 1;
    this.number = (exchange.parent ?? exchange).attempts;
    this.startedAt = performance.now();
    this.#deadline = Math.min(exchange.deadline, this.#ownDeadline());
    this.lease = exchange.targetLease;
    exchange.targetLease = null;
    attemptBegins(this);
  }

  /** Sends the request. */
  start(body: Buffer | readonly Buffer[], headers: readonly string[]): void {
    this.exchange.work = this;
    const { outgoing, view } = this.exchange;
    const path = outgoing?.path ?? this.target.path(this.candidate.model.upstreamModel, view?.stream === true);
    const method = outgoing?.method ?? "POST";
    const signed = Buffer.isBuffer(body) ? body : EMPTY_BODY;
    const complete = this.target.authenticated({ method, path, headers, body: signed });
    if (!(complete instanceof Promise)) this.#send(path, complete, body);
    else {
      complete.then(
        (fetched) => this.#send(path, fetched, body),
        (error: unknown) => this.#withoutCredentials(error),
      );
    }
  }

  #send(path: string, headers: readonly string[], body: Buffer | readonly Buffer[]): void {
    if (this.concluded !== null) return;
    const { timeouts } = this.node.config;
    const silence = this.streamTimeoutMs ?? timeouts.stream_idle_ms;
    this.#call = this.node.sender.send(
      this.target,
      {
        operation: this.exchange.route.operation,
        method: this.exchange.outgoing?.method ?? "POST",
        path,
        headers,
        body,
        firstByteMs: this.#firstByteMs(silence),
        idleMs: silence,
      },
      this,
    );
  }

  /** The caller reads that there are none; why not is the operator's matter. */
  #withoutCredentials(error: unknown): void {
    if (this.concluded !== null) return;
    const reason = error instanceof AuthError ? error.message : "the credentials could not be had";
    const { id } = this.exchange;
    this.node.warn("no credentials for the upstream", {
      request_id: id,
      provider_key: this.target.providerKey,
      reason,
    });
    this.#credentialsMissing = true;
    this.giveUp(failure("transport_error", "The gateway has no credentials for the upstream at the moment."));
  }

  onHead(status: number, headers: readonly string[]): void {
    const { head, filter } = readHead(this, status, headers);
    this.head = head;
    this.#filter = filter;
    if (status >= 300 && this.#superseded({ kind: "status", status })) return;
    if (status >= 300 && status < 400 && this.exchange.outgoing?.verbatim !== true) {
      this.giveUp(failure("transport_error", "The upstream answered with a redirect."));
      return;
    }
    if (this.exchange.sink.started && !(status < 300 && isEventStream(head.contentType))) {
      this.giveUp(failure("transport_error", `The upstream that was to go on answered with status ${status}.`));
      return;
    }
    const decoder = decoderFor(head.contentEncoding);
    if (decoder === undefined) {
      this.giveUp(failure("upstream_decode_error", "The upstream's content encoding is unknown."));
      return;
    }
    this.#relay = relayFor(this, head);
    if (decoder !== null) {
      const decoded = {
        onData: (chunk: Buffer) => this.#take(chunk),
        onEnd: () => this.#finish(),
        onFailure: (kind: UpstreamFailureKind, message: string) => this.#fail(failureOf(kind, message)),
      };
      this.#decoding = new DecodingHandler(decoder, decoded, this.#call ?? { resume() {} });
    }
  }

  onData(chunk: Buffer): boolean {
    if (this.concluded !== null) return true;
    return this.#decoding === null ? this.#take(chunk) : this.#decoding.onData(chunk);
  }

  onEnd(): void {
    this.#upstreamDone = true;
    if (this.concluded !== null) return;
    if (this.#decoding !== null) this.#decoding.onEnd();
    else this.#finish();
  }

  onFailure(kind: UpstreamFailureKind, message: string): void {
    this.#upstreamDone = true;
    if (this.concluded !== null) return;
    if (this.#decoding !== null) this.#decoding.fail(kind, message);
    else this.#fail(failureOf(kind, message));
  }

  /** The client takes more again. */
  resume(): void {
    if (this.#decoding !== null) this.#decoding.resume();
    else this.#call?.resume();
  }

  /** The client has taken nothing since `since`: wait on, or cut it when `timeouts.client_stall_ms` is over. */
  awaitClient(since: number, now: number): void {
    const patience = this.node.config.timeouts.client_stall_ms;
    if (patience === 0 || now - since < patience) {
      this.exchange.sink.keepWaiting();
      return;
    }
    this.exchange.sink.abort();
    this.cancel();
  }

  cancel(): void {
    if (this.concluded !== null) return;
    this.#stop();
    releasePlaces(this.exchange, this.node);
    if (this.lease !== null) releasePlace(this.node.quota, this.lease);
    this.conclude({ status: 499, error: "client_closed_request", complete: false, delivery: NOTHING_LEFT });
  }

  tick(now: number): void {
    if (this.concluded !== null) return;
    if (now < this.#deadline) {
      this.#relay?.tick(now);
      return;
    }
    this.giveUp(timeOver());
  }

  /** Ends the attempt: usage is completed, its line written, then the rest of the answer delivered. */
  conclude(conclusion: Conclusion): void {
    if (this.concluded !== null) return;
    this.concluded = conclusion;
    const { exchange } = this;
    exchange.status = conclusion.status;
    exchange.error = conclusion.error;
    exchange.firstByteAt = this.firstByteAt;
    attemptEnds(this, conclusion);
    // The answer is complete but its connection is not free yet: wait a little, then give it up.
    if (!this.#upstreamDone) setTimeout(() => this.#stop(), LINGER_MS).unref();
    const outcome = conclusion.error === "" ? "ok" : conclusion.error;
    this.node.counters.attempts(this.target.provider, outcome).add(1);
    const answer = this.#relay?.sample() ?? NO_SAMPLE;
    const estimate = missingUsage(this, answer);
    if (estimate === null) this.#post();
    else
      estimate
        .catch(this.node.reportFault)
        .then(() => this.#post())
        .catch((error: unknown) => endFaulty(this.exchange, this.node, error));
  }

  /** Called by the ledger once the usage line is on file. */
  deliver(): void {
    if (this.lease !== null)
      settleLease(this.node.quota, this.lease, { tokens: tokensOf(this.exchange.usage), micros: 0 });
    if (this.mishap !== null) {
      this.exchange.succession?.deliver();
      return;
    }
    settleLeases(this.exchange, this.node);
    try {
      this.concluded?.delivery.deliver();
    } catch (error) {
      this.node.reportFault(error);
      if (this.exchange.sink.started) this.exchange.sink.abort();
      else refuse(this.exchange, this.node, failure("internal_error"));
    }
    settle.run(this.exchange, this.node);
  }

  /** Ends the attempt with an error of the gateway's: as an answer, or inside what has begun. */
  giveUp(problem: Failure): void {
    this.#stop();
    this.#fail(problem);
  }

  /** Nobody needs the upstream any more. */
  #stop(): void {
    this.#upstreamDone = true;
    this.#call?.abort();
    this.#decoding?.destroy();
  }

  #take(chunk: Buffer): boolean {
    if (this.concluded !== null || this.#relay === null) return true;
    if (this.firstByteAt === 0) this.firstByteAt = performance.now();
    this.answerBytes += chunk.length;
    const filter = this.#filter;
    return filter === null ? this.#relay.take(chunk) : this.#takeFiltered(() => filter.push(chunk));
  }

  #finish(): void {
    const filter = this.#filter;
    if (filter !== null) this.#takeFiltered(() => filter.end());
    if (this.concluded === null) this.#relay?.finish();
  }

  #takeFiltered(read: () => Buffer | null): boolean {
    let bytes: Buffer | null;
    try {
      bytes = read();
    } catch {
      this.giveUp(failure("upstream_decode_error"));
      return true;
    }
    return bytes === null || this.#relay === null || this.#relay.take(bytes);
  }

  #fail(problem: Failure): void {
    if (this.#relay === null) this.refuseInstead(problem);
    else this.#relay.fail(problem);
  }

  /** Nothing of this attempt's answer has left: another attempt or an error answer takes its place. */
  refuseInstead(problem: Failure): void {
    if (this.supersededBy(problem)) return;
    const { exchange, node } = this;
    const delivery: Delivery = { deliver: () => refuse(exchange, node, problem) };
    this.conclude({ status: refusalStatus(exchange, problem), error: problem.code, complete: false, delivery });
  }

  /** True: another attempt follows instead of this problem's answer. */
  supersededBy(problem: Failure): boolean {
    return isOfTarget(problem) && this.exchange.succession !== null && this.#superseded(this.#mishapOf(problem));
  }

  /** The stream's first event is an error, and nothing has left: true when another attempt follows. */
  supersededInBand(): boolean {
    return this.#superseded({ kind: "in_band", status: this.head?.status ?? 0 });
  }

  /** May another attempt take the place of this one? Then this one ends with nothing but its usage line. */
  #superseded(mishap: Mishap): boolean {
    const { succession, sink, continuation } = this.exchange;
    if (succession === null || sink.closed || (sink.started && continuation?.possible !== true)) return false;
    if (!succession.takesOver(this, mishap)) return false;
    recordAnew(this);
    this.mishap = mishap;
    const code = MISHAP_CODES[mishap.kind];
    const status = mishap.status >= 300 || code === "upstream_error" ? mishap.status : ERRORS[code].status;
    this.conclude({ status, error: code, complete: false, delivery: succession });
    return true;
  }

  #mishapOf({ code }: Failure): Mishap {
    const status = this.head?.status ?? 0;
    if (this.#credentialsMissing) return { kind: "credentials", status };
    if (code === "timeout") return { kind: "timeout", status };
    return { kind: code === "upstream_decode_error" ? "broken" : "transport", status };
  }

  /** Longest silence between two events of the answer, milliseconds; null = not said for this model. */
  get streamTimeoutMs(): number | null {
    return this.candidate.model.entry.streamTimeoutMs ?? this.exchange.model?.entry.streamTimeoutMs ?? null;
  }

  /**
   * A stream whose silence is bounded is so before its first event, too. At the deadline, a tick may be late; but what is
   * asked on a request's way is ended by that request, which pays for it.
   */
  #firstByteMs(silence: number): number {
    const lateMs = this.exchange.inner ? PARENT_LATE_MS : 1;
    const left = Math.max(1, Math.ceil(this.#deadline - performance.now()) + lateMs);
    const quiet = this.streamTimeoutMs !== null && this.exchange.view?.stream === true ? silence : 0;
    return Math.min(left, quiet || left, this.node.config.timeouts.first_byte_ms || left, 0x7fff_ffff);
  }

  /** The target's own time, where it stands behind another name; the name's own is the exchange's deadline. */
  #ownDeadline(): number {
    const { entry } = this.candidate.model;
    const limit = entry === this.exchange.model?.entry ? 0 : (entry.timeoutMs ?? 0);
    return limit > 0 ? this.startedAt + limit : Number.POSITIVE_INFINITY;
  }

  #post(): void {
    const event = usageEventOf(this);
    if (this.exchange.recording !== null) concludeRecording(this);
    this.node.ledger.post(event, this);
  }
}

/** A failed attempt gives its tokens back. */
function tokensOf(usage: UsageEvent | null): number {
  return usage === null ? 0 : usage.input_tokens + usage.output_tokens;
}
