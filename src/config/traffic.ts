/** The traffic rules among the resources: routing, prices, policies, budgets, caches and guardrails, as the hot path reads them. */
import type { RateLimit } from "./resources.js";

/** What a limit of the fleet is for a node that cannot reach the others: a share of it, all of it, or nothing. */
export const ON_PARTITION = ["fair_share", "open", "closed"] as const;
export type OnPartition = (typeof ON_PARTITION)[number];

/** When a failing target is left alone for a while; routing only, a direct model is still called. */
export interface Cooldown {
  readonly enabled: boolean;
  readonly defaultSeconds: number;
  /** Longest that an upstream's own retry-after may keep it away. */
  readonly maxSeconds: number;
  readonly honorRetryAfter: boolean;
  readonly triggerStatuses: readonly number[];
  readonly triggerOnTimeout: boolean;
  readonly triggerOnTransport: boolean;
}

export const DEFAULT_COOLDOWN: Cooldown = Object.freeze({
  enabled: true,
  defaultSeconds: 30,
  maxSeconds: 600,
  honorRetryAfter: true,
  triggerStatuses: [408, 429, 500, 502, 503, 504, 529],
  triggerOnTimeout: true,
  triggerOnTransport: true,
});

/** Small real calls that tell whether a model that nobody asked is well. */
export interface BackgroundCheck {
  readonly intervalSeconds: number;
  readonly timeoutSeconds: number;
  /** A result older than this says nothing. */
  readonly staleAfterSeconds: number;
  readonly prompt: string;
  readonly maxTokens: number;
  /** Statuses that do not mean that the model is ill. */
  readonly ignoreStatuses: readonly number[];
}

/** US dollars; null = not said (the catalog's price, where it has one). */
export interface ModelCost {
  readonly inputPer1k: number | null;
  readonly outputPer1k: number | null;
  readonly cachedInputPer1k: number | null;
  readonly cacheWritePer1k: number | null;
  readonly perRequest: number | null;
  readonly perImage: number | null;
  readonly perSecond: number | null;
}

export const STRATEGIES = [
  "failover",
  "round_robin",
  "consistent_hash",
  "least_cost",
  "least_latency",
  "least_busy",
] as const;
export type Strategy = (typeof STRATEGIES)[number];

export interface RoutingTarget {
  /** Name of a direct model (or of a name that one's pattern covers). */
  readonly model: string;
  readonly weight: number;
  /** Higher first. */
  readonly priority: number;
  readonly tags: readonly string[];
}

/** One source of the key of `consistent_hash`. */
export interface HashSource {
  readonly type: "header" | "cookie" | "api_key" | "client_ip";
  /** Lower case; "" where the type needs none. */
  readonly name: string;
}

export interface Routing {
  readonly strategy: Strategy;
  readonly targets: readonly RoutingTarget[];
  /** Tries on the same target beyond the first; null = 2, but 0 while another target remains. */
  readonly retries: number | null;
  /** Targets beyond the first; null = all. */
  readonly maxFallbacks: number | null;
  readonly retryOn429: boolean;
  readonly fallbackOnStatuses: readonly number[];
  readonly whenAllUnavailable: "fail" | "try_anyway";
  /** Empty = the gateway's own routing-key header, then the API key. */
  readonly hashOn: readonly HashSource[];
  /** A text stream that breaks goes on at the next target. */
  readonly continueOnFailure: boolean;
}

export interface PanelMember {
  readonly model: string;
  readonly temperature: number | null;
  readonly seed: number | null;
}

export interface Ensemble {
  readonly panel: readonly PanelMember[];
  readonly judge: { readonly model: string; readonly synthesisPrompt: string | null };
  readonly minResponses: number;
  /** For the panel; 0 = the request's own. */
  readonly timeoutMs: number;
}

export interface SemanticRoute {
  readonly name: string;
  /** Name of a model that is not semantic itself. */
  readonly target: string;
  readonly examples: readonly string[];
  /** null = the match's own. */
  readonly threshold: number | null;
}

export interface SemanticRouting {
  readonly embeddingModel: string;
  readonly defaultTarget: string;
  readonly threshold: number;
  readonly routes: readonly SemanticRoute[];
  readonly embeddingTimeoutMs: number;
  /** "default", "fail", or the name of a model. */
  readonly onEmbeddingFailure: { readonly action: "default" | "fail" | "target"; readonly target: string };
}

