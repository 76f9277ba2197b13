/** The shape of `provider_keys` and `api_keys` in resources.yaml. */
import { z } from "zod";
import {
  apiBase,
  HEADER_TEXT,
  HEADER_TEXT_RULE,
  hash,
  headerName,
  headers,
  rateLimit,
  resourceName,
  starred,
  text,
} from "./schema-parts.js";
import { inlineBudget } from "./schema-traffic.js";

const upstreamTls = z.strictObject({
  ca_cert: z
    .string()
    .includes("-----BEGIN CERTIFICATE-----", "must be PEM text: it starts with -----BEGIN CERTIFICATE-----")
    .optional(),
  verify: z.boolean().default(true),
});

/** A member of a request's body; dots go below a top-level one. */
const bodyPath = z
  .string()
  .max(512)
  .regex(/^[^.\s]+(?:\.[^.\s]+)*$/, "must be a field's name, or names with dots between them")
  .refine((path) => !path.split(".").includes("__proto__"), "names a field that cannot be set");
const bodyField = bodyPath.refine((name) => !name.includes("."), "must be the name of a top-level field");
const bodyFields = z.record(bodyPath, z.json()).default({});

const constraints = z
  .strictObject({ temperature_min: z.number().optional(), temperature_max: z.number().optional() })
  .refine(
    ({ temperature_min: least, temperature_max: most }) => least === undefined || most === undefined || least <= most,
    {
      path: ["temperature_max"],
      error: "must be at least temperature_min",
    },
  );

const headerGlob = starred(128)
  .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, "must be a header name; it may hold one *")
  .toLowerCase();

const upstreamRequest = z.strictObject({
  param_renames: z.record(bodyField, bodyField).default({}),
  param_constraints: constraints.prefault({}),
  default_headers: headers,
  default_body_fields: bodyFields,
  forward_client_headers: z.array(headerGlob).default([]),
  body_set: bodyFields,
  body_remove: z.array(bodyPath).default([]),
});

const upstreamResponse = z.strictObject({
  reasoning_field: text(128).optional(),
  content_list_to_string: z.boolean().default(false),
  stream_done_marker: z.string().max(256).optional(),
});

/** A plain secret (or credentials as JSON text), or the wire family's credential object. */
const secret = z.union([
  z.string().refine((value) => value.trimStart().startsWith("{") || HEADER_TEXT.test(value), HEADER_TEXT_RULE),
  z.record(text(64), z.json()),
]);

const MAX_TAGS = 32;

/** Few and short: every usage event carries them. */
const telemetryTags = z
  .record(text(64), z.string().max(256))
  .refine((tags) => Object.keys(tags).length <= MAX_TAGS, `may hold ${MAX_TAGS} labels at most`)
  .default({});

/** One entry of `provider_keys`. */
export const providerKeySchema = z.strictObject({
  id: resourceName.optional(),
  display_name: resourceName.optional(),
  name: resourceName.optional(),
  provider: text(128),
  adapter: text(64).optional(),
  api_base: apiBase.optional(),
  api_key: secret.optional(),
  secret: secret.optional(),
  region: z
    .string()
    .regex(/^[a-z]{2,}(?:-[a-z0-9]+)*$/, "must be the name of a region")
    .optional(),
  api_version: text(64).optional(),
  tls: upstreamTls.optional(),
  request: upstreamRequest.prefault({}),
  response: upstreamResponse.prefault({}),
  strip_headers: z.array(headerName.toLowerCase()).default([]),
  telemetry_tags: telemetryTags,
});

const expiry = z.iso
  .datetime({ offset: true, error: "must be an RFC 3339 time, such as 2027-01-31T00:00:00Z" })
  .transform((value) => Date.parse(value))
  .refine((value) => Number.isFinite(value), "must be an RFC 3339 time, such as 2027-01-31T00:00:00Z");

/** One entry of `api_keys`. */
export const apiKeySchema = z.strictObject({
  id: resourceName.optional(),
  display_name: resourceName.optional(),
  name: resourceName.optional(),
  key_hash: hash.optional(),
  key_env: z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "must be the name of an environment variable")
    .optional(),
  allowed_models: z.array(starred(1024)).default([]),
  allowed_routes: z.array(z.string()).optional(),
  disabled: z.boolean().default(false),
  strict: z.boolean().default(false),
  expires_at: expiry.optional(),
  team_id: text(256).optional(),
  user_id: text(256).optional(),
  user_name: text(256).optional(),
  rate_limit: rateLimit.optional(),
  budget: inlineBudget.optional(),
  metadata: z.record(text(128), z.string().max(1024)).default({}),
});

export type ProviderKeyEntry = z.output<typeof providerKeySchema>;
export type ApiKeyEntry = z.output<typeof apiKeySchema>;
