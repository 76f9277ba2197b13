/**
 * How the models of a node are doing: cooldowns, latencies, requests in flight and background checks, in memory
 * that its threads share. What the other nodes of a fleet say of them stands beside it, in fields of its own that the
 * main thread writes: the two are put together by who reads, and a node tells the others only what is its own. Every field is one 32-bit number that is read and changed atomically; there is no lock,
 * so that a thread that dies leaves none behind.
 */
import type { CheckResult, HealthReport, OthersHealth, OwnHealth } from "./health-report.js";
import { type HealthSlot, NO_SLOT, type SlotMap, unpackSlot } from "./slots.js";

/** One record is one cache line. */
const RECORD = 16;
const GENERATION = 0;
const COOLDOWN_UNTIL = 1;
const LAST_STATUS = 2;
/** Index into `FAILURE_KINDS`; 0 = the last attempt succeeded. */
const LAST_FAILURE = 3;
const LATENCY = 4;
const LATENCY_AT = 5;
const SUCCESSES = 6;
const FAILURES = 7;
const SUCCESS_AT = 8;
/** The upstream's status, and in the last two bits how the check ended. */
const CHECK = 9;
const CHECK_AT = 10;
const CHECK_STALE_SECONDS = 11;
const OTHERS_COOLDOWN_UNTIL = 12;
const OTHERS_IN_FLIGHT = 13;
const OTHERS_LATENCY = 14;
const OTHERS_LATENCY_AT = 15;

const NEVER_CHECKED = 0;
const CHECK_PASSED = 1;
const CHECK_FAILED = 2;
const CHECK_RESULT_BITS = 2;
const CHECK_RESULT_MASK = 0b11;

/** Times are counted in ticks since shortly before the memory was allocated: 32 bits of them last six years. */
const TICK_MS = 50;
const BEFORE_MS = 86_400_000;
/** Latencies are kept in 1/64 ms. */
const LATENCY_UNIT = 64;
const MAX_LATENCY_MS = 3_600_000;
/** A new latency counts for at least so much of the average, and for the more the older the average is. */
const LEAST_WEIGHT = 0.1;
export const AVERAGE_SPAN_MS = 10_000;
/** A latency that nobody has renewed for so long says nothing. */
export const LATENCY_STALE_MS = 300_000;

/** What kinds of failure are told of a model. */
export const FAILURE_KINDS = [
  "",
  "status",
  "timeout",
  "transport",
  "broken",
  "in_band",
  "credentials",
  "unsendable",
] as const;
export type FailureKind = Exclude<(typeof FAILURE_KINDS)[number], "">;

/** May a routing model send a request there? The order is that of preference. */
export const WELL = 0;
export const COOLING_DOWN = 1;
export const UNHEALTHY = 2;
export type Standing = typeof WELL | typeof COOLING_DOWN | typeof UNHEALTHY;

export interface HealthMemory {
  readonly records: SharedArrayBuffer;
  /** Requests in flight, one row a thread: a thread that dies takes only its own row with it. */
  readonly inFlight: SharedArrayBuffer;
  /** One number: how many cooldowns the node's own attempts have begun. */
  readonly cooldowns: SharedArrayBuffer;
  readonly slots: number;
  readonly rows: number;
  /** The time of tick 0, milliseconds since the epoch. */
  readonly origin: number;
}

/** Zeroed memory for the health of `slots` models and `rows` threads. */
export function allocateHealthMemory(slots: number, rows: number, nowMs = Date.now()): HealthMemory {
  return {
    records: new SharedArrayBuffer(slots * RECORD * 4),
    inFlight: new SharedArrayBuffer(slots * rows * 4),
    cooldowns: new SharedArrayBuffer(4),
    slots,
    rows,
    origin: nowMs - BEFORE_MS,
  };
}

/** One thread's view of the node's models. All times come in as milliseconds since the epoch. */
export class HealthTable {
  readonly #records: Int32Array;
  readonly #inFlight: Int32Array;
  readonly #cooldowns: Int32Array;
  readonly #slots: number;
  readonly #rows: number;
  readonly #row: number;
  readonly #origin: number;
  #named: ReadonlyMap<string, HealthSlot> = new Map();

  /** `row`: this thread's own of the counts in flight; one that is in no row counts none. */
  constructor(memory: HealthMemory, row: number) {
    this.#records = new Int32Array(memory.records);
    this.#inFlight = new Int32Array(memory.inFlight);
    this.#cooldowns = new Int32Array(memory.cooldowns);
    this.#slots = memory.slots;
    this.#rows = memory.rows;
    this.#row = row;
    this.#origin = memory.origin;
  }