export type ConditionDimension = "team" | "member" | "api_key" | "model" | "model_name" | "provider";
/** `==` equal, `~=` not equal, `~~` matches the RE2 pattern, `~*` the same without case, `in` and `has` lists, `ipmatch` CIDRs. */
export type ConditionOperator = "==" | "~=" | "~~" | "~*" | "in" | "has" | ">" | ">=" | "<" | "<=" | "ipmatch";

export type Condition =
  | {
      readonly kind: "test";
      readonly dimension: ConditionDimension;
      readonly operator: ConditionOperator;
      readonly value: string | number | readonly string[];
      readonly negate: boolean;
    }
  | {
      readonly kind: "group";
      readonly logic: "and" | "or";
      readonly children: readonly Condition[];
      readonly negate: boolean;
    };

/** What a policy counts separately for: each value its own counters. */
export type GroupDimension = "team" | "member" | "api_key" | "model" | "provider";

/** A window of time in which a policy is suspended. */
export interface Schedule {
  /** 0 = Sunday; empty = every day (unless `dates` are given, then only those). */
  readonly daysOfWeek: readonly number[];
  /** YYYY-MM-DD in the timezone. */
  readonly dates: readonly string[];
  /** Minutes since midnight, the end up to 1440; an end not after the start is on the day after the chosen one. */
  readonly startMinute: number;
  readonly endMinute: number;
  /** IANA name. */
  readonly timezone: string;
}

export interface RateLimitPolicy {
  readonly id: string;
  readonly name: string;
  readonly limits: RateLimit;
  /** null = concerns every request. */
  readonly condition: Condition | null;
  /** Empty = one counter for all. */
  readonly groupBy: readonly GroupDimension[];
  readonly schedules: readonly Schedule[];
  /** What it is for a node that cannot reach the fleet; null = as `cluster.on_partition` says. */
  readonly onPartition: OnPartition | null;
}

export interface Budget {
  readonly id: string;
  readonly name: string;
  readonly scope: "key" | "team" | "user" | "model" | "all";
  /** Name of the key, team, user or model (as callers name it, or as configured); null = each has a budget of its own. */
  readonly scopeRef: string | null;
  readonly limitUsd: number;
  readonly period: "day" | "week" | "month" | "total";
  readonly timezone: string;
  readonly action: "block" | "warn";
  /** Fractions of the limit, ascending. */
  readonly warnAt: readonly number[];
}

export interface SemanticCache {
  readonly embeddingModel: string;
  readonly threshold: number;
  readonly embeddingTimeoutMs: number;
  readonly maxEntries: number;
}

export interface CachePolicy {
  readonly id: string;
  readonly name: string;
  readonly enabled: boolean;
  /** `name`: of the API key, or the model as callers name it; "" for all. */
  readonly appliesTo: { readonly kind: "all" | "model" | "api_key"; readonly name: string };
  readonly backend: "memory" | "cluster";
  readonly scope: "api_key" | "env";
  readonly ttlSeconds: number;
  readonly purgeGeneration: number;
  readonly semantic: SemanticCache | null;
  readonly streams: boolean;
  /** Equal misses under way share one upstream call. */
  readonly collapse: boolean;
}

export interface KeywordPattern {
  readonly kind: "literal" | "regex";
  readonly value: string;
}

/** What a pii rule can look for by itself. */
export const PII_TYPES = [
  "email",
  "phone",
  "credit_card",
  "us_ssn",
  "iban",
  "ip_address",
  "api_key",
  "jwt",
  "private_key",
  "bank_card",
  "china_mobile",
  "china_id_card",
] as const;
export type PiiType = (typeof PII_TYPES)[number];

export interface PiiDetector {
  readonly type: PiiType;
  readonly action: "mask" | "block";
}

export interface PiiPattern {
  readonly name: string;
  /** RE2 syntax. With a group in it, only what the first group holds is masked. */
  readonly regex: string;
  readonly action: "mask" | "block";
  /** What a mask puts there; null = the usual token with the pattern's name. */
  readonly replacement: string | null;
}

export interface PresidioEntity {
  readonly type: string;
  readonly action: "mask" | "block";
}

