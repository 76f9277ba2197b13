/** The acceptor's side of the limits: admit a request against every layer at once, settle it at its end. */
import type { Failure } from "../errors.js";
import type { Bound, LimitLayer } from "./layers.js";
import type { Crossing, MoneyLayer } from "./money.js";
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

/** What a request has used in the end. */
export interface Used {
  readonly tokens: number;
  /** Micro-dollars. */
  readonly micros: number;
}

/** What a lease holds of one limit. */
interface Holding {
  readonly layer: LimitLayer;
  readonly block: number;
  /** Of the block: when it has changed, the block belongs to somebody else. */
  readonly generation: number;
  readonly tokens: number;
  /** End of the last window in which it reserved fewer tokens than it may use; 0 = it has them all. */
  readonly shortUntil: number;
}

/** What a lease holds of one budget. */
interface MoneyHolding {
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

const NO_MONEY: readonly MoneyLayer[] = Object.freeze([]);
const NO_CROSSINGS: readonly Crossing[] = Object.freeze([]);

/** Admits one request against limits alone; see `admitRequest`. */
export function admitLayers(
  table: QuotaTable,
  layers: readonly LimitLayer[],
  tokens: number,
  clock: () => number = Date.now,
): Lease | Failure {
  return admitRequest(table, { layers, money: NO_MONEY, tokens, micros: 0 }, clock);
}

/**
 * Admits one request against all layers or against none. The clock is read under the lock: a thread that
 * waited for it with an older time would begin a window again that another has already left.
 * @returns a lease, or of all refusals the one that takes longest to pass away
 */
export function admitRequest(table: QuotaTable, demand: Demand, clock: () => number = Date.now): Lease | Failure {
  // A period that has just ended is found again here, where nobody waits.
  for (const layer of demand.money) layer.periodAt(clock());
  table.lock();
  try {
    const admission = new Admission(table, clock());
    for (const layer of demand.layers) admission.ask(layer, demand.tokens);
    for (const layer of demand.money) admission.askMoney(layer, demand.micros);
    return admission.conclude();
  } finally {
    table.unlock();
  }
}

/** One admission, under the lock. Layers are only asked; nothing is counted before all of them have been. */
class Admission implements Lease {
  readonly holdings: Holding[] = [];
  readonly money: MoneyHolding[] = [];
  readonly admittedAt: number;
  readonly requests: Tightest = { limit: -1, remaining: Number.POSITIVE_INFINITY, resetsAt: 0 };
  readonly tokens: Tightest = { limit: -1, remaining: Number.POSITIVE_INFINITY, resetsAt: 0 };
  inFlight = true;
  ended = false;
  readonly #table: QuotaTable;
  #refusal: Refusal | null = null;

  constructor(table: QuotaTable, nowMs: number) {
    this.#table = table;
    this.admittedAt = nowMs;
  }

  ask(layer: LimitLayer, tokens: number): void {
    const table = this.#table;
    const now = this.admittedAt;
    const block = table.locate(layer.place, now);
    if (layer.concurrency >= 0 && table.inFlight(block) >= layer.concurrency) this.#refuse().places(layer);
    let room = Number.POSITIVE_INFINITY;
    let tight: Bound | null = null;
    let shortUntil = 0;
    for (const bound of layer.bounds) {
      const { windowMs } = bound;
      const window = windowOf(now, windowMs);
      const left = bound.amount - table.used(block, bound.dimension, window);
      if (left <= 0) this.#refuse().window(layer, bound, now);
      else if (bound.unit === "requests") note(this.requests, bound, left - 1, now);
      else {
        if (left < tokens) shortUntil = Math.max(shortUntil, (window + 1) * windowMs);
        if (left >= room) continue;
        room = left;
        tight = bound;
      }
    }
    // One request may exceed the limit; a second one waits until that one has told what it used.
    if (tight !== null && shortUntil > 0 && table.hasShort(block, now)) this.#refuse().shortage(layer, tight);
    const reserved = Math.min(tokens, room);
    if (tight !== null) note(this.tokens, tight, room - reserved, now);
    this.holdings.push({ layer, block, generation: table.generation(block), tokens: reserved, shortUntil });
  }

  askMoney(layer: MoneyLayer, estimate: number): void {
    const table = this.#table;
    const block = table.locate(layer.place, this.admittedAt);
    const { id, endsAt } = layer.periodAt(this.admittedAt);
    const period = table.enterPeriod(block, id);
    table.keepUntil(block, endsAt);
    const spent = table.spent(block);
    const left = layer.limitMicros - spent - table.reserved(block, period);
    if (left <= 0 && layer.action === "block") {
      this.#refuse().money(layer, { spentMicros: spent, nowMs: this.admittedAt, endsAt });
    }
    this.money.push({ layer, block, generation: table.generation(block), period, micros: estimate });
  }

