/**
 * Following a bucket: read as a whole and then watched, begun anew with every connection and with every bucket, for as
 * long as the node lives. What is read belongs to whoever follows.
 */
import type { Connection, KV, KvEntry, Live } from "./connection.js";
import { type ClusterLog, reasonOf } from "./log.js";
import { delay } from "./time.js";

const CHECK_MS = 5_000;
const RETRY_MS = 500;

export interface FollowerOptions {
  readonly connection: Pick<Connection, "whenLive">;
  readonly log: ClusterLog;
  /** What is said when the bucket cannot be read. */
  readonly complaint: string;
  /** Opens the bucket and watches it; "aged": it is to be read anew, and nothing is lost. */
  readonly follow: (live: Live) => Promise<WatchEnd>;
  /** The connection went, or the bucket. */
  readonly onLost: () => void;
}

/** The time was over, or nothing more will be heard. */
export type WatchEnd = "aged" | "lost";

/** One watch over one bucket. */
export interface Watch {
  readonly live: Live;
  readonly kv: KV;
  /** All that was there has been told. */
  readonly onWhole: () => void;
  /** False: enough of this watch. */
  readonly onEntry: (entry: KvEntry) => boolean;
  /** Called now and then: aborts when the bucket is another one, or gone, of which watchers hear nothing. */
  readonly check: (again: AbortController) => Promise<void>;
  /** Milliseconds after which everything is to be read anew; none = never. */
  readonly lastsMs?: number;
}

export class BucketFollower {
  readonly #options: FollowerOptions;
  readonly #stopping = new AbortController();
  #problem = "";

  constructor(options: FollowerOptions) {
    this.#options = options;
  }

  /** Why the bucket cannot be read, as far as it is known. */
  get problem(): string {
    return this.#problem;
  }

  /** Aborts when it is stopped. */
  get signal(): AbortSignal {
    return this.#stopping.signal;
  }

  /** Begins, and returns at once. */
  start(): void {
    void this.#run();
  }

  stop(): void {
    this.#stopping.abort();
  }

  /** From the first entry to the end of the connection, of the bucket or of the time. */
  async watch({ live, kv, onWhole, onEntry, check, lastsMs }: Watch): Promise<WatchEnd> {
    const again = new AbortController();
    const over = AbortSignal.any([this.signal, live.lost, again.signal]);
    const watch = await kv.watch({
      initializedFn: () => {
        this.#problem = "";
        onWhole();
      },
    });
    let isAged = false;
    const stop = (): void => watch.stop();
    const age = (): void => {
      isAged = true;
      stop();
    };
    over.addEventListener("abort", stop);
    if (over.aborted) stop();
    const timers = [setInterval(() => void check(again), CHECK_MS)];
    if (lastsMs !== undefined) timers.push(setTimeout(age, lastsMs));
    for (const timer of timers) timer.unref();
    try {
      for await (const entry of watch) if (over.aborted || !onEntry(entry)) break;
    } finally {
      for (const timer of timers) clearTimeout(timer);
      over.removeEventListener("abort", stop);
      stop();
    }
    return isAged && !over.aborted ? "aged" : "lost";
  }

  async #run(): Promise<void> {
    const { signal } = this;
    while (!signal.aborted) {
      const live = await this.#options.connection.whenLive(signal);
      if (live === null) return;
      let end: WatchEnd = "lost";
      try {
        end = await this.#options.follow(live);
      } catch (error) {
        this.#failed(error, live);
      }
      if (end === "aged") continue;
      this.#options.onLost();
      await delay(RETRY_MS, signal);
    }
  }

  #failed(error: unknown, live: Live): void {
    const reason = reasonOf(error);
    if (live.lost.aborted || this.signal.aborted || reason === this.#problem) return;
    this.#options.log.error({ reason }, this.#options.complaint);
    this.#problem = reason;
  }
}
