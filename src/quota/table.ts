/**
 * The counters of every limit of a node, in memory shared by its acceptor threads. All checks and
 * increments of one admission happen under one lock, so that limits are exact over the threads and a
 * refusal leaves every counter as it was. The lock is held for well under a microsecond.
 */
import { DIMENSIONS } from "./window.js";

/** Counters of one dimension: [window number, used]. */
const PAIR = 2;
/** In a block, behind the counters: how many owners it has had. */
const GENERATION = DIMENSIONS.length * PAIR;
/** One block a limited thing (a key, a model): a pair for each dimension, and the generation. */
const BLOCK = GENERATION + 1;
const HEADER_BYTES = 64;
const SPINS = 200;

export interface QuotaMemory {
  readonly counters: SharedArrayBuffer;
  /** In-flight counts, one row a thread: a thread that dies takes only its own row with it. */
  readonly inFlight: SharedArrayBuffer;
  readonly blocks: number;
  readonly rows: number;
}

/** Allocates zeroed counters for `blocks` limited things and `rows` threads. */
export function allocateQuotaMemory(blocks: number, rows: number): QuotaMemory {
  return {
    counters: new SharedArrayBuffer(HEADER_BYTES + blocks * BLOCK * 8),
    inFlight: new SharedArrayBuffer(blocks * rows * 4),
    blocks,
    rows,
  };
}

/** One thread's view of the node's counters. */
export class QuotaTable {
  readonly #lock: Int32Array;
  readonly #values: Float64Array;
  readonly #inFlight: Int32Array;
  readonly #blocks: number;
  readonly #rows: number;
  readonly #row: number;
  /** What the lock holds while this thread has it; 0 = nobody has. */
  readonly #owner: number;

  constructor(memory: QuotaMemory, row: number) {
    this.#lock = new Int32Array(memory.counters, 0, 1);
    this.#values = new Float64Array(memory.counters, HEADER_BYTES);
    this.#inFlight = new Int32Array(memory.inFlight);
    this.#blocks = memory.blocks;
    this.#rows = memory.rows;
    this.#row = row;
    this.#owner = row + 1;
  }

  /** Forgets what an earlier owner of this thread's row left behind. */
  clearRow(): void {
    this.#inFlight.fill(0, this.#row * this.#blocks, (this.#row + 1) * this.#blocks);
  }

  /** This thread is dead: its requests are over, and the lock is free if it died with it. */
  bury(): void {
    this.clearRow();
    if (Atomics.compareExchange(this.#lock, 0, this.#owner, 0) === this.#owner) Atomics.notify(this.#lock, 0, 1);
  }

  /** Zeroes one block, for a new owner; leases of the old one are void from now on. Takes the lock itself. */
  clearBlock(block: number): void {
    const generation = this.generation(block) + 1;
    this.lock();
    this.#values.fill(0, block * BLOCK, (block + 1) * BLOCK);
    this.#values[block * BLOCK + GENERATION] = generation;
    for (let row = 0; row < this.#rows; row += 1) this.#inFlight[row * this.#blocks + block] = 0;
    this.unlock();
  }

  /** How many owners a block has had: what an earlier one is owed is not its successor's. */
  generation(block: number): number {
    return this.#values[block * BLOCK + GENERATION] as number;
  }

  /** Takes the lock; every counter call below belongs between `lock` and `unlock`. */
  lock(): void {
    for (let spins = 1; ; spins += 1) {
      const holder = Atomics.compareExchange(this.#lock, 0, 0, this.#owner);
      if (holder === 0) return;
      // The holder may have lost its core: sleep instead of burning ours.
      if (spins > SPINS) Atomics.wait(this.#lock, 0, holder, 1);
    }
  }

  unlock(): void {
    Atomics.store(this.#lock, 0, 0);
    Atomics.notify(this.#lock, 0, 1);
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
}
