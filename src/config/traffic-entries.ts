/** Policies, budgets, cache policies and attachments: what holds between their fields, and what they become. */
import { readConditions } from "./conditions.js";
import {
  below,
  type Complain,
  checkModelReference,
  type Directory,
  isMapping,
  modelNameProblem,
  oneOf,
  type Raw,
  referenceIn,
  type Surroundings,
} from "./entry.js";
import { toRateLimit } from "./model-entries.js";
import type { RateLimit } from "./resources.js";
import type {
  AttachmentEntry,
  BudgetEntry,
  CachePolicyEntry,
  InlineBudgetEntry,
  RateLimitPolicyEntry,
} from "./schema-traffic.js";
import type {
  Budget,
  CachePolicy,
  Condition,
  GroupDimension,
  GuardrailAttachment,
  RateLimitPolicy,
} from "./traffic.js";

// ---- rate_limit_policies ---------------------------------------------------------------------------

const WINDOW_FORM = ["scope", "scope_ref", "window", "max_requests", "max_tokens"];
const LIMITS_FORM = ["limits", "conditions", "group_by"];

/** Which limits a window of the short form stands for. */
const WINDOWS = {
  second: { requests: "rps", tokens: "tps" },
  minute: { requests: "rpm", tokens: "tpm" },
  hour: { requests: "rph", tokens: "tph" },
  day: { requests: "rpd", tokens: "tpd" },
} as const;

export function checkRateLimitPolicy(raw: Raw, surroundings: Surroundings, complain: Complain): void {
  oneOf(raw, ["name", "display_name"], complain);
  const short = WINDOW_FORM.find((field) => raw[field] !== undefined);
  const long = LIMITS_FORM.find((field) => raw[field] !== undefined);
  if (short !== undefined && long !== undefined) {
    complain([long], `cannot stand beside ${short}: a policy has scope and window, or limits and conditions`);
  } else if (short !== undefined) {
    if (raw.scope === undefined) complain(["scope"], "is required");
    if (raw.window === undefined) complain(["window"], "is required");
    if (raw.max_requests === undefined && raw.max_tokens === undefined) {
      complain(["max_requests"], "is required (or max_tokens)");
    }
    checkScope(raw, surroundings.directory, complain);
  } else if (raw.limits === undefined) {
    complain(["limits"], "is required (or scope, window and max_requests or max_tokens)");
  } else if (isMapping(raw.limits) && Object.keys(raw.limits).length === 0) {
    complain(["limits"], "must hold at least one limit");
  }
  readConditions(raw.conditions, surroundings, complain);
}

/** `scope_ref` names what `scope` says; teams and users are known by their keys alone, so any name goes. */
function checkScope({ scope, scope_ref: reference }: Raw, directory: Directory, complain: Complain): void {
  if (typeof reference !== "string" || reference === "") return;
  if ((scope === "api_key" || scope === "key") && directory.find("api_keys", reference, true) === undefined) {
    complain(["scope_ref"], "there is no API key of this name");
  }
  const problem = scope === "model" ? modelNameProblem(reference, directory) : null;
  if (problem !== null) complain(["scope_ref"], problem);
}

/** The name that a `scope_ref` or a scope's id means. */
function scopeName(scope: string, reference: string, directory: Directory): string {
  if (scope === "api_key" || scope === "key") return directory.named("api_keys", undefined, reference);
  if (scope === "passthrough_route") return directory.named("passthrough_routes", undefined, reference);
  return scope === "model" ? directory.named("models", undefined, reference) : reference;
}

export function toRateLimitPolicy(entry: RateLimitPolicyEntry, surroundings: Surroundings): RateLimitPolicy {
  const name = entry.name ?? entry.display_name ?? "";
  const schedules = entry.schedules.map((schedule) => ({
    daysOfWeek: [...new Set(schedule.days_of_week)].sort(),
    dates: schedule.dates,
    startMinute: schedule.start_time,
    endMinute: schedule.end_time,
    timezone: schedule.timezone,
  }));
  const rule =
    entry.scope === undefined
      ? {
          limits: toRateLimit(entry.limits) ?? {},
          condition: readConditions(entry.conditions, surroundings, () => {}),
          groupBy: entry.group_by,
        }
      : { limits: windowLimits(entry), ...subjectOf(entry.scope, entry.scope_ref, surroundings.directory) };
  return { id: entry.id ?? name, name, ...rule, schedules, onPartition: entry.on_partition ?? null };
}

function windowLimits(entry: RateLimitPolicyEntry): RateLimit {
  const { requests, tokens } = WINDOWS[entry.window ?? "minute"];
  return {
    ...(entry.max_requests === undefined ? {} : { [requests]: entry.max_requests }),
    ...(entry.max_tokens === undefined ? {} : { [tokens]: entry.max_tokens }),
  };
}

/** Whom the short form concerns: the one that is named, or each one for itself. */
function subjectOf(
  scope: NonNullable<RateLimitPolicyEntry["scope"]>,
  reference: string | undefined,
  directory: Directory,
): { condition: Condition | null; groupBy: GroupDimension[] } {
  if (reference === undefined) {
    return { condition: null, groupBy: scope === "team_member" ? ["team", "member"] : [scope] };
  }
  const dimension = scope === "team_member" ? "team" : scope;
  const value = scopeName(scope, reference, directory);
  const condition: Condition = { kind: "test", dimension, operator: "==", value, negate: false };
  return { condition, groupBy: scope === "team_member" ? ["member"] : [] };
}

