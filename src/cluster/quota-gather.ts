/**
 * An instance grants nothing before it has gathered what all others know: after it has connected, also for the second
 * time, and when a member has gone, whose buckets are partly its own from then on. Who is asked knows from that moment
 * that the asker owns something, and grants it no more.
 */
import { delay } from "./time.js";

/** Beats of the others come within this when a node connects. */
const SETTLE_MS = 300;
const ANSWER_MS = 500;
const RETRY_MS = 50;
/** Who has not answered for so long is about to be gone from the members. */
const LONGEST_MS = 3_500;

export interface GatherOptions {
  readonly isLive: () => boolean;
  readonly self: string;
  /** This instance, and all others that may know something. */
  readonly live: () => readonly string[];
  /**
   * Asks one of them for everything; what it says is in the ledger when this resolves. Never rejects. This instance asks
   * itself too: who does not hear itself is cut off, though its connection looks well, and nobody has really gone.
   */
  readonly ask: (instance: string, timeoutMs: number) => Promise<"told" | "gone" | "late">;
  readonly gone: (instance: string) => void;
  /** All have told. */
  readonly done: () => void;
  /** Milliseconds that only grow. */
  readonly clock: () => number;
}

export class QuotaGather {
  readonly #options: GatherOptions;
  #running = new AbortController();
  #isReady = false;
  #settled = false;
  readonly #waiting = new Set<() => void>();

  constructor(options: GatherOptions) {
    this.#options = options;
  }

  /** May this instance grant? */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Has it gathered since it started, so that it knows who is there? */
  get knowsFleet(): boolean {
    return this.#settled;
  }

  /** The connection is gone: what others do now is not heard. */
  lost(): void {
    this.#running.abort();
    this.#isReady = false;
  }

  /** Begins anew. `settle`: the connection is new, and who is there is to be heard first. */
  begin(settle: boolean): void {
    this.lost();
    this.#running = new AbortController();
    void this.#run(settle, this.#running.signal);
  }

  stop(): void {
    this.lost();
    for (const wake of [...this.#waiting]) wake();
  }

  /** Whether it may grant, as soon as it may, but no later than that. */
  async ready(timeoutMs: number): Promise<boolean> {
    if (this.#isReady) return true;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      timer.unref();
      this.#waiting.add(done);
    });
    return this.#isReady;
  }

  async #run(settle: boolean, signal: AbortSignal): Promise<void> {
    const { clock, self, live, ask, gone, done, isLive } = this.#options;
    if (settle) await delay(SETTLE_MS, signal);
    const until = clock() + LONGEST_MS;
    const told = new Set<string>();
    while (!signal.aborted && isLive() && (clock() < until || !told.has(self))) {
      const asked = live().filter((instance) => !told.has(instance));
      if (asked.length === 0) break;
      const found = await Promise.all(asked.map((instance) => ask(instance, ANSWER_MS)));
      if (signal.aborted) return;
      for (const [at, instance] of asked.entries()) {
        if (found[at] === "told" || (found[at] === "gone" && instance !== self)) told.add(instance);
        if (found[at] === "gone") gone(instance);
      }
      if (asked.some((instance) => !told.has(instance))) await delay(RETRY_MS, signal);
    }
    if (signal.aborted || !isLive()) return;
    this.#isReady = true;
    this.#settled = true;
    for (const wake of [...this.#waiting]) wake();
    done();
  }
}
