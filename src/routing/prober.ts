/**
 * Background checks: small real calls that tell whether a model is well that nobody asks. Which checks are due is
 * decided by `CheckSchedule`, which knows no clock; `Prober` has the timer. The call itself is handed in.
 */
import type { Resources } from "../config/resources.js";
import type { ResolvedDirect, Snapshot } from "../config/snapshot.js";
import type { BackgroundCheck } from "../config/traffic.js";
import type { HealthTable } from "./health.js";
import type { OtherNodes } from "./other-nodes.js";
import { type HealthSlot, slotNames } from "./slots.js";

/** Checks under way at once, on a node. */
const AT_ONCE = 4;
/** First checks are spread over so much time at most, so that a start soon knows but does not burst. */
const FIRST_SPREAD_MS = 10_000;

/** A model that is to be checked. */
export interface CheckedModel {
  readonly name: string;
  readonly model: ResolvedDirect;
  readonly slot: HealthSlot;
  readonly check: BackgroundCheck;
}

/** What a check asks. */
export interface ProbeCall {
  readonly prompt: string;
  readonly maxTokens: number;
  readonly timeoutMs: number;
  /** Aborted when the time is over. */
  readonly signal: AbortSignal;
}

/** Makes one small call; resolves with the upstream's status, or -1 where no call was made; rejects when there is none. */
export type Probe = (model: CheckedModel, call: ProbeCall) => Promise<{ readonly status: number }>;

/** Every model with a background check: by its own name, and where that is a pattern, by the targets it covers. */
export function checkedModels(resources: Resources, snapshot: Snapshot, health: HealthTable): CheckedModel[] {
  const checked: CheckedModel[] = [];
  for (const name of slotNames(resources)) {
    const direct = name.includes("*") ? null : (snapshot.findModel(name)?.direct ?? null);
    const check = direct?.entry.backgroundCheck ?? null;
    if (direct !== null && check !== null) checked.push({ name, model: direct, slot: health.slotOf(name), check });
  }
  return checked;
}

interface Scheduled {
  checked: CheckedModel;
  /** When it came. */
  readonly since: number;
  dueAt: number;
  underWay: boolean;
}

/** When which model is checked. Pure but for its own state: the time comes in, in milliseconds of any clock. */
export class CheckSchedule {
  #models = new Map<string, Scheduled>();
  #underWay = 0;

  /** Replaces the models; those that were there before keep their time, unless it is now further away than it may be. */
  adopt(models: readonly CheckedModel[], now: number): void {
    const before = this.#models;
    this.#models = new Map();
    for (const [index, checked] of models.entries()) {
      const intervalMs = checked.check.intervalSeconds * 1_000;
      const known = before.get(checked.name);
      if (known !== undefined) {
        known.checked = checked;
        known.dueAt = Math.min(known.dueAt, now + intervalMs);
        this.#models.set(checked.name, known);
        continue;
      }
      const spread = Math.min(intervalMs, FIRST_SPREAD_MS);
      const dueAt = now + (spread * index) / models.length;
      this.#models.set(checked.name, { checked, since: now, dueAt, underWay: false });
    }
  }

