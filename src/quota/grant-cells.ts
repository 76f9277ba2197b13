/**
 * What the fleet has granted this node of each limit, in memory shared by its threads: units that may be counted here
 * in a window, and the ring on which admissions say what they are short of. Beside the counters of the quota table,
 * and guarded by its lock; allocated only where limits hold for a fleet.
 */
import { ON_PARTITION, type OnPartition } from "../config/traffic.js";
import { DIMENSIONS } from "./window.js";

/** The dimension of requests at once, behind those of the windows; its window is always 0 and does not end. */
export const CONCURRENCY: number = DIMENSIONS.length;

/** One cell for each dimension of a block. */
const CELLS = DIMENSIONS.length + 1;
/** In a cell: the window, units granted for it, and what the fleet had left for others when it was last heard of. */
const WINDOW = 0;
const GRANTED = 1;
const REST = 2;
/** Nothing is to be had before that, and no low water is told again before that: milliseconds since the epoch. */
const DRY_UNTIL = 3;
const ASKED_UNTIL = 4;
/** Units of the last grant: half of them left is low water. */
const LAST = 5;
/** The same of a window to come; and the one that was last asked for ahead of its time. */
const NEXT_WINDOW = 6;
const NEXT_GRANTED = 7;
const NEXT_REST = 8;
const NEXT_DRY = 9;
const NEXT_ASKED = 10;
const CELL = 11;

/** An answer that takes longer than this is not waited for: low water is told again. */
const ASKED_MS = 1_000;
/** So long before a window's end, and never more than this part of it, units of the next one are asked for. */
const AHEAD_MS = 1_000;
const AHEAD_PART = 0.3;

const RING = 16_384;
const ENTRY = 9;
/** In the header of the ring: is the bell rung, where it is read and written, and how many grants there have been. */
const RUNG = 0;
const READ = 1;
const WRITTEN = 2;
const GRANTS = 3;
const HEADER = 4;

export interface GrantMemory {
  readonly cells: SharedArrayBuffer;
  readonly ring: SharedArrayBuffer;
  readonly header: SharedArrayBuffer;
  /** Requests that wait for units, one number a thread. */
  readonly waiting: SharedArrayBuffer;
}

/** Zeroed memory for so many blocks and threads; untouched blocks cost nothing. */
export function allocateGrantMemory(blocks: number, rows: number): GrantMemory {
  return {
    cells: new SharedArrayBuffer(blocks * CELLS * CELL * 8),
    ring: new SharedArrayBuffer(RING * ENTRY * 8),
    header: new SharedArrayBuffer(HEADER * 4),
    // The main thread has a row of its own behind the others.
    waiting: new SharedArrayBuffer((rows + 1) * 4),
  };
}

/** A bucket, as an admission knows it: one dimension of a block, its window and its limit. */
export interface Bucket {
  readonly block: number;
  readonly generation: number;
  readonly dimension: number;
  readonly window: number;
  readonly amount: number;
  readonly onPartition: OnPartition | null;
}

/** What is said of a bucket on the ring. */
export interface Shortage {
  /** Units that a request is short of; 0 = none yet. */
  readonly want: number;
  /** Units used beyond those granted. */
  readonly overdraft: number;
  readonly urgent: boolean;
}

const SOON: Shortage = Object.freeze({ want: 0, overdraft: 0, urgent: false });

/** One thread's view; every call but those on the bell and on who waits needs the table's lock. */
export class GrantCells {
  /** How many grants there had been when this thread last found too few units. */
  seen = 0;
  /** What was said and found no room on the ring, by this thread. */
  dropped = 0;
  readonly #cells: Float64Array;
  readonly #ring: Float64Array;
  readonly #header: Int32Array;
  readonly #waiting: Int32Array;
  readonly #row: number;

  constructor(memory: GrantMemory, row: number) {
    this.#cells = new Float64Array(memory.cells);
    this.#ring = new Float64Array(memory.ring);
    this.#header = new Int32Array(memory.header);
    this.#waiting = new Int32Array(memory.waiting);
    this.#row = row;
  }

