/**
 * Who changed which resource, and when: one message for each change, in a stream. A change is in force before it is
 * on record; what cannot be put on record is tried again for as long as the node lives.
 */
import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { Connection, Live } from "./connection.js";
import { DiscardPolicy, nanos, RetentionPolicy, StorageType } from "./connection.js";
import { type ClusterLog, reasonOf } from "./log.js";
import { readStream } from "./stream-reader.js";
import type { FleetNames } from "./subjects.js";
import { delay, within } from "./time.js";
import { findStream } from "./jetstream.js";

const YEAR_MS = 365 * 86_400_000;
const MAX_BYTES = 100 * 1024 * 1024;
const MAX_WAITING = 1_000;
const RETRY_MS = 1_000;
const FINISH_MS = 1_000;
const READ_MS = 5_000;

/** What happened. `*` as collection and name: the resources as a whole. */
export interface AuditedChange {
  readonly collection: string;
  readonly name: string;
  readonly action: "put" | "delete" | "create_key" | "seed";
  readonly revision: number;
  readonly node: string;
  /** The beginning of the hash of the admin key; "" = none was needed. */
  readonly admin: string;
  readonly address: string;
  /** Places, never values. */
  readonly changed: readonly string[];
}

export interface AuditRecord extends AuditedChange {
  readonly v: 1;
  /** RFC 3339. */
  readonly time: string;
}

const recordSchema = z.looseObject({
  v: z.literal(1),
  time: z.string(),
  collection: z.string(),
  name: z.string(),
  action: z.string(),
  revision: z.number(),
  node: z.string(),
  admin: z.string(),
  address: z.string(),
  changed: z.array(z.string()),
});

/** A part of `/status/cluster`. */
export interface AuditStatus {
  readonly stream: string;
  /** Changes that are not on record yet. */
  readonly waiting: number;
  readonly problem: string;
}

export interface AuditTrailOptions {
  readonly connection: Connection;
  readonly names: FleetNames;
  readonly replicas: number;
  readonly log: ClusterLog;
}

export class AuditTrail {
  readonly #options: AuditTrailOptions;
  readonly #stopping = new AbortController();
  readonly #waiting: { readonly id: string; readonly record: AuditRecord }[] = [];
  /** The connection over which the stream is known to be there. */
  #ready: Live | null = null;
  #work: Promise<void> | null = null;
  #problem = "";

  constructor(options: AuditTrailOptions) {
    this.#options = options;
  }

  get status(): AuditStatus {
    return { stream: this.#options.names.auditStream, waiting: this.#waiting.length, problem: this.#problem };
  }

  /** Puts it on record, in a moment or later. */
  record(change: AuditedChange): void {
    const record: AuditRecord = { v: 1, time: new Date().toISOString(), ...change };
    if (this.#waiting.length >= MAX_WAITING) {
      const lost = this.#waiting.shift();
      this.#options.log.error({ ...lost?.record }, "a change of the resources was never put on record");
    }
    this.#waiting.push({ id: randomUUID(), record });
    this.#work ??= this.#sendAll();
  }

  /** The latest records, the newest first. Rejects when NATS is away. */
  async newest(limit: number): Promise<Readonly<Record<string, unknown>>[]> {
    const { connection, names } = this.#options;
    const { live } = connection;
    if (live === null) throw new Error("NATS cannot be reached.");
    const stream = await findStream(live.manager, names.auditStream);
    const records: Readonly<Record<string, unknown>>[] = [];
    if (stream === null || stream.state.messages === 0) return records;
    const { first_seq, last_seq } = stream.state;
    const from = Math.max(first_seq, last_seq - limit + 1);
    const signal = AbortSignal.timeout(READ_MS);
    for await (const { data } of readStream(live, { stream: names.auditStream, from, until: last_seq, signal })) {
      const record = recordOf(data);
      if (record !== null) records.push(record);
    }
    return records.reverse();
  }

  /** Sends what is left, for as long as that does not take long. Never rejects. */
  async stop(): Promise<void> {
    if (this.#work !== null) await within(FINISH_MS, this.#work);
    this.#stopping.abort();
  }

  async #sendAll(): Promise<void> {
    const { signal } = this.#stopping;
    while (this.#waiting.length > 0 && !signal.aborted) {
      const live = await this.#options.connection.whenLive(signal);
      if (live === null) break;
      try {
        await this.#sendFirst(live);
        this.#problem = "";
      } catch (error) {
        this.#ready = null;
        this.#failed(error);
        await delay(RETRY_MS, signal);
      }
    }
    // In the same turn as the last look at what waits: what comes next begins anew.
    this.#work = null;
  }

  async #sendFirst(live: Live): Promise<void> {
    const first = this.#waiting[0];
    if (first === undefined) return;
    if (this.#ready !== live) await this.#ensureStream(live);
    this.#ready = live;
    const { collection, name } = first.record;
    const bytes = Buffer.from(JSON.stringify(first.record), "utf8");
    await live.js.publish(this.#options.names.audit(collection, name), bytes, { msgID: first.id });
    if (this.#waiting[0] === first) this.#waiting.shift();
  }

  async #ensureStream({ manager }: Live): Promise<void> {
    const { names, replicas } = this.#options;
    if ((await findStream(manager, names.auditStream)) !== null) return;
    await manager.streams.add({
      name: names.auditStream,
      subjects: [names.auditAll],
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.Old,
      storage: StorageType.File,
      num_replicas: replicas,
      max_age: nanos(YEAR_MS),
      max_bytes: MAX_BYTES,
    });
  }

  #failed(error: unknown): void {
    const reason = reasonOf(error);
    if (reason !== this.#problem) {
      const waiting = this.#waiting.length;
      this.#options.log.error({ reason, waiting }, "changes of the resources are not on record; trying on");
    }
    this.#problem = reason;
  }
}

/** null: somebody else's. */
function recordOf(data: Uint8Array): Readonly<Record<string, unknown>> | null {
  try {
    const read = recordSchema.safeParse(JSON.parse(Buffer.from(data).toString("utf8")));
    return read.success ? read.data : null;
  } catch {
    return null;
  }
}
