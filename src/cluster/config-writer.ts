/**
 * Changes the resources in the bucket. A change is checked as part of the whole set, and NATS takes it only over the
 * very state that it was checked against: of two nodes that change at once, one looks again. One change at a time.
 */
import { isDeepStrictEqual } from "node:util";
import type { ConfigError } from "../config/result.js";
import type { CollectionName } from "../config/schema.js";
import { changedPaths } from "./audit-changes.js";
import type { AuditTrail } from "./audit.js";
import type { ConfigState, OpenBucket } from "./config-bucket.js";
import { configKey, entryBytes, type ReadEntries, readStored, type StoredEntry } from "./config-entries.js";
import { markSeeded } from "./config-seed.js";
import type { ConfigSync } from "./config-sync.js";
import { ErrorCode, headers, NatsError } from "./connection.js";
import { type ClusterLog, reasonOf } from "./log.js";
import type { FleetNames } from "./subjects.js";
import { WRONG_SEQUENCE, errorCode } from "./jetstream.js";

const PATIENCE_MS = 5_000;
const PUBLISH_MS = 2_000;
const SEEN_MS = 2_000;
const COMING_MS = 100;
/** Whoever has waited so long for the changes before is told to come again. */
const QUEUE_MS = 10_000;
/** What NATS was silent about is looked for so long. */
const DOUBT_MS = 600_000;

/** What shall become of one entry; null as a value: it goes. */
export interface ConfigChange {
  readonly collection: CollectionName;
  readonly name: string;
  readonly action: "put" | "delete" | "create_key";
  /** Who asks: the admin key's hash, shortened, and an address. */
  readonly admin: string;
  readonly address: string;
  /** Decides by what is there now; asked again when somebody else was faster. */
  decide(current: StoredEntry | null): { readonly value: Readonly<Record<string, unknown>> | null } | Denied;
}

/** The asker's own conditions are not met. */
export interface Denied {
  readonly kind: "missing" | "unmet" | "wrong";
  readonly errors: readonly ChangeError[];
}

export interface ChangeError {
  readonly path: string;
  readonly message: string;
}

export type ChangeOutcome =
  | {
      readonly kind: "written";
      readonly revision: number;
      readonly created: boolean;
      readonly value: unknown;
      /** Why it is not in force all the same: others' entries are wrong. */
      readonly errors: readonly ChangeError[];
    }
  | Denied
  /** The resources would be wrong with it. */
  | { readonly kind: "refused"; readonly deletes: boolean; readonly errors: readonly ChangeError[] }
  /** Now is not the time. */
  | { readonly kind: "away"; readonly reason: string }
  /** Not here: the resources come from elsewhere. */
  | { readonly kind: "elsewhere"; readonly reason: string };

export interface ConfigWriterOptions {
  readonly sync: ConfigSync;
  readonly names: FleetNames;
  readonly node: string;
  readonly read: ReadEntries;
  readonly audit: AuditTrail;
  readonly log: ClusterLog;
}

interface Attempt {
  readonly change: ConfigChange;
  readonly open: OpenBucket;
  readonly state: ConfigState;
  readonly key: string;
  readonly before: StoredEntry | null;
  readonly value: Readonly<Record<string, unknown>> | null;
}

