/**
 * The bucket of the shared answers: a stream that lets the oldest go when it is full, in the servers' memory. Answers
 * can be had again, so nothing is lost with it that matters, and none of them gets onto a disk.
 */
import type { PurgeFilter } from "../cache/store.js";
import {
  type Connection,
  DiscardPolicy,
  headers,
  type Live,
  NatsError,
  nanos,
  RetentionPolicy,
  StorageType,
  type StreamInfo,
} from "./connection.js";
import { readStream } from "./stream-reader.js";
import { CACHE_PURGES, cacheEntryKey, cacheEntryKeys, type FleetNames, token } from "./subjects.js";
import { NO_MESSAGE, WRONG_SEQUENCE, errorCode, findStream } from "./jetstream.js";

/** Says whose answer it is, so that nobody has to read it for that. */
const OWNER = "Weir-Key";
const NOTHING = new Uint8Array(0);
/** Nobody waits for so long; it says that something is wrong with NATS. */
const READ_MS = 1_000;
const TOO_LONG = "MAX_PAYLOAD_EXCEEDED";
const WRITE_MS = 2_000;
const WRITES = 5;
const LONGEST_DEDUPE_MS = 120_000;
/** Answers deleted at once. */
const DELETES = 16;

export interface CacheBucketSettings {
  readonly replicas: number;
  readonly max_bytes: number;
  /** Milliseconds. */
  readonly max_age_ms: number;
}

/** Where an answer stands. */
export interface Place {
  readonly policy: string;
  readonly model: string;
  /** The fingerprint of its request, 32 bytes. */
  readonly key: Uint8Array;
}

/** The bucket over one connection. Everything rejects when NATS refuses, or is silent. */
export class CacheBucket {
  readonly live: Live;
  readonly #connection: Pick<Connection, "request">;
  readonly #stream: string;
  readonly #prefix: string;

  private constructor(live: Live, connection: Pick<Connection, "request">, names: FleetNames) {
    this.live = live;
    this.#connection = connection;
    this.#stream = streamOf(names);
    this.#prefix = prefixOf(names);
  }

  /** Makes the bucket where it is missing, and brings it to these settings. */
  static async open(
    live: Live,
    connection: Pick<Connection, "request">,
    { names, settings }: { readonly names: FleetNames; readonly settings: CacheBucketSettings },
  ): Promise<CacheBucket> {
    await ensure(live, names, settings);
    return new CacheBucket(live, connection, names);
  }

  /** The bytes of an answer, from whatever server has them; null = there is none. */
  async read({ policy, model, key }: Place): Promise<Uint8Array | null> {
    const subject = this.#prefix + cacheEntryKey(policy, model, key);
    // An answer's head says that there is none; then it has no body either.
    const bytes = await this.#connection.request(`$JS.API.DIRECT.GET.${this.#stream}.${subject}`, NOTHING, READ_MS);
    return bytes.length === 0 ? null : bytes;
  }

  /** False: the servers take no message of this length. */
  async write({ policy, model, key }: Place, apiKey: string, bytes: Uint8Array): Promise<boolean> {
    const owner = headers();
    owner.set(OWNER, token(apiKey));
    const subject = this.#prefix + cacheEntryKey(policy, model, key);
    try {
      await this.live.js.publish(subject, bytes, { headers: owner, timeout: WRITE_MS });
      return true;
    } catch (error) {
      if (error instanceof NatsError && error.code === TOO_LONG) return false;
      throw error;
    }
  }

  /** What is recorded of purges; null = nothing. */
  async readPurges(): Promise<Uint8Array | null> {
    return (await this.#purges())?.data ?? null;
  }

  /** `renew` is given what is there, and answers what shall be; again, when somebody else was faster. */
  async renewPurges(renew: (recorded: Uint8Array | null) => Uint8Array): Promise<void> {
    const subject = this.#prefix + CACHE_PURGES;
    for (let writes = 1; ; writes += 1) {
      const recorded = await this.#purges();
      const expect = { lastSubjectSequence: recorded?.sequence ?? 0 };
      try {
        await this.live.js.publish(subject, renew(recorded?.data ?? null), { expect, timeout: WRITE_MS });
        return;
      } catch (error) {
        if (errorCode(error) !== WRONG_SEQUENCE || writes === WRITES) throw error;
      }
    }
  }

  /** Deletes the answers that the filter fits; no answer is read for it. */
  async purge({ policy, model, apiKey }: PurgeFilter, signal: AbortSignal): Promise<void> {
    const { manager } = this.live;
    const subject = this.#prefix + cacheEntryKeys(policy, model);
    if (apiKey === undefined) {
      await manager.streams.purge(this.#stream, { filter: subject });
      return;
    }
    const { state } = await manager.streams.info(this.#stream);
    const range = { stream: this.#stream, subject, from: state.first_seq, until: state.last_seq };
    const owner = token(apiKey);
    let deleting: Promise<unknown>[] = [];
    for await (const { sequence, id } of readStream(this.live, {
      ...range,
      header: OWNER,
      headersOnly: true,
      signal,
    })) {
      if (id !== owner) continue;
      deleting.push(manager.streams.deleteMessage(this.#stream, sequence, false).catch(goneAnyway));
      if (deleting.length < DELETES) continue;
      await Promise.all(deleting);
      deleting = [];
    }
    await Promise.all(deleting);
  }

  async #purges(): Promise<{ readonly sequence: number; readonly data: Uint8Array } | null> {
    try {
      const subject = this.#prefix + CACHE_PURGES;
      const { seq, data } = await this.live.manager.streams.getMessage(this.#stream, { last_by_subj: subject });
      return { sequence: seq, data };
    } catch (error) {
      if (errorCode(error) === NO_MESSAGE) return null;
      throw error;
    }
  }
}

function streamOf({ cacheBucket }: FleetNames): string {
  return `KV_${cacheBucket}`;
}

function prefixOf({ cacheBucket }: FleetNames): string {
  return `$KV.${cacheBucket}.`;
}

async function ensure({ manager }: Live, names: FleetNames, settings: CacheBucketSettings): Promise<StreamInfo> {
  const name = streamOf(names);
  const wanted = {
    subjects: [`${prefixOf(names)}>`],
    num_replicas: settings.replicas,
    max_bytes: settings.max_bytes,
    max_age: nanos(settings.max_age_ms),
    max_msgs_per_subject: 1,
    duplicate_window: nanos(Math.min(settings.max_age_ms, LONGEST_DEDUPE_MS)),
    discard: DiscardPolicy.Old,
    allow_direct: true,
  };
  const found = await findStream(manager, name);
  if (found === null) {
    return manager.streams.add({ name, retention: RetentionPolicy.Limits, storage: StorageType.Memory, ...wanted });
  }
  const { config } = found;
  const same =
    config.num_replicas === wanted.num_replicas &&
    config.max_bytes === wanted.max_bytes &&
    config.max_age === wanted.max_age &&
    config.allow_direct;
  return same ? found : manager.streams.update(name, { ...config, ...wanted });
}

/** Somebody was faster, or its time was over; a connection that is lost tells the reader. */
function goneAnyway(error: unknown): void {
  if (!(error instanceof NatsError) || error.api_error === undefined) throw error;
}
