/**
 * Every metric the gateway has, declared once. docs/observability.md is held equal to this table by a test.
 * The `gen_ai_` names, attributes and bucket boundaries are those of the OpenTelemetry semantic conventions
 * for generative AI, in Prometheus spelling.
 */

export type MetricType = "counter" | "gauge" | "histogram";

/** How the threads' values become the node's. */
export type Aggregator = "sum" | "max";

export interface Declaration {
  readonly type: MetricType;
  readonly help: string;
  /** Unit of the value; "1" = a count or a flag. */
  readonly unit: "seconds" | "bytes" | "tokens" | "dollars" | "1";
  readonly labels: readonly string[];
  readonly aggregator: Aggregator;
  /** Upper bounds of a histogram, ascending; [] for the others. */
  readonly buckets: readonly number[];
}

type Unit = Declaration["unit"];

function counter(unit: Unit, help: string, ...labels: string[]): Declaration {
  return { type: "counter", help, unit, labels, aggregator: "sum", buckets: [] };
}

function gauge(unit: Unit, help: string, ...labels: string[]): Declaration {
  return { type: "gauge", help, unit, labels, aggregator: "sum", buckets: [] };
}

/** A value that one thread knows for all. */
function single(unit: Unit, help: string, ...labels: string[]): Declaration {
  return { type: "gauge", help, unit, labels, aggregator: "max", buckets: [] };
}

const GEN_AI = [
  "gen_ai_operation_name",
  "gen_ai_provider_name",
  "gen_ai_request_model",
  "gen_ai_response_model",
] as const;

const TOKEN_BUCKETS = [
  1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864,
] as const;
const DURATION_BUCKETS = [
  0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
] as const;
const FIRST_TOKEN_BUCKETS = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
] as const;
const PER_TOKEN_BUCKETS = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5] as const;

function genAi(unit: Unit, help: string, buckets: readonly number[], lastLabel: string): Declaration {
  return { type: "histogram", help, unit, labels: [...GEN_AI, lastLabel], aggregator: "sum", buckets };
}