/** What a kind needs; `settings` of remote kinds are checked at load and hold no default left open. */
export type GuardrailRule =
  | { readonly kind: "keyword"; readonly patterns: readonly KeywordPattern[] }
  | { readonly kind: "pii"; readonly detectors: readonly PiiDetector[]; readonly customPatterns: readonly PiiPattern[] }
  | { readonly kind: "webhook"; readonly url: string; readonly headers: Readonly<Record<string, string>> }
  | {
      readonly kind: "openai_moderation";
      /** null = the service's own address. */
      readonly apiBase: string | null;
      readonly apiKey: string;
      readonly model: string;
      /** Category → score from which it blocks; empty = the service's own verdict. */
      readonly thresholds: Readonly<Record<string, number>>;
    }
  | {
      readonly kind: "bedrock";
      readonly guardrailIdentifier: string;
      readonly guardrailVersion: string;
      readonly region: string;
      readonly apiBase: string | null;
      /** Name of a provider key whose credentials sign; "" = `credential` does. */
      readonly providerKey: string;
      /** Never logged. */
      readonly credential: Readonly<Record<string, string>> | null;
    }
  | {
      readonly kind: "presidio";
      readonly analyzerUrl: string;
      /** null = findings are masked by their positions. */
      readonly anonymizerUrl: string | null;
      readonly language: string;
      /** Empty = whatever the analyzer knows. */
      readonly entities: readonly PresidioEntity[];
      /** Findings below it do not count; 0 = all count. */
      readonly scoreThreshold: number;
      /** For findings of entities that are not listed. */
      readonly action: "mask" | "block";
      /** How the anonymizer masks. */
      readonly operator: "replace" | "mask" | "hash" | "redact";
    }
  | {
      readonly kind: "azure_content_safety";
      readonly endpoint: string;
      readonly apiKey: string;
      readonly apiVersion: string;
      /** Category → severity from which it blocks; empty = categories are not asked for. */
      readonly severities: Readonly<Record<string, number>>;
      readonly blocklists: readonly string[];
      readonly promptShield: boolean;
    }
  | {
      readonly kind: "lakera";
      /** null = the service's own address. */
      readonly apiBase: string | null;
      readonly apiKey: string;
      readonly projectId: string | null;
    };

export interface Guardrail {
  readonly id: string;
  readonly name: string;
  readonly enabled: boolean;
  readonly hookPoint: "input" | "output" | "both";
  readonly mode: "block" | "monitor";
  /** A remote rule that cannot be asked about a request lets pass (true) or blocks (false). */
  readonly failOpen: boolean;
  /** The same about an answer. */
  readonly outputFailOpen: boolean;
  /** Concerns every request, attached or not. */
  readonly mandatory: boolean;
  readonly timeoutMs: number;
  readonly rule: GuardrailRule;
}

export interface GuardrailAttachment {
  /** Name of the guardrail. */
  readonly guardrail: string;
  readonly scope: "env" | "model" | "api_key" | "team" | "passthrough_route";
  /** Name within the scope, a model's as callers name it; "" for env. */
  readonly scopeRef: string;
  /** Lower runs first. */
  readonly priority: number;
}

/** A way through the gateway to one place, whatever is asked there. */
export interface PassthroughRoute {
  readonly id: string;
  readonly name: string;
  /** "" = every path. */
  readonly pathPrefix: string;
  /** In lower case; [] = every host that the gateway is called by. */
  readonly hosts: readonly string[];
  /** What the rest of the path is put behind; null = the host that was called. */
  readonly targetUrl: string | null;
  readonly authMode: "gateway_key" | "header_key" | "anonymous";
  /** Lower-case name of the header that holds the gateway's key; "" = the usual ones. */
  readonly authHeader: string;
  readonly credentialMode: "inject" | "forward_client";
  /** Name of a provider key; "" = none. */
  readonly providerKey: string;
  /** [] = all. */
  readonly sourceCidrs: readonly string[];
  /** 0 = the gateway's own. */
  readonly timeoutMs: number;
}

/** Everything of a resource file beyond providers, models and keys. */
export interface Traffic {
  readonly policies: readonly RateLimitPolicy[];
  readonly budgets: readonly Budget[];
  readonly cachePolicies: readonly CachePolicy[];
  readonly guardrails: readonly Guardrail[];
  readonly attachments: readonly GuardrailAttachment[];
  readonly passthroughRoutes: readonly PassthroughRoute[];
}

export const NO_TRAFFIC: Traffic = Object.freeze({
  policies: [],
  budgets: [],
  cachePolicies: [],
  guardrails: [],
  attachments: [],
  passthroughRoutes: [],
});
