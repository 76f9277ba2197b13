/**
 * Runs a plan: one attempt after the other, until one answers, none is left, or the request's time is over. What
 * follows a failed attempt is settled before its failure reaches anybody, so that the last failure is the caller's
 * answer as its upstream gave it.
 */
import { failure, type Failure, isFailure } from "../errors.js";
import type { Plan, PlannedCandidate } from "../routing/plan.js";
import { backoffMs, judge } from "../routing/retry.js";
import { voidLease, WANTING } from "../quota/lease.js";
import { admitTarget } from "./admit.js";
import { retryAfterMs } from "./answer-head.js";
import type { Attempt } from "./attempt.js";
import { canWait, type Room } from "./await-room.js";
import { noteLeft } from "./client-left.js";
import { endFaulty } from "./end-faulty.js";
import type { Exchange, WorkUnderWay } from "./exchange.js";
import { isTranslatable } from "../dialects/codecs.js";
import { Continuation } from "./continuation.js";
import { countsHere } from "./count-here.js";
import { launch } from "./launch.js";
import type { Node } from "./node.js";
import { outputScreenOf } from "./output-screen.js";
import type { StageOutcome } from "./pipeline.js";
import { refuse } from "./refuse.js";
import { settle } from "./settle.js";
import { voidAdmission } from "./settle-leases.js";
import type { Mishap, Succession } from "./succession.js";

export class AttemptRun implements WorkUnderWay, Succession {
  readonly #exchange: Exchange;
  readonly #node: Node;
  readonly #plan: Plan;
  #index = -1;
  /** Attempts made at the candidate at `#index`. */
  #tries = 0;
  #delayMs = 0;
  #timer: NodeJS.Timeout | null = null;
  /** The fleet may yet make room under the limits of the next attempt's target. */
  #wantsRoom = false;
  /** Ends the waiting for it; null = nothing is waited for. */
  #stopWaiting: (() => void) | null = null;
  /** Of the targets that were over their own limits, the refusal that ends first. */
  #soonest: Failure | null = null;

  constructor(exchange: Exchange, node: Node, plan: Plan) {
    this.#exchange = exchange;
    this.#node = node;
    this.#plan = plan;
  }

