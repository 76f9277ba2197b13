/** The usage event of an answer from the cache: nothing was used, and what was saved is told. */
import type { EntryMeta } from "../cache/entry.js";
import { timeText } from "../observability/logger.js";
import { NO_UNITS, USAGE_EVENT_VERSION, type UsageEvent } from "../usage/event.js";
import { newEventId } from "../usage/meter.js";
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";

const MAX_USER_AGENT = 256;
const NOTHING = Object.freeze({});
const NO_ACTIONS: UsageEvent["guardrails"] = Object.freeze([]);

const NOTHING_USED = {
  input_tokens: 0,
  output_tokens: 0,
  cache_read_tokens: 0,
  cache_write_tokens: 0,
  cache_write_1h_tokens: 0,
  reasoning_tokens: 0,
  ...NO_UNITS,
  cost_usd: 0,
  price_known: true,
  estimated: false,
} as const;

export function hitEvent(exchange: Exchange, node: Node, meta: EntryMeta): UsageEvent {
  const key = exchange.keyResource;
  const duration = performance.now() - exchange.startedAt;
  const { firstByteAt } = exchange;
  return {
    v: USAGE_EVENT_VERSION,
    id: newEventId(),
    request_id: exchange.id,
    attempt: 0,
    time: timeText(exchange.startedAtWall + duration),
    node: node.name,
    operation: exchange.route.operation,
    client_dialect: exchange.route.dialect.id,
    target_dialect: meta.targetDialect,
    api_key: key?.name ?? "",
    team_id: key?.teamId ?? null,
    user_id: key?.userId ?? null,
    metadata: key?.metadata ?? NOTHING,
    model: exchange.view?.model ?? "",
    model_entry: exchange.model?.entry.name ?? "",
    provider: meta.provider,
    provider_key: "",
    tags: NOTHING,
    upstream_model: meta.upstreamModel,
    response_model: meta.responseModel,
    response_id: meta.responseId,
    streamed: exchange.view?.stream === true,
    status: exchange.status,
    upstream_status: 0,
    error: exchange.error,
    finish_reason: meta.finishReason,
    ...NOTHING_USED,
    saved_input_tokens: meta.inputTokens,
    saved_output_tokens: meta.outputTokens,
    saved_cost_usd: meta.costUsd,
    complete: exchange.error === "",
    duration_ms: duration,
    time_to_first_token_ms: firstByteAt === 0 ? 0 : firstByteAt - exchange.startedAt,
    request_bytes: exchange.body.length,
    response_bytes: 0,
    client_address: exchange.clientAddress,
    user_agent: exchange.headers.userAgent.slice(0, MAX_USER_AGENT),
    cache: "hit",
    losses: meta.losses,
    guardrails: exchange.screening?.actions ?? NO_ACTIONS,
  };
}
