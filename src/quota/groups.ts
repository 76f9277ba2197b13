/**
 * Where counters stand. What a resource file names has a block for good; what appears with the requests (a
 * policy's groups, one budget for each key) is found by a hash of its name, so that every thread finds the
 * same block, and gives it back when nothing that it counts is in force any more.
 */
import { createHash } from "node:crypto";

/** Slots that one name may stand in; when others hold all of them, its requests count in the overflow block. */
const PROBES = 32;
const HASH_WORDS = 4;
const HASH = /^[0-9a-f]{32}$/;
/** Of the table, the part that the groups of one owner may have: nobody's groups leave no room for others'. */
const SHARE = 1 / 4;

/** Whose counters, and the block where they were seen last. */
export class Place {
  /** A block of a hashed place is only a guess until `QuotaTable.locate` has looked, under the lock. */
  block: number;
  /** Its owner's block, for all that find none of their own; -1 = this place has its block for good. */
  readonly overflow: number;
  readonly word0: number;
  readonly word1: number;
  readonly word2: number;
  readonly word3: number;

  private constructor(block: number, overflow: number, hash: Buffer | null) {
    this.block = block;
    this.overflow = overflow;
    this.word0 = hash === null ? 0 : hash.readInt32LE(0);
    this.word1 = hash === null ? 0 : hash.readInt32LE(4);
    this.word2 = hash === null ? 0 : hash.readInt32LE(8);
    this.word3 = hash === null ? 0 : hash.readInt32LE(12);
  }

  /** A block that the main thread has given out. */
  static named(block: number): Place {
    return new Place(block, -1, null);
  }

  /**
   * A block found by the hash of `name`. 128 bits of SHA-256: parts of names come from callers, and none may
   * choose a name that meets another's counters.
   */
  static hashed(name: string, overflow: number): Place {
    return new Place(overflow, overflow, createHash("sha256").update(name).digest());
  }

  /** Only to look a block up by the hash of its name, in hex; null = this is none. Nothing can be counted there. */
  static ofHash(hex: string): Place | null {
    return HASH.test(hex) ? new Place(-1, -1, Buffer.from(hex, "hex")) : null;
  }
}

/** Finds the place of a thing by its name; the same name is the same place on every thread. */
export interface PlaceFinder {
  /**
   * `within`: name of the block that the main thread has given to the whole ("budget:ID"); a name of its own
   * ("budget:ID:VALUE") is found by its hash, and counts in the whole's block where there is no room.
   */
  find(name: string, within?: string): Place;
}

/** Shared memory of `GroupDirectory` for this many blocks of this many owners. */
export function allocateDirectory(blocks: number, owners: number): SharedArrayBuffer {
  return new SharedArrayBuffer(blocks * (8 + HASH_WORDS * 4 + 4) + owners * 4);
}

/**
 * Which hash has which block; every call needs the table's lock. Blocks count from 0 here. Owners are the named
 * blocks in which the places overflow.
 */
export class GroupDirectory {
  readonly #size: number;
  /** When the last of what a block counts is out of force, ms since the epoch; 0 = never given out. */
  readonly #until: Float64Array;
  readonly #hashes: Int32Array;
  /** Whose block it is. */
  readonly #owners: Int32Array;
  /** Blocks that each owner has, in force or not. */
  readonly #counts: Int32Array;
  readonly #most: number;

  constructor(memory: SharedArrayBuffer, size: number, owners: number) {
    this.#size = size;
    this.#until = new Float64Array(memory, 0, size);
    this.#hashes = new Int32Array(memory, size * 8, size * HASH_WORDS);
    this.#owners = new Int32Array(memory, size * (8 + HASH_WORDS * 4), size);
    this.#counts = new Int32Array(memory, size * (8 + HASH_WORDS * 4 + 4), owners);
    this.#most = Math.max(PROBES, Math.floor(size * SHARE));
  }

  holds(block: number, place: Place): boolean {
    const at = block * HASH_WORDS;
    const hashes = this.#hashes;
    return (
      hashes[at] === place.word0 &&
      hashes[at + 1] === place.word1 &&
      hashes[at + 2] === place.word2 &&
      hashes[at + 3] === place.word3 &&
      this.#until[block] !== 0
    );
  }

  /** The hash of the name that has this block, in hex; null = it was never given out. */
  hashOf(block: number): string | null {
    if (this.#until[block] === 0) return null;
    const words = Buffer.alloc(HASH_WORDS * 4);
    for (let word = 0; word < HASH_WORDS; word += 1) {
      words.writeInt32LE(this.#hashes[block * HASH_WORDS + word] as number, word * 4);
    }
    return words.toString("hex");
  }

  /** The block that has this hash; -1 = none. */
  find(place: Place): number {
    const end = Math.min(PROBES, this.#size);
    for (let probe = 0; probe < end; probe += 1) {
      const block = this.#slot(place, probe);
      if (this.holds(block, place)) return block;
    }
    return -1;
  }

  /**
   * A block for this hash: one never used, else the one out of force for longest. An owner that has its share gets
   * none but its own again. -1 = all are in force. `busy`: has this block requests in flight?
   */
  take(place: Place, nowMs: number, busy: (block: number) => boolean): number {
    let best = -1;
    const full = (this.#counts[place.overflow] as number) >= this.#most;
    const end = Math.min(PROBES, this.#size);
    for (let probe = 0; probe < end; probe += 1) {
      const block = this.#slot(place, probe);
      const until = this.#until[block] as number;
      if (full && (until === 0 || this.#owners[block] !== place.overflow)) continue;
      if (until === 0) {
        best = block;
        break;
      }
      if (until > nowMs || (best >= 0 && until >= (this.#until[best] as number)) || busy(block)) continue;
      best = block;
    }
    if (best >= 0) this.#give(best, place, nowMs);
    return best;
  }

  /** What this block counts is in force until then at least. */
  keepUntil(block: number, untilMs: number): void {
    if (untilMs > (this.#until[block] as number)) this.#until[block] = untilMs;
  }

  /** An owner is no more: its groups' blocks are for anybody, as soon as none of their requests is in flight. */
  disown(owner: number): void {
    if (this.#counts[owner] === 0) return;
    for (let block = 0; block < this.#size; block += 1) {
      if (this.#until[block] !== 0 && this.#owners[block] === owner) this.#until[block] = 1;
    }
  }

  #give(block: number, place: Place, nowMs: number): void {
    if (this.#until[block] !== 0) this.#count(this.#owners[block] as number, -1);
    this.#owners[block] = place.overflow;
    this.#count(place.overflow, 1);
    const at = block * HASH_WORDS;
    this.#hashes[at] = place.word0;
    this.#hashes[at + 1] = place.word1;
    this.#hashes[at + 2] = place.word2;
    this.#hashes[at + 3] = place.word3;
    this.#until[block] = Math.max(1, nowMs);
  }

  #count(owner: number, by: number): void {
    this.#counts[owner] = (this.#counts[owner] as number) + by;
  }

  #slot(place: Place, probe: number): number {
    // A stride of its own for each name: neighbours in a row would fill up long before the table does.
    return ((place.word0 >>> 0) + probe * ((place.word1 | 1) >>> 0)) % this.#size;
  }
}
