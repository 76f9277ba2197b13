/**
 * The node's cache: one for all acceptor threads, in shared memory that is bounded by bytes. It holds answers by the
 * fingerprint of their request, and forgets them by time, by room and by purge; nothing outlives the process.
 * Memory that no entry has touched yet costs nothing.
 */
import type { EntryTags, FoundEntry, NewEntry } from "./entries.js";
import { allocateMarks, Marks } from "./marks.js";
import { allocateShard, Shard } from "./shard.js";

/** Longest ring of its own: views of one memory are bounded, and so is waiting for its lock. */
const MAX_SHARD_BYTES = 1024 * 1024 * 1024;

export interface CacheMemory {
  readonly shards: readonly SharedArrayBuffer[];
  readonly marks: SharedArrayBuffer;
}

/** `bytes`: of all entries and their index together. */
export function allocateCacheMemory(bytes: number): CacheMemory {
  const count = Math.ceil(bytes / MAX_SHARD_BYTES);
  return {
    shards: Array.from({ length: count }, () => allocateShard(Math.floor(bytes / count))),
    marks: allocateMarks(),
  };
}

/** Names that entries are purged by; what is not named does not matter. */
export interface PurgeFilter {
  readonly policy?: string | undefined;
  /** As callers name it. */
  readonly model?: string | undefined;
  readonly apiKey?: string | undefined;
}

export interface CacheStats {
  readonly entries: number;
  /** Bytes in use. */
  readonly bytes: number;
}

/** One thread's view of the cache. */
export class CacheStore {
  readonly marks: Marks;
  readonly shards: readonly Shard[];

  /** `row`: of this thread, no other living one has it. */
  constructor(memory: CacheMemory, row: number) {
    this.marks = new Marks(memory.marks, row);
    this.shards = memory.shards.map((shard) => new Shard(shard, row));
  }

  /** The thread of this row is dead: its locks are free and nobody waits for it. */
  bury(): void {
    for (const shard of this.shards) shard.bury();
    this.marks.bury();
  }

  /** Longest entry that is kept, bytes. */
  get maxEntryBytes(): number {
    return (this.shards[0] as Shard).maxEntryBytes;
  }

  /** Changes with every purge; an answer that was asked for before one is not kept after it. */
  get purges(): number {
    return (this.shards[0] as Shard).purges;
  }

  /** Entries that this thread has pushed out before their time. */
  get evictions(): number {
    let count = 0;
    for (const shard of this.shards) count += shard.evictions;
    return count;
  }

  /** `key`: 32 bytes. `nowMs`: milliseconds since the epoch. */
  get(key: Buffer, nowMs: number): FoundEntry | null {
    return this.#shardOf(key).get(key, nowMs);
  }

  /** The same for one that is no caller: the entry is as old as before. */
  peek(key: Buffer, nowMs: number): FoundEntry | null {
    return this.#shardOf(key).get(key, nowMs, false);
  }

  /** False: the entry is too long, or something was purged since there were `purges`. */
  put(entry: NewEntry, purges: number): boolean {
    return this.#shardOf(entry.key).put(entry, purges);
  }

  /** Forgets what fits all that the filter names; everything when it names nothing. Returns the number of entries. */
  purge(filter: PurgeFilter = {}): number {
    const tags: { -readonly [Name in keyof EntryTags]?: number } = {};
    if (filter.policy !== undefined) tags.policy = tagOf(filter.policy);
    if (filter.model !== undefined) tags.model = tagOf(filter.model);
    if (filter.apiKey !== undefined) tags.apiKey = tagOf(filter.apiKey);
    const everything = Object.keys(tags).length === 0;
    let count = 0;
    for (const shard of this.shards) count += everything ? shard.purgeAll() : shard.purge(tags);
    return count;
  }

  /** Looks at the whole index: for whoever gathers metrics. */
  stats(): CacheStats {
    let entries = 0;
    let bytes = 0;
    for (const shard of this.shards) {
      entries += shard.countEntries();
      bytes += shard.bytes;
    }
    return { entries, bytes };
  }

  #shardOf(key: Buffer): Shard {
    return this.shards[this.shards.length === 1 ? 0 : key.readUInt32LE(8) % this.shards.length] as Shard;
  }
}

/** What stands for a name at an entry (FNV-1a, 32 bits): two names may share one, and are then purged together. */
export function tagOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < name.length; index += 1) hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
  return hash | 0;
}
