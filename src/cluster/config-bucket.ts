/**
 * The bucket of the resources as this node sees it: one watcher for as long as the node lives, begun anew with every
 * connection and with every bucket. What it has read is kept while NATS is away. Changes are told when no more of
 * them are on their way, so that what was written together is seen together.
 */
import { BucketFollower, type WatchEnd } from "./bucket-follower.js";
import { type StoredEntry, SEEDED, storedEntry } from "./config-entries.js";
import { type Connection, type KV, type KvEntry, type Live, StorageType } from "./connection.js";
import type { ClusterLog } from "./log.js";
import type { FleetNames } from "./subjects.js";
import { delay } from "./time.js";
import { NO_STREAM, errorCode } from "./jetstream.js";

const HISTORY = 5;
/** A change is told so much later when nothing else is on its way, and so much later at most. */
const QUIET_MS = 2;
const LATEST_MS = 20;
/** Within it, a watcher has heard what the server had when it answered. */
const LOOK_AGAIN_MS = 500;
/** Bounds of what a node reads into memory, as of a file. */
const MAX_ENTRIES = 100_000;
const MAX_BYTES = 64 * 1024 * 1024;

/** What is in the bucket up to a revision. */
export interface ConfigState {
  /** When the bucket was made: another bucket counts anew. */
  readonly stream: string;
  /** Sequence of the last change. */
  readonly revision: number;
  /** Is the bucket the source? */
  readonly seeded: boolean;
  readonly entries: ReadonlyMap<string, StoredEntry>;
  /** Why not all of it has been read; "" = it has been. */
  readonly problem: string;
}

interface Reading extends ConfigState {
  revision: number;
  seeded: boolean;
  problem: string;
  readonly entries: Map<string, StoredEntry>;
  /** Bytes of each entry. */
  readonly sizes: Map<string, number>;
  bytes: number;
  /** Something has gone since not all could be read: there may be room for it now. */
  freed: boolean;
}

export interface ConfigBucketOptions {
  readonly connection: Connection;
  readonly names: FleetNames;
  readonly replicas: number;
  readonly log: ClusterLog;
  /** The state is another one. */
  readonly onChange: () => void;
}

/** The bucket while a connection holds. */
export interface OpenBucket {
  readonly live: Live;
  readonly kv: KV;
}

export class ConfigBucket {
  readonly #options: ConfigBucketOptions;
  readonly #follower: BucketFollower;
  readonly #waiting = new Set<{ readonly revision: number; readonly done: () => void }>();
  #state: Reading | null = null;
  #open: OpenBucket | null = null;
  #timer: NodeJS.Timeout | null = null;
  /** The first change that has not been told was seen at this time. */
  #changedAt = 0;

  constructor(options: ConfigBucketOptions) {
    this.#options = options;
    this.#follower = new BucketFollower({
      connection: options.connection,
      log: options.log,
      complaint: "the resources in NATS cannot be read; trying on",
      follow: (live) => this.#follow(live),
      onLost: () => {
        this.#open = null;
      },
    });
  }

  /** null: it has never been read. */
  get state(): ConfigState | null {
    return this.#state;
  }

  /** null: there is no connection, or the bucket has not been read over it yet. */
  get open(): OpenBucket | null {
    return this.#open;
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
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** Resolves when a change of this revision or a later one has been read, or when the time is over. */
  reached(revision: number, timeoutMs: number): Promise<void> {
    if ((this.#state?.revision ?? -1) >= revision) return Promise.resolve();
    return new Promise((resolve) => {
      const waiting = {
        revision,
        done: () => {
          clearTimeout(timer);
          this.#waiting.delete(waiting);
          resolve();
        },
      };
      const timer = setTimeout(waiting.done, timeoutMs);
      timer.unref();
      this.#waiting.add(waiting);
    });
  }

  /** Tells now what it would tell in a moment. */
  settle(): void {
    if (this.#timer === null) return;
    clearTimeout(this.#timer);
    this.#tell();
  }

  async #follow(live: Live): Promise<WatchEnd> {
    const { names, replicas } = this.#options;
    const settings = { history: HISTORY, replicas, storage: StorageType.File };
    const kv = await live.js.views.kv(names.configBucket, settings);
    // Asked for before the watch: whatever is up to there is delivered, or is not there any more.
    const { created, state } = await live.manager.streams.info(`KV_${names.configBucket}`);
    const reading = newReading(created, state.last_seq);
    let whole = false;
    return await this.#follower.watch({
      live,
      kv,
      onWhole: () => {
        whole = true;
        this.#state = reading;
        this.#open = { live, kv };
        this.#changed(0);
      },
      onEntry: (entry) => {
        note(reading, entry);
        if (whole) this.#changed(entry.delta ?? 0);
        return !(whole && reading.freed);
      },
      check: (again) => this.#check(live, reading, again),
    });
  }

  /** A bucket that was deleted, made anew or set back, and a watcher that hears nothing any more, tell nobody. */
  async #check(live: Live, reading: Reading, again: AbortController): Promise<void> {
    const { revision } = reading;
    try {
      const { created, state } = await live.manager.streams.info(`KV_${this.#options.names.configBucket}`);
      const isOther = created !== reading.stream || state.last_seq < revision;
      const isPurged = state.messages === 0 && (reading.entries.size > 0 || reading.seeded);
      // Nothing was read although the server had more, as it has answered in order.
      const isBehind = state.last_seq > revision && reading.revision === revision && !(await this.#moves(reading));
      if (isOther || isPurged || isBehind) again.abort();
    } catch (error) {
      if (errorCode(error) === NO_STREAM) again.abort();
    }
  }

  async #moves(reading: Reading): Promise<boolean> {
    const { revision } = reading;
    await delay(LOOK_AGAIN_MS, this.#follower.signal);
    return reading.revision > revision;
  }

  #changed(pending: number): void {
    const now = performance.now();
    if (this.#timer === null) this.#changedAt = now;
    else clearTimeout(this.#timer);
    const rest = Math.max(0, this.#changedAt + LATEST_MS - now);
    this.#timer = setTimeout(() => this.#tell(), pending > 0 ? rest : Math.min(QUIET_MS, rest));
    const revision = this.#state?.revision ?? 0;
    for (const waiting of [...this.#waiting]) if (waiting.revision <= revision) waiting.done();
  }

  #tell(): void {
    this.#timer = null;
    this.#options.onChange();
  }
}

function newReading(stream: string, revision: number): Reading {
  return { stream, revision, seeded: false, problem: "", entries: new Map(), sizes: new Map(), bytes: 0, freed: false };
}

function note(reading: Reading, { key, operation, value, revision }: KvEntry): void {
  reading.revision = Math.max(reading.revision, revision);
  if (key === SEEDED) {
    reading.seeded = operation === "PUT";
    return;
  }
  const size = operation === "PUT" ? value.length + key.length : 0;
  const bytes = reading.bytes - (reading.sizes.get(key) ?? 0) + size;
  if (operation !== "PUT") {
    reading.entries.delete(key);
    reading.sizes.delete(key);
    reading.freed = reading.problem !== "";
  } else if (bytes > MAX_BYTES || (reading.entries.size >= MAX_ENTRIES && !reading.entries.has(key))) {
    reading.problem = `holds more than ${MAX_ENTRIES} entries or ${MAX_BYTES} bytes`;
    return;
  } else {
    reading.entries.set(key, storedEntry(key, value, revision));
    reading.sizes.set(key, size);
  }
  reading.bytes = bytes;
}