  /** The first attempt. A failure: no target has room under its own limits, or none can take the request. */
  begin(): StageOutcome {
    const exchange = this.#exchange;
    exchange.succession = this;
    const asked = this.#plan.routing?.continueOnFailure === true && exchange.view?.stream === true;
    // Each attempt's guardrails see its own text only: what stands over the seam would pass, and what they hold is lost.
    const goesOn = asked && outputScreenOf(exchange, this.#node) === null;
    if (goesOn && isTranslatable(exchange.route.dialect.id)) exchange.continuation = new Continuation(exchange);
    return this.#advance() ? this.#launch() : this.#overLimits();
  }

  takesOver(attempt: Attempt, mishap: Mishap): boolean {
    const now = performance.now();
    const { deadline } = this.#exchange;
    if (now >= deadline) return false;
    const verdict = judge(mishap, this.#plan.routing, {
      retries: this.#plan.retriesOn(this.#index) - (this.#tries - 1),
      retriesSet: this.#plan.retriesSet(this.#index),
      targets: this.#plan.candidates.length - 1 - this.#index,
    });
    if (verdict === "end") return false;
    this.#delayMs = 0;
    if (this.#exchange.sink.started) return this.#advance();
    this.#exchange.continuation?.restart();
    if (verdict === "next") return this.#advance();
    const pause = backoffMs(this.#tries, retryAfterMs(attempt.head), Math.random());
    if (now + pause >= deadline || !this.#takeRoom()) return this.#advance();
    this.#delayMs = pause;
    return true;
  }

  /** A target could not take the request, found out on a pool thread: the next one, or the failure itself. */
  insteadOf(problem: Failure): StageOutcome {
    this.#giveRoomBack();
    return this.#advance() ? this.#launch() : this.#unlaunched(problem);
  }

  /** The failed attempt's usage line is on file. */
  deliver(): void {
    const exchange = this.#exchange;
    exchange.work = this;
    if (exchange.sink.closed) this.cancel();
    else if (this.#delayMs === 0) this.#goOn();
    else this.#timer = setTimeout(() => this.#goOn(), this.#delayMs);
  }

  /** The client has gone while nothing was under way. */
  cancel(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#stopWaiting?.();
    this.#giveRoomBack();
    noteLeft(this.#exchange);
    settle.run(this.#exchange, this.#node);
  }

  /** A pause is never longer than the request's time. */
  tick(): void {}

  #goOn(): void {
    this.#timer = null;
    this.#conclude(this.#launchSafely());
  }

  #conclude(outcome: StageOutcome): void {
    if (!isFailure(outcome)) return;
    refuse(this.#exchange, this.#node, outcome);
    settle.run(this.#exchange, this.#node);
  }

  #launchSafely(): StageOutcome {
    const { sink, continuation } = this.#exchange;
    try {
      if (!sink.started || continuation?.prepare() === true) return this.#launch();
      this.#giveRoomBack();
      return failure("transport_error", "The upstream broke off, and no other can go on with its answer.");
    } catch (error) {
      this.#node.reportFault(error);
      this.#giveRoomBack();
      return failure("internal_error");
    }
  }

  /** Starts the attempt that is next; where its target cannot take the request, the one after it. */
  #launch(): StageOutcome {
    for (;;) {
      const waits = this.#wantsRoom ? this.#awaitRoom() : null;
      if (waits !== null) return waits;
      this.#tries += 1;
      const outcome = launch(this.#exchange, this.#node, this.#candidate);
      if (!isFailure(outcome)) return outcome;
      this.#giveRoomBack();
      if (!this.#advance()) return this.#unlaunched(outcome);
    }
  }

  /** No target can take the request. A prompt that nobody has been asked to count has used nothing. */
  #unlaunched(problem: Failure): Failure {
    const { attempts, route } = this.#exchange;
    if (attempts === 0 && countsHere(route.operation)) voidAdmission(this.#exchange, this.#node);
    return problem;
  }

  get #candidate(): PlannedCandidate {
    return this.#plan.candidates[this.#index] as PlannedCandidate;
  }

  /** To the next candidate that has room; false when there is none. */
  #advance(): boolean {
    while (this.#index + 1 < this.#plan.candidates.length) {
      this.#index += 1;
      this.#tries = 0;
      if (this.#takeRoom()) return true;
    }
    return false;
  }

  /** Room under the target's own limits, for one attempt; it may have to be waited for before that begins. */
  #takeRoom(): boolean {
    const room = admitTarget(this.#exchange, this.#node, this.#candidate, canWait(this.#node));
    this.#wantsRoom = room === WANTING;
    return room === WANTING || this.#keepRoom(room);
  }

  /** Some time may have passed since room was wanted. null = it is there. */
  #awaitRoom(): StageOutcome | null {
    const { waiting } = this.#node;
    if (this.#takeRoom()) {
      if (!this.#wantsRoom || waiting === null) return null;
      this.#exchange.work = this;
      const patience = this.#exchange.deadline - performance.now();
      this.#stopWaiting = waiting.begin((lastTry) => this.#lookAgain(lastTry), patience);
      return "under-way";
    }
    return this.#advance() ? this.#launch() : this.#overLimits();
  }

  /** True: the waiting is over. Where no room has come, the refusal is the answer: an attempt before is done with. */
  #lookAgain(lastTry: boolean): boolean {
    try {
      const room = admitTarget(this.#exchange, this.#node, this.#candidate, !lastTry);
      if (room === WANTING) return false;
      this.#stopWaiting = null;
      this.#wantsRoom = false;
      this.#conclude(this.#keepRoom(room) || this.#advance() ? this.#launch() : this.#overLimits());
    } catch (error) {
      this.#giveRoomBack();
      endFaulty(this.#exchange, this.#node, error);
    }
    return true;
  }

  #keepRoom(room: Room): boolean {
    if (!isFailure(room)) {
      this.#exchange.targetLease = room;
      return true;
    }
    if (this.#soonest === null || room.retryAfterSeconds < this.#soonest.retryAfterSeconds) this.#soonest = room;
    return false;
  }

  /** No attempt has taken the room over. */
  #giveRoomBack(): void {
    const { targetLease } = this.#exchange;
    this.#exchange.targetLease = null;
    if (targetLease !== null) voidLease(this.#node.quota, targetLease);
  }

  /** Where nobody has been asked anything, the request has never been admitted. */
  #overLimits(): Failure {
    if (this.#exchange.attempts === 0) voidAdmission(this.#exchange, this.#node);
    return this.#soonest ?? failure("all_candidates_unavailable");
  }
}
