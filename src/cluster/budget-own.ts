/** What this node has spent of one budget's counter, and how far it is with telling the others. */
import type { Total } from "../usage/spending.js";

/**
 * The others have all counted with a sum, and this node has heard what they had spent before, when it has been in the
 * bucket for so long: twice what a round, a message and a look into the memory take.
 */
const SETTLE_MS = 750;
/** What is far from its limit need not be known to the cent. */
const SOON_MS = 250;
const LATER_MS = 2_000;
const NEAR = 1 / 2;
const MUCH = 1 / 100;
const NANOS = 1e9;

export class OwnSum {
  readonly name: string;
  /** The period's id. */
  period: number;
  /** Billionths of a dollar. */
  nanos = 0;
  /** What the bucket has. */
  stored = 0;
  isSending = false;
  #limit = Number.POSITIVE_INFINITY;
  /** By others, as last known. */
  #others = 0;
  #sentAt = Number.NEGATIVE_INFINITY;
  /** What the bucket took, and when, oldest first: as many as fit into the time that settling takes. */
  #settling: { readonly nanos: number; readonly at: number }[] = [];
  #settled = 0;

  constructor(name: string, period: number) {
    this.name = name;
    this.period = period;
  }

  /** Takes the account's word. */
  note({ period, nanos, counters }: Total, others: number): void {
    this.enter(period);
    this.nanos = nanos;
    this.#limit = counters.budget.limitUsd * NANOS;
    this.#others = others;
  }

  /** A later period begins with nothing. */
  enter(period: number): void {
    if (period <= this.period) return;
    this.period = period;
    this.nanos = 0;
    this.stored = 0;
    this.#settling = [];
    this.#settled = 0;
  }

  get isUntold(): boolean {
    return this.nanos > this.stored;
  }

  /** Is it time to tell? */
  isDue(nowMs: number): boolean {
    const since = nowMs - this.#sentAt;
    if (this.isSending || since < SOON_MS) return false;
    const isNear = this.nanos + this.#others >= this.#limit * NEAR || this.nanos - this.stored >= this.#limit * MUCH;
    return isNear || since >= LATER_MS;
  }

  sent(nowMs: number): void {
    this.isSending = true;
    this.#sentAt = nowMs;
  }

  /** The bucket has taken this sum. */
  took(period: number, nanos: number, nowMs: number): void {
    if (period !== this.period) return;
    this.stored = Math.max(this.stored, nanos);
    this.#settling.push({ nanos: this.stored, at: nowMs });
  }

  /** The sum that all others know of, where that is another one now; null = it is not. */
  settle(nowMs: number): number | null {
    const before = this.#settled;
    for (let first = this.#settling[0]; first !== undefined; first = this.#settling[0]) {
      if (nowMs - first.at < SETTLE_MS) break;
      this.#settled = Math.max(this.#settled, first.nanos);
      this.#settling.shift();
    }
    return this.#settled > before ? this.#settled : null;
  }

  get isSettling(): boolean {
    return this.#settling.length > 0;
  }
}