  conclude(): Lease | Failure {
    if (this.#refusal !== null) return this.#refusal.failure();
    const table = this.#table;
    const now = this.admittedAt;
    for (const { layer, block, tokens, shortUntil } of this.holdings) {
      if (shortUntil > 0) table.addShort(block, shortUntil);
      if (layer.concurrency >= 0) table.changeInFlight(block, 1);
      for (const { dimension, unit, windowMs } of layer.bounds) {
        const window = windowOf(now, windowMs);
        table.add(block, dimension, window, unit === "requests" ? 1 : tokens);
        table.keepUntil(block, (window + 1) * windowMs);
      }
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

/**
 * The client has gone: its place under the concurrency limits is free at once, though its tokens are still being
 * counted.
 */
export function releasePlace(table: QuotaTable, lease: Lease): void {
  if (!lease.inFlight) return;
  table.lock();
  try {
    leavePlace(table, lease);
  } finally {
    table.unlock();
  }
}

function leavePlace(table: QuotaTable, lease: Lease): void {
  if (!lease.inFlight) return;
  lease.inFlight = false;
  for (const { layer, block, generation } of lease.holdings) {
    if (layer.concurrency >= 0 && table.generation(block) === generation) table.changeInFlight(block, -1);
  }
}

/**
 * Ends a lease: gives the concurrency back and replaces what was reserved by what was used, in the windows and
 * periods the request was admitted in. A lease that has ended is left alone.
 * @returns fractions of budgets that have just been crossed, for a warning; nobody else is told of them
 */
export function settleLease(table: QuotaTable, lease: Lease, used: Used): readonly Crossing[] {
  if (lease.ended) return NO_CROSSINGS;
  table.lock();
  try {
    lease.ended = true;
    leavePlace(table, lease);
    for (const holding of lease.holdings) correct(table, lease, holding, { requests: 0, tokens: used.tokens });
    let crossings: Crossing[] | null = null;
    for (const held of lease.money) crossings = settleMoney(table, held, used.micros, crossings);
    return crossings ?? NO_CROSSINGS;
  } finally {
    table.unlock();
  }
}

/** Gives everything back, as if the request had never been admitted. */
export function voidLease(table: QuotaTable, lease: Lease): void {
  if (lease.ended) return;
  table.lock();
  try {
    lease.ended = true;
    leavePlace(table, lease);
    for (const holding of lease.holdings) correct(table, lease, holding, { requests: -1, tokens: 0 });
    for (const { block, generation, period, micros } of lease.money) {
      if (table.generation(block) === generation) table.changeReserved(block, period, -micros);
    }
  } finally {
    table.unlock();
  }
}

interface Correction {
  /** Change of the requests counted. */
  readonly requests: number;
  /** What takes the place of the tokens reserved. */
  readonly tokens: number;
}

function correct(table: QuotaTable, { admittedAt }: Lease, holding: Holding, by: Correction): void {
  const { layer, block } = holding;
  if (table.generation(block) !== holding.generation) return;
  if (holding.shortUntil > 0) table.removeShort(block, holding.shortUntil);
  for (const { dimension, unit, windowMs } of layer.bounds) {
    const change = unit === "requests" ? by.requests : by.tokens - holding.tokens;
    if (change !== 0) table.correct(block, dimension, windowOf(admittedAt, windowMs), change);
  }
}

function settleMoney(table: QuotaTable, held: MoneyHolding, micros: number, found: Crossing[] | null) {
  const { layer, block, period } = held;
  if (table.generation(block) !== held.generation) return found;
  table.changeReserved(block, period, -held.micros);
  if (table.period(block) !== period) return found;
  if (micros !== 0) table.changeSpent(block, micros);
  return crossed(table, layer, block, found);
}

/** Adds the fractions that what is spent has reached and nobody has told of. */
function crossed(table: QuotaTable, layer: MoneyLayer, block: number, found: Crossing[] | null): Crossing[] | null {
  const spentMicros = table.spent(block);
  const told = table.told(block);
  let crossings = found;
  for (const fraction of layer.warnAt) {
    if (fraction <= told || spentMicros < fraction * layer.limitMicros) continue;
    crossings ??= [];
    crossings.push({ layer, fraction, spentMicros });
    table.tell(block, fraction);
  }
  return crossings;
}

/** What a budget has spent and what requests under way have reserved of it, in the period of now. */
export function balanceOf(table: QuotaTable, layer: MoneyLayer, clock: () => number = Date.now) {
  table.lock();
  try {
    const nowMs = clock();
    const block = table.locate(layer.place, nowMs);
    const { id, endsAt } = layer.periodAt(nowMs);
    const period = table.enterPeriod(block, id);
    table.keepUntil(block, endsAt);
    return { spentMicros: table.spent(block), reservedMicros: table.reserved(block, period) };
  } finally {
    table.unlock();
  }
}

/**
 * Adds what was spent in a period before this node counted it: totals kept over a restart. Fractions that it
 * reaches are taken as told. A period that is over is passed by.
 */
export function restoreSpent(
  table: QuotaTable,
  layer: MoneyLayer,
  past: { readonly period: number; readonly micros: number },
  clock: () => number = Date.now,
): void {
  table.lock();
  try {
    const nowMs = clock();
    const block = table.locate(layer.place, nowMs);
    const { id, endsAt } = layer.periodAt(nowMs);
    const period = table.enterPeriod(block, id);
    table.keepUntil(block, endsAt);
    if (period !== past.period) return;
    table.changeSpent(block, past.micros);
    crossed(table, layer, block, null);
  } finally {
    table.unlock();
  }
}
