/** The shape of policies, budgets, cache policies and guardrail attachments in resources.yaml. */
import { z } from "zod";
import {
  cidrs,
  count,
  headerName,
  httpAddress,
  number,
  rateLimit,
  resourceName,
  text,
  timezone,
  whole,
} from "./schema-parts.js";
import { ON_PARTITION } from "./traffic.js";

const YEAR_SECONDS = 31_536_000;

/** `id` and `name` of an entry; `display_name` is another spelling. */
const names = {
  id: resourceName.optional(),
  name: resourceName.optional(),
  display_name: resourceName.optional(),
};

const DAYS = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const DAY_RULE = "must be a day: its name (mon, monday) or a number from 0 (Sunday) to 6";

/** Number of a day, from its name, long or short, or as it is; -1 for anything else. */
function dayNumber(day: unknown): number {
  if (typeof day === "number") return Number.isInteger(day) && day >= 0 && day <= 6 ? day : -1;
  const lower = typeof day === "string" ? day.toLowerCase() : "";
  return DAYS.findIndex((name) => name === lower || name.slice(0, 3) === lower);
}

const dayOfWeek = z.custom<string | number>((day) => dayNumber(day) >= 0, DAY_RULE).transform(dayNumber);

const DATE_RULE = "must be a date, such as 2027-01-31";
const date = z.string().refine(isDate, DATE_RULE);

function isDate(written: string): boolean {
  const time = Date.parse(`${written}T00:00:00Z`);
  return Number.isFinite(time) && new Date(time).toISOString().slice(0, 10) === written;
}

/** HH:MM as minutes since midnight. */
function clock(pattern: RegExp, rule: string) {
  return z
    .string()
    .regex(pattern, rule)
    .transform((written) => Number(written.slice(0, 2)) * 60 + Number(written.slice(3)));
}

const startTime = clock(/^(?:[01][0-9]|2[0-3]):[0-5][0-9]$/, "must be a time from 00:00 to 23:59");
const endTime = clock(/^(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00)$/, "must be a time from 00:00 to 24:00");

const schedule = z
  .strictObject({
    days_of_week: z.array(dayOfWeek).max(7).default([]),
    dates: z.array(date).max(1024).default([]),
    start_time: startTime.prefault("00:00"),
    end_time: endTime.prefault("24:00"),
    timezone: timezone.default("UTC"),
  })
  .refine((value) => value.days_of_week.length === 0 || value.dates.length === 0, {
    path: ["dates"],
    error: "cannot stand beside days_of_week: a window opens on weekdays or on dates",
  });

/** One entry of `rate_limit_policies`. Its tree of conditions is read by hand: it may be deep. */
export const rateLimitPolicySchema = z.strictObject({
  ...names,
  scope: z.enum(["api_key", "model", "team", "member", "team_member"]).optional(),
  scope_ref: resourceName.optional(),
  window: z.enum(["second", "minute", "hour", "day"]).optional(),
  max_requests: whole(1, Number.MAX_SAFE_INTEGER).optional(),
  max_tokens: whole(1, Number.MAX_SAFE_INTEGER).optional(),
  limits: rateLimit.optional(),
  conditions: z.unknown().optional(),
  group_by: z
    .array(z.enum(["team", "member", "api_key", "model", "provider"]))
    .refine((list) => new Set(list).size === list.length, "names the same dimension twice")
    .default([]),
  schedules: z.array(schedule).max(64).default([]),
  on_partition: z.enum(ON_PARTITION).optional(),
});

// Counters hold millionths of a dollar in doubles; this is far from where those lose their last digit.
const dollars = number(0.000_001, 1_000_000_000);

const spending = {
  limit_usd: dollars,
  period: z.enum(["day", "week", "month", "total"]).default("month"),
  timezone: timezone.default("UTC"),
  action: z.enum(["block", "warn"]).default("block"),
  warn_at: z.array(number(0.001, 1)).max(16).default([]),
};

/** A budget that stands at its API key. */
export const inlineBudget = z.strictObject(spending);

/** One entry of `budgets`. */
export const budgetSchema = z.strictObject({
  ...names,
  scope: z.enum(["key", "team", "user", "model", "all"]),
  scope_ref: resourceName.optional(),
  ...spending,
});

const semanticCache = z.strictObject({
  embedding_model: resourceName.optional(),
  embedding_model_id: resourceName.optional(),
  threshold: number(0, 1).default(0.95),
  embedding_timeout_ms: count(1, 600_000, 5_000),
  max_entries: count(1, 1_000_000, 1_000),
});

/** One entry of `cache_policies`. */
export const cachePolicySchema = z.strictObject({
  ...names,
  enabled: z.boolean().default(true),
  applies_to: z
    .string()
    .max(300)
    .regex(/^(?:all|(?:model|api_key):.+)$/, 'must be "all", "model:NAME" or "api_key:NAME"')
    .default("all"),
  backend: z.enum(["memory", "cluster"]).default("memory"),
  scope: z.enum(["api_key", "env"]).default("api_key"),
  ttl_seconds: count(1, YEAR_SECONDS, 3600),
  purge_generation: count(0, Number.MAX_SAFE_INTEGER, 0),
  semantic: semanticCache.optional(),
  streams: z.boolean().default(true),
  collapse: z.boolean().default(false),
});

const PREFIX_RULE = "must be a path such as /vendor or /team/vendor: no dots alone, no escapes, no slash at its end";
const pathPrefix = text(512).regex(/^(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._~-]+)+$/, PREFIX_RULE);
const hostName = text(253)
  .regex(/^[A-Za-z0-9.-]+$/, "must be a host's name, without scheme, port and path")
  .toLowerCase();

/** One entry of `passthrough_routes`. */
export const passthroughRouteSchema = z.strictObject({
  ...names,
  path_prefix: pathPrefix.optional(),
  hosts: z.array(hostName).max(64).default([]),
  target_url: httpAddress.optional(),
  preserve_host: z.boolean().default(false),
  auth_mode: z.enum(["gateway_key", "header_key", "anonymous"]).default("gateway_key"),
  auth_header_name: headerName.toLowerCase().optional(),
  credential_mode: z.enum(["inject", "forward_client"]).default("inject"),
  provider_key: resourceName.optional(),
  provider_key_id: resourceName.optional(),
  source_cidrs: cidrs.default([]),
  timeout_ms: count(0, 86_400_000, 0),
  enabled: z.boolean().default(true),
});

/** One entry of `guardrail_attachments`: has no name, as nothing refers to it. */
export const attachmentSchema = z.strictObject({
  id: resourceName.optional(),
  guardrail: resourceName.optional(),
  guardrail_id: resourceName.optional(),
  scope_type: z.enum(["env", "model", "api_key", "team", "passthrough_route"]),
  scope_id: text(256).nullable().optional(),
  priority: count(-1_000_000, 1_000_000, 0),
  enabled: z.boolean().default(true),
});

export type RateLimitPolicyEntry = z.output<typeof rateLimitPolicySchema>;
export type InlineBudgetEntry = z.output<typeof inlineBudget>;
export type BudgetEntry = z.output<typeof budgetSchema>;
export type CachePolicyEntry = z.output<typeof cachePolicySchema>;
export type PassthroughRouteEntry = z.output<typeof passthroughRouteSchema>;
export type AttachmentEntry = z.output<typeof attachmentSchema>;
