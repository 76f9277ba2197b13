/** The budgets' account of this node: where it is kept, and what it tells the operator. */
import { join } from "node:path";
import { PatternIndex } from "../config/pattern.js";
import type { Resources } from "../config/resources.js";
import type { WeirConfig } from "../config/schema.js";
import type { Logger } from "../observability/logger.js";
import type { Metrics } from "../observability/metrics.js";
import type { EntryOf } from "../quota/budget.js";
import type { Crossing } from "../quota/money.js";
import { BudgetKeeper } from "../usage/budget-keeper.js";
import { dollarsFromNanos } from "../usage/dollars.js";
import { journalDirectory } from "../usage/segments.js";
import type { Supervisor } from "./supervisor.js";

/** Counters shown one by one; there may be one for each of many thousand keys. */
const MAX_SHOWN = 500;
const MICROS = 1e6;

export function keepBudgets(
  config: WeirConfig,
  supervisor: Supervisor,
  tell: { readonly logger: Logger; readonly metrics: Metrics },
): BudgetKeeper {
  const { logger, metrics } = tell;
  const keeper = new BudgetKeeper({
    directory: journalDirectory(config.data_dir),
    path: join(config.data_dir, "budgets.json"),
    table: supervisor.counters.table,
    live: () => supervisor.writers,
    log: {
      info: (fields, message) => logger.info(fields, message),
      warn: (fields, message) => logger.warn(fields, message),
      error: (fields, message) => logger.error(fields, message),
    },
  });
  metrics.onCollect(() => show(keeper, metrics));
  return keeper;
}

/** Tells the operator what an acceptor tells where there is one node only. */
export function budgetWarner({
  logger,
  metrics,
}: {
  readonly logger: Logger;
  readonly metrics: Metrics;
}): (crossings: readonly Crossing[]) => void {
  return (crossings) => {
    for (const { layer, fraction, spentMicros } of crossings) {
      const { name: budget, scope, owner, limitMicros } = layer;
      metrics.cell("weir_budget_warnings_total", budget).add(1);
      const amounts = { spent_usd: String(spentMicros / MICROS), limit_usd: String(limitMicros / MICROS) };
      const fields = { budget, scope, owner, fraction: String(fraction), ...amounts };
      logger.warn(fields, "a budget has reached a fraction that it warns at");
    }
  };
}

/** Finds the configured model that a name fits; a name that fits none stands for itself. */
export function entryFinder({ models }: Pick<Resources, "models">): EntryOf {
  const index = new PatternIndex(models.map(({ name }) => [name, name] as const));
  return (name) => index.find(name)?.value ?? name;
}

/** The fullest first. */
function show(keeper: BudgetKeeper, metrics: Metrics): void {
  metrics.clear("weir_budget_spent_ratio");
  const ratios: { readonly budget: string; readonly value: string; readonly ratio: number }[] = [];
  for (const { counters, owner, nanos } of keeper.totals()) {
    const { name: budget, limitUsd } = counters.budget;
    ratios.push({ budget, value: owner, ratio: dollarsFromNanos(nanos) / limitUsd });
  }
  ratios.sort((a, b) => b.ratio - a.ratio);
  for (const { budget, value, ratio } of ratios.slice(0, MAX_SHOWN)) {
    metrics.cell("weir_budget_spent_ratio", budget, value).value = ratio;
  }
}