export class ConfigWriter {
  readonly #options: ConfigWriterOptions;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(options: ConfigWriterOptions) {
    this.#options = options;
  }

  /** Never rejects. What it answers as written is in force on this node, and seen by the next change. */
  change(change: ConfigChange): Promise<ChangeOutcome> {
    const until = performance.now() + QUEUE_MS;
    const done = this.#queue.then((): ChangeOutcome | Promise<ChangeOutcome> => {
      if (performance.now() > until) return { kind: "away", reason: "Other changes take too long." };
      return this.#change(change).catch((error: unknown) => ({ kind: "away", reason: reasonOf(error) }));
    });
    this.#queue = done;
    return done;
  }

  async #change(change: ConfigChange): Promise<ChangeOutcome> {
    const { sync } = this.#options;
    const { bucket } = sync;
    const key = configKey(change.collection, change.name);
    const until = performance.now() + PATIENCE_MS;
    while (sync.isComing && performance.now() < until) {
      await bucket.reached((bucket.state?.revision ?? 0) + 1, COMING_MS);
    }
    while (performance.now() < until) {
      const { open, state } = bucket;
      const { obstacle } = sync;
      if (open === null || state === null || obstacle !== "") return { kind: "away", reason: obstacle };
      const before = state.entries.get(key) ?? null;
      const decision = change.decide(before);
      if ("kind" in decision) return decision;
      const { value } = decision;
      if (before !== null && value !== null && isDeepStrictEqual(before.value, value)) {
        return { kind: "written", revision: before.revision, created: false, value, errors: plainErrors(sync.errors) };
      }
      const { revision } = state;
      const outcome = await this.#attempt({ change, open, state, key, before, value });
      if (outcome !== null) return outcome;
      await bucket.reached(revision + 1, PUBLISH_MS);
    }
    return { kind: "away", reason: "Others change the resources all the time." };
  }

  /** null: somebody else has changed something meanwhile. */
  async #attempt(attempt: Attempt): Promise<ChangeOutcome | null> {
    const { open, state, value } = attempt;
    const { sync, node } = this.#options;
    const errors = this.#newErrors(attempt);
    if (errors.length > 0) return { kind: "refused", deletes: value === null, errors };
    const { seeded, revision: before } = state;
    let revision: number;
    try {
      revision = await this.#publish(attempt);
    } catch (error) {
      if (errorCode(error) === WRONG_SEQUENCE) return null;
      if (!isTooLarge(error)) {
        if (errorCode(error) === 0) void this.#tellIfWritten(attempt, before + 1);
        throw error;
      }
      return { kind: "refused", deletes: false, errors: [{ path: "", message: "is larger than what NATS takes" }] };
    }
    this.#tell(attempt, revision);
    const last = seeded ? revision : ((await markSeeded(open, node)) ?? revision);
    await sync.bucket.reached(last, SEEN_MS);
    await sync.settled();
    return { kind: "written", revision, created: attempt.before === null, value, errors: plainErrors(sync.errors) };
  }

  /** Errors that are there already do not keep anybody from mending one of them. */
  #newErrors({ change, state, key, value }: Attempt): ChangeError[] {
    const { sync, read } = this.#options;
    const known = new Set(sync.errors.map(({ path, message }) => `${path}: ${message}`));
    const entries = new Map(state.entries);
    const { collection, name } = change;
    if (value === null) entries.delete(key);
    else entries.set(key, { collection, name, value, revision: 0, problem: "" });
    const set = readStored(entries.values(), read, "");
    return set.ok ? [] : plainErrors(set.errors).filter(({ path, message }) => !known.has(`${path}: ${message}`));
  }

  async #publish({ open, state, key, value }: Attempt): Promise<number> {
    const subject = `$KV.${this.#options.names.configBucket}.${key}`;
    const how = { timeout: PUBLISH_MS, expect: { lastSequence: state.revision } };
    if (value !== null) return (await open.live.js.publish(subject, entryBytes(value), how)).seq;
    const gone = headers();
    gone.set("KV-Operation", "DEL");
    return (await open.live.js.publish(subject, new Uint8Array(), { ...how, headers: gone })).seq;
  }

  /** NATS has not said whether it took the change; if it did, it is the one of this revision, and goes on record. */
  async #tellIfWritten(attempt: Attempt, revision: number): Promise<void> {
    const { bucket } = this.#options.sync;
    const { stream } = attempt.state;
    await bucket.reached(revision, DOUBT_MS);
    const { state } = bucket;
    if (state === null || state.stream !== stream || state.revision < revision) return;
    const entry = state.entries.get(attempt.key);
    const isThere = entry?.revision === revision && isDeepStrictEqual(entry.value, attempt.value);
    if (attempt.value === null ? entry === undefined : isThere) this.#tell(attempt, revision);
  }

  #tell({ change, before, value }: Attempt, revision: number): void {
    const { audit, node, log } = this.#options;
    const { collection, name, action, admin, address } = change;
    const changed = changedPaths(before?.value ?? null, value);
    audit.record({ collection, name, action, revision, node, admin, address, changed });
    log.info({ collection, name, action, revision, admin, address }, "a resource was changed");
  }
}

function plainErrors(errors: readonly ConfigError[]): ChangeError[] {
  return errors.map(({ path, message }) => ({ path, message }));
}

function isTooLarge(error: unknown): boolean {
  return error instanceof NatsError && error.code === ErrorCode.MaxPayloadExceeded;
}
