/**
 * A fleet's budgets in the counters of one node. What others have spent counts as spent here. Of what is then left a node
 * may have its share only, until it has told the others what it spent and they have had time to hear it: so the nodes'
 * shares together are never more than what is left.
 */
import type { OnPartition } from "../config/traffic.js";
import { crossed } from "./lease.js";
import type { Crossing, MoneyLayer } from "./money.js";
import type { MoneyShares, QuotaTable } from "./table.js";

/** As many nodes are supposed to be there, at least, as long as a node that has just started does not know. */
export const SUPPOSED_NODES = 8;

/** What a node may spend before it has heard of others. */
export function firstShares(onPartition: OnPartition): MoneyShares {
  return { shares: onPartition === "closed" ? Number.POSITIVE_INFINITY : SUPPOSED_NODES, closedSince: 0 };
}

/** What the fleet has spent in a period, micro-dollars. */
export interface KnownSpent {
  readonly period: number;
  /** By the other nodes. */
  readonly others: number;
  /** By this one, as far as all others have heard of it. */
  readonly settled: number;
}

/**
 * Puts what is known of a budget's counter into it. Where it found no block of its own, nothing is put: the sum would
 * meet other owners' limits.
 * @returns fractions that what is spent has reached since they were last asked for
 */
export function learnSpent(
  table: QuotaTable,
  layer: MoneyLayer,
  known: KnownSpent,
  clock: () => number = Date.now,
): readonly Crossing[] {
  // A period that has just ended is found again here, where nobody waits.
  layer.periodAt(clock());
  table.lock();
  try {
    const nowMs = clock();
    const { id, endsAt } = layer.periodAt(nowMs);
    const block = table.locate(layer.place, nowMs);
    if (block === layer.place.overflow) return [];
    const period = table.enterPeriod(block, id);
    table.keepUntil(block, endsAt);
    if (period === known.period) {
      table.learnOthers(block, known.others);
      table.settleOwn(block, known.settled);
    }
    return crossed(table, layer, block, null) ?? [];
  } finally {
    table.unlock();
  }
}
