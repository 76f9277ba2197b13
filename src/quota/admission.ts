/** One admission: every layer that concerns a request is asked, and all admit it or none counts it. */
import type { Failure } from "../errors.js";
import type { GrantShare } from "./grant-share.js";
import type { Bound, LimitLayer } from "./layers.js";
import type { MoneyLayer } from "./money.js";
import { Refusal } from "./refusal.js";
import type { QuotaTable } from "./table.js";
import { windowOf } from "./window.js";

/** What a request asks of its limits and budgets. */
export interface Demand {
  readonly layers: readonly LimitLayer[];
  readonly money: readonly MoneyLayer[];
  /** Tokens it will probably use: prompt plus likely output. */
  readonly tokens: number;
  /** What it will probably cost, micro-dollars. */
  readonly micros: number;
}

/** What a lease holds of one limit. */
export interface Holding {
  readonly layer: LimitLayer;
  readonly block: number;
  /** Of the block: when it has changed, the block belongs to somebody else. */
  readonly generation: number;
  readonly tokens: number;
  /** End of the last window in which it reserved fewer tokens than it may use; 0 = it has them all. */
  readonly shortUntil: number;
}

/** What a lease holds of one budget. */
export interface MoneyHolding {
  readonly layer: MoneyLayer;
  readonly block: number;
  readonly generation: number;
  readonly period: number;
  readonly micros: number;
}

/** The limit of a unit that has least left, as it was just after the admission. */
export interface Tightest {
  /** -1 = the request is under no limit of this unit. */
  limit: number;
  remaining: number;
  /** When its window ends, milliseconds since the epoch. */
  resetsAt: number;
}

/** What an admitted request holds until it is settled. */
export interface Lease {
  readonly holdings: readonly Holding[];
  readonly money: readonly MoneyHolding[];
  readonly admittedAt: number;
  readonly requests: Readonly<Tightest>;
  readonly tokens: Readonly<Tightest>;
  /** Does it still count as a request in flight? */
  inFlight: boolean;
  /** Settled or void: it holds nothing any more. */
  ended: boolean;
}

/**
 * What came of an admission that the fleet may yet make room for: nothing is counted, what is missing has been told,
 * and the request may ask again when something has come.
 */
export const WANTING = "wanting";
export type Wanting = typeof WANTING;

/** One admission, under the lock. Layers are only asked; nothing is counted before all of them have been. */
export class Admission implements Lease {
  readonly holdings: Holding[] = [];
  readonly money: MoneyHolding[] = [];
  readonly admittedAt: number;
  readonly requests: Tightest = { limit: -1, remaining: Number.POSITIVE_INFINITY, resetsAt: 0 };
  readonly tokens: Tightest = { limit: -1, remaining: Number.POSITIVE_INFINITY, resetsAt: 0 };
  inFlight = true;
  ended = false;
  readonly #table: QuotaTable;
  /** null = limits are this node's own. */
  readonly #share: GrantShare | null;
  #refusal: Refusal | null = null;

  /** `waits`: the request can wait for what the fleet may yet grant. */
  constructor(table: QuotaTable, nowMs: number, waits: boolean) {
    this.#table = table;
    this.#share = table.share;
    this.#share?.begin(nowMs, waits);
    this.admittedAt = nowMs;
  }

  ask(layer: LimitLayer, tokens: number): void {
    const table = this.#table;
    const share = this.#share;
    const now = this.admittedAt;
    const block = table.locate(layer.place, now);
    if (layer.concurrency >= 0 && !this.#hasPlace(layer, block)) this.#refuse().places(layer);
    let room = Number.POSITIVE_INFINITY;
    let tight: Bound | null = null;
    let rest = 0;
    let shortUntil = 0;
    for (const bound of layer.bounds) {
      const { windowMs } = bound;
      const window = windowOf(now, windowMs);
      let left = bound.amount - table.used(block, bound.dimension, window);
      if (share !== null && left > 0) left = share.leftOf({ layer, block }, bound, left, tokens);
      if (left <= 0) this.#refuse().window(layer, bound, now);
      else if (bound.unit === "requests") note(this.requests, bound, left - 1 + (share?.rest ?? 0), now);
      else {
        if (left < tokens) shortUntil = Math.max(shortUntil, (window + 1) * windowMs);
        if (left >= room) continue;
        room = left;
        tight = bound;
        rest = share?.rest ?? 0;
      }
    }
    // One request may exceed the limit; a second one waits until that one has told what it used.
    if (tight !== null && shortUntil > 0 && table.hasShort(block, now)) this.#refuse().shortage(layer, tight);
    const reserved = Math.min(tokens, room);
    if (tight !== null) note(this.tokens, tight, room - reserved + rest, now);
    this.holdings.push({ layer, block, generation: table.generation(block), tokens: reserved, shortUntil });
  }

  #hasPlace(layer: LimitLayer, block: number): boolean {
    const taken = this.#table.inFlight(block);
    return taken < layer.concurrency && (this.#share?.hasPlace(layer, block, taken) ?? true);
  }

  askMoney(layer: MoneyLayer, estimate: number): void {
    const table = this.#table;
    const block = table.locate(layer.place, this.admittedAt);
    const { id, endsAt } = layer.periodAt(this.admittedAt);
    const period = table.enterPeriod(block, id);
    table.keepUntil(block, endsAt);
    if (layer.action === "block") {
      const spentMicros = table.spent(block);
      const reservedMicros = table.reserved(block, period);
      if (spentMicros + reservedMicros >= table.ceiling(block, layer.limitMicros)) {
        this.#refuse().money(layer, { spentMicros, reservedMicros, nowMs: this.admittedAt, endsAt });
      }
    }
    this.money.push({ layer, block, generation: table.generation(block), period, micros: estimate });
  }

  conclude(): Lease | Failure | Wanting {
    const share = this.#share;
    if (share !== null && !share.isWanting) share.tellNeeds();
    if (this.#refusal !== null) return this.#refusal.failure();
    if (share?.isWanting === true) {
      share.tellNeeds();
      return WANTING;
    }
    const table = this.#table;
    const now = this.admittedAt;
    for (const holding of this.holdings) {
      const { layer, block, tokens, shortUntil } = holding;
      if (shortUntil > 0) table.addShort(block, shortUntil);
      if (layer.concurrency >= 0) table.changeInFlight(block, 1);
      for (const { dimension, unit, windowMs } of layer.bounds) {
        const window = windowOf(now, windowMs);
        table.add(block, dimension, window, unit === "requests" ? 1 : tokens);
        table.keepUntil(block, (window + 1) * windowMs);
      }
      share?.lookAhead(holding);
    }
    for (const { block, period, micros } of this.money) table.changeReserved(block, period, micros);
    return this;
  }

  #refuse(): Refusal {
    this.#refusal ??= new Refusal();
    return this.#refusal;
  }
}

function note(tightest: Tightest, bound: Bound, remaining: number, nowMs: number): void {
  if (remaining >= tightest.remaining) return;
  tightest.limit = bound.amount;
  tightest.remaining = remaining;
  tightest.resetsAt = (windowOf(nowMs, bound.windowMs) + 1) * bound.windowMs;
}
