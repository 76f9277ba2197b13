/**
 * A ring of entries in shared memory with an index of their keys. New entries are written at the head; room is made
 * at the tail, the oldest first, where an entry that was asked for since gets a second chance. Positions only grow,
 * so whatever points to an entry can tell whether it is still there: what lies before the tail is gone. The index
 * needs no deleting for that reason, and a thread that dies in the middle leaves nothing behind that could be
 * mistaken for an entry.
 */
import { LOCK_WORDS, SharedLock } from "../quota/shared-lock.js";
import type { EntryTags, FoundEntry, MeaningfulEntry, NewEntry } from "./entries.js";
import { indexBytes, KeyIndex } from "./key-index.js";

/** Entries begin at multiples of it, bytes; positions count in it. */
const UNIT = 64;
/** Of an entry, bytes; the fields are 32-bit words, by their offset. */
const HEADER = 96;
const KEY_BYTES = 32;
const WORD = {
  key: 0,
  units: 8,
  state: 9,
  metaBytes: 10,
  bodyBytes: 11,
  /** A double, milliseconds since the epoch. */
  expiresAt: 12,
  vectorLength: 14,
  policy: 16,
  model: 17,
  apiKey: 18,
  partition: 20,
} as const;
const PARTITION_BYTES = 16;
const FILLER = 1;
const REFERENCED = 2;

const CONTROL_BYTES = 64;
const CONTROL = { head: 1, tail: 2, purges: 3 } as const;

/** What one new entry may move along at most, bytes: second chances must not make it wait. */
const MOVED_BYTES = 65_536;
/** Entries looked at between two takings of the lock. */
const WALK_STEP = 512;
const MIN_ENTRY_BYTES = 1024;
/** An entry overtaken while it was read is looked for again; it may have been moved to the head. */
const READS = 3;

export function allocateShard(bytes: number): SharedArrayBuffer {
  return new SharedArrayBuffer(CONTROL_BYTES + Math.floor(bytes / UNIT) * UNIT);
}

/** One thread's view of a shard. */
export class Shard {
  /** Longest entry, bytes, its header included. */
  readonly maxEntryBytes: number;
  /** Entries that this thread has pushed out before their time. */
  evictions = 0;
  readonly #lock: SharedLock;
  readonly #control: Float64Array;
  readonly #index: KeyIndex;
  /** Of the ring, in units. */
  readonly #units: number;
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;
  readonly #doubles: Float64Array;
  readonly #floats: Float32Array;
  readonly #holds = (position: number, key: Buffer) => {
    const start = this.#offsetOf(position);
    for (let index = 0; index < KEY_BYTES; index += 1) if (this.#bytes[start + index] !== key[index]) return false;
    return true;
  };

  constructor(memory: SharedArrayBuffer, row: number) {
    const budget = memory.byteLength - CONTROL_BYTES;
    const ringAt = CONTROL_BYTES + Math.ceil(indexBytes(budget) / UNIT) * UNIT;
    this.#units = Math.floor((memory.byteLength - ringAt) / UNIT);
    this.maxEntryBytes = Math.max(MIN_ENTRY_BYTES, Math.floor(budget / 8));
    this.#lock = new SharedLock(new Int32Array(memory, 0, LOCK_WORDS), row);
    this.#control = new Float64Array(memory, 0, CONTROL_BYTES / 8);
    this.#index = new KeyIndex(memory, CONTROL_BYTES, budget);
    const ringBytes = this.#units * UNIT;
    this.#bytes = new Uint8Array(memory, ringAt, ringBytes);
    this.#words = new Int32Array(memory, ringAt, ringBytes / 4);
    this.#doubles = new Float64Array(memory, ringAt, ringBytes / 8);
    this.#floats = new Float32Array(memory, ringAt, ringBytes / 4);
  }

  /** The thread of this row is dead. */
  bury(): void {
    this.#lock.bury();
  }

  /** How often something was purged. */
  get purges(): number {
    return this.#control[CONTROL.purges] as number;
  }

