/**
 * What this node keeps for the others and has from them: answers under cache policies with `backend: cluster`. The
 * node's own memory stays in front. An answer that it lacks is fetched into it from the bucket; a new one is written
 * there behind the request's back. While NATS is away, or slow, every answer counts as missing, at once.
 *
 * A purge goes to all nodes as a message, and is recorded in the bucket for those that do not hear it.
 */
import { type CacheStore, type PurgeFilter, tagOf } from "../cache/store.js";
import { CacheBucket, type CacheBucketSettings, type Place } from "./cache-bucket.js";
import { packEntry, parseEntry } from "./cache-entry.js";
import { filterOf, newPurge, parsePurge, type Purge, purgeBytes, Purges } from "./cache-purges.js";
import type { Connection, Live } from "./connection.js";
import { type ClusterLog, reasonOf } from "./log.js";
import type { FleetNames } from "./subjects.js";
import { delay } from "./time.js";

const PERIOD_MS = 1_000;
const MAX_READS = 128;
const MAX_QUEUE = 1_024;
const WRITES = 4;
/** Purges that the bucket does not know yet; beyond it they become one of everything. */
const MAX_OWED = 64;
/** Purges heard at once, one walk through the memory each; of more, all is forgotten. */
const MAX_HEARD = 16;

export interface CacheShareOptions {
  readonly connection: Pick<Connection, "live" | "whenLive" | "publish" | "request" | "subscribe">;
  readonly names: FleetNames;
  readonly settings: CacheBucketSettings;
  /** The node's memory. */
  readonly store: CacheStore;
  /** Does any policy share its answers? Without one there is no bucket. */
  readonly wanted: () => boolean;
  readonly log: ClusterLog;
  /** Milliseconds since the epoch. */
  readonly clock?: () => number;
  /** Opens the bucket over a connection. */
  readonly open?: (live: Live) => Promise<Bucket>;
}

/** What is needed of a bucket. */
type Bucket = Pick<CacheBucket, "live" | "read" | "write" | "readPurges" | "renewPurges" | "purge">;

interface Open {
  readonly bucket: Bucket;
  reading: number;
}

export interface Asked extends Place {
  /** Longest life that is left to the answer, milliseconds. */
  readonly ttlMs: number;
}

export interface Kept extends Place {
  readonly apiKey: string;
  /** Milliseconds since the epoch. */
  readonly askedAt: number;
}

/** Totals since the start. */
export interface CacheShareCounts {
  hits: number;
  misses: number;
  /** Not looked up: NATS is away, or too many are under way. */
  refused: number;
  /** NATS gave no answer in time, or an error. */
  failed: number;
  stored: number;
  /** Not stored: NATS is away, or too many wait. */
  dropped: number;
  too_long: number;
  /** Not stored: NATS did not acknowledge it in time, or refused. */
  unstored: number;
  /** Purges that other nodes told. */
  purges: number;
}

/** What `/status/cluster` says of it. */
export interface CacheShareStatus extends Readonly<CacheShareCounts> {
  readonly bucket: string;
  readonly open: boolean;
  /** New answers that are not in the bucket yet. */
  readonly waiting: number;
  readonly problem: string;
}

export class CacheShare {
  readonly counts: CacheShareCounts = {
    hits: 0,
    misses: 0,
    refused: 0,
    failed: 0,
    stored: 0,
    dropped: 0,
    too_long: 0,
    unstored: 0,
    purges: 0,
  };
  readonly #options: CacheShareOptions;
  readonly #clock: () => number;
  readonly #purges: Purges;
  readonly #stopping = new AbortController();
  #open: Open | null = null;
  #queue: Kept[] = [];
  #writing = 0;
  #owed: Purge[] = [];
  #heard = new Map<string, PurgeFilter>();
  #paying = false;
  #problem = "";
  #leave: () => void = () => {};

  constructor(options: CacheShareOptions) {
    this.#options = options;
    this.#clock = options.clock ?? Date.now;
    this.#purges = new Purges(options.settings.max_age_ms);
  }

