/**
 * Adds the usage stream up into the bucket, for each key, model and day. One node does it for all; when two think
 * that it is theirs, nothing is counted twice: an entry says up to which sequence of the stream it has been added,
 * and is written only over the revision that was read.
 */
import type { KV, Live } from "./connection.js";
import type { Connection } from "./connection.js";
import { type ClusterLog, reasonOf } from "./log.js";
import type { Membership } from "./membership.js";
import { emptyRollup, parsePosition, parseRollup, type Placed, positionBytes, type Rollup } from "./rollup-entry.js";
import { rollupBytes, type RollupPosition, withEvents } from "./rollup-entry.js";
import { readStream } from "./stream-reader.js";
import { type FleetNames, ROLLUP_POSITION, rollupDay, rollupKey } from "./subjects.js";
import { delay } from "./time.js";
import { eventOfMessage } from "./usage-message.js";
import { findStream } from "./jetstream.js";
import { rollupBucket, type UsageStreamSettings } from "./usage-setup.js";

const PERIOD_MS = 2_000;
const BATCH = 5_000;
/** Entries written at once. */
const WIDTH = 32;
const TRIES = 5;
/** Callers choose the names of models: more combinations a day than this are added up together. */
const MAX_PER_DAY = 20_000;
const OTHER = "(other)";
const KEPT_ENTRIES = 20_000;

export interface UsageRollupOptions {
  readonly connection: Connection;
  readonly membership: Membership;
  readonly names: FleetNames;
  readonly settings: UsageStreamSettings;
  readonly log: ClusterLog;
}

interface Known {
  readonly rollup: Rollup;
  readonly revision: number;
}

/** What belongs into one entry. */
interface Share {
  readonly place: Pick<Rollup, "day" | "key" | "model">;
  readonly placed: Placed[];
}

export class UsageRollup {
  readonly #options: UsageRollupOptions;
  readonly #stopping = new AbortController();
  /** Entries as they were last written or read; a wrong one is noticed by its revision. */
  readonly #known = new Map<string, Known>();
  /** Keys of the entries of a day. */
  readonly #days = new Map<string, Set<string>>();
  #bucket: { readonly live: Live; readonly kv: KV } | null = null;
  #problem = "";

  constructor(options: UsageRollupOptions) {
    this.#options = options;
  }

  /** Begins, and returns at once. */
  start(): void {
    void this.#run();
  }

  stop(): void {
    this.#stopping.abort();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    const { connection, membership } = this.#options;
    while (!signal.aborted) {
      await delay(PERIOD_MS, signal);
      const live = connection.live;
      if (live === null || signal.aborted || !membership.isFirst) continue;
      try {
        while (await this.#addBatch(live)) if (signal.aborted || live.lost.aborted) break;
        this.#problem = "";
      } catch (error) {
        this.#failed(error, live);
      }
    }
  }

  /** True: there may be more. */
  async #addBatch(live: Live): Promise<boolean> {
    const { names, settings } = this.#options;
    const stream = await findStream(live.manager, names.usageStream);
    if (stream === null || stream.state.last_seq === 0) return false;
    if (this.#bucket?.live !== live) this.#bucket = { live, kv: await rollupBucket(live, names, settings) };
    const bucket = this.#bucket.kv;
    const from = positionIn(await readPosition(bucket), stream.created);
    const until = Math.min(stream.state.last_seq, Math.max(from, stream.state.first_seq - 1) + BATCH);
    if (until <= from) return false;
    const { signal } = this.#stopping;
    const shares = new Map<string, Share>();
    let sequence = from;
    const messages = readStream(live, { stream: names.usageStream, from: from + 1, until, signal });
    for await (const message of messages) {
      sequence = message.sequence;
      const event = eventOfMessage(message.data);
      if (event !== null) await this.#share(bucket, shares, { sequence, event });
    }
    // Cut short: what was read is added up all the same.
    if (sequence === from) return false;
    await this.#addShares(bucket, stream.created, shares);
    await bucket.put(ROLLUP_POSITION, positionBytes({ stream: stream.created, sequence }));
    return sequence >= until && until < stream.state.last_seq;
  }

  async #share(bucket: KV, shares: Map<string, Share>, placed: Placed): Promise<void> {
    const { time, api_key, model } = placed.event;
    const day = time.slice(0, 10);
    let place = { day, key: api_key, model };
    const present = await this.#keysOf(bucket, day);
    let key = rollupKey(day, api_key, model);
    if (present.size >= MAX_PER_DAY && !present.has(key)) {
      place = { day, key: OTHER, model: OTHER };
      key = rollupKey(day, OTHER, OTHER);
    }
    present.add(key);
    const share = shares.get(key);
    if (share === undefined) shares.set(key, { place, placed: [placed] });
    else share.placed.push(placed);
  }

