/**
 * The counters of every limit and budget of a node, in memory shared by its acceptor threads. All checks and
 * increments of one admission happen under one lock, so that limits are exact over the threads and a
 * refusal leaves every counter as it was. The lock is held for about a microsecond.
 */
import { allocateGrantMemory, GrantCells, type GrantMemory } from "./grant-cells.js";
import { GrantShare } from "./grant-share.js";
import { allocateDirectory, GroupDirectory, type Place } from "./groups.js";
import { allocateOutputs, OutputSizes } from "./outputs.js";
import { LOCK_WORDS, SharedLock } from "./shared-lock.js";
import { DIMENSIONS } from "./window.js";

/** Counters of one dimension: [window number, used]. */
const PAIR = 2;
/** In a block, behind the counters: how many owners it has had. */
const GENERATION = DIMENSIONS.length * PAIR;
/** Of a budget: its period, what was spent in it, and the highest fraction of the limit that was told of. */
const PERIOD = GENERATION + 1;
const SPENT = PERIOD + 1;
const TOLD = SPENT + 1;
/** Of what was spent: what other nodes have, and what this node has that all others know of. */
const OTHERS = TOLD + 1;
const SETTLED = OTHERS + 1;
/** One block a limited thing (a key, a model, a group of a policy, a budget's owner). */
const BLOCK = SETTLED + 1;
const HEADER_BYTES = 64;
/** In the header, behind the lock: how budgets are shared with other nodes. */
const FLEET_BYTE = 8;
const SHARES = 0;
const CLOSED_SINCE = 1;
/** Blocks for what appears with the requests. Memory that nothing touches costs nothing. */
const HASHED_BLOCKS = 262_144;

export interface QuotaMemory {
  readonly counters: SharedArrayBuffer;
  /** In-flight counts, one row a thread: a thread that dies takes only its own row with it. */
  readonly inFlight: SharedArrayBuffer;
  /**
   * What requests under way hold of each block, two numbers, one row a thread for the same reason. Of a budget:
   * period and micro-dollars reserved. Of a limit: until when a request may use more tokens than it could reserve.
   */
  readonly held: SharedArrayBuffer;
  readonly directory: SharedArrayBuffer;
  readonly outputs: SharedArrayBuffer;
  /** null = limits are this node's own. */
  readonly grants: GrantMemory | null;
  /** Blocks that the main thread gives out by name; the hashed ones follow. */
  readonly named: number;
  readonly hashed: number;
  readonly rows: number;
}

/**
 * Allocates zeroed counters for `named` limited things, `hashed` groups and `rows` threads. `fleet`: limits hold for
 * several nodes, and admissions need their grants.
 */
export function allocateQuotaMemory(named: number, rows: number, hashed = HASHED_BLOCKS, fleet = false): QuotaMemory {
  const blocks = named + hashed;
  return {
    counters: new SharedArrayBuffer(HEADER_BYTES + blocks * BLOCK * 8),
    inFlight: new SharedArrayBuffer(blocks * rows * 4),
    held: new SharedArrayBuffer(blocks * rows * PAIR * 8),
    directory: allocateDirectory(hashed, named),
    outputs: allocateOutputs(),
    grants: fleet ? allocateGrantMemory(blocks, rows) : null,
    named,
    hashed,
    rows,
  };
}

/** How money is shared with other nodes. */
export interface MoneyShares {
  /** 0 = there are no other nodes. */
  readonly shares: number;
  readonly closedSince: number;
}

/** One thread's view of the node's counters. */
export class QuotaTable {
  /** What models' answers are usually long. */
  readonly outputs: OutputSizes;
  /** What the fleet has granted; null = limits are this node's own. */
  readonly grants: GrantCells | null;
  /** The same, as admissions ask for it. */
  readonly share: GrantShare | null;
  /** Admissions of this thread that counted in an overflow block. */
  overflows = 0;
  readonly #lock: SharedLock;
  readonly #values: Float64Array;
  readonly #fleet: Float64Array;
  readonly #inFlight: Int32Array;
  readonly #held: Float64Array;
  readonly #directory: GroupDirectory;
  readonly #named: number;
  readonly #blocks: number;
  readonly #rows: number;
  readonly #row: number;
  readonly #isBusy = (hashed: number) => this.inFlight(this.#named + hashed) > 0;

  constructor(memory: QuotaMemory, row: number) {
    this.#lock = new SharedLock(new Int32Array(memory.counters, 0, LOCK_WORDS), row);
    this.#values = new Float64Array(memory.counters, HEADER_BYTES);
    this.#fleet = new Float64Array(memory.counters, FLEET_BYTE, CLOSED_SINCE + 1);
    this.#inFlight = new Int32Array(memory.inFlight);
    this.#held = new Float64Array(memory.held);
    this.#directory = new GroupDirectory(memory.directory, memory.hashed, memory.named);
    this.outputs = new OutputSizes(memory.outputs);
    this.grants = memory.grants === null ? null : new GrantCells(memory.grants, row);
    this.share = this.grants === null ? null : new GrantShare(this, this.grants);
    this.#named = memory.named;
    this.#blocks = memory.named + memory.hashed;
    this.#rows = memory.rows;
    this.#row = row;
  }

