/**
 * Answers by meaning: of the entries whose request is the same but for its last text, the one whose text is nearest
 * by the cosine of their vectors. The vectors stand in shared memory, at their entries; every thread keeps a list of
 * where they are, which it brings up to date by walking over what was added since it last looked.
 */
import type { FoundEntry, MeaningfulEntry } from "./entries.js";
import type { CacheStore } from "./store.js";

/** How long vectors are compared before other work gets its turn. */
const TURN_MS = 2;
/** Vectors between two looks at the clock. */
const STRIDE = 32;

/** Entries found that turn out to be purged, before the search is given up. */
const MAX_VAIN = 8;

interface Place extends MeaningfulEntry {
  readonly shard: number;
}

export interface Question {
  /** At least 16 bytes, of which 16 count. */
  readonly partition: Buffer;
  /** Of length 1. */
  readonly vector: Float32Array;
  /** Cosine from which an answer counts as one. */
  readonly threshold: number;
  /** Tag of the policy, and how many entries with vectors it has at most. */
  readonly policy: number;
  readonly maxEntries: number;
}

export class SemanticIndex {
  readonly #store: CacheStore;
  /** How far each shard has been walked over. */
  readonly #cursors: number[];
  readonly #partitions = new Map<string, Map<string, Place>>();
  /** Every place by policy, the oldest first. */
  readonly #policies = new Map<number, Set<Place>>();

  constructor(store: CacheStore) {
    this.#store = store;
    this.#cursors = store.shards.map(() => 0);
  }

  /** The nearest entry at or above the threshold; null = there is none. `nowMs`: milliseconds since the epoch. */
  async find(question: Question, nowMs: number): Promise<FoundEntry | null> {
    this.#catchUp(question, nowMs);
    for (let vain = 0; vain < MAX_VAIN; vain += 1) {
      const place = await this.#nearest(question);
      if (place === null) return null;
      const found = this.#store.get(place.key, nowMs);
      if (found !== null) return found;
      this.#forget(place);
    }
    return null;
  }

  async #nearest({ partition, vector, threshold }: Question): Promise<Place | null> {
    const places = this.#partitions.get(partition.toString("hex", 0, 16));
    if (places === undefined) return null;
    let best: Place | null = null;
    let bestCosine = threshold;
    let looked = 0;
    let turnEnds = performance.now() + TURN_MS;
    for (const place of [...places.values()]) {
      if (++looked % STRIDE === 0 && performance.now() > turnEnds) {
        await new Promise((done) => setImmediate(done));
        turnEnds = performance.now() + TURN_MS;
      }
      if (place.vectorLength !== vector.length) continue;
      const shard = this.#store.shards[place.shard]!;
      const cosine = product(shard.vectorAt(place.position, place.vectorLength), vector);
      if (cosine < bestCosine) continue;
      // Read before it was overwritten, or not at all.
      if (shard.isThere(place.position)) [best, bestCosine] = [place, cosine];
      else this.#forget(place);
    }
    return best;
  }

  /** Takes in what was added since, and lets go of what is gone or one too many. */
  #catchUp({ policy, maxEntries }: Question, nowMs: number): void {
    for (const [shard, cursor] of this.#cursors.entries()) {
      this.#cursors[shard] = this.#store.shards[shard]!.visitMeaningful(cursor, (entry) => this.#add(shard, entry));
    }
    for (const [tag, places] of this.#policies) {
      const most = tag === policy ? maxEntries : Number.POSITIVE_INFINITY;
      for (const place of places) {
        if (places.size <= most && place.expiresAt > nowMs && this.#isThere(place)) break;
        this.#forget(place);
      }
    }
  }

  #isThere({ shard, position }: Place): boolean {
    return this.#store.shards[shard]!.isThere(position);
  }

  #add(shard: number, entry: MeaningfulEntry): void {
    const place: Place = { shard, ...entry };
    const name = entry.key.toString("latin1");
    const partition = this.#partitions.get(entry.partition);
    if (partition === undefined) this.#partitions.set(entry.partition, new Map([[name, place]]));
    else {
      // Written anew, or moved to the head.
      const before = partition.get(name);
      if (before !== undefined) this.#forget(before);
      partition.set(name, place);
      this.#partitions.set(entry.partition, partition);
    }
    const policy = this.#policies.get(entry.policy);
    if (policy === undefined) this.#policies.set(entry.policy, new Set([place]));
    else policy.add(place);
  }

  #forget(place: Place): void {
    this.#policies.get(place.policy)?.delete(place);
    const partition = this.#partitions.get(place.partition);
    const name = place.key.toString("latin1");
    if (partition?.get(name) === place) partition.delete(name);
    if (partition?.size === 0) this.#partitions.delete(place.partition);
  }
}

/** A copy of length 1; null when it has no direction. */
export function normalized(vector: ArrayLike<number>): Float32Array | null {
  let sum = 0;
  for (let index = 0; index < vector.length; index += 1) sum += (vector[index] as number) ** 2;
  const length = Math.sqrt(sum);
  if (!Number.isFinite(length) || length === 0) return null;
  return Float32Array.from(vector, (value) => value / length);
}

/** Of vectors of length 1: their cosine. Four sums at once: one would wait for itself at every step. */
function product(left: Float32Array, right: Float32Array): number {
  let [first, second, third, fourth] = [0, 0, 0, 0];
  const { length } = right;
  let at = 0;
  for (; at + 3 < length; at += 4) {
    first += (left[at] as number) * (right[at] as number);
    second += (left[at + 1] as number) * (right[at + 1] as number);
    third += (left[at + 2] as number) * (right[at + 2] as number);
    fourth += (left[at + 3] as number) * (right[at + 3] as number);
  }
  for (; at < length; at += 1) first += (left[at] as number) * (right[at] as number);
  return first + second + third + fourth;
}
