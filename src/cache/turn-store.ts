/**
 * What the node keeps of conversations for providers that keep nothing: per answer the items that led to it and the
 * answer itself, by the caller's key and the answer's id. In shared memory like the cache, bounded by bytes: what is
 * oldest makes room, and nothing outlives the process.
 */
import { hash } from "node:crypto";
import { type CacheStore, tagOf } from "./store.js";

export interface KeptTurn {
  /** JSON array: the items of the whole conversation up to the answer. */
  readonly input: Buffer;
  /** JSON object: the answer as its caller got it. */
  readonly answer: Buffer;
}

export interface TurnBounds {
  readonly ttlMs: number;
  /** Longest turn, input and answer together. */
  readonly maxBytes: number;
}

const NOTHING = Buffer.alloc(0);
/** Not the epoch's first moment, which could stand for "never". */
const LONG_AGO = 1;

export class TurnStore {
  readonly #store: CacheStore;
  readonly #bounds: TurnBounds;

  constructor(store: CacheStore, bounds: TurnBounds) {
    this.#store = store;
    this.#bounds = bounds;
  }

  /** null: never kept for this key, expired, or pushed out. */
  get(apiKey: string, id: string, nowMs: number): KeptTurn | null {
    const found = this.#store.get(keyOf(apiKey, id), nowMs);
    return found === null ? null : { input: found.meta, answer: found.body };
  }

  /** False: the turn is too long. */
  put(apiKey: string, id: string, { input, answer }: KeptTurn, nowMs: number): boolean {
    if (input.length + answer.length > this.#bounds.maxBytes) return false;
    return this.#write(apiKey, id, { meta: input, body: answer, expiresAt: nowMs + this.#bounds.ttlMs });
  }

  /** False: there was none. An empty entry that has expired takes its place. */
  delete(apiKey: string, id: string, nowMs: number): boolean {
    if (this.get(apiKey, id, nowMs) === null) return false;
    return this.#write(apiKey, id, { meta: NOTHING, body: NOTHING, expiresAt: LONG_AGO });
  }

  #write(apiKey: string, id: string, entry: { meta: Buffer; body: Buffer; expiresAt: number }): boolean {
    const tags = { policy: 0, model: 0, apiKey: tagOf(apiKey) };
    return this.#store.put({ key: keyOf(apiKey, id), tags, meaning: null, ...entry }, this.#store.purges);
  }
}

/** As JSON, so that no other name and id amount to the same text. */
function keyOf(apiKey: string, id: string): Buffer {
  return hash("sha256", JSON.stringify([apiKey, id]), "buffer");
}
