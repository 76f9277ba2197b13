/** The acceptor's side of the limits: admit a request against every layer at once, settle it at its end. */
import type { Failure } from "../errors.js";
import {
  Admission,
  type Demand,
  type Holding,
  type Lease,
  type MoneyHolding,
  WANTING,
  type Wanting,
} from "./admission.js";
import type { LimitLayer } from "./layers.js";
import type { Crossing, MoneyLayer } from "./money.js";
import type { QuotaTable } from "./table.js";
import { windowOf } from "./window.js";

export type { Demand, Lease, Tightest, Wanting } from "./admission.js";
export { WANTING } from "./admission.js";

/** What a request has used in the end. */
export interface Used {
  readonly tokens: number;
  /** Micro-dollars. */
  readonly micros: number;
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
 * Admits one request against all layers or against none, with what the fleet has granted by now. The clock is read under the lock: a thread that
 * waited for it with an older time would begin a window again that another has already left.
 * @returns a lease, or of all refusals the one that takes longest to pass away
 */
export function admitRequest(table: QuotaTable, demand: Demand, clock: () => number = Date.now): Lease | Failure {
  const admitted = decide(table, demand, clock, false);
  if (admitted === WANTING) throw new Error("waits without being asked to");
  return admitted;
}

/** The same for a request that can wait: where the fleet may yet make room, it is told so, and what is missing. */
export function admitOrWant(
  table: QuotaTable,
  demand: Demand,
  clock: () => number = Date.now,
): Lease | Failure | Wanting {
  return decide(table, demand, clock, true);
}

function decide(table: QuotaTable, demand: Demand, clock: () => number, waits: boolean): Lease | Failure | Wanting {
  // A period that has just ended is found again here, where nobody waits.
  for (const layer of demand.money) layer.periodAt(clock());
  table.lock();
  try {
    const admission = new Admission(table, clock(), waits);
    for (const layer of demand.layers) admission.ask(layer, demand.tokens);
    for (const layer of demand.money) admission.askMoney(layer, demand.micros);
    return admission.conclude();
  } finally {
    table.unlock();
  }
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
  for (const { dimension, unit, windowMs, amount } of layer.bounds) {
    const change = unit === "requests" ? by.requests : by.tokens - holding.tokens;
    if (change === 0) continue;
    const window = windowOf(admittedAt, windowMs);
    table.correct(block, dimension, window, change);
    if (change > 0) table.share?.claim(holding, { dimension, window, amount });
  }
}

function settleMoney(table: QuotaTable, held: MoneyHolding, micros: number, found: Crossing[] | null) {
  const { layer, block, period } = held;
  if (table.generation(block) !== held.generation) return found;
  table.changeReserved(block, period, -held.micros);
  if (table.period(block) !== period) return found;
  if (micros !== 0) table.changeSpent(block, micros);
  // For a fleet's budget one of its nodes tells, which is not known here.
  return table.sharesMoney ? found : crossed(table, layer, block, found);
}

/** Marks as told, and adds to `found`, the fractions that what is spent has reached and nobody has told of. */
export function crossed(
  table: QuotaTable,
  layer: MoneyLayer,
  block: number,
  found: Crossing[] | null,
): Crossing[] | null {
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
 * reaches are taken as told, and other nodes are taken to know it. A period that is over is passed by.
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
    table.addSettled(block, past.micros);
    crossed(table, layer, block, null);
  } finally {
    table.unlock();
  }
}
