/** The answer to a miss, while it goes to its caller: kept once it is known to be whole and good. */
import { JsonLine } from "../usage/json-line.js";
import { type EntryMeta, writeMeta } from "./entry.js";
import { isKeepable } from "./keepable.js";
import type { EntryMeaning, EntryTags } from "./entries.js";
import type { CacheStore } from "./store.js";

/** What the waiting ones are told: take it from the store; somebody else may try; each for himself. */
export type RecordingEnd = "stored" | "failed" | "unstorable";

export interface RecordingPlan {
  readonly key: Buffer;
  readonly tags: EntryTags;
  readonly ttlMs: number;
  /** False: the caller wants the answer not to be kept. */
  readonly stores: boolean;
  readonly meaning: EntryMeaning | null;
}

/** What is needed to write an entry; the clock is milliseconds since the epoch. */
export interface RecordingPlace {
  readonly store: CacheStore;
  readonly clock: () => number;
  /** Called once, whatever becomes of the recording. */
  readonly onEnd: (end: RecordingEnd) => void;
}

/** Bytes of an entry beside its body: header, meta and rounding. */
const OVERHEAD_BYTES = 2_048;

/** Where an entry's own words are written before they are copied to their place. */
const META = new JsonLine();

export class Recording {
  readonly #plan: RecordingPlan;
  readonly #place: RecordingPlace;
  readonly #purges: number;
  readonly #maxBytes: number;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #tooLong = false;
  #ended = false;
  /** What the relay has seen of it already; null = nobody has looked. */
  #keepable: boolean | null = null;

  constructor(plan: RecordingPlan, place: RecordingPlace) {
    this.#plan = plan;
    this.#place = place;
    this.#purges = place.store.purges;
    const vectorBytes = (plan.meaning?.vector.length ?? 0) * 4;
    this.#maxBytes = Math.max(0, place.store.maxEntryBytes - OVERHEAD_BYTES - vectorBytes);
  }

  /** Takes the next bytes of the answer, in the caller's dialect. They must not change afterwards. */
  add(bytes: Buffer): void {
    if (this.#ended || this.#tooLong || !this.#plan.stores) return;
    this.#bytes += bytes.length;
    if (this.#bytes <= this.#maxBytes) this.#pieces.push(bytes);
    else {
      this.#tooLong = true;
      this.#pieces = [];
    }
  }

  /** Whoever has looked at the whole answer, as it was added here, says whether it may be kept. */
  judge(keepable: boolean): void {
    this.#keepable = keepable;
  }

  /** What has come so far is of no use: another attempt begins anew. */
  restart(): void {
    this.#pieces = [];
    this.#bytes = 0;
    this.#tooLong = false;
    this.#keepable = null;
  }

  /** The answer is whole and went well. True: it is in the cache now. */
  commit(meta: EntryMeta): boolean {
    if (this.#ended) return false;
    const stored = this.#store(meta);
    this.#end(stored ? "stored" : "unstorable");
    return stored;
  }

  /** There is no answer worth keeping. Does nothing after `commit`. */
  discard(): void {
    this.#end("failed");
  }

  #store(meta: EntryMeta): boolean {
    const { key, tags, ttlMs, stores, meaning } = this.#plan;
    if (!stores || this.#tooLong || this.#bytes === 0) return false;
    const body = this.#pieces.length === 1 ? (this.#pieces[0] as Buffer) : Buffer.concat(this.#pieces);
    if (!(this.#keepable ?? isKeepable(body, meta.mode))) return false;
    const { store, clock } = this.#place;
    META.length = 0;
    writeMeta(META, meta);
    const entry = { key, meta: META.written(), body, expiresAt: clock() + ttlMs, tags, meaning };
    return store.put(entry, this.#purges);
  }

  #end(end: RecordingEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#pieces = [];
    this.#place.onEnd(end);
  }
}