  /** Begins, and returns at once. */
  start(): void {
    const { connection, names } = this.#options;
    this.#leave = connection.subscribe(names.cachePurge, ({ data }) => this.#hear(data));
    void this.#run();
  }

  /** What waits to be written is let go. */
  stop(): void {
    this.#stopping.abort();
    this.#leave();
    this.#close();
  }

  /** Can answers be had and written? Not where no policy wants it. */
  get isOpen(): boolean {
    return this.#usable !== null;
  }

  get #usable(): Open | null {
    return this.#open === null || this.#open.bucket.live.lost.aborted ? null : this.#open;
  }

  /** Why not, as far as it is known. */
  get problem(): string {
    return this.#problem;
  }

  get status(): CacheShareStatus {
    const { names } = this.#options;
    const { isOpen: open, problem, counts } = this;
    return { bucket: names.cacheBucket, open, waiting: this.#queue.length, ...counts, problem };
  }

  /** True: the answer is in the node's memory now. Never rejects. */
  async ask(asked: Asked): Promise<boolean> {
    const open = this.#usable;
    if (open === null || open.reading >= MAX_READS) {
      this.counts.refused += 1;
      return false;
    }
    open.reading += 1;
    const { purges } = this.#options.store;
    try {
      const bytes = await open.bucket.read(asked);
      const found = bytes !== null && this.#take(asked, bytes, purges);
      this.counts[found ? "hits" : "misses"] += 1;
      return found;
    } catch (error) {
      this.counts.failed += 1;
      this.#failed(error, open);
      return false;
    } finally {
      open.reading -= 1;
    }
  }

  /** The node's memory has a new answer: it goes to the bucket when there is time. */
  keep(kept: Kept): void {
    if (this.#usable === null || this.#queue.length >= MAX_QUEUE) {
      this.counts.dropped += 1;
      return;
    }
    this.#queue.push(kept);
    this.#write();
  }

  /** The node's own memory has been purged; all others' are now, and the bucket, as soon as they can be reached. */
  purge(filter: PurgeFilter): void {
    const now = this.#clock();
    const purge = newPurge(filter, now);
    this.#purges.add(purge, now);
    const { connection, names } = this.#options;
    connection.publish(names.cachePurge, purgeBytes(purge));
    if (this.#owed.length < MAX_OWED) this.#owed.push(purge);
    else {
      const everything = newPurge({}, now);
      this.#purges.add(everything, now);
      this.#owed = [everything];
    }
    void this.#pay();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const live = await this.#options.connection.whenLive(signal);
      if (live === null || signal.aborted) return;
      if (this.#open?.bucket.live !== live && this.#options.wanted()) await this.#setUp(live);
      void this.#pay();
      await delay(PERIOD_MS, signal);
    }
  }

  async #setUp(live: Live): Promise<void> {
    this.#close();
    const { connection, open } = this.#options;
    try {
      const bucket = await (open?.(live) ?? CacheBucket.open(live, connection, this.#options));
      this.#learn(await bucket.readPurges());
      if (this.#stopping.signal.aborted) return;
      this.#open = { bucket, reading: 0 };
      this.#problem = "";
    } catch (error) {
      this.#failed(error, null);
    }
  }

  /** Puts an answer of another node into the memory, if it still is one. */
  #take({ policy, model, key, ttlMs }: Asked, bytes: Uint8Array, purges: number): boolean {
    const entry = parseEntry(bytes, key);
    if (entry === null) return false;
    const now = this.#clock();
    const { meta, body, apiKey, askedAt } = entry;
    const expiresAt = Math.min(entry.expiresAt, now + ttlMs);
    if (expiresAt <= now || this.#purges.cover({ policy, model, apiKey }, askedAt)) return false;
    const tags = { policy: tagOf(policy), model: tagOf(model), apiKey: tagOf(apiKey) };
    return this.#options.store.put({ key: Buffer.from(key), meta, body, expiresAt, tags, meaning: null }, purges);
  }

  // ---- writing ---------------------------------------------------------------------------------------

  #write(): void {
    while (this.#writing < WRITES) {
      const kept = this.#queue.shift();
      if (kept === undefined) return;
      this.#writing += 1;
      void this.#writeOne(kept).finally(() => {
        this.#writing -= 1;
        this.#write();
      });
    }
  }

  async #writeOne(kept: Kept): Promise<void> {
    const open = this.#usable;
    // What has been purged or pushed out meanwhile is nobody's answer any more.
    const found = this.#options.store.peek(Buffer.from(kept.key), this.#clock());
    if (open === null || found === null) return;
    const { apiKey, askedAt } = kept;
    const bytes = packEntry({ ...found, apiKey, askedAt }, kept.key);
    try {
      const stored = bytes !== null && (await open.bucket.write(kept, apiKey, bytes));
      this.counts[stored ? "stored" : "too_long"] += 1;
    } catch (error) {
      this.counts.unstored += 1;
      this.#failed(error, open);
    }
  }

  // ---- purges ----------------------------------------------------------------------------------------

  #hear(data: Uint8Array): void {
    const now = this.#clock();
    const purge = parsePurge(data, now);
    if (purge === null || !this.#purges.add(purge, now)) return;
    // Messages come many at a time: what they say is done when they have been read.
    if (this.#heard.size === 0) queueMicrotask(() => this.#forgetHeard());
    this.counts.purges += 1;
    const filter = filterOf(purge);
    this.#heard.set(JSON.stringify([filter.policy, filter.model, filter.apiKey]), filter);
  }

  #learn(recorded: Uint8Array | null): void {
    if (recorded === null) return;
    for (const filter of this.#purges.merge(recorded, this.#clock())) {
      this.counts.purges += 1;
      this.#forget(filter);
    }
  }

  #forgetHeard(): void {
    const filters = [...this.#heard.values()];
    this.#heard = new Map();
    for (const filter of filters.length > MAX_HEARD ? [{}] : filters) this.#forget(filter);
  }

  /** What another node has purged. */
  #forget(filter: PurgeFilter): void {
    const purged = this.#options.store.purge(filter);
    this.#options.log.info({ ...filter, purged }, "cache purged, as another node was told");
  }

  /** Records the purges of this node, and deletes what they fit. */
  async #pay(): Promise<void> {
    if (this.#paying) return;
    this.#paying = true;
    try {
      for (;;) {
        const [purge] = this.#owed;
        const open = this.#usable;
        if (purge === undefined || open === null) return;
        await this.#payOne(purge, open);
      }
    } finally {
      this.#paying = false;
    }
  }

  async #payOne(purge: Purge, open: Open): Promise<void> {
    const { connection, names } = this.#options;
    try {
      await open.bucket.renewPurges((recorded) => {
        this.#learn(recorded);
        return this.#purges.bytes();
      });
      // Who was away when it was told first has heard it by now, or finds it recorded.
      connection.publish(names.cachePurge, purgeBytes(purge));
      await open.bucket.purge(filterOf(purge), this.#stopping.signal);
      this.#owed = this.#owed.filter((owed) => owed !== purge);
    } catch (error) {
      this.#failed(error, open);
    }
  }

  // ---- faults ----------------------------------------------------------------------------------------

  /** Nothing is asked or written any more until the bucket has been opened anew. */
  #failed(error: unknown, open: Open | null): void {
    if (open === this.#open) this.#close();
    const reason = reasonOf(error);
    const known = reason === this.#problem;
    this.#problem = reason;
    if (known || this.#stopping.signal.aborted || this.#options.connection.live === null) return;
    this.#options.log.warn({ reason }, "the cache that the nodes share cannot be used; each has its own");
  }

  #close(): void {
    this.#open = null;
    this.counts.dropped += this.#queue.length;
    this.#queue = [];
  }
}