  /** Bytes between head and tail. */
  get bytes(): number {
    return (this.#head - this.#tail) * UNIT;
  }

  /** Entries that can be found. Looks at the whole index. */
  countEntries(): number {
    return this.#index.count(this.#tail);
  }

  /** A copy of the entry; null = there is none that has not expired. `asks`: it gets a second chance for that. */
  get(key: Buffer, nowMs: number, asks = true): FoundEntry | null {
    for (let reads = 0; reads < READS; reads += 1) {
      this.#lock.take();
      const position = this.#locate(key, nowMs, asks);
      this.#lock.release();
      if (position < 0) return null;
      // Without the lock: entries may be long. What is overwritten meanwhile is noticed and not believed.
      const found = this.#copy(position);
      if (found !== null && this.isThere(position)) return found;
    }
    return null;
  }

  /**
   * Keeps an entry, in place of an older one with its key. False: it is too long, or something was purged since
   * there were `purges`, and the answer may be older than that.
   */
  put(entry: NewEntry, purges: number): boolean {
    const { meta, body, meaning } = entry;
    const bytes = HEADER + (meaning?.vector.length ?? 0) * 4 + meta.length + body.length;
    if (bytes > this.maxEntryBytes) return false;
    const units = Math.ceil(bytes / UNIT);
    this.#lock.take();
    try {
      if (this.purges !== purges) return false;
      this.#makeRoom(units);
      const position = this.#head;
      this.#write(this.#offsetOf(position), units, entry);
      this.#control[CONTROL.head] = position + units;
      const known = this.#index.find(entry.key, this.#tail, this.#holds);
      if (this.#index.enter(entry.key, position, known, this.#tail)) this.evictions += 1;
      return true;
    } finally {
      this.#lock.release();
    }
  }

  /** Forgets everything. */
  purgeAll(): number {
    const count = this.countEntries();
    this.#lock.take();
    this.#control[CONTROL.tail] = this.#head;
    this.#control[CONTROL.purges] = this.purges + 1;
    this.#lock.release();
    return count;
  }

  /** Forgets what bears all of these tags. Returns the number of entries. */
  purge(tags: Partial<EntryTags>): number {
    this.#lock.take();
    this.#control[CONTROL.purges] = this.purges + 1;
    this.#lock.release();
    let count = 0;
    this.#walk(0, (at, position) => {
      const words = this.#words;
      if (tags.policy !== undefined && words[at + WORD.policy] !== tags.policy) return;
      if (tags.model !== undefined && words[at + WORD.model] !== tags.model) return;
      if (tags.apiKey !== undefined && words[at + WORD.apiKey] !== tags.apiKey) return;
      const place = this.#placeOf(at, position);
      if (place < 0) return;
      this.#index.clear(place);
      count += 1;
    });
    return count;
  }