  /** Where the cell of a bucket stands, once it is about this window. A clock set back by a step enters no old one. */
  enter(block: number, dimension: number, window: number): number {
    const at = (block * CELLS + dimension) * CELL;
    const cells = this.#cells;
    const current = cells[at + WINDOW] as number;
    if (current === window || current === window + 1) return at;
    const ahead = cells[at + NEXT_WINDOW] === window;
    const granted = ahead ? (cells[at + NEXT_GRANTED] as number) : 0;
    cells[at + WINDOW] = window;
    cells[at + GRANTED] = granted;
    cells[at + REST] = ahead ? (cells[at + NEXT_REST] as number) : 0;
    cells[at + DRY_UNTIL] = ahead ? (cells[at + NEXT_DRY] as number) : 0;
    cells[at + ASKED_UNTIL] = 0;
    cells[at + LAST] = granted;
    if (ahead) cells[at + NEXT_GRANTED] = 0;
    return at;
  }

  /** `at`, here and below: as `enter` has said. */
  granted(at: number): number {
    return this.#cells[at + GRANTED] as number;
  }

  rest(at: number): number {
    return this.#cells[at + REST] as number;
  }

  /** Could the fleet have more of a limit of `amount`? */
  mayCome(at: number, amount: number, nowMs: number): boolean {
    return (this.#cells[at + GRANTED] as number) < amount && (this.#cells[at + DRY_UNTIL] as number) <= nowMs;
  }

  /** After units were counted: is there so little left that more should come before anybody waits for it? */
  isLow(at: number, left: number, nowMs: number): boolean {
    return left * 2 < (this.#cells[at + LAST] as number) && (this.#cells[at + ASKED_UNTIL] as number) <= nowMs;
  }

  /** Is more here than the whole limit, which has been lowered then, with nobody told of it lately? */
  isTooMuch(at: number, amount: number, nowMs: number): boolean {
    return (this.#cells[at + GRANTED] as number) > amount && (this.#cells[at + ASKED_UNTIL] as number) <= nowMs;
  }

  /** Says that there will be need of more, or that there is too much. */
  tellLow(at: number, bucket: Bucket, nowMs: number): void {
    if (this.tell(bucket, SOON)) this.#cells[at + ASKED_UNTIL] = nowMs + ASKED_MS;
  }

  /** The same unless it has been said a moment ago. `want`: units that a request which did not wait was short of. */
  tellShort(at: number, bucket: Bucket, want: number, nowMs: number): void {
    if ((this.#cells[at + ASKED_UNTIL] as number) > nowMs) return;
    if (this.tell(bucket, { want, overdraft: 0, urgent: false })) this.#cells[at + ASKED_UNTIL] = nowMs + ASKED_MS;
  }

  /** Is the end of the window near, with nothing granted or asked for the next one? */
  wantsNext(at: number, window: number, windowMs: number, nowMs: number): boolean {
    const next = window + 1;
    if (next * windowMs - nowMs > Math.min(AHEAD_MS, windowMs * AHEAD_PART)) return false;
    return (this.#cells[at + NEXT_ASKED] as number) < next && (this.#cells[at + NEXT_WINDOW] as number) < next;
  }

  /** Says that there will be need of the next window's units. `bucket`: of that window. */
  tellNext(at: number, bucket: Bucket): void {
    if (this.tell(bucket, SOON)) this.#cells[at + NEXT_ASKED] = bucket.window;
  }

  /**
   * Counts what was used beyond the units granted as granted, once it stands on the ring for the fleet to know. The
   * window may be long over: it is not entered, as that would leave the one under way.
   */
  claim(bucket: Bucket, used: number): void {
    const at = (bucket.block * CELLS + bucket.dimension) * CELL;
    if (this.#cells[at + WINDOW] !== bucket.window) return;
    const overdraft = used - (this.#cells[at + GRANTED] as number);
    if (overdraft <= 0 || !this.tell(bucket, { want: 0, overdraft, urgent: false })) return;
    this.#cells[at + GRANTED] = used;
  }

  /** Puts a shortage on the ring; false: there is no room, and nobody will know. */
  tell(bucket: Bucket, { want, overdraft, urgent }: Shortage): boolean {
    const header = this.#header;
    this.seen = header[GRANTS] as number;
    const written = header[WRITTEN] as number;
    if (((written - (header[READ] as number)) | 0) >= RING) {
      this.dropped += 1;
      return false;
    }
    const at = (written & (RING - 1)) * ENTRY;
    const ring = this.#ring;
    ring[at] = bucket.block;
    ring[at + 1] = bucket.generation;
    ring[at + 2] = bucket.dimension;
    ring[at + 3] = bucket.window;
    ring[at + 4] = bucket.amount;
    ring[at + 5] = want;
    ring[at + 6] = overdraft;
    ring[at + 7] = urgent ? 1 : 0;
    ring[at + 8] = bucket.onPartition === null ? -1 : ON_PARTITION.indexOf(bucket.onPartition);
    header[WRITTEN] = (written + 1) | 0;
    return true;
  }

  /** The oldest shortage on the ring; null = there is none. */
  next(): (Bucket & Shortage) | null {
    const header = this.#header;
    const read = header[READ] as number;
    if (read === header[WRITTEN]) return null;
    header[READ] = (read + 1) | 0;
    const at = (read & (RING - 1)) * ENTRY;
    const ring = this.#ring;
    return {
      block: ring[at] as number,
      generation: ring[at + 1] as number,
      dimension: ring[at + 2] as number,
      window: ring[at + 3] as number,
      amount: ring[at + 4] as number,
      want: ring[at + 5] as number,
      overdraft: ring[at + 6] as number,
      urgent: ring[at + 7] === 1,
      onPartition: ON_PARTITION[ring[at + 8] as number] ?? null,
    };
  }

  /** Adds units to a window, the one under way or one to come; false: it is over. */
  add(block: number, dimension: number, window: number, grant: Addition): boolean {
    const at = (block * CELLS + dimension) * CELL;
    const cells = this.#cells;
    if (window < (cells[at + WINDOW] as number)) return false;
    const { units, rest, dryUntil } = grant;
    if (window === cells[at + WINDOW]) {
      cells[at + GRANTED] = (cells[at + GRANTED] as number) + units;
      cells[at + REST] = rest;
      cells[at + DRY_UNTIL] = dryUntil;
      cells[at + ASKED_UNTIL] = 0;
      if (units > 0) cells[at + LAST] = units;
    } else {
      if (window < (cells[at + NEXT_WINDOW] as number)) return false;
      if (window !== cells[at + NEXT_WINDOW]) cells[at + NEXT_GRANTED] = 0;
      cells[at + NEXT_WINDOW] = window;
      cells[at + NEXT_GRANTED] = (cells[at + NEXT_GRANTED] as number) + units;
      cells[at + NEXT_REST] = rest;
      cells[at + NEXT_DRY] = dryUntil;
    }
    this.#header[GRANTS] = ((this.#header[GRANTS] as number) + 1) | 0;
    return true;
  }

  /** Units granted for a window, whether it is under way or to come; -1 = neither. */
  grantedFor(block: number, dimension: number, window: number): number {
    const at = (block * CELLS + dimension) * CELL;
    if (this.#cells[at + WINDOW] === window) return this.#cells[at + GRANTED] as number;
    return this.#cells[at + NEXT_WINDOW] === window ? (this.#cells[at + NEXT_GRANTED] as number) : -1;
  }

  /** Removes units of a window that has them. */
  remove(block: number, dimension: number, window: number, units: number): void {
    const at = (block * CELLS + dimension) * CELL;
    const field = at + (this.#cells[at + WINDOW] === window ? GRANTED : NEXT_GRANTED);
    this.#cells[field] = (this.#cells[field] as number) - units;
  }

  /** A block gets a new owner: what was granted to the old one is not its own. */
  empty(block: number): void {
    this.#cells.fill(0, block * CELLS * CELL, (block + 1) * CELLS * CELL);
  }

  /** Forgets who waited on this thread. */
  clearRow(): void {
    Atomics.store(this.#waiting, this.#row, 0);
  }

  /** True for whoever finds the bell unrung: to say that there is something urgent. */
  ring(): boolean {
    return Atomics.compareExchange(this.#header, RUNG, 0, 1) === 0;
  }

  /** The bell has been heard, or could not be. */
  unring(): void {
    Atomics.store(this.#header, RUNG, 0);
  }

  /** Requests more, or fewer, that wait on this thread. False: a grant has come since this thread found too few. */
  changeWaiting(by: number): boolean {
    Atomics.add(this.#waiting, this.#row, by);
    return Atomics.load(this.#header, GRANTS) === this.seen;
  }

  /** Do requests wait on the thread of this row? */
  waits(row: number): boolean {
    return Atomics.load(this.#waiting, row) > 0;
  }
}

interface Addition {
  readonly units: number;
  readonly rest: number;
  readonly dryUntil: number;
}
