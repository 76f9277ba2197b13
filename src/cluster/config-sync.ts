/**
 * The resources of the fleet: what is in the bucket is in force on every node. Each state of the bucket is read and
 * checked as a whole and taken as one set, or refused as one; the last good one is kept on file for a start without
 * NATS. A bucket that nobody has filled is filled from what this node was given.
 */
import { createHash } from "node:crypto";
import type { OfferedSet, RawEntry } from "../config/resource-set.js";
import { type ConfigError, renderError } from "../config/result.js";
import type { AuditTrail } from "./audit.js";
import { ConfigBucket, type ConfigState } from "./config-bucket.js";
import { type ReadEntries, readStored, SOURCE } from "./config-entries.js";
import { SnapshotKeeper } from "./config-file.js";
import { markSeeded, seedEntries } from "./config-seed.js";
import type { Connection } from "./connection.js";
import { type ClusterLog, reasonOf } from "./log.js";
import type { FleetNames } from "./subjects.js";

const SEED_AGAIN_MS = 2_000;
/** Entries that somebody puts into an unused bucket by hand count when no more have come for so long. */
const BY_HAND_MS = 5_000;

/** What the rest of the node does with resources. */
export interface ConfigHouse {
  /** The entries in force, wherever they came from; null = nobody has given this node any. */
  given(): readonly RawEntry[] | null;
  /** Where the snapshot of the last good ones is kept. */
  readonly path: string;
  readonly read: ReadEntries;
  /** Puts a set in force; false: it cannot be. */
  take(set: OfferedSet): boolean;
  /** Resolves when every acceptor has the last one. */
  settled(): Promise<void>;
  refuse(errors: readonly string[]): void;
}

export interface ConfigSyncOptions extends ConfigHouse {
  readonly connection: Connection;
  readonly names: FleetNames;
  readonly replicas: number;
  /** `cluster.name`. */
  readonly fleet: string;
  readonly node: string;
  readonly audit: AuditTrail;
  readonly log: ClusterLog;
}

/** A part of `/status/cluster`. */
export interface ConfigSyncStatus {
  readonly bucket: string;
  /** Sequence of the last change that has been read; 0 = none has. */
  readonly revision: number;
  readonly entries: number;
  /** Is the bucket the source of the resources? */
  readonly seeded: boolean;
  readonly problem: string;
}

export class ConfigSync {
  readonly bucket: ConfigBucket;
  readonly #options: ConfigSyncOptions;
  readonly #snapshots: SnapshotKeeper;
  readonly #stopping = new AbortController();
  /** The state that was last read as a whole. */
  #at = "";
  #errors: readonly ConfigError[] = [];
  #seeding = false;
  #byHand: NodeJS.Timeout | null = null;
  #problem = "";

