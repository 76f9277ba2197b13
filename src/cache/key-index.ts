/**
 * Where keys stand in a shard's ring. A key may stand in a few places only; a place whose position lies before the
 * ring's tail is free. So nothing has to be deleted, and a search never goes far. Under the shard's lock throughout.
 */

/** Places where one key may stand. */
const WAYS = 8;
/** Of a place, bytes: a position and a fingerprint. */
const PLACE_BYTES = 12;
/** One place for so many bytes of the shard: entries are mostly larger. */
const BYTES_PER_PLACE = 512;

/** Places of a shard of this size; a multiple of WAYS. */
function placesFor(shardBytes: number): number {
  return Math.max(1, Math.floor(shardBytes / BYTES_PER_PLACE / WAYS)) * WAYS;
}

/** Bytes of the index of a shard of this size. */
export function indexBytes(shardBytes: number): number {
  return placesFor(shardBytes) * PLACE_BYTES;
}

export class KeyIndex {
  /** Of the entry, + 1; 0 = none. */
  readonly #positions: Float64Array;
  readonly #fingerprints: Int32Array;
  readonly #buckets: number;

  /** The index stands at `offset` of the memory, a multiple of 8. */
  constructor(memory: SharedArrayBuffer, offset: number, shardBytes: number) {
    const places = placesFor(shardBytes);
    this.#positions = new Float64Array(memory, offset, places);
    this.#fingerprints = new Int32Array(memory, offset + places * 8, places);
    this.#buckets = places / WAYS;
  }

  /** Keys that stand behind the tail. Looks at every place. */
  count(tail: number): number {
    let count = 0;
    for (const position of this.#positions) if (position > tail) count += 1;
    return count;
  }

  /** The place of a key; -1 = none. `holds`: does the entry at this position have the key? */
  find(key: Buffer, tail: number, holds: (position: number, key: Buffer) => boolean): number {
    const fingerprint = key.readInt32LE(0);
    const bucket = this.#bucketOf(key.readInt32LE(4));
    for (let place = bucket; place < bucket + WAYS; place += 1) {
      if (this.#fingerprints[place] !== fingerprint) continue;
      const position = this.#positions[place] as number;
      if (position > tail && holds(position - 1, key)) return place;
    }
    return -1;
  }

  /** The place that points to the entry at this position; -1 = none. `secondWord`: of its key. */
  placeOf(secondWord: number, position: number): number {
    const bucket = this.#bucketOf(secondWord);
    for (let place = bucket; place < bucket + WAYS; place += 1) {
      if (this.#positions[place] === position + 1) return place;
    }
    return -1;
  }

  positionAt(place: number): number {
    return (this.#positions[place] as number) - 1;
  }

  /** The place's entry stands elsewhere now. */
  move(place: number, position: number): void {
    this.#positions[place] = position + 1;
  }

  clear(place: number): void {
    this.#positions[place] = 0;
  }

  /** Puts a key in: at `known`, its place so far, or into a free one, or over the oldest of its neighbours: then true. */
  enter(key: Buffer, position: number, known: number, tail: number): boolean {
    const bucket = this.#bucketOf(key.readInt32LE(4));
    let chosen = known;
    for (let place = bucket; chosen < 0 && place < bucket + WAYS; place += 1) {
      if ((this.#positions[place] as number) <= tail) chosen = place;
    }
    const full = chosen < 0;
    if (full) chosen = this.#oldest(bucket);
    // In this order: a place that points nowhere is harmless, and so is one with another's fingerprint.
    this.#positions[chosen] = 0;
    this.#fingerprints[chosen] = key.readInt32LE(0);
    this.#positions[chosen] = position + 1;
    return full;
  }

  #oldest(bucket: number): number {
    let oldest = bucket;
    for (let place = bucket + 1; place < bucket + WAYS; place += 1) {
      if ((this.#positions[place] as number) < (this.#positions[oldest] as number)) oldest = place;
    }
    return oldest;
  }

  #bucketOf(secondWord: number): number {
    return ((secondWord >>> 0) % this.#buckets) * WAYS;
  }
}
