/**
 * Requests of one thread that wait for what the fleet may yet grant. They look again whenever something has come, in
 * the order in which they began to wait, and are answered as if nothing came when their time is over.
 */
import type { GrantCells } from "./grant-cells.js";

/** A grant takes a message there and back; a caller is told no sooner than a slow one would take. */
export const LONGEST_WAIT_MS = 250;
/** Who comes when so many wait is not kept waiting. */
const MOST_WAITING = 1_024;

/** Looks for room, for the last time or not; true: it waits no longer. Must not throw. */
export type LookAgain = (lastTry: boolean) => boolean;

interface Waiter {
  readonly lookAgain: LookAgain;
  readonly timer: NodeJS.Timeout;
}

export class Waiting {
  readonly #grants: GrantCells;
  readonly #tell: () => boolean;
  readonly #waiters = new Set<Waiter>();

  /** `tell`: says to the main thread that somebody waits; false = it could not be said. */
  constructor(grants: GrantCells, tell: () => boolean) {
    this.#grants = grants;
    this.#tell = tell;
  }

  /** Nobody else may wait. */
  get full(): boolean {
    return this.#waiters.size >= MOST_WAITING;
  }

  get size(): number {
    return this.#waiters.size;
  }

  /**
   * Waits, for `ms` or `LONGEST_WAIT_MS`, whichever is shorter; to be called right after an admission that was
   * wanting.
   * @returns ends the waiting, without another look
   */
  begin(lookAgain: LookAgain, ms: number): () => void {
    const timer = setTimeout(() => this.#lastTry(waiter), Math.max(0, Math.min(ms, LONGEST_WAIT_MS)));
    const waiter: Waiter = { lookAgain, timer };
    this.#waiters.add(waiter);
    // Nobody would wake this thread for a grant that came before it was known to wait.
    if (!this.#grants.changeWaiting(1)) setImmediate(() => this.wake());
    if (this.#grants.ring() && !this.#tell()) this.#grants.unring();
    return () => this.#end(waiter);
  }

  /** Something has been granted, or nothing is to be had: all look again. */
  wake(): void {
    // Who begins to wait meanwhile has just looked.
    for (const waiter of [...this.#waiters]) {
      if (this.#waiters.has(waiter) && waiter.lookAgain(false)) this.#end(waiter);
    }
  }

  #lastTry(waiter: Waiter): void {
    this.#end(waiter);
    waiter.lookAgain(true);
  }

  #end(waiter: Waiter): void {
    if (!this.#waiters.delete(waiter)) return;
    clearTimeout(waiter.timer);
    this.#grants.changeWaiting(-1);
  }
}
