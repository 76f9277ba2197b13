/**
 * What was purged, and when: an answer that was asked for before is none any more, wherever it comes from. Every node
 * knows the same list, so that one which was away when a purge was told learns of it afterwards.
 */
import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { EntryNames } from "../cache/entries.js";
import type { PurgeFilter } from "../cache/store.js";
import { pack, unpack } from "./wire.js";

/** Beyond it the oldest count for everything. */
const MAX_PURGES = 256;
/** A clock that is further ahead shall not keep the cache empty. */
const AHEAD_MS = 60_000;

const name = z.string().max(256).optional();
const purgeSchema = z.object({
  v: z.literal(1),
  id: z.string().min(1).max(64),
  /** Milliseconds since the epoch. */
  at: z.number().min(0),
  policy: name,
  model: name,
  api_key: name,
});
const listSchema = z.object({ v: z.literal(1), floor: z.number().min(0), purges: z.array(z.unknown()) });

/** As it is on the wire. */
export type Purge = z.infer<typeof purgeSchema>;

export function newPurge({ policy, model, apiKey }: PurgeFilter, at: number): Purge {
  return {
    v: 1,
    id: randomUUID(),
    at,
    ...(policy === undefined ? {} : { policy }),
    ...(model === undefined ? {} : { model }),
    ...(apiKey === undefined ? {} : { api_key: apiKey }),
  };
}

export function filterOf({ policy, model, api_key: apiKey }: Purge): PurgeFilter {
  return { policy, model, apiKey };
}

/** null: the bytes are no purge that we know. */
export function parsePurge(bytes: Uint8Array, nowMs: number): Purge | null {
  return checked(unpack(bytes), nowMs);
}

export function purgeBytes(purge: Purge): Uint8Array {
  return pack(purge);
}

function checked(value: unknown, nowMs: number): Purge | null {
  const read = purgeSchema.safeParse(value);
  return read.success ? { ...read.data, at: Math.min(read.data.at, nowMs + AHEAD_MS) } : null;
}

export class Purges {
  readonly #lifeMs: number;
  readonly #known = new Map<string, Purge>();
  /** Everything that was asked for until then counts as purged. */
  #floor = 0;

  /** `lifeMs`: no answer is older. */
  constructor(lifeMs: number) {
    this.#lifeMs = lifeMs;
  }

  /** False: it is known, or means nothing any more. */
  add(purge: Purge, nowMs: number): boolean {
    const oldest = Math.max(this.#floor, nowMs - this.#lifeMs);
    if (this.#known.has(purge.id) || purge.at <= oldest) return false;
    this.#known.set(purge.id, purge);
    for (const [id, { at }] of this.#known) if (at <= oldest) this.#known.delete(id);
    this.#bound();
    return true;
  }

  /** Takes over what another node knows; answers what was unknown here. */
  merge(bytes: Uint8Array, nowMs: number): PurgeFilter[] {
    const list = listSchema.safeParse(unpack(bytes));
    if (!list.success) return [];
    const floor = Math.min(list.data.floor, nowMs + AHEAD_MS);
    const raised = floor > this.#floor;
    if (raised) this.#floor = floor;
    const fresh = list.data.purges
      .slice(0, MAX_PURGES)
      .map((purge) => checked(purge, nowMs))
      .filter((purge) => purge !== null)
      .filter((purge) => this.add(purge, nowMs));
    return raised ? [{}] : fresh.map(filterOf);
  }

  /** Was this answer purged after it had been asked for? */
  cover({ policy, model, apiKey }: EntryNames, askedAt: number): boolean {
    if (askedAt <= this.#floor) return true;
    for (const purge of this.#known.values()) {
      if (purge.at < askedAt) continue;
      if (purge.policy !== undefined && purge.policy !== policy) continue;
      if (purge.model !== undefined && purge.model !== model) continue;
      if (purge.api_key === undefined || purge.api_key === apiKey) return true;
    }
    return false;
  }

  /** For other nodes to merge. */
  bytes(): Uint8Array {
    return pack({ v: 1, floor: this.#floor, purges: [...this.#known.values()] });
  }

  #bound(): void {
    if (this.#known.size <= MAX_PURGES) return;
    let first: Purge | null = null;
    for (const purge of this.#known.values()) if (first === null || purge.at < first.at) first = purge;
    if (first === null) return;
    this.#floor = first.at;
    this.#known.delete(first.id);
  }
}
