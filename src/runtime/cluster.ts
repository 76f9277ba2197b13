/** This node's place in the fleet: loads the cluster actor where NATS is configured, and tells how it is doing. */
import { readFileSync } from "node:fs";
import type { ClusterActor, ClusterStatus } from "../cluster/actor.js";
import type { ConfigHouse } from "../cluster/config-sync.js";
import type { QuotaStatus } from "../cluster/quota-sync.js";
import type { WeirConfig } from "../config/schema.js";
import type { Logger } from "../observability/logger.js";
import type { Metrics } from "../observability/metrics.js";
import type { BudgetKeeper } from "../usage/budget-keeper.js";
import { budgetWarner } from "./budgets.js";
import type { Supervisor } from "./supervisor.js";

interface Tell {
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** What the fleet has of this node, beside its threads. */
export interface Shared {
  /** null: the resources do not come from NATS. */
  readonly house: ConfigHouse | null;
  readonly budgets: BudgetKeeper;
}

/** The actor, started; null: this node is alone, and nothing of NATS is loaded. */
export async function joinCluster(
  config: WeirConfig,
  supervisor: Supervisor,
  tell: Tell,
  { house, budgets }: Shared,
): Promise<ClusterActor | null> {
  const { cluster, usage, node_name, data_dir } = config;
  if (cluster.nats === null || supervisor.counters.grants === null) return null;
  const { ClusterActor } = await import("../cluster/actor.js");
  const { logger, metrics } = tell;
  const actor = new ClusterActor({
    name: cluster.name,
    nats: cluster.nats,
    node: node_name,
    version: packageVersion(),
    dataDirectory: data_dir,
    usage: { ...usage.stream, replicas: cluster.replicas, encoding: usage.encoding },
    cache: {
      settings: { ...cluster.cache, replicas: cluster.replicas },
      store: supervisor.cache,
      wanted: () => supervisor.sharesAnswers,
    },
    budgets: {
      onPartition: cluster.on_partition,
      account: budgets,
      table: supervisor.counters.table,
      warn: budgetWarner(tell),
    },
    grants: supervisor.counters.grants,
    load: () => supervisor.load,
    config: house,
    routing: supervisor.routing,
    writers: () => supervisor.writers,
    log: {
      info: (fields, message) => logger.info(fields, message),
      warn: (fields, message) => logger.warn(fields, message),
      error: (fields, message) => logger.error(fields, message),
    },
  });
  metrics.onCollect(() => show(actor, metrics));
  supervisor.cacheDesk.share = actor.cache;
  budgets.fleet = actor.budgets.spending;
  actor.start();
  return actor;
}

/** What a node says that has no NATS. */
export function statusAlone({ cluster }: WeirConfig): ClusterStatus {
  return {
    name: cluster.name,
    self: "",
    nats: null,
    members: [],
    config: null,
    health: null,
    quota: null,
    budgets: null,
    usage: null,
    cache: null,
  };
}

function show({ connection, membership, usage, cache, quota }: ClusterActor, metrics: Metrics): void {
  showCache(cache, metrics);
  showQuota(quota.status, metrics);
  metrics.cell("weir_nats_connected").value = connection.live === null ? 0 : 1;
  metrics.cell("weir_nats_reconnects_total").value = connection.reconnects;
  metrics.cell("weir_cluster_members").value = membership.members.length;
  metrics.cell("weir_usage_stream_published_total").value = usage.counts.published;
  metrics.cell("weir_usage_stream_duplicates_total").value = usage.counts.duplicates;
  metrics.cell("weir_usage_stream_failures_total").value = usage.counts.failures;
  metrics.cell("weir_usage_stream_lost_total").value = usage.counts.lost;
  metrics.cell("weir_usage_stream_backlog_bytes").value = usage.backlogBytes;
}

function showQuota(status: QuotaStatus, metrics: Metrics): void {
  metrics.cell("weir_quota_asks_total").value = status.asks;
  metrics.cell("weir_quota_granted_total").value = status.granted;
  metrics.cell("weir_quota_alone_total").value = status.alone;
  metrics.cell("weir_quota_messages_total", "sent").value = status.messages_sent;
  metrics.cell("weir_quota_messages_total", "received").value = status.messages_received;
  metrics.cell("weir_quota_buckets").value = status.buckets;
}

function showCache({ counts }: ClusterActor["cache"], metrics: Metrics): void {
  const reads = { hit: counts.hits, miss: counts.misses, refused: counts.refused, failed: counts.failed };
  for (const [outcome, value] of Object.entries(reads)) {
    metrics.cell("weir_cluster_cache_reads_total", outcome).value = value;
  }
  const { stored, dropped, too_long, unstored } = counts;
  for (const [outcome, value] of Object.entries({ stored, dropped, too_long, failed: unstored })) {
    metrics.cell("weir_cluster_cache_writes_total", outcome).value = value;
  }
}

/** Of package.json, which stands beside the sources and beside what is built of them. */
export function packageVersion(): string {
  try {
    const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
    return String((JSON.parse(text) as { version?: unknown }).version ?? "");
  } catch {
    return "";
  }
}
