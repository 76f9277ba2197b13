/** The fleet's usage as others see it, over NATS: for the command line. */
import type { UsageEvent } from "../usage/event.js";
import { addTo, noSums, type Sums } from "../usage/summary.js";
import { Connection, type KV, type Live, type NatsSettings } from "./connection.js";
import { type ClusterLog, reasonOf } from "./log.js";
import { parseRollup, type Rollup } from "./rollup-entry.js";
import { readStream } from "./stream-reader.js";
import { type FleetNames, fleetNames, ROLLUP_POSITION, rollupKey } from "./subjects.js";
import { delay } from "./time.js";
import { eventOfMessage } from "./usage-message.js";
import { positionIn, readPosition } from "./usage-rollup.js";
import { findStream } from "./jetstream.js";

const CONNECT_MS = 5_000;
const RETRY_MS = 500;

/** Something that the person at the command line can mend. */
export class UsageReaderError extends Error {}

/** Sums of one key, model and day. */
export interface RollupRow {
  readonly day: string;
  readonly key: string;
  readonly model: string;
  readonly sums: Readonly<Sums>;
}

const SILENT: ClusterLog = { info: () => {}, warn: () => {}, error: () => {} };

export class UsageReader {
  readonly #connection: Connection;
  readonly #names: FleetNames;
  /** Nothing else keeps the process alive while there is no connection. */
  readonly #alive = setInterval(() => {}, 60_000);

  private constructor(connection: Connection, names: FleetNames) {
    this.#connection = connection;
    this.#names = names;
  }

  /** Rejects with `UsageReaderError` when NATS does not answer within seconds. */
  static async open(fleet: string, nats: NatsSettings): Promise<UsageReader> {
    const names = fleetNames(fleet);
    const connection = new Connection({ nats, name: `${fleet} usage`, inbox: names.readerInbox, log: SILENT });
    const reader = new UsageReader(connection, names);
    connection.start();
    const live = await connection.whenLive(AbortSignal.timeout(CONNECT_MS));
    if (live !== null) return reader;
    const reason = connection.problem || "it does not answer";
    await reader.close();
    throw new UsageReaderError(`NATS cannot be reached at ${nats.servers.join(", ")}: ${reason}`);
  }

  /** Every event of the stream, or those from now on, until the signal aborts; a lost connection is waited for. */
  async *tail({ fromStart, signal }: { fromStart: boolean; signal: AbortSignal }): AsyncGenerator<UsageEvent> {
    let next = fromStart ? 1 : (await this.#state()).last_seq + 1;
    while (!signal.aborted) {
      const live = await this.#connection.whenLive(signal);
      if (live === null) return;
      try {
        const options = { stream: this.#names.usageStream, from: next, until: null, signal };
        for await (const { sequence, data } of readStream(live, options)) {
          next = sequence + 1;
          const event = eventOfMessage(data);
          if (event !== null) yield event;
        }
      } catch (error) {
        if (!live.lost.aborted) throw new UsageReaderError(`the stream cannot be read: ${reasonOf(error)}`);
      }
      await delay(RETRY_MS, signal);
    }
  }

  /** What has been used on `since`'s day (YYYY-MM-DD; "" = ever) and later, up to now. */
  async rows(since: string, signal: AbortSignal): Promise<RollupRow[]> {
    const live = this.#live();
    const { created, last_seq } = await this.#state();
    const bucket = await this.#bucket(live);
    // Read before the entries: what is added up meanwhile is then passed over, not missed.
    const position = bucket === null ? 0 : positionIn(await readPosition(bucket), created);
    const rollups = bucket === null ? new Map<string, Rollup>() : await readRollups(bucket);
    const rows = new Map<string, RollupRow & { readonly sums: Sums }>();
    for (const [key, { day, key: apiKey, model, sums }] of rollups) {
      rows.set(key, { day, key: apiKey, model, sums: { ...sums } });
    }
    const { usageStream: stream } = this.#names;
    for await (const { sequence, data } of readStream(live, { stream, from: position + 1, until: last_seq, signal })) {
      const event = eventOfMessage(data);
      if (event === null) continue;
      const day = event.time.slice(0, 10);
      const key = rollupKey(day, event.api_key, event.model);
      const added = rollups.get(key);
      if (added !== undefined && added.stream === created && sequence <= added.sequence) continue;
      let row = rows.get(key);
      if (row === undefined) {
        row = { day, key: event.api_key, model: event.model, sums: noSums() };
        rows.set(key, row);
      }
      addTo(row.sums, event);
    }
    return [...rows.values()].filter(({ day }) => day >= since);
  }

  async close(): Promise<void> {
    await this.#connection.stop();
    clearInterval(this.#alive);
  }

  #live(): Live {
    const { live } = this.#connection;
    if (live === null) throw new UsageReaderError("the connection to NATS was lost");
    return live;
  }

  async #state(): Promise<{ readonly created: string; readonly last_seq: number }> {
    const { usageStream } = this.#names;
    const found = await findStream(this.#live().manager, usageStream).catch((error: unknown) => {
      throw new UsageReaderError(`the stream ${usageStream} cannot be read: ${reasonOf(error)}`);
    });
    if (found === null) throw new UsageReaderError(`there is no stream ${usageStream}: no node has made it yet`);
    return { created: found.created, last_seq: found.state.last_seq };
  }

  /** null = nothing has been added up yet. */
  async #bucket({ js, manager }: Live): Promise<KV | null> {
    const { rollupBucket } = this.#names;
    try {
      if ((await findStream(manager, `KV_${rollupBucket}`)) === null) return null;
      const bucket = await js.views.kv(rollupBucket, { bindOnly: true });
      await bucket.status();
      return bucket;
    } catch (error) {
      throw new UsageReaderError(`the bucket ${rollupBucket} cannot be read: ${reasonOf(error)}`);
    }
  }
}

/** All entries as they are now. */
async function readRollups(bucket: KV): Promise<Map<string, Rollup>> {
  const rollups = new Map<string, Rollup>();
  const { values } = await bucket.status();
  if (values === 0) return rollups;
  // The client tells the end in between two entries, or before it hands out the first one.
  let isTold = false;
  let stop = (): void => {};
  const entries = await bucket.watch({
    initializedFn: () => {
      isTold = true;
      stop();
    },
  });
  const waiting = isTold ? entries.getReceived() : Number.POSITIVE_INFINITY;
  stop = () => entries.stop();
  let seen = 0;
  for await (const { key, value, operation } of entries) {
    seen += 1;
    const rollup = key === ROLLUP_POSITION || operation !== "PUT" ? null : parseRollup(value);
    if (rollup !== null) rollups.set(key, rollup);
    if (seen >= waiting) break;
  }
  return rollups;
}
