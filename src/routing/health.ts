/**
 * How the models of a node are doing: cooldowns, latencies, requests in flight and background checks, in memory
 * that its threads share. Every field is one 32-bit number that is read and changed atomically; there is no lock,
 * so that a thread that dies leaves none behind.
 */
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
const CHECK_RESULT = 9;
const CHECK_STATUS = 10;
const CHECK_AT = 11;
const CHECK_STALE_SECONDS = 12;

const NEVER_CHECKED = 0;
const CHECK_PASSED = 1;
const CHECK_FAILED = 2;

/** Times are counted in ticks since shortly before the memory was allocated: 32 bits of them last six years. */
const TICK_MS = 50;
const BEFORE_MS = 86_400_000;
/** Latencies are kept in 1/64 ms. */
const LATENCY_UNIT = 64;
const MAX_LATENCY_MS = 3_600_000;
/** A new latency counts for at least so much of the average, and for the more the older the average is. */
const LEAST_WEIGHT = 0.1;
const AVERAGE_SPAN_MS = 10_000;
/** A latency that nobody has renewed for so long says nothing. */
const LATENCY_STALE_MS = 300_000;

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
    slots,
    rows,
    origin: nowMs - BEFORE_MS,
  };
}

/** What is known of a model; times in milliseconds since the epoch, 0 = never. */
export interface HealthReport {
  readonly standing: Standing;
  /** Nothing is known of it: no call, no check that is not stale. */
  readonly unknown: boolean;
  readonly cooldownUntil: number;
  /** 0 = none. */
  readonly lastStatus: number;
  readonly lastFailure: FailureKind | "";
  /** Time to the first byte; -1 = not known. */
  readonly latencyMs: number;
  readonly inFlight: number;
  readonly successes: number;
  readonly failures: number;
  /** null = never checked. `status`: 0 where the upstream sent none. */
  readonly check: {
    readonly passed: boolean;
    readonly status: number;
    readonly at: number;
    readonly stale: boolean;
  } | null;
}

/** One thread's view of the node's models. All times come in as milliseconds since the epoch. */
export class HealthTable {
  readonly #records: Int32Array;
  readonly #inFlight: Int32Array;
  readonly #slots: number;
  readonly #rows: number;
  readonly #row: number;
  readonly #origin: number;
  #named: ReadonlyMap<string, HealthSlot> = new Map();

  /** `row`: this thread's own of the counts in flight; one that is in no row counts none. */
  constructor(memory: HealthMemory, row: number) {
    this.#records = new Int32Array(memory.records);
    this.#inFlight = new Int32Array(memory.inFlight);
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

  /** Attempts in flight over all threads. */
  inFlight(slot: HealthSlot): number {
    if (this.#recordOf(slot) < 0) return 0;
    let sum = 0;
    for (let row = 0; row < this.#rows; row += 1) sum += this.#inFlight[row * this.#slots + slot.index] as number;
    return Math.max(0, sum);
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
      if (seen === before) return;
      before = seen;
    }
  }

  /** A background check has ended; its result says something for `staleSeconds`. `status`: 0 = no answer. */
  recordCheck(slot: HealthSlot, check: { passed: boolean; status: number; staleSeconds: number }, nowMs: number): void {
    const at = this.#recordOf(slot);
    if (at < 0) return;
    Atomics.store(this.#records, at + CHECK_STATUS, check.status);
    Atomics.store(this.#records, at + CHECK_STALE_SECONDS, check.staleSeconds);
    Atomics.store(this.#records, at + CHECK_AT, this.#tick(nowMs));
    Atomics.store(this.#records, at + CHECK_RESULT, check.passed ? CHECK_PASSED : CHECK_FAILED);
  }

  /** A failed check counts until it is stale or an attempt has succeeded since. */
  standing(slot: HealthSlot, nowMs: number): Standing {
    const at = this.#recordOf(slot);
    if (at < 0) return WELL;
    if (this.#load(at + CHECK_RESULT) === CHECK_FAILED && !this.#checkIsStale(at, nowMs)) {
      if (this.#load(at + SUCCESS_AT) <= this.#load(at + CHECK_AT)) return UNHEALTHY;
    }
    return this.#load(at + COOLDOWN_UNTIL) > this.#exactTick(nowMs) ? COOLING_DOWN : WELL;
  }

  /** Average time to the first byte; -1 where there is none, or none that is young enough. */
  latencyMs(slot: HealthSlot, nowMs: number): number {
    const at = this.#recordOf(slot);
    if (at < 0) return -1;
    const latency = this.#load(at + LATENCY);
    if (latency === 0 || nowMs - this.#time(this.#load(at + LATENCY_AT)) > LATENCY_STALE_MS) return -1;
    return latency / LATENCY_UNIT;
  }

  /** Everything that is known of a model, for people. */
  report(slot: HealthSlot, nowMs: number): HealthReport {
    const at = this.#recordOf(slot);
    const of = (field: number): number => (at < 0 ? 0 : this.#load(at + field));
    const checked = of(CHECK_RESULT) !== NEVER_CHECKED;
    const stale = checked && this.#checkIsStale(at, nowMs);
    const cooldown = of(COOLDOWN_UNTIL);
    return {
      standing: this.standing(slot, nowMs),
      unknown: of(SUCCESSES) + of(FAILURES) === 0 && (!checked || stale),
      cooldownUntil: cooldown > this.#exactTick(nowMs) ? this.#time(cooldown) : 0,
      lastStatus: of(LAST_STATUS),
      lastFailure: FAILURE_KINDS[of(LAST_FAILURE)] ?? "",
      latencyMs: this.latencyMs(slot, nowMs),
      inFlight: this.inFlight(slot),
      successes: of(SUCCESSES),
      failures: of(FAILURES),
      check: checked
        ? { passed: of(CHECK_RESULT) === CHECK_PASSED, status: of(CHECK_STATUS), at: this.#time(of(CHECK_AT)), stale }
        : null,
    };
  }

  #checkIsStale(at: number, nowMs: number): boolean {
    return nowMs - this.#time(this.#load(at + CHECK_AT)) > this.#load(at + CHECK_STALE_SECONDS) * 1_000;
  }

  /** Puts a latency into the average; one of two threads at once tries again. */
  #sample(at: number, firstByteMs: number, nowMs: number): void {
    const sample = Math.max(1, Math.round(Math.min(firstByteMs, MAX_LATENCY_MS) * LATENCY_UNIT));
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