  /** Visits entries with vectors from a position on, oldest first. Returns the position to go on from next time. */
  visitMeaningful(from: number, visit: (entry: MeaningfulEntry) => void): number {
    return this.#walk(from, (at, position) => {
      const words = this.#words;
      const vectorLength = words[at + WORD.vectorLength] as number;
      if (vectorLength === 0 || this.#placeOf(at, position) < 0) return;
      const start = at * 4;
      const partitionAt = start + WORD.partition * 4;
      visit({
        position,
        key: this.#copyBytes(start, KEY_BYTES),
        partition: this.#copyBytes(partitionAt, PARTITION_BYTES).toString("hex"),
        policy: words[at + WORD.policy] as number,
        vectorLength,
        expiresAt: this.#doubles[(at + WORD.expiresAt) / 2] as number,
      });
    });
  }

  /** The vector of an entry, in place; it means something only if `isThere` says so after it was read. */
  vectorAt(position: number, length: number): Float32Array {
    const start = (this.#offsetOf(position) + HEADER) / 4;
    return this.#floats.subarray(start, start + length);
  }

  /** Has the entry not been overwritten? */
  isThere(position: number): boolean {
    this.#lock.take();
    const there = position >= this.#tail;
    this.#lock.release();
    return there;
  }

  get #head(): number {
    return this.#control[CONTROL.head] as number;
  }

  get #tail(): number {
    return this.#control[CONTROL.tail] as number;
  }

  /** Where a position lies in the ring, bytes. */
  #offsetOf(position: number): number {
    return (position % this.#units) * UNIT;
  }

  /** Position of the entry; -1 = there is none. */
  #locate(key: Buffer, nowMs: number, asks: boolean): number {
    const place = this.#index.find(key, this.#tail, this.#holds);
    if (place < 0) return -1;
    const position = this.#index.positionAt(place);
    const at = this.#offsetOf(position) / 4;
    if ((this.#doubles[(at + WORD.expiresAt) / 2] as number) <= nowMs) {
      this.#index.clear(place);
      return -1;
    }
    if (asks) this.#words[at + WORD.state] = REFERENCED;
    return position;
  }

  #copy(position: number): FoundEntry | null {
    const start = this.#offsetOf(position);
    const at = start / 4;
    const metaBytes = this.#words[at + WORD.metaBytes] as number;
    const bodyBytes = this.#words[at + WORD.bodyBytes] as number;
    const metaAt = start + HEADER + (this.#words[at + WORD.vectorLength] as number) * 4;
    // Lengths of an entry that has been overwritten may say anything.
    if (metaBytes < 0 || bodyBytes < 0 || metaAt < start) return null;
    if (metaAt + metaBytes + bodyBytes > this.#bytes.length) return null;
    const expiresAt = this.#doubles[(at + WORD.expiresAt) / 2] as number;
    const meta = this.#copyBytes(metaAt, metaBytes);
    return { meta, body: this.#copyBytes(metaAt + metaBytes, bodyBytes), expiresAt };
  }

  #copyBytes(start: number, length: number): Buffer {
    const copy = Buffer.allocUnsafe(length);
    copy.set(this.#bytes.subarray(start, start + length));
    return copy;
  }

  #write(start: number, units: number, entry: NewEntry): void {
    const at = start / 4;
    const { key, meta, body, meaning, tags } = entry;
    const words = this.#words;
    this.#bytes.set(key, start);
    words[at + WORD.units] = units;
    words[at + WORD.state] = 0;
    words[at + WORD.metaBytes] = meta.length;
    words[at + WORD.bodyBytes] = body.length;
    this.#doubles[(at + WORD.expiresAt) / 2] = entry.expiresAt;
    words[at + WORD.vectorLength] = meaning?.vector.length ?? 0;
    words[at + WORD.policy] = tags.policy;
    words[at + WORD.model] = tags.model;
    words[at + WORD.apiKey] = tags.apiKey;
    let to = start + HEADER;
    if (meaning !== null) {
      this.#bytes.set(meaning.partition.subarray(0, PARTITION_BYTES), start + WORD.partition * 4);
      this.#floats.set(meaning.vector, to / 4);
      to += meaning.vector.length * 4;
    }
    this.#bytes.set(meta, to);
    this.#bytes.set(body, to + meta.length);
  }

  /** Makes room for an entry in one piece at the head. */
  #makeRoom(units: number): void {
    let moves = MOVED_BYTES / UNIT;
    for (;;) {
      const gap = this.#gapBefore(units);
      if (this.#head + gap + units - this.#tail <= this.#units) {
        if (gap > 0) this.#fill(gap);
        return;
      }
      moves -= this.#dropOldest(moves);
    }
  }

  /** Units left at the ring's end where an entry does not fit there; entries are in one piece. */
  #gapBefore(units: number): number {
    const left = this.#units - (this.#head % this.#units);
    return units > left ? left : 0;
  }

  /** The rest of the ring is too short for the entry: it stays empty. */
  #fill(units: number): void {
    const at = this.#offsetOf(this.#head) / 4;
    this.#words[at + WORD.units] = units;
    this.#words[at + WORD.state] = FILLER;
    this.#control[CONTROL.head] = this.#head + units;
  }

  /** Takes the oldest away, or moves it to the head if that is allowed and deserved. Returns the units moved. */
  #dropOldest(moves: number): number {
    const position = this.#tail;
    const start = this.#offsetOf(position);
    const at = start / 4;
    const units = this.#words[at + WORD.units] as number;
    const state = this.#words[at + WORD.state] as number;
    const place = state === FILLER ? -1 : this.#placeOf(at, position);
    this.#control[CONTROL.tail] = position + units;
    if (place < 0) return 0;
    const gap = this.#gapBefore(units);
    const fits = this.#head + gap + units - this.#tail <= this.#units;
    if (state !== REFERENCED || units > moves || !fits) {
      this.#index.clear(place);
      this.evictions += 1;
      return 0;
    }
    if (gap > 0) this.#fill(gap);
    const to = this.#offsetOf(this.#head);
    this.#bytes.copyWithin(to, start, start + units * UNIT);
    this.#words[to / 4 + WORD.state] = 0;
    this.#index.move(place, this.#head);
    this.#control[CONTROL.head] = this.#head + units;
    return units;
  }

  /** The place in the index that points to the entry at this position; -1 = none, it is a leftover. */
  #placeOf(at: number, position: number): number {
    return this.#index.placeOf(this.#words[at + 1] as number, position);
  }

  /** Visits the ring's entries from a position on, a few under each lock. Returns where it has come to. */
  #walk(from: number, visit: (at: number, position: number) => void): number {
    let position = from;
    for (let done = false; !done; ) {
      this.#lock.take();
      try {
        position = Math.max(position, this.#tail);
        const head = this.#head;
        for (let step = 0; step < WALK_STEP && position < head; step += 1) {
          const at = this.#offsetOf(position) / 4;
          if (this.#words[at + WORD.state] !== FILLER) visit(at, position);
          position += this.#words[at + WORD.units] as number;
        }
        done = position >= head;
      } finally {
        this.#lock.release();
      }
    }
    return position;
  }
}
