/**
 * The bucket of the budgets over whatever connection there is: read as a whole with every connection and once a day, and
 * followed from then on. What is read is told; nothing of it is kept here.
 */
import { BucketFollower, type WatchEnd } from "./bucket-follower.js";
import { packWarned, unpackWarned } from "./budget-entry.js";
import { type Connection, type KV, type KvEntry, type Live, StorageType } from "./connection.js";
import type { ClusterLog } from "./log.js";
import { budgetWarningKey, type FleetNames } from "./subjects.js";
import { delay } from "./time.js";
import { NO_STREAM, WRONG_SEQUENCE, errorCode } from "./jetstream.js";

const DAY_MS = 86_400_000;
/** Longer than any period that ends; what does not end is written again in time. */
const KEPT_MS = 400 * DAY_MS;
const CLAIMS = 5;

export interface BudgetBucketOptions {
  readonly connection: Pick<Connection, "whenLive">;
  readonly names: Pick<FleetNames, "budgetBucket">;
  readonly replicas: number;
  readonly log: ClusterLog;
  /** An entry is there, or another. */
  readonly onEntry: (entry: Pick<KvEntry, "key" | "value" | "revision" | "created">) => void;
  /** The bucket is being read anew. */
  readonly onBegin: () => void;
  /** All that was there has been told. */
  readonly onWhole: () => void;
  /** The connection went, or the bucket. */
  readonly onLost: () => void;
}

export class BudgetBucket {
  readonly #options: BudgetBucketOptions;
  readonly #follower: BucketFollower;
  #kv: KV | null = null;

  constructor(options: BudgetBucketOptions) {
    this.#options = options;
    this.#follower = new BucketFollower({
      connection: options.connection,
      log: options.log,
      complaint: "what other nodes have spent of the budgets cannot be read; trying on",
      follow: (live) => this.#follow(live),
      onLost: () => {
        this.#kv = null;
        options.onLost();
      },
    });
  }

  /** Has it been read as a whole, and is it being followed? */
  get isOpen(): boolean {
    return this.#kv !== null;
  }

  /** Why it cannot be read, as far as it is known. */
  get problem(): string {
    return this.#follower.problem;
  }

  /** Begins, and returns at once. */
  start(): void {
    this.#follower.start();
  }

  stop(): void {
    this.#follower.stop();
  }

  /** Rejects when NATS refuses, or the bucket is not open. `revision`: of what it is to take the place of. */
  async put(key: string, value: Uint8Array, revision?: number): Promise<void> {
    await this.#opened().put(key, value, revision === undefined ? {} : { previousSeq: revision });
  }

  /** Puts it where nothing is; false: something is. */
  async create(key: string, value: Uint8Array): Promise<boolean> {
    try {
      await this.#opened().create(key, value);
      return true;
    } catch (error) {
      if (errorCode(error) === WRONG_SEQUENCE) return false;
      throw error;
    }
  }

  /**
   * One node of all warns of a fraction of a counter.
   * @returns the highest fraction that was warned of before: what is above it is the caller's to tell
   */
  async claim(counter: string, period: number, fraction: number): Promise<number> {
    const key = budgetWarningKey(counter);
    for (let tries = 1; ; tries += 1) {
      const entry = await this.#opened().get(key);
      const warned = entry === null || entry.operation !== "PUT" ? null : unpackWarned(entry.value);
      const before = warned !== null && warned.period === period ? warned.fraction : 0;
      if (before >= fraction || (warned !== null && warned.period > period)) return Math.max(before, fraction);
      try {
        await this.put(key, packWarned({ period, fraction }), entry?.revision ?? 0);
        return before;
      } catch (error) {
        if (errorCode(error) !== WRONG_SEQUENCE || tries === CLAIMS) throw error;
        await delay(tries * 10, this.#follower.signal);
      }
    }
  }

  #opened(): KV {
    if (this.#kv === null) throw new Error("the bucket of the budgets is not open");
    return this.#kv;
  }

  async #follow(live: Live): Promise<WatchEnd> {
    const { names, replicas, onBegin, onEntry, onWhole } = this.#options;
    const settings = { history: 1, replicas, ttl: KEPT_MS, storage: StorageType.File };
    const kv = await live.js.views.kv(names.budgetBucket, settings);
    const { created } = await live.manager.streams.info(`KV_${names.budgetBucket}`);
    onBegin();
    return await this.#follower.watch({
      live,
      kv,
      onWhole: () => {
        this.#kv = kv;
        onWhole();
      },
      onEntry: (entry) => {
        if (entry.operation === "PUT") onEntry(entry);
        return true;
      },
      check: (again) => this.#check(live, created, again),
      lastsMs: DAY_MS,
    });
  }

  /** A bucket that was deleted or made anew tells its watchers nothing. */
  async #check(live: Live, made: string, again: AbortController): Promise<void> {
    try {
      const { created } = await live.manager.streams.info(`KV_${this.#options.names.budgetBucket}`);
      if (created !== made) again.abort();
    } catch (error) {
      if (errorCode(error) === NO_STREAM) again.abort();
    }
  }
}
