/** Builds the node context of one acceptor from what its thread was started with. */
import { join } from "node:path";
import { NodeCache } from "../cache/node-cache.js";
import type { FleetCache } from "../cache/fleet.js";
import type { CacheStore } from "../cache/store.js";
import { TurnStore } from "../cache/turn-store.js";
import type { PriceRow } from "../config/prices.js";
import type { Resources } from "../config/resources.js";
import type { WeirConfig } from "../config/schema.js";
import { Snapshot } from "../config/snapshot.js";
import type { LogSink } from "../observability/log-sink.js";
import { AccessLog, timeText } from "../observability/logger.js";
import type { Cell, Metrics } from "../observability/metrics.js";
import { InFlight } from "../pipeline/in-flight.js";
import { Ledger } from "../pipeline/ledger.js";
import { type Estimator, headerNames, type Node, type Translator } from "../pipeline/node.js";
import { Sender } from "../providers/send.js";
import { type Screener, guardsOf } from "./guards.js";
import { type BlockMap, Places } from "../quota/blocks.js";
import { BudgetIndex, type Estimate } from "../quota/budget.js";
import { Limits } from "../quota/limits.js";
import type { QuotaTable } from "../quota/table.js";
import type { Waiting } from "../quota/waiting.js";
import { type Router, routesByHeaders } from "../routing/router.js";
import type { SlotMap } from "../routing/slots.js";
import { CountedOnce } from "../usage/counted-once.js";
import type { JournalWriter } from "../usage/journal.js";
import { comparablePrice, estimateMicros, Pricing } from "../usage/pricing.js";
import type { NodeLoad } from "./load.js";

export interface AcceptorParts {
  readonly config: WeirConfig;
  readonly resources: Resources;
  readonly blocks: BlockMap;
  /** Rows of the user's own price file. */
  readonly prices: readonly PriceRow[];
  readonly quota: QuotaTable;
  /** null = limits are this node's own. */
  readonly waiting: Waiting | null;
  readonly cache: CacheStore;
  /** The way to what other nodes keep; null = this node is alone. */
  readonly fleetCache: FleetCache | null;
  /** Kept conversations; null = none are kept. */
  readonly turns: CacheStore | null;
  readonly load: NodeLoad;
  /** Knows the slots of these resources. */
  readonly router: Router;
  readonly journal: JournalWriter;
  readonly estimator: Estimator;
  readonly translator: Translator;
  readonly screener: Screener;
  readonly metrics: Metrics;
  readonly log: LogSink;
  /** Hears of every exception that cost a request. */
  readonly reportFault: (error: unknown) => void;
}

export function buildNode(parts: AcceptorParts): Node {
  const { config, metrics, load, quota } = parts;
  const overflows = metrics.cell("weir_limit_overflows_total");
  const evicted = metrics.cell("weir_cache_evicted_total");
  metrics.onCollect(() => {
    overflows.value = quota.overflows;
    evicted.value = parts.cache.evictions;
  });
  const snapshot = new Snapshot(parts.resources);
  const pricing = new Pricing(parts.prices);
  const cache = new NodeCache(parts.cache, parts.fleetCache);
  cache.usePolicies(snapshot.traffic.cachePolicies);
  parts.router.usePrices((model) => comparablePrice(pricing.of(model)));
  const sender = senderOf(config, parts.reportFault);
  return {
    config,
    name: config.node_name,
    headerNames: headerNames(config.identity.header_prefix),
    sender,
    guards: guardsOf(sender, parts.screener, metrics),
    quota,
    waiting: parts.waiting,
    router: parts.router,
    estimator: parts.estimator,
    translator: parts.translator,
    cache,
    turns: turnsOf(parts),
    takeBodyMemory: (exchange, bytes) => load.takeBodyMemory(exchange, bytes),
    ledger: new Ledger(parts.journal),
    countedOnce: new CountedOnce(join(config.data_dir, "counted")),
    metrics,
    counters: {
      aborts: metrics.cell("weir_client_aborts_total"),
      losses: metrics.cell("weir_losses_total"),
      estimated: metrics.cell("weir_usage_estimated_total"),
      cache: {
        hits: metrics.cell("weir_cache_requests_total", "hit"),
        clusterHits: metrics.cell("weir_cache_requests_total", "cluster_hit"),
        semanticHits: metrics.cell("weir_cache_requests_total", "semantic_hit"),
        misses: metrics.cell("weir_cache_requests_total", "miss"),
        bypass: metrics.cell("weir_cache_requests_total", "bypass"),
        stored: metrics.cell("weir_cache_stored_total"),
      },
      attempts: rememberedCells(metrics, "weir_upstream_attempts_total"),
      cost: rememberedCells(metrics, "weir_cost_usd_total"),
      unknownPrices: rememberedCells(metrics, "weir_unknown_price_total"),
    },
    accessLog: config.log.access ? new AccessLog(parts.log) : null,
    reportFault: parts.reportFault,
    exchanges: new InFlight(),
    collectsHeaders: collectsHeaders(parts.resources),
    warn: warner(parts),
    onSettled: (exchange) => load.leave(exchange),
    snapshot,
    loadedAt: Date.now(),
    limits: new Limits(parts.resources, parts.blocks),
    pricing,
    budgets: budgetsOf(snapshot, parts.blocks, pricing),
  };
}