  constructor(options: ConfigSyncOptions) {
    this.#options = options;
    const { connection, names, replicas, path, log } = options;
    this.#snapshots = new SnapshotKeeper(path, log);
    this.bucket = new ConfigBucket({ connection, names, replicas, log, onChange: () => this.#changed() });
  }

  /** Begins, and returns at once. */
  start(): void {
    this.bucket.start();
  }

  /** Resolves when the last good set is on file. Never rejects. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.bucket.stop();
    if (this.#byHand !== null) clearTimeout(this.#byHand);
    await this.#snapshots.stop();
  }

  /** What is wrong with what is in the bucket now; [] = it is in force. */
  get errors(): readonly ConfigError[] {
    this.bucket.settle();
    return this.#errors;
  }

  /** Resolves when what has been read up to now is in force on every acceptor of this node, or refused. */
  settled(): Promise<void> {
    this.bucket.settle();
    return this.#options.settled();
  }

  /** Why nothing can be written now; "" = it can be. */
  get obstacle(): string {
    const { open, state } = this.bucket;
    if (open === null || state === null) return this.bucket.problem || "NATS cannot be reached.";
    if (state.problem !== "") return `The bucket ${state.problem}.`;
    return this.#isSeeding ? "The resources are being put into NATS." : "";
  }

  /** Will it be possible to write in a moment, as far as can be told? */
  get isComing(): boolean {
    if (this.bucket.open !== null) return this.#isSeeding;
    return this.#options.connection.live !== null && this.bucket.problem === "";
  }

  get #isSeeding(): boolean {
    return this.bucket.state?.seeded === false && this.#options.given() !== null;
  }

  get status(): ConfigSyncStatus {
    const { state, problem } = this.bucket;
    return {
      bucket: this.#options.names.configBucket,
      revision: state?.revision ?? 0,
      entries: state?.entries.size ?? 0,
      seeded: state?.seeded ?? false,
      problem: problem || this.#problem,
    };
  }

  #changed(): void {
    const { state } = this.bucket;
    if (state === null || this.#stopping.signal.aborted) return;
    if (state.seeded) {
      this.#offer(state);
      return;
    }
    // A bucket that was in use and is empty now is filled with what was last in it.
    const given = this.#options.given();
    if (given === null) this.#waitForHands(state);
    else void this.#seed(given);
  }

  #offer(state: ConfigState): void {
    const { read, take, refuse } = this.#options;
    const at = `${state.stream} ${state.revision} ${state.entries.size}`;
    if (at === this.#at) return;
    this.#at = at;
    const set = readStored(state.entries.values(), read, revisionOf(at));
    this.#errors = set.ok ? [] : set.errors;
    if (state.problem !== "") this.#errors = [{ file: SOURCE, path: "", message: state.problem, line: null }];
    if (this.#errors.length > 0 || !set.ok) {
      refuse(this.#errors.map(renderError));
      return;
    }
    const { revision } = state;
    if (!take({ ...set.value, source: SOURCE, revision: String(revision) })) {
      this.#errors = [{ file: SOURCE, path: "", message: "cannot be put in force, see /status/config", line: null }];
      return;
    }
    this.#snapshots.keep({ fleet: this.#options.fleet, revision, entries: plainEntries(set.value.entries) });
  }

  async #seed(entries: readonly RawEntry[]): Promise<void> {
    const { open } = this.bucket;
    if (this.#seeding || open === null) return;
    this.#seeding = true;
    const { log, node } = this.#options;
    try {
      const created = await seedEntries(open, entries);
      const revision = await markSeeded(open, node);
      this.#problem = "";
      if (created > 0) log.info({ created, of: entries.length }, "the resources of this node were put into NATS");
      if (revision !== null) this.#auditSeed(entries, revision);
    } catch (error) {
      const reason = reasonOf(error);
      if (reason !== this.#problem && !open.live.lost.aborted) {
        log.error({ reason }, "the resources cannot be put into NATS; trying on");
      }
      this.#problem = reason;
      setTimeout(() => this.#changed(), SEED_AGAIN_MS).unref();
    } finally {
      this.#seeding = false;
    }
  }

  #auditSeed(entries: readonly RawEntry[], revision: number): void {
    const collections = [...new Set(entries.map(({ collection }) => collection))];
    const { audit, node } = this.#options;
    const change = { collection: "*", name: "*", action: "seed", revision, changed: collections } as const;
    audit.record({ ...change, node, admin: "", address: "" });
  }

  #waitForHands(state: ConfigState): void {
    if (this.#byHand !== null) clearTimeout(this.#byHand);
    this.#byHand = null;
    if (state.entries.size === 0) return;
    this.#byHand = setTimeout(() => {
      const { open } = this.bucket;
      if (open !== null) void markSeeded(open, this.#options.node).catch(() => this.#waitForHands(state));
    }, BY_HAND_MS);
    this.#byHand.unref();
  }
}

/** Tells sets apart over buckets that count anew; what is made for one is never used for another. */
function revisionOf(at: string): string {
  return createHash("sha256").update(at).digest("hex").slice(0, 12);
}

function plainEntries(entries: readonly RawEntry[]): RawEntry[] {
  return entries.map(({ collection, name, value }) => ({ collection, name, value }));
}