// ---- budgets ---------------------------------------------------------------------------------------

/** What the budgets at API keys are called. */
const INLINE = "api_key:";

export function checkBudget(raw: Raw, { directory }: Surroundings, complain: Complain): void {
  oneOf(raw, ["name", "display_name"], complain);
  for (const field of ["id", "name", "display_name"]) {
    const value = raw[field];
    if (typeof value === "string" && value.startsWith(INLINE)) complain([field], "begins like a budget at an API key");
  }
  if (raw.scope === "all" && raw.scope_ref !== undefined) complain(["scope_ref"], "does not go with the scope all");
  checkScope(raw, directory, complain);
}

export function toBudget(entry: BudgetEntry, { directory }: Surroundings): Budget {
  const name = entry.name ?? entry.display_name ?? "";
  const { scope, scope_ref: reference } = entry;
  const scopeRef = reference === undefined ? null : scopeName(scope, reference, directory);
  return { id: entry.id ?? name, name, scope, scopeRef, ...spending(entry) };
}

/** The budget that stands at an API key. */
export function toInlineBudget(keyName: string, entry: InlineBudgetEntry): Budget {
  const name = `${INLINE}${keyName}`;
  return { id: name, name, scope: "key", scopeRef: keyName, ...spending(entry) };
}

function spending(entry: InlineBudgetEntry): Omit<Budget, "id" | "name" | "scope" | "scopeRef"> {
  return {
    limitUsd: entry.limit_usd,
    period: entry.period,
    timezone: entry.timezone,
    action: entry.action,
    warnAt: [...new Set(entry.warn_at)].sort((left, right) => left - right),
  };
}

// ---- cache_policies --------------------------------------------------------------------------------

export function checkCachePolicy(raw: Raw, { directory }: Surroundings, complain: Complain): void {
  oneOf(raw, ["name", "display_name"], complain);
  const [kind, name] = appliesTo(raw.applies_to);
  if (kind === "api_key" && directory.find("api_keys", name, true) === undefined) {
    complain(["applies_to"], "there is no API key of this name");
  }
  const problem = kind === "model" ? modelNameProblem(name, directory) : null;
  if (problem !== null) complain(["applies_to"], problem);
  if (isMapping(raw.semantic)) {
    checkModelReference(raw.semantic, "embedding_model", ["direct"], {
      directory,
      complain: below(complain, "semantic"),
    });
  }
}

function appliesTo(written: unknown): ["all" | "model" | "api_key", string] {
  const colon = typeof written === "string" ? written.indexOf(":") : -1;
  const kind = colon < 0 ? "all" : String(written).slice(0, colon);
  if (kind !== "model" && kind !== "api_key") return ["all", ""];
  return [
    kind,
    String(written)
      .slice(colon + 1)
      .trim(),
  ];
}

export function toCachePolicy(entry: CachePolicyEntry, { directory }: Surroundings): CachePolicy {
  const name = entry.name ?? entry.display_name ?? "";
  const [kind, reference] = appliesTo(entry.applies_to);
  const { semantic } = entry;
  return {
    id: entry.id ?? name,
    name,
    enabled: entry.enabled,
    appliesTo: { kind, name: scopeName(kind, reference, directory) },
    backend: entry.backend,
    scope: entry.scope,
    ttlSeconds: entry.ttl_seconds,
    purgeGeneration: entry.purge_generation,
    semantic:
      semantic === undefined
        ? null
        : {
            embeddingModel: directory.named("models", semantic.embedding_model, semantic.embedding_model_id),
            threshold: semantic.threshold,
            embeddingTimeoutMs: semantic.embedding_timeout_ms,
            maxEntries: semantic.max_entries,
          },
    streams: entry.streams,
    collapse: entry.collapse,
  };
}

// ---- guardrail_attachments -------------------------------------------------------------------------

export function checkAttachment(raw: Raw, { directory }: Surroundings, complain: Complain): void {
  oneOf(raw, ["guardrail", "guardrail_id"], complain);
  const reference = referenceIn(raw, "guardrail");
  if (reference !== null && directory.find("guardrails", reference.value, reference.byId) === undefined) {
    complain([reference.field], "there is no guardrail of this name");
  }
  const { scope_type: scope, scope_id: id } = raw;
  const named = typeof id === "string" && id !== "";
  if (scope === "env" && named) complain(["scope_id"], "does not go with the scope env");
  if (scope !== "env" && (id === undefined || id === null)) complain(["scope_id"], "is required");
  if (!named) return;
  if (scope === "api_key" && directory.find("api_keys", id, true) === undefined) {
    complain(["scope_id"], "there is no API key of this name");
  }
  if (scope === "passthrough_route" && directory.find("passthrough_routes", id, true) === undefined) {
    complain(["scope_id"], "there is no passthrough route of this name");
  }
  const problem = scope === "model" ? modelNameProblem(id, directory) : null;
  if (problem !== null) complain(["scope_id"], problem);
}

/** null for an attachment that is switched off. */
export function toAttachment(entry: AttachmentEntry, { directory }: Surroundings): GuardrailAttachment | null {
  if (!entry.enabled) return null;
  return {
    guardrail: directory.named("guardrails", entry.guardrail, entry.guardrail_id),
    scope: entry.scope_type,
    scopeRef: entry.scope_type === "env" ? "" : scopeName(entry.scope_type, entry.scope_id ?? "", directory),
    priority: entry.priority,
  };
}
