/** Builds the node context of one acceptor from what its thread was started with. */
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
import type { BlockMap } from "../quota/blocks.js";
import { Limits } from "../quota/limits.js";
import type { QuotaTable } from "../quota/table.js";
import { type Router, routesByHeaders } from "../routing/router.js";
import type { SlotMap } from "../routing/slots.js";
import type { JournalWriter } from "../usage/journal.js";
import type { NodeLoad } from "./load.js";

export interface AcceptorParts {
  readonly config: WeirConfig;
  readonly resources: Resources;
  readonly blocks: BlockMap;
  readonly quota: QuotaTable;
  readonly load: NodeLoad;
  /** Knows the slots of these resources. */
  readonly router: Router;
  readonly journal: JournalWriter;
  readonly estimator: Estimator;
  readonly translator: Translator;
  readonly metrics: Metrics;
  readonly log: LogSink;
  /** Hears of every exception that cost a request. */
  readonly reportFault: (error: unknown) => void;
}

export function buildNode(parts: AcceptorParts): Node {
  const { config, metrics, load, quota } = parts;
  const overflows = metrics.cell("weir_limit_overflows_total");
  metrics.onCollect(() => {
    overflows.value = quota.overflows;
  });
  const { connect_ms } = config.timeouts;
  return {
    config,
    name: config.node_name,
    headerNames: headerNames(config.identity.header_prefix),
    sender: new Sender({ connectMs: connect_ms, connectionsPerOrigin: config.limits.upstream_connections }),
    quota,
    router: parts.router,
    estimator: parts.estimator,
    translator: parts.translator,
    ledger: new Ledger(parts.journal),
    metrics,
    counters: {
      aborts: metrics.cell("weir_client_aborts_total"),
      losses: metrics.cell("weir_losses_total"),
      estimated: metrics.cell("weir_usage_estimated_total"),
      attempts: rememberedAttempts(metrics),
    },
    accessLog: config.log.access ? new AccessLog(parts.log) : null,
    reportFault: parts.reportFault,
    exchanges: new InFlight(),
    collectsHeaders: collectsHeaders(parts.resources),
    warn: warner(parts),
    onSettled: (exchange) => load.leave(exchange),
    snapshot: new Snapshot(parts.resources),
    loadedAt: Date.now(),
    limits: new Limits(parts.resources, parts.blocks),
    budgets: null,
  };
}

/** Looks each cell up once; both names come from tables, so there are few. */
function rememberedAttempts(metrics: Metrics): (provider: string, outcome: string) => Cell {
  const cells = new Map<string, Map<string, Cell>>();
  return (provider, outcome) => {
    let outcomes = cells.get(provider);
    if (outcomes === undefined) {
      outcomes = new Map();
      cells.set(provider, outcomes);
    }
    let cell = outcomes.get(outcome);
    if (cell === undefined) {
      cell = metrics.cell("weir_upstream_attempts_total", provider, outcome);
      outcomes.set(outcome, cell);
    }
    return cell;
  };
}

/** Swaps the configuration that new exchanges begin with; those under way keep theirs. */
export function swapResources(node: Node, resources: Resources, blocks: BlockMap, slots: SlotMap): void {
  const snapshot = new Snapshot(resources);
  node.limits = new Limits(resources, blocks);
  node.router.adopt(slots);
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
