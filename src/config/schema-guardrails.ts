/** The shape of `guardrails` in resources.yaml: what all kinds share, and each kind's own fields. */
import { z } from "zod";
import { count, headers, httpAddress, number, resourceName, text, whole } from "./schema-parts.js";
import { PII_TYPES } from "./traffic.js";

const action = z.enum(["mask", "block"]);
const secret = text(65_536);
const pattern = text(1024);

const common = {
  id: resourceName.optional(),
  name: resourceName.optional(),
  display_name: resourceName.optional(),
  enabled: z.boolean().default(true),
  hook_point: z.enum(["input", "output", "both"]).default("both"),
  enforcement_mode: z.enum(["block", "monitor"]).default("block"),
  mandatory: z.boolean().default(false),
};

/** What kinds share that ask somebody else. */
const remote = {
  ...common,
  fail_open: z.boolean().default(true),
  output_fail_open: z.boolean().default(false),
  timeout_ms: count(1, 600_000, 5_000),
};

// Local kinds cannot fail; they take the field so that one template fits all kinds.
const local = { ...common, fail_open: z.boolean().default(true) };

const keyword = z.strictObject({
  kind: z.literal("keyword"),
  ...local,
  patterns: z.array(z.strictObject({ kind: z.enum(["literal", "regex"]), value: pattern })).max(10_000),
});

const pii = z.strictObject({
  kind: z.literal("pii"),
  ...local,
  detectors: z.array(z.strictObject({ type: z.enum(PII_TYPES), action: action.optional() })).default([]),
  custom_patterns: z
    .array(
      z.strictObject({
        name: text(64),
        regex: pattern,
        action: action.optional(),
        replacement: z.string().max(256).optional(),
      }),
    )
    .max(1_000)
    .default([]),
  default_action: action.default("mask"),
});

const webhook = z.strictObject({ kind: z.literal("webhook"), ...remote, url: httpAddress, headers });

const moderationService = z.strictObject({
  kind: z.literal("openai_moderation"),
  ...remote,
  endpoint: httpAddress.optional(),
  api_key: secret,
  model: text(256).default("omni-moderation-latest"),
  category_thresholds: z.record(text(128), number(0, 1)).default({}),
});

const cloudGuardrail = z.strictObject({
  kind: z.literal("bedrock"),
  ...remote,
  guardrail_id: text(2048),
  guardrail_version: text(16),
  region: z.string().regex(/^[a-z]{2,}(?:-[a-z0-9]+)*$/, "must be the name of a region"),
  endpoint: httpAddress.optional(),
  provider_key: resourceName.optional(),
  provider_key_id: resourceName.optional(),
  aws_credentials: z
    .strictObject({
      kind: z.literal("static").default("static"),
      access_key_id: secret,
      secret_access_key: secret,
      session_token: secret.optional(),
    })
    .optional(),
  latency_mode: z
    .discriminatedUnion("kind", [
      z.strictObject({ kind: z.literal("serial") }),
      z.strictObject({ kind: z.literal("timed"), timeout_ms: whole(1, 600_000) }),
    ])
    .optional(),
});

const presidio = z.strictObject({
  kind: z.literal("presidio"),
  ...remote,
  analyzer_url: httpAddress,
  anonymizer_url: httpAddress.optional(),
  language: text(16).default("en"),
  entities: z
    .array(z.union([text(128), z.strictObject({ type: text(128), action: action.optional() })]))
    .max(256)
    .default([]),
  score_threshold: number(0, 1).default(0),
  default_action: action.default("mask"),
  operator: z.enum(["replace", "mask", "hash", "redact"]).default("replace"),
});

const HARMS = ["Hate", "Sexual", "SelfHarm", "Violence"] as const;

const contentSafety = {
  ...remote,
  endpoint: httpAddress,
  api_key: secret,
  api_version: text(64).default("2024-09-01"),
  severity_threshold: count(0, 7, 2),
  severity_threshold_by_category: z.partialRecord(z.enum(HARMS), whole(0, 7)).default({}),
  blocklist_names: z.array(text(256)).max(100).default([]),
};

/** Looks for attacks on the prompt; for harmful content only where categories or lists are named. */
const promptShields = z.strictObject({
  kind: z.literal("azure_content_safety"),
  ...contentSafety,
  categories: z.array(z.enum(HARMS)).default([]),
  prompt_shield: z.boolean().default(true),
});

/** Looks for harmful content alone. */
const textModeration = z.strictObject({
  kind: z.literal("azure_content_safety_text_moderation"),
  ...contentSafety,
  categories: z.array(z.enum(HARMS)).default([...HARMS]),
});

const lakera = z.strictObject({
  kind: z.literal("lakera"),
  ...remote,
  endpoint: httpAddress.optional(),
  api_key: secret,
  project_id: text(256).optional(),
});

/** The kinds, each with all its fields. */
export const GUARDRAIL_SCHEMAS = [
  keyword,
  pii,
  webhook,
  moderationService,
  cloudGuardrail,
  presidio,
  promptShields,
  textModeration,
  lakera,
] as const;

/** One entry of `guardrails`. */
export const guardrailSchema = z.discriminatedUnion("kind", GUARDRAIL_SCHEMAS);

export type GuardrailEntry = z.output<typeof guardrailSchema>;