  /**
   * The checks to begin now, the longest overdue first; they count as under way until `finish`. One that is not this
   * node's to make is left until its next beat; what is asked knows for how long the model has been in the schedule.
   */
  begin(now: number, isOurs: (checked: CheckedModel, knownMs: number) => boolean = () => true): CheckedModel[] {
    const due = [...this.#models.values()].filter(({ dueAt, underWay }) => !underWay && dueAt <= now);
    due.sort((left, right) => left.dueAt - right.dueAt);
    const begun: CheckedModel[] = [];
    for (const scheduled of due) {
      if (this.#underWay >= AT_ONCE) break;
      const intervalMs = scheduled.checked.check.intervalSeconds * 1_000;
      // At its beat, so that checks stay spread; one that has fallen behind begins a new beat.
      scheduled.dueAt = Math.max(scheduled.dueAt + intervalMs, now + intervalMs / 2);
      if (!isOurs(scheduled.checked, now - scheduled.since)) continue;
      scheduled.underWay = true;
      this.#underWay += 1;
      begun.push(scheduled.checked);
    }
    return begun;
  }

  /** A check that `begin` gave out is over, however it ended. */
  finish(name: string): void {
    this.#underWay -= 1;
    const scheduled = this.#models.get(name);
    if (scheduled !== undefined) scheduled.underWay = false;
  }

  /** When `begin` is worth calling again; Infinity = not before a `finish` or an `adopt`. */
  nextAt(): number {
    if (this.#underWay >= AT_ONCE) return Number.POSITIVE_INFINITY;
    let next = Number.POSITIVE_INFINITY;
    for (const { dueAt, underWay } of this.#models.values()) if (!underWay) next = Math.min(next, dueAt);
    return next;
  }
}

/** Runs the checks of a node; one thread has it. */
export class Prober {
  readonly #health: HealthTable;
  readonly #probe: Probe;
  readonly #otherNodes: () => OtherNodes | null;
  readonly #schedule = new CheckSchedule();
  readonly #calls = new Set<AbortController>();
  #timer: NodeJS.Timeout | null = null;
  #stopped = false;

  /** `otherNodes`: those that check the same models; null while this node is alone. */
  constructor(health: HealthTable, probe: Probe, otherNodes: () => OtherNodes | null = () => null) {
    this.#health = health;
    this.#probe = probe;
    this.#otherNodes = otherNodes;
  }

  /** New resources are in force: these are checked from now on. */
  adopt(models: readonly CheckedModel[]): void {
    this.#schedule.adopt(models, performance.now());
    this.#run();
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const call of this.#calls) call.abort();
  }

  #run(): void {
    if (this.#stopped) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const begun = this.#schedule.begin(performance.now(), (checked, knownMs) => this.#isOurs(checked, knownMs));
    for (const checked of begun) void this.#check(checked);
    const wait = this.#schedule.nextAt() - performance.now();
    // An interval of many days does not fit a timer; looking in between costs nothing.
    if (wait !== Number.POSITIVE_INFINITY) {
      this.#timer = setTimeout(() => this.#run(), Math.min(Math.max(0, wait), 3_600_000));
      this.#timer.unref();
    }
  }

  /** The first of the nodes checks a model; another steps in when nothing has been heard for too long. */
  #isOurs({ name, slot, check }: CheckedModel, knownMs: number): boolean {
    const rank = this.#otherNodes()?.checkRank(name) ?? 0;
    if (rank === 0) return true;
    const silentMs = Math.min(knownMs, Date.now() - this.#health.checkedAt(slot));
    return silentMs > ((rank + 1) * check.intervalSeconds + check.timeoutSeconds) * 1_000;
  }

  async #check(checked: CheckedModel): Promise<void> {
    const { prompt, maxTokens, timeoutSeconds, staleAfterSeconds, ignoreStatuses } = checked.check;
    const timeoutMs = timeoutSeconds * 1_000;
    const call = new AbortController();
    this.#calls.add(call);
    // Beside the call's own bound: a place must not be lost to one that does not keep it.
    const over = timer(timeoutMs, () => call.abort());
    const answered = Promise.resolve().then(() =>
      this.#probe(checked, { prompt, maxTokens, timeoutMs, signal: call.signal }),
    );
    const status = await Promise.race([answered, over.ended]).then(
      (answer) => answer?.status ?? 0,
      () => 0,
    );
    over.clear();
    this.#calls.delete(call);
    this.#schedule.finish(checked.name);
    if (this.#stopped) return;
    // Nothing has been learned of the model.
    if (status < 0) {
      this.#run();
      return;
    }
    const passed = (status >= 200 && status < 300) || (status !== 0 && ignoreStatuses.includes(status));
    const result = { passed, status, staleSeconds: staleAfterSeconds };
    this.#health.recordCheck(checked.slot, result, Date.now());
    this.#otherNodes()?.checked(checked.name, result);
    this.#run();
  }
}

function timer(ms: number, onEnd: () => void): { readonly ended: Promise<null>; clear(): void } {
  let handle: NodeJS.Timeout | undefined;
  const ended = new Promise<null>((done) => {
    handle = setTimeout(() => {
      onEnd();
      done(null);
    }, ms);
    handle.unref();
  });
  return { ended, clear: () => clearTimeout(handle) };
}
