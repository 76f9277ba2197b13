/**
 * Which misses are under way, over all threads of a node: the first of several equal ones marks its key, and the
 * others wait for it. Marks of a thread that dies go with it; a mark that is never taken back expires.
 */
import { LOCK_WORDS, SharedLock } from "../quota/shared-lock.js";

const BUCKETS = 1024;
const WAYS = 4;
/** Of a mark: 16 bytes of the key, the owner's row + 1, a ticket, and a double: when it expires. */
const WORDS = 8;
const OWNER = 4;
const TICKET = 5;
const EXPIRES = 6;
const CONTROL_WORDS = 16;

export function allocateMarks(): SharedArrayBuffer {
  return new SharedArrayBuffer((CONTROL_WORDS + BUCKETS * WAYS * WORDS) * 4);
}

/** Somebody else is ahead. */
export const FOLLOWS = 0;
/** No room for a mark: go alone. */
export const ALONE = -1;

/** One thread's view of the marks. */
export class Marks {
  readonly #lock: SharedLock;
  readonly #words: Int32Array;
  readonly #doubles: Float64Array;
  readonly #owner: number;

  constructor(memory: SharedArrayBuffer, row: number) {
    this.#words = new Int32Array(memory);
    this.#doubles = new Float64Array(memory);
    this.#lock = new SharedLock(this.#words.subarray(0, LOCK_WORDS), row);
    this.#owner = row + 1;
  }

  /** The thread of this row is dead. */
  bury(): void {
    this.#lock.bury();
    this.clearRow();
  }

  /** Takes back whatever an earlier owner of the row has marked. */
  clearRow(): void {
    this.#lock.take();
    for (let at = CONTROL_WORDS; at < this.#words.length; at += WORDS) {
      if (this.#words[at + OWNER] === this.#owner) this.#words[at + OWNER] = 0;
    }
    this.#lock.release();
  }

  /** A ticket (> 0) for who is first, else FOLLOWS or ALONE. Times are milliseconds since the epoch. */
  claim(key: Buffer, nowMs: number, expiresAt: number): number {
    this.#lock.take();
    try {
      let free = -1;
      for (let way = 0, at = placeOf(key); way < WAYS; way += 1, at += WORDS) {
        if (!this.#isTaken(at, nowMs)) free = at;
        else if (this.#isOf(at, key)) return FOLLOWS;
      }
      return free < 0 ? ALONE : this.#mark(free, key, expiresAt);
    } finally {
      this.#lock.release();
    }
  }

  /** Is somebody ahead? */
  isMarked(key: Buffer, nowMs: number): boolean {
    this.#lock.take();
    const at = this.#find(key, nowMs);
    this.#lock.release();
    return at >= 0;
  }

  /** Takes a mark back, unless it has expired and is somebody else's now. */
  release(key: Buffer, ticket: number): void {
    this.#lock.take();
    for (let way = 0, at = placeOf(key); way < WAYS; way += 1, at += WORDS) {
      const own = this.#words[at + OWNER] === this.#owner && this.#words[at + TICKET] === ticket;
      if (own && this.#isOf(at, key)) this.#words[at + OWNER] = 0;
    }
    this.#lock.release();
  }

  #mark(at: number, key: Buffer, expiresAt: number): number {
    for (let index = 0; index < OWNER; index += 1) this.#words[at + index] = key.readInt32LE(index * 4);
    const ticket = Math.max(1, ((this.#words[at + TICKET] as number) + 1) & 0x3fffffff);
    this.#words[at + TICKET] = ticket;
    this.#doubles[(at + EXPIRES) / 2] = expiresAt;
    this.#words[at + OWNER] = this.#owner;
    return ticket;
  }

  #find(key: Buffer, nowMs: number): number {
    for (let way = 0, at = placeOf(key); way < WAYS; way += 1, at += WORDS) {
      if (this.#isTaken(at, nowMs) && this.#isOf(at, key)) return at;
    }
    return -1;
  }

  #isTaken(at: number, nowMs: number): boolean {
    return this.#words[at + OWNER] !== 0 && (this.#doubles[(at + EXPIRES) / 2] as number) > nowMs;
  }

  #isOf(at: number, key: Buffer): boolean {
    for (let index = 0; index < OWNER; index += 1) {
      if (this.#words[at + index] !== key.readInt32LE(index * 4)) return false;
    }
    return true;
  }
}

function placeOf(key: Buffer): number {
  return CONTROL_WORDS + (key.readUInt32LE(16) % BUCKETS) * WAYS * WORDS;
}