  /** Forgets what an earlier owner of this thread's row left behind. */
  clearRow(): void {
    zero(this.#inFlight, this.#row * this.#blocks, this.#blocks);
    zero(this.#held, this.#row * this.#blocks * PAIR, this.#blocks * PAIR);
    this.grants?.clearRow();
  }

  /** This thread is dead: its requests are over, and the lock is free if it died with it. */
  bury(): void {
    this.clearRow();
    this.#lock.bury();
  }

  /**
   * Zeroes one named block, for a new owner; leases of the old one are void from now on, and its groups' blocks are
   * free. Takes the lock itself.
   */
  clearBlock(block: number): void {
    this.lock();
    this.#empty(block);
    this.#directory.disown(block);
    this.unlock();
  }

  /** How many owners a block has had: what an earlier one is owed is not its successor's. */
  generation(block: number): number {
    return this.#values[block * BLOCK + GENERATION] as number;
  }

  /** Takes the lock; every counter call below belongs between `lock` and `unlock`. */
  lock(): void {
    this.#lock.take();
  }

  unlock(): void {
    this.#lock.release();
  }

  /** The block in which a place's requests count now; a hashed place is given one if it has none. */
  locate(place: Place, nowMs: number): number {
    const { overflow, block } = place;
    if (overflow < 0) return block;
    if (block < this.#named || !this.#directory.holds(block - this.#named, place)) this.#find(place, nowMs);
    // No other place of the same admission may be given this block.
    this.keepUntil(place.block, nowMs + 1);
    return place.block;
  }

  /** The block of a hashed place, where it has one now; -1 = it has none. */
  find(place: Place): number {
    const found = this.#directory.find(place);
    return found < 0 ? -1 : this.#named + found;
  }

  /** The hash of the name that a hashed block belongs to, behind "#"; null = it is none, or nobody's. */
  hashOf(block: number): string | null {
    const hash = block < this.#named ? null : this.#directory.hashOf(block - this.#named);
    return hash === null ? null : `#${hash}`;
  }

  #find(place: Place, nowMs: number): void {
    let found = this.#directory.find(place);
    if (found < 0) {
      found = this.#directory.take(place, nowMs, this.#isBusy);
      if (found >= 0) this.#empty(this.#named + found);
      else this.overflows += 1;
    }
    place.block = found < 0 ? place.overflow : this.#named + found;
  }

  /** What a block counts is in force until then at least: nobody else gets it before. */
  keepUntil(block: number, untilMs: number): void {
    if (block >= this.#named) this.#directory.keepUntil(block - this.#named, untilMs);
  }

  /** What the current window has used. */
  used(block: number, dimension: number, window: number): number {
    const at = block * BLOCK + dimension * PAIR;
    return this.#isCurrent(at, window) ? (this.#values[at + 1] as number) : 0;
  }

  /** Adds to the window; a counter of an older window starts anew. */
  add(block: number, dimension: number, window: number, amount: number): void {
    const at = block * BLOCK + dimension * PAIR;
    if (!this.#isCurrent(at, window)) {
      this.#values[at] = window;
      this.#values[at + 1] = 0;
    }
    this.#values[at + 1] = Math.max(0, (this.#values[at + 1] as number) + amount);
  }

  /**
   * A clock that is set back over a window's beginning must not open it a second time: the counter goes on.
   * One that is set back further has been wrong before, and what was counted in a future is dropped.
   */
  #isCurrent(at: number, window: number): boolean {
    const counted = this.#values[at] as number;
    return counted === window || counted === window + 1;
  }

  /** Corrects a window after the fact; does nothing when that window has passed. */
  correct(block: number, dimension: number, window: number, amount: number): void {
    if (this.#values[block * BLOCK + dimension * PAIR] === window) this.add(block, dimension, window, amount);
  }

  /** Requests in flight for this block, over all threads. */
  inFlight(block: number): number {
    let sum = 0;
    for (let row = 0; row < this.#rows; row += 1) sum += this.#inFlight[row * this.#blocks + block] as number;
    return sum;
  }

  changeInFlight(block: number, by: number): void {
    const at = this.#row * this.#blocks + block;
    this.#inFlight[at] = Math.max(0, (this.#inFlight[at] as number) + by);
  }

  /** Is a request under way, on any thread, that has reserved fewer tokens than it may use? */
  hasShort(block: number, nowMs: number): boolean {
    for (let row = 0; row < this.#rows; row += 1) {
      if ((this.#held[(row * this.#blocks + block) * PAIR] as number) > nowMs) return true;
    }
    return false;
  }

  /** Notes such a request of this thread. `untilMs`: when the windows that it may exceed are over. */
  addShort(block: number, untilMs: number): void {
    this.#held[(this.#row * this.#blocks + block) * PAIR] = untilMs;
  }

  removeShort(block: number, untilMs: number): void {
    const at = (this.#row * this.#blocks + block) * PAIR;
    if (this.#held[at] === untilMs) this.#held[at] = 0;
  }

  /**
   * The period in which a block counts money when `period` is asked for: a new one begins with nothing
   * spent. A clock that is set back does not begin an old one again.
   */
  enterPeriod(block: number, period: number): number {
    const at = block * BLOCK;
    const counted = this.#values[at + PERIOD] as number;
    if (counted >= period) return counted;
    this.#values[at + PERIOD] = period;
    this.#values.fill(0, at + SPENT, at + BLOCK);
    return period;
  }

  /** The period that a block counts in, and micro-dollars spent in it. */
  period(block: number): number {
    return this.#values[block * BLOCK + PERIOD] as number;
  }

  spent(block: number): number {
    return this.#values[block * BLOCK + SPENT] as number;
  }

  changeSpent(block: number, by: number): void {
    const at = block * BLOCK + SPENT;
    this.#values[at] = Math.max(0, (this.#values[at] as number) + by);
  }

  /** The highest fraction of the limit that was told of in this period. */
  told(block: number): number {
    return this.#values[block * BLOCK + TOLD] as number;
  }

  tell(block: number, fraction: number): void {
    this.#values[block * BLOCK + TOLD] = fraction;
  }

  /** Do budgets hold for several nodes? */
  get sharesMoney(): boolean {
    return this.#fleet[SHARES] !== 0;
  }

  /**
   * What is known to be left of each budget is divided by `shares`, of which this node has one. Periods that begin
   * after `closedSince` (milliseconds since the epoch; 0 = none do) have nothing.
   */
  shareMoney({ shares, closedSince }: MoneyShares): void {
    this.#fleet[SHARES] = shares;
    this.#fleet[CLOSED_SINCE] = closedSince;
  }

  /** Up to where this node may spend and reserve, what others have spent included, of a limit in micro-dollars. */
  ceiling(block: number, limit: number): number {
    const shares = this.#fleet[SHARES] as number;
    if (shares === 0) return limit;
    const at = block * BLOCK;
    const closedSince = this.#fleet[CLOSED_SINCE] as number;
    if (closedSince > 0 && (this.#values[at + PERIOD] as number) > closedSince) return 0;
    const known = (this.#values[at + OTHERS] as number) + (this.#values[at + SETTLED] as number);
    return known >= limit ? limit : known + (limit - known) / shares;
  }

  /** Micro-dollars that others have spent, in all: what is new of them is added to what is spent. */
  learnOthers(block: number, micros: number): void {
    const at = block * BLOCK + OTHERS;
    this.changeSpent(block, micros - (this.#values[at] as number));
    this.#values[at] = micros;
  }

  /** Of what this node has spent, the part that all others know of is this now. It never gets less. */
  settleOwn(block: number, micros: number): void {
    const at = block * BLOCK + SETTLED;
    if (micros > (this.#values[at] as number)) this.#values[at] = micros;
  }

  /** That part has grown. */
  addSettled(block: number, micros: number): void {
    const at = block * BLOCK + SETTLED;
    this.#values[at] = (this.#values[at] as number) + micros;
  }

  /** Micro-dollars reserved in a period, over all threads. */
  reserved(block: number, period: number): number {
    let sum = 0;
    for (let row = 0; row < this.#rows; row += 1) {
      const at = (row * this.#blocks + block) * PAIR;
      if (this.#held[at] === period) sum += this.#held[at + 1] as number;
    }
    return sum;
  }

  /** Changes what this thread has reserved. What it had reserved in an earlier period counts no more. */
  changeReserved(block: number, period: number, by: number): void {
    const at = (this.#row * this.#blocks + block) * PAIR;
    if ((this.#held[at] as number) > period) return;
    if (this.#held[at] !== period) {
      this.#held[at] = period;
      this.#held[at + 1] = 0;
    }
    this.#held[at + 1] = Math.max(0, (this.#held[at + 1] as number) + by);
  }

  #empty(block: number): void {
    const generation = this.generation(block) + 1;
    this.#values.fill(0, block * BLOCK, (block + 1) * BLOCK);
    this.#values[block * BLOCK + GENERATION] = generation;
    this.grants?.empty(block);
    for (let row = 0; row < this.#rows; row += 1) {
      const at = row * this.#blocks + block;
      this.#inFlight[at] = 0;
      this.#held.fill(0, at * PAIR, (at + 1) * PAIR);
    }
  }
}

/** Writes only where something stands: writing would make every page of a large memory real. */
function zero(numbers: Int32Array | Float64Array, from: number, count: number): void {
  for (let at = from; at < from + count; at += 1) if (numbers[at] !== 0) numbers[at] = 0;
}
