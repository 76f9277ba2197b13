/** The answer to a request that was answered in parts: its headers, its usage, its place in the cache. */
import { rateLimitHeaders } from "../quota/headers.js";
import type { UsageEvent } from "../usage/event.js";
import { headerValue } from "./answer-headers.js";
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";

/** Counts that a whole has the sum of. */
const SUMMED = [
  "input_tokens",
  "output_tokens",
  "cache_read_tokens",
  "cache_write_tokens",
  "cache_write_1h_tokens",
  "reasoning_tokens",
  "input_audio_tokens",
  "input_image_tokens",
  "output_audio_tokens",
  "cost_usd",
] as const satisfies readonly (keyof UsageEvent)[];

/** What all parts have used, for the log and the metrics; their events are on file one by one. null = nothing. */
export function totalUsage(usages: readonly UsageEvent[]): UsageEvent | null {
  const [first] = usages;
  if (first === undefined) return null;
  const total = { ...first, losses: [...new Set(usages.flatMap(({ losses }) => losses))] };
  for (const name of SUMMED) total[name] = usages.reduce((sum, usage) => sum + usage[name], 0);
  total.estimated = usages.some(({ estimated }) => estimated);
  total.price_known = usages.every(({ price_known }) => price_known);
  return total;
}

/** Names and values alternate. Of several providers, the one that answered first is named. */
export function joinedHeaders(
  exchange: Exchange,
  { headerNames: names }: Node,
  contentType = "application/json",
): string[] {
  const { usage, lease } = exchange;
  const headers = ["content-type", contentType, names.requestId, exchange.id];
  if (usage !== null) {
    headers.push(names.servedBy, headerValue(usage.provider), names.upstreamModel, headerValue(usage.upstream_model));
  }
  headers.push(names.cache, exchange.cache, names.attempts, String(exchange.attempts));
  if (usage !== null && usage.losses.length > 0) headers.push(names.losses, usage.losses.join(","));
  if (lease !== null && exchange.error === "") rateLimitHeaders(lease, Date.now(), headers);
  return headers;
}

/** Keeps the answer for the next one who asks, unless guardrails have been at its parts: the cache has answers as they came. */
export function recordJoined({ recording, screening, usage }: Exchange, answer: Buffer): void {
  if (recording === null || usage === null) return;
  if (screening !== null && screening.plan.output !== null) {
    recording.discard();
    return;
  }
  recording.add(answer);
  recording.commit({
    mode: "whole",
    contentType: "application/json",
    usageShown: false,
    targetDialect: usage.target_dialect,
    provider: usage.provider,
    upstreamModel: usage.upstream_model,
    responseModel: usage.response_model,
    responseId: usage.response_id,
    finishReason: usage.finish_reason,
    inputTokens: usage.input_tokens,
    outputTokens: usage.output_tokens,
    cacheReadTokens: usage.cache_read_tokens,
    cacheWriteTokens: usage.cache_write_tokens,
    reasoningTokens: usage.reasoning_tokens,
    costUsd: usage.cost_usd,
    losses: usage.losses,
  });
}