  async #keysOf(bucket: KV, day: string): Promise<Set<string>> {
    let keys = this.#days.get(day);
    if (keys !== undefined) return keys;
    keys = new Set();
    for await (const key of await bucket.keys(rollupDay(day))) keys.add(key);
    // Events come in the order of their days, more or less.
    const oldest = this.#days.keys().next();
    if (this.#days.size >= 3 && oldest.done !== true) this.#days.delete(oldest.value);
    this.#days.set(day, keys);
    return keys;
  }

  async #addShares(bucket: KV, stream: string, shares: ReadonlyMap<string, Share>): Promise<void> {
    const queue = shares.entries();
    const lane = async (): Promise<void> => {
      for (let next = queue.next(); next.done !== true; next = queue.next()) {
        const [key, share] = next.value;
        await this.#addShare(bucket, stream, { key, share });
      }
    };
    await Promise.all(Array.from({ length: WIDTH }, lane));
    if (this.#known.size > KEPT_ENTRIES) this.#known.clear();
  }

  async #addShare(bucket: KV, stream: string, { key, share }: { key: string; share: Share }): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      const known = this.#known.get(key) ?? (await readEntry(bucket, key));
      const before = known?.rollup ?? emptyRollup(share.place, stream);
      const rollup = withEvents(before, stream, share.placed);
      if (rollup === before) return;
      try {
        const bytes = rollupBytes(rollup);
        const revision =
          known === null ? await bucket.create(key, bytes) : await bucket.update(key, bytes, known.revision);
        this.#known.set(key, { rollup, revision });
        return;
      } catch (error) {
        // Somebody else wrote it meanwhile, or our own writing was not acknowledged: what is there now decides.
        this.#known.delete(key);
        if (tries === TRIES) throw error;
      }
    }
  }

  #failed(error: unknown, live: Live): void {
    this.#known.clear();
    this.#days.clear();
    // Somebody may have deleted it.
    this.#bucket = null;
    const reason = reasonOf(error);
    if (live.lost.aborted || this.#stopping.signal.aborted || reason === this.#problem) return;
    this.#options.log.warn({ reason }, "usage is not added up in NATS");
    this.#problem = reason;
  }
}

async function readEntry(bucket: KV, key: string): Promise<Known | null> {
  const entry = await bucket.get(key);
  if (entry === null || entry.operation !== "PUT") return null;
  const rollup = parseRollup(entry.value);
  if (rollup === null) throw new Error(`the entry ${key} of the bucket cannot be read`);
  return { rollup, revision: entry.revision };
}

/** null: nothing has been added up yet. */
export async function readPosition(bucket: KV): Promise<RollupPosition | null> {
  const entry = await bucket.get(ROLLUP_POSITION);
  return entry === null ? null : parsePosition(entry.value);
}

/** The sequence up to which the stream that was made then is in the bucket. */
export function positionIn(position: RollupPosition | null, stream: string): number {
  return position === null || position.stream !== stream ? 0 : position.sequence;
}