export const METRICS = Object.freeze({
  gen_ai_client_token_usage: genAi(
    "tokens",
    "Tokens of a request, input and output apart.",
    TOKEN_BUCKETS,
    "gen_ai_token_type",
  ),
  gen_ai_server_request_duration: genAi(
    "seconds",
    "From the request's arrival to the answer's end.",
    DURATION_BUCKETS,
    "error_type",
  ),
  gen_ai_server_time_to_first_token: genAi(
    "seconds",
    "From the request's arrival to the first byte of a streamed answer's body.",
    FIRST_TOKEN_BUCKETS,
    "error_type",
  ),
  gen_ai_server_time_per_output_token: genAi(
    "seconds",
    "Time between the output tokens of a streamed answer after the first.",
    PER_TOKEN_BUCKETS,
    "error_type",
  ),
  weir_requests_total: counter("1", "Requests answered.", "operation", "status"),
  weir_requests_in_flight: gauge("1", "Requests being handled."),
  weir_requests_shed_total: counter("1", "Requests refused because a bound was reached.", "reason"),
  weir_limit_refusals_total: counter("1", "Requests and attempts refused by a limit or a budget.", "kind"),
  weir_limit_overflows_total: counter(
    "1",
    "Admissions counted in a policy's or budget's shared counters for want of room.",
  ),
  weir_connections: gauge("1", "Open client connections."),
  weir_client_aborts_total: counter("1", "Requests whose client left before the answer's end."),
  weir_upstream_attempts_total: counter("1", "Attempts at an upstream.", "provider", "outcome"),
  weir_usage_tokens_total: counter("tokens", "Tokens used, by kind.", "model", "token_type"),
  weir_usage_units_total: counter(
    "1",
    "Units used that are no tokens: images, audio_seconds, characters, search_units.",
    "model",
    "unit",
  ),
  weir_usage_estimated_total: counter("1", "Attempts whose use was guessed here, not said by the upstream."),
  weir_cost_usd_total: counter(
    "dollars",
    "US dollars that attempts cost, as far as prices are known.",
    "provider",
    "model",
  ),
  weir_unknown_price_total: counter("1", "Attempts that used a model whose price is not known.", "provider", "model"),
  weir_budget_warnings_total: counter(
    "1",
    "Fractions of budgets that were reached and warned of; in a fleet by one node for all.",
    "budget",
  ),
  weir_budget_spent_ratio: single(
    "1",
    "Part of the limit that is spent in the period that runs now, by all nodes as far as this one knows.",
    "budget",
    "value",
  ),
  weir_losses_total: counter("1", "Parts of requests and answers that the other side's dialect could not express."),
  weir_guardrail_actions_total: counter(
    "1",
    "What guardrails did; `failed`: one could not be asked.",
    "guardrail",
    "action",
  ),
  weir_cache_requests_total: counter(
    "1",
    "Requests under a cache policy: hit, cluster_hit, semantic_hit, miss; bypass also where no policy applies.",
    "outcome",
  ),
  weir_cache_stored_total: counter("1", "Answers put into the cache."),
  weir_cache_evicted_total: counter("1", "Cached answers pushed out by newer ones."),
  weir_cache_bytes: single("bytes", "Memory of the cache in use."),
  weir_cache_entries: single("1", "Answers in the cache."),
  weir_turns_bytes: single("bytes", "Memory of kept conversations in use."),
  weir_turns_entries: single("1", "Answers kept with their conversations."),
  weir_turns_evicted_total: counter("1", "Kept conversations pushed out by newer ones."),
  weir_journal_lines_total: counter("1", "Usage events on file."),
  weir_journal_bytes_total: counter("bytes", "Bytes of usage events on file."),
  weir_journal_lost_total: counter("1", "Usage events given up because they could not be written."),
  weir_journal_failures_total: counter("1", "Journal writes that the file system refused."),
  weir_journal_pending: gauge("1", "Usage events waiting to be written."),
  weir_nats_connected: single("1", "1 while there is a connection to NATS."),
  weir_nats_reconnects_total: counter("1", "Connections to NATS after the first one."),
  weir_cluster_members: single("1", "Nodes of the fleet that this one knows to live, itself included."),
  weir_quota_asks_total: counter("1", "Buckets of limits that this node has asked units of, its own ones included."),
  weir_quota_granted_total: counter("1", "Units of limits that this node has granted as their owner."),
  weir_quota_alone_total: counter(
    "1",
    "Units of limits that this node took without an owner: it could ask nobody, or had no answer in time.",
  ),
  weir_quota_messages_total: counter("1", "Messages about limits: sent, received.", "direction"),
  weir_quota_buckets: single("1", "Windows of limits that this node knows of, its own or not."),
  weir_cluster_cache_reads_total: counter(
    "1",
    "Looks for an answer that another node keeps: hit, miss; refused: NATS is away or too many look; failed.",
    "outcome",
  ),
  weir_cluster_cache_writes_total: counter(
    "1",
    "Answers for other nodes: stored; dropped: NATS is away or too many wait; too_long; failed.",
    "outcome",
  ),
  weir_usage_stream_published_total: counter("1", "Usage events that the stream in NATS has acknowledged."),
  weir_usage_stream_duplicates_total: counter("1", "Of these: events that the stream had already."),
  weir_usage_stream_failures_total: counter("1", "Times that NATS refused usage events or did not acknowledge them."),
  weir_usage_stream_lost_total: counter("1", "Usage events that will never get into the stream."),
  weir_usage_stream_backlog_bytes: single("bytes", "Part of the journal that is not in the stream yet."),
  weir_pool_jobs_total: counter("1", "Jobs of the compute pool.", "outcome"),
  weir_pool_queue: gauge("1", "Jobs waiting for a pool thread."),
  weir_pool_threads: gauge("1", "Pool threads alive."),
  weir_mailbox_depth: gauge("1", "Messages waiting in an actor's mailbox.", "actor"),
  weir_dead_letters_total: counter("1", "Messages to an actor that was gone or full.", "actor"),
  weir_event_loop_lag_seconds: gauge(
    "seconds",
    "How late a thread's event loop ran since the last look, as quantiles.",
    "thread",
    "quantile",
  ),
  weir_log_dropped_total: counter("1", "Log lines dropped because their reader was too slow."),
  weir_metric_overflows_total: counter("1", "Label sets folded into `_other` because a bound was reached."),
  weir_acceptor_restarts_total: counter("1", "Acceptor threads replaced after a crash."),
  weir_config_reloads_total: counter("1", "Configuration reloads.", "result"),
  weir_config_revision_info: single("1", "1 for the revision of the resources that serves.", "revision"),
  process_resident_memory_bytes: single("bytes", "Resident memory of the process."),
  process_cpu_seconds_total: counter("seconds", "CPU time of the process, user and system."),
  process_start_time_seconds: single("seconds", "When the process started, seconds since the epoch."),
}) satisfies Readonly<Record<string, Declaration>>;

export type MetricName = keyof typeof METRICS;

/** Looks a declaration up without its narrow type. */
export function declarationOf(name: MetricName): Declaration {
  return METRICS[name];
}