  /** From now on names mean these slots. */
  adopt(slots: SlotMap): void {
    this.#named = new Map(Object.entries(slots).map(([name, packed]) => [name, unpackSlot(packed, this.#slots)]));
  }

  /** The slot of a name; where it has none of its own, that of the pattern which covers it. */
  slotOf(name: string, pattern = name): HealthSlot {
    return this.#named.get(name) ?? this.#named.get(pattern) ?? NO_SLOT;
  }

  /** Forgets what this row's thread had in flight: it is dead, or has just begun. */
  clearRow(): void {
    this.#inFlight.fill(0, this.#row * this.#slots, (this.#row + 1) * this.#slots);
  }

  /** Empties a record for a new owner. Returns the owner's generation. Main thread only. */
  clearSlot(index: number): number {
    const at = index * RECORD;
    const generation = Atomics.add(this.#records, at + GENERATION, 1) + 1;
    for (let field = GENERATION + 1; field < RECORD; field += 1) Atomics.store(this.#records, at + field, 0);
    for (let row = 0; row < this.#rows; row += 1) Atomics.store(this.#inFlight, row * this.#slots + index, 0);
    return generation;
  }

  /** An attempt begins (1) or is over (-1). */
  changeInFlight(slot: HealthSlot, by: 1 | -1): void {
    if (this.#recordOf(slot) < 0 || this.#row >= this.#rows) return;
    const at = this.#row * this.#slots + slot.index;
    // Below zero only when the record has changed hands in between: then nothing is owed to it.
    if (Atomics.add(this.#inFlight, at, by) + by < 0) Atomics.store(this.#inFlight, at, 0);
  }

  /** Attempts in flight over all threads, and over the other nodes as far as they have told. */
  inFlight(slot: HealthSlot): number {
    const at = this.#recordOf(slot);
    return at < 0 ? 0 : this.#ownInFlight(slot.index) + (this.#records[at + OTHERS_IN_FLIGHT] as number);
  }

  /** An attempt was answered. `firstByteMs`: from its start to the first byte; negative = not known. */
  reportSuccess(slot: HealthSlot, status: number, firstByteMs: number, nowMs: number): void {
    const at = this.#recordOf(slot);
    if (at < 0) return;
    const records = this.#records;
    Atomics.store(records, at + LAST_STATUS, status);
    Atomics.store(records, at + LAST_FAILURE, 0);
    Atomics.store(records, at + SUCCESS_AT, this.#tick(nowMs));
    Atomics.add(records, at + SUCCESSES, 1);
    if (firstByteMs >= 0) this.#sample(at, firstByteMs, nowMs);
  }

  /** An attempt failed. `status`: the upstream's; 0 where it sent none. */
  reportFailure(slot: HealthSlot, kind: FailureKind, status: number): void {
    const at = this.#recordOf(slot);
    if (at < 0) return;
    Atomics.store(this.#records, at + LAST_STATUS, status);
    Atomics.store(this.#records, at + LAST_FAILURE, FAILURE_KINDS.indexOf(kind));
    Atomics.add(this.#records, at + FAILURES, 1);
  }

  /** Routing leaves the model alone until then; a shorter time does not end a longer one. */
  coolDown(slot: HealthSlot, untilMs: number): void {
    const at = this.#recordOf(slot);
    if (at < 0) return;
    const until = this.#tick(untilMs + TICK_MS - 1);
    for (let before = this.#load(at + COOLDOWN_UNTIL); before < until; ) {
      const seen = Atomics.compareExchange(this.#records, at + COOLDOWN_UNTIL, before | 0, until | 0) >>> 0;
      if (seen === before) {
        Atomics.add(this.#cooldowns, 0, 1);
        return;
      }
      before = seen;
    }
  }

  /** Changes whenever an attempt of this node begins a cooldown or makes one longer. */
  get cooldowns(): number {
    return Atomics.load(this.#cooldowns, 0);
  }

  /** A background check has ended, here or at another node. */
  recordCheck(slot: HealthSlot, check: CheckResult, nowMs: number): void {
    const at = this.#recordOf(slot);
    if (at < 0) return;
    Atomics.store(this.#records, at + CHECK_STALE_SECONDS, check.staleSeconds);
    Atomics.store(this.#records, at + CHECK_AT, this.#tick(nowMs));
    const result = check.passed ? CHECK_PASSED : CHECK_FAILED;
    Atomics.store(this.#records, at + CHECK, (check.status << CHECK_RESULT_BITS) | result);
  }

  /** When the last background check ended, here or at another node; 0 = never. */
  checkedAt(slot: HealthSlot): number {
    const at = this.#recordOf(slot);
    return at < 0 || this.#load(at + CHECK) === NEVER_CHECKED ? 0 : this.#time(this.#load(at + CHECK_AT));
  }

  /** What this node would tell the others. */
  own(slot: HealthSlot, nowMs: number): OwnHealth {
    const at = this.#recordOf(slot);
    const timeOf = (field: number): number =>
      at < 0 || this.#load(at + field) === 0 ? 0 : this.#time(this.#load(at + field));
    return {
      inFlight: at < 0 ? 0 : this.#ownInFlight(slot.index),
      cooldownUntil: timeOf(COOLDOWN_UNTIL),
      lastStatus: at < 0 ? 0 : this.#load(at + LAST_STATUS),
      latencyMs: at < 0 ? -1 : this.#latency(at, LATENCY, nowMs),
      latencyAt: timeOf(LATENCY_AT),
      successes: at < 0 ? 0 : this.#load(at + SUCCESSES),
      successAt: timeOf(SUCCESS_AT),
    };
  }

  /** The other nodes have told of a model. Main thread only. */
  recordOthers(slot: HealthSlot, others: OthersHealth): void {
    const at = this.#recordOf(slot);
    if (at < 0) return;
    const { inFlight, cooldownUntil, latencyMs, latencyAt } = others;
    this.#put(at + OTHERS_IN_FLIGHT, inFlight);
    this.#put(at + OTHERS_COOLDOWN_UNTIL, cooldownUntil === 0 ? 0 : this.#tick(cooldownUntil + TICK_MS - 1));
    this.#put(at + OTHERS_LATENCY_AT, latencyMs < 0 ? 0 : this.#tick(latencyAt));
    this.#put(at + OTHERS_LATENCY, latencyMs < 0 ? 0 : latencyUnits(latencyMs));
  }

  /** An attempt of another node was answered: a check that failed before says nothing more. */
  recordOthersSuccess(slot: HealthSlot, atMs: number): void {
    const at = this.#recordOf(slot);
    if (at < 0) return;
    const tick = this.#tick(atMs);
    // Told from node to node, times creep; only the one that is needed is taken.
    if (this.#checkHasFailed(at) && tick > this.#load(at + SUCCESS_AT))
      Atomics.store(this.#records, at + SUCCESS_AT, tick);
  }

  /** A failed check counts until it is stale or an attempt has succeeded since. */
  standing(slot: HealthSlot, nowMs: number): Standing {
    const at = this.#recordOf(slot);
    if (at < 0) return WELL;
    if (this.#checkHasFailed(at) && !this.#checkIsStale(at, nowMs)) {
      if (this.#load(at + SUCCESS_AT) <= this.#load(at + CHECK_AT)) return UNHEALTHY;
    }
    const own = this.#load(at + COOLDOWN_UNTIL);
    const others = this.#load(at + OTHERS_COOLDOWN_UNTIL);
    if (own === 0 && others === 0) return WELL;
    return Math.max(own, others) > this.#exactTick(nowMs) ? COOLING_DOWN : WELL;
  }

  /**
   * Average time to the first byte; -1 where there is none, or none that is young enough. Where both this node and
   * others have measured, the younger average weighs more.
   */
  latencyMs(slot: HealthSlot, nowMs: number): number {
    const at = this.#recordOf(slot);
    if (at < 0) return -1;
    const own = this.#latency(at, LATENCY, nowMs);
    // Read plainly, as the counts in flight are: what the main thread has just written is soon enough there.
    if (this.#records[at + OTHERS_LATENCY] === 0) return own;
    const others = this.#latency(at, OTHERS_LATENCY, nowMs);
    if (own < 0 || others < 0) return Math.max(own, others);
    const ownAge = AVERAGE_SPAN_MS + Math.max(0, nowMs - this.#time(this.#load(at + LATENCY_AT)));
    const othersAge = AVERAGE_SPAN_MS + Math.max(0, nowMs - this.#time(this.#load(at + OTHERS_LATENCY_AT)));
    return (own * othersAge + others * ownAge) / (ownAge + othersAge);
  }

  /** Everything that is known of a model, for people. */
  report(slot: HealthSlot, nowMs: number): HealthReport {
    const at = this.#recordOf(slot);
    const of = (field: number): number => (at < 0 ? 0 : this.#load(at + field));
    const check = of(CHECK);
    const checked = check !== NEVER_CHECKED;
    const stale = checked && this.#checkIsStale(at, nowMs);
    const cooldown = Math.max(of(COOLDOWN_UNTIL), of(OTHERS_COOLDOWN_UNTIL));
    return {
      standing: this.standing(slot, nowMs),
      unknown: of(SUCCESSES) + of(FAILURES) === 0 && (!checked || stale),
      cooldownUntil: cooldown > this.#exactTick(nowMs) ? this.#time(cooldown) : 0,
      othersCooldown: cooldown > this.#exactTick(nowMs) && cooldown > of(COOLDOWN_UNTIL),
      lastStatus: of(LAST_STATUS),
      lastFailure: FAILURE_KINDS[of(LAST_FAILURE)] ?? "",
      latencyMs: this.latencyMs(slot, nowMs),
      inFlight: at < 0 ? 0 : this.#ownInFlight(slot.index),
      fleetInFlight: this.inFlight(slot),
      successes: of(SUCCESSES),
      failures: of(FAILURES),
      check: checked
        ? {
            passed: (check & CHECK_RESULT_MASK) === CHECK_PASSED,
            status: check >>> CHECK_RESULT_BITS,
            at: this.#time(of(CHECK_AT)),
            stale,
          }
        : null,
    };
  }

  #ownInFlight(index: number): number {
    let sum = 0;
    for (let row = 0; row < this.#rows; row += 1) sum += this.#inFlight[row * this.#slots + index] as number;
    return Math.max(0, sum);
  }

  /** `field`: of the latency; its time is in the next one. */
  #latency(at: number, field: number, nowMs: number): number {
    const latency = this.#load(at + field);
    if (latency === 0 || nowMs - this.#time(this.#load(at + field + 1)) > LATENCY_STALE_MS) return -1;
    return latency / LATENCY_UNIT;
  }

  #checkHasFailed(at: number): boolean {
    return (this.#load(at + CHECK) & CHECK_RESULT_MASK) === CHECK_FAILED;
  }

  /** Most of what is told has not changed: then other threads may keep the line that they have read. */
  #put(at: number, value: number): void {
    if (this.#load(at) !== value) Atomics.store(this.#records, at, value | 0);
  }

  #checkIsStale(at: number, nowMs: number): boolean {
    return nowMs - this.#time(this.#load(at + CHECK_AT)) > this.#load(at + CHECK_STALE_SECONDS) * 1_000;
  }

  /** Puts a latency into the average; one of two threads at once tries again. */
  #sample(at: number, firstByteMs: number, nowMs: number): void {
    const sample = latencyUnits(firstByteMs);
    const age = nowMs - this.#time(this.#load(at + LATENCY_AT));
    const weight = Math.max(LEAST_WEIGHT, 1 - Math.exp(-Math.max(0, age) / AVERAGE_SPAN_MS));
    for (let before = this.#load(at + LATENCY); ; ) {
      const after = before === 0 ? sample : Math.max(1, Math.round(before + (sample - before) * weight));
      const seen = Atomics.compareExchange(this.#records, at + LATENCY, before, after);
      if (seen === before) break;
      before = seen;
    }
    Atomics.store(this.#records, at + LATENCY_AT, this.#tick(nowMs));
  }

  /** Where a slot's record begins; -1 when it has none, or none any more. */
  #recordOf(slot: HealthSlot): number {
    const at = slot.index * RECORD;
    return slot.index >= 0 && Atomics.load(this.#records, at + GENERATION) === slot.generation ? at : -1;
  }

  #load(at: number): number {
    return Atomics.load(this.#records, at) >>> 0;
  }

  #exactTick(ms: number): number {
    return (ms - this.#origin) / TICK_MS;
  }

  /** Never 0, which means never; a clock that is set back by days has its times at the beginning. */
  #tick(ms: number): number {
    return Math.min(0xffff_ffff, Math.max(1, Math.floor(this.#exactTick(ms))));
  }

  #time(tick: number): number {
    return this.#origin + tick * TICK_MS;
  }
}

/** Never 0, which means that there is none. */
function latencyUnits(ms: number): number {
  return Math.max(1, Math.round(Math.min(ms, MAX_LATENCY_MS) * LATENCY_UNIT));
}
