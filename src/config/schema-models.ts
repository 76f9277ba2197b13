/** The shape of `models` in resources.yaml: direct ones and the three kinds with several models behind a name. */
import { z } from "zod";
import { cidrs, count, number, rateLimit, resourceName, starred, statuses, text, whole } from "./schema-parts.js";
import { DEFAULT_COOLDOWN, STRATEGIES } from "./traffic.js";

const DAY_SECONDS = 86_400;

const milliseconds = whole(0, 2_147_483_647).optional();

const cooldown = z.strictObject({
  enabled: z.boolean().default(DEFAULT_COOLDOWN.enabled),
  default_seconds: count(0, DAY_SECONDS, DEFAULT_COOLDOWN.defaultSeconds),
  max_seconds: count(1, DAY_SECONDS, DEFAULT_COOLDOWN.maxSeconds),
  honor_retry_after: z.boolean().default(DEFAULT_COOLDOWN.honorRetryAfter),
  trigger_statuses: statuses(100).default([...DEFAULT_COOLDOWN.triggerStatuses]),
  trigger_on_timeout: z.boolean().default(DEFAULT_COOLDOWN.triggerOnTimeout),
  trigger_on_transport: z.boolean().default(DEFAULT_COOLDOWN.triggerOnTransport),
});

const backgroundCheck = z.strictObject({
  enabled: z.boolean().default(true),
  interval_seconds: count(5, DAY_SECONDS, 60),
  timeout_seconds: count(1, 600, 10),
  stale_after_seconds: count(1, 7 * DAY_SECONDS, 300),
  prompt: text(4096).default("ping"),
  max_tokens: count(1, 1024, 1),
  ignore_statuses: statuses(100).default([]),
});

const price = number(0, 1_000_000).optional();

const cost = z.strictObject({
  input_per_1k: price,
  output_per_1k: price,
  cached_input_per_1k: price,
  cache_write_per_1k: price,
  per_request: price,
  per_image: price,
  per_second: price,
});

const embedding = z.strictObject({
  dimensions: whole(1, 65_536).optional(),
  normalize: z.boolean().default(true),
});

const promptCaching = z.strictObject({ enabled: z.boolean().default(true), ttl: z.enum(["5m", "1h"]).default("5m") });

// Their names are weighed one by one in a prepared order; this keeps that order short.
const weight = count(0, 10_000, 1);

const target = z.strictObject({
  model: resourceName.optional(),
  model_id: resourceName.optional(),
  weight,
  priority: count(-1_000_000, 1_000_000, 0),
  tags: z.array(text(128)).max(64).default([]),
});

const hashSource = z.strictObject({
  type: z.enum(["header", "cookie", "api_key", "client_ip"]),
  name: z
    .string()
    .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/, "must be the name of a header or cookie")
    .optional(),
});

const routing = z.strictObject({
  strategy: z.enum(STRATEGIES).default("failover"),
  targets: z.array(target).min(1).max(256),
  retries: whole(0, 10).optional(),
  max_fallbacks: whole(0, 256).optional(),
  retry_on_429: z.boolean().default(false),
  fallback_on_statuses: statuses(400).default([]),
  when_all_unavailable: z.enum(["fail", "try_anyway"]).default("fail"),
  hash_on: z.array(hashSource).min(1).max(16).optional(),
  continue_on_failure: z.boolean().default(false),
});

const panelMember = z.strictObject({
  model: resourceName.optional(),
  model_id: resourceName.optional(),
  temperature: number(0, 100).optional(),
  seed: whole(0, Number.MAX_SAFE_INTEGER).optional(),
});

const ensemble = z.strictObject({
  panel: z.array(panelMember).min(1).max(32),
  judge: z.strictObject({
    model: resourceName.optional(),
    model_id: resourceName.optional(),
    synthesis_prompt: text(65_536).optional(),
  }),
  min_responses: whole(1, 32).optional(),
  timeout_ms: count(0, 2_147_483_647, 0),
});

const similarity = number(0, 1);

const semanticRoute = z.strictObject({
  name: resourceName,
  target: resourceName.optional(),
  target_id: resourceName.optional(),
  description: text(4096).optional(),
  examples: z.array(text(8192)).min(1).max(1024),
  threshold: similarity.optional(),
});

const semantic = z.strictObject({
  embedding_model: resourceName.optional(),
  embedding_model_id: resourceName.optional(),
  default: resourceName.optional(),
  default_id: resourceName.optional(),
  match: z.strictObject({
    threshold: similarity,
    aggregation: z.enum(["max"]).default("max"),
    distance_metric: z.enum(["cosine"]).default("cosine"),
  }),
  routes: z.array(semanticRoute).min(1).max(256),
  embedding_timeout_ms: count(0, 600_000, 0),
  on_embedding_failure: z
    .union([
      z.enum(["default", "fail"]),
      z.strictObject({ target: resourceName.optional(), target_id: resourceName.optional() }),
    ])
    .default("default"),
});

/** One entry of `models`. What a direct model must have is asked for by the checks behind the schema. */
export const modelSchema = z.strictObject({
  id: resourceName.optional(),
  display_name: starred(256).optional(),
  name: starred(256).optional(),
  provider: text(128).optional(),
  model_name: starred(1024).optional(),
  provider_key: resourceName.optional(),
  provider_key_id: resourceName.optional(),
  rate_limit: rateLimit.optional(),
  timeout: milliseconds,
  stream_timeout: milliseconds,
  retries: whole(0, 10).optional(),
  strict: z.boolean().default(false),
  allowed_cidrs: cidrs.default([]),
  cooldown: cooldown.prefault({}),
  background_model_check: backgroundCheck.optional(),
  cost: cost.optional(),
  embedding: embedding.optional(),
  auto_prompt_caching: promptCaching.optional(),
  routing: routing.optional(),
  ensemble: ensemble.optional(),
  semantic: semantic.optional(),
});

export type ModelEntry = z.output<typeof modelSchema>;