function senderOf({ timeouts, limits }: WeirConfig, reportFault: (error: unknown) => void): Sender {
  return new Sender({ connectMs: timeouts.connect_ms, connectionsPerOrigin: limits.upstream_connections, reportFault });
}

function turnsOf({ turns, config, metrics }: AcceptorParts): TurnStore | null {
  if (turns === null) return null;
  const evicted = metrics.cell("weir_turns_evicted_total");
  metrics.onCollect(() => {
    evicted.value = turns.evictions;
  });
  const { ttl_seconds, max_turn_bytes } = config.responses.state;
  return new TurnStore(turns, { ttlMs: ttl_seconds * 1_000, maxBytes: max_turn_bytes });
}

/** Looks each cell up once; both names come from tables, so there are few. */
function rememberedCells(metrics: Metrics, name: ProviderMetric): (provider: string, second: string) => Cell {
  const cells = new Map<string, Map<string, Cell>>();
  return (provider, second) => {
    let known = cells.get(provider);
    if (known === undefined) {
      known = new Map();
      cells.set(provider, known);
    }
    let cell = known.get(second);
    if (cell === undefined) {
      cell = metrics.cell(name, provider, second);
      known.set(second, cell);
    }
    return cell;
  };
}

type ProviderMetric = "weir_upstream_attempts_total" | "weir_cost_usd_total" | "weir_unknown_price_total";

/** null: no budget is in force, and no request is asked about money. */
function budgetsOf(snapshot: Snapshot, blocks: BlockMap, pricing: Pricing): BudgetIndex | null {
  const { budgets } = snapshot.traffic;
  if (budgets.length === 0) return null;
  const find = (name: string) => snapshot.findModel(name);
  const estimate: Estimate = (model, input, output) =>
    model === null ? 0 : estimateMicros(pricing.dearestOf(model, find), input, output);
  return new BudgetIndex(budgets, new Places(blocks), estimate, (name) => find(name)?.entry.name ?? name);
}

/** What can change while a node runs. */
export interface Changeable {
  readonly resources: Resources;
  readonly blocks: BlockMap;
  readonly slots: SlotMap;
  readonly prices: readonly PriceRow[];
}

/** Swaps the configuration that new exchanges begin with; those under way keep theirs, but for the prices. */
export function swapResources(node: Node, { resources, blocks, slots, prices }: Changeable): void {
  const snapshot = new Snapshot(resources);
  node.limits = new Limits(resources, blocks);
  const pricing = new Pricing(prices);
  node.pricing = pricing;
  node.budgets = budgetsOf(snapshot, blocks, pricing);
  node.router.usePrices((model) => comparablePrice(pricing.of(model)));
  node.router.adopt(slots);
  node.cache.usePolicies(snapshot.traffic.cachePolicies);
  node.snapshot = snapshot;
  node.collectsHeaders = collectsHeaders(resources);
  node.loadedAt = Date.now();
}

function collectsHeaders(resources: Resources): boolean {
  return (
    routesByHeaders(resources) || resources.providerKeys.some((key) => key.request.forwardClientHeaders.length > 0)
  );
}

const LEVELS_WITHOUT_WARNINGS: ReadonlySet<string> = new Set(["error", "fatal", "silent"]);

function warner({ config, log }: AcceptorParts): Node["warn"] {
  if (LEVELS_WITHOUT_WARNINGS.has(config.log.level)) return () => {};
  return (msg, fields) => log.write(JSON.stringify({ time: timeText(Date.now()), level: "warn", msg, ...fields }));
}
