/** Tells the operator that a fraction of a budget has been reached: a line in the log, a count in the metrics. */
import type { Crossing } from "../quota/money.js";
import type { Node } from "./node.js";

const MICROS = 1e6;

export function warnOfBudgets(node: Node, crossings: readonly Crossing[]): void {
  for (const { layer, fraction, spentMicros } of crossings) {
    node.metrics.cell("weir_budget_warnings_total", layer.name).add(1);
    node.warn("a budget has reached a fraction that it warns at", {
      budget: layer.name,
      scope: layer.scope,
      owner: layer.owner,
      fraction: String(fraction),
      spent_usd: String(spentMicros / MICROS),
      limit_usd: String(layer.limitMicros / MICROS),
    });
  }
}
