/**
 * The shape of the two files, and nothing else: weir.yaml (the process) and resources.yaml (what it
 * serves). The only zod schemas of the house; the types are inferred from them, and
 * docs/configuration.md and docs/resources.md are held equal to them by a test.
 */
import { availableParallelism, hostname } from "node:os";
import { z } from "zod";
import { cidrProblem } from "./cidr.js";
import { describe, type Finding, flatten, type Issue } from "./issues.js";

const DAY_MS = 86_400_000;
const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

function whole(minimum: number, maximum: number) {
  return z.int().min(minimum).max(maximum);
}

function count(minimum: number, maximum: number, value: number) {
  return whole(minimum, maximum).default(value);
}

function text(maximum: number) {
  return z.string().min(1).max(maximum);
}

const hash = z
  .string()
  .regex(/^[0-9a-fA-F]{64}$/, "must be a SHA-256 hash: 64 hex digits")
  .toLowerCase();

const cidrs = z.array(
  z
    .string()
    .refine((entry) => cidrProblem(entry) === null, { error: (issue) => cidrProblem(String(issue.input)) ?? "" }),
);

// ---- weir.yaml -------------------------------------------------------------------------------------

/** Splits `host:port`; IPv6 hosts stand in brackets. null when it is neither. Port 0 = any free port. */
export function parseAddress(address: string): { host: string; port: number } | null {
  const parts = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})$/.exec(address);
  const host = parts?.[1] ?? parts?.[2];
  const port = Number(parts?.[3]);
  return host === undefined || port > 65535 ? null : { host, port };
}

const address = z
  .string()
  .refine((value) => parseAddress(value) !== null, "must be HOST:PORT, such as 127.0.0.1:3000 or [::1]:3000");

const tlsFiles = z.strictObject({ cert_file: text(4096), key_file: text(4096) });

const listen = z.union([address, z.strictObject({ address, tls: tlsFiles.optional() })]).transform((value) => {
  const { address: written, tls } = typeof value === "string" ? { address: value, tls: undefined } : value;
  return { address: written, ...(parseAddress(written) ?? { host: "", port: 0 }), tls: tls ?? null };
});

const opsAddress = address.transform((written) => ({
  address: written,
  ...(parseAddress(written) ?? { host: "", port: 0 }),
}));

const journal = z
  .strictObject({
    segment_bytes: count(65_536, GIB, 64 * MIB),
    max_bytes: count(65_536, 1024 * GIB, GIB),
  })
  .refine((value) => value.max_bytes >= value.segment_bytes, {
    path: ["max_bytes"],
    error: "must be at least segment_bytes",
  });

function defaultAcceptors(): number {
  return Math.min(64, Math.max(1, Math.floor(availableParallelism() / 2)));
}

function defaultNodeName(): string {
  return (
    hostname()
      .replace(/[^A-Za-z0-9._-]/g, "-")
      .slice(0, 128) || "node"
  );
}

const limits = z.strictObject({
  body_bytes: count(1024, GIB, 32 * MIB),
  body_memory_bytes: count(MIB, 1024 * GIB, 512 * MIB),
  header_bytes: count(1024, MIB, 32_768),
  in_flight: count(1, 1_000_000, 4096),
  connections: count(1, 1_000_000, 16_384),
  upstream_connections: count(1, 65_535, 512),
  event_bytes: count(1024, 64 * MIB, 262_144),
  answer_buffer_bytes: count(1024, 64 * MIB, 65_536),
});

const timeouts = z.strictObject({
  connect_ms: count(1, 600_000, 10_000),
  first_byte_ms: count(0, DAY_MS, 300_000),
  stream_idle_ms: count(0, DAY_MS, 300_000),
  request_ms: count(0, DAY_MS, 600_000),
  client_stall_ms: count(0, DAY_MS, 120_000),
  keep_alive_comment_ms: count(0, DAY_MS, 15_000),
});

const identity = z.strictObject({
  header_prefix: z
    .string()
    .regex(/^[a-z0-9][a-z0-9!#$%&'*+.^_`|~-]{0,62}-$/, 'must be a header name in lower case that ends in "-"')
    .default("x-weir-"),
  server_header: z
    .string()
    .regex(/^(?:[!-~](?:[ -~]{0,126}[!-~])?)?$/, "must be at most 128 printable ASCII characters")
    .default("weir"),
});

const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

const weirFields = z.strictObject({
  listen: listen.prefault("127.0.0.1:3000"),
  ops: z
    .strictObject({ listen: opsAddress.prefault("127.0.0.1:3001"), admin_key_hashes: z.array(hash).default([]) })
    .prefault({}),
  acceptors: whole(1, 64).default(defaultAcceptors),
  limits: limits.prefault({}),
  timeouts: timeouts.prefault({}),
  identity: identity.prefault({}),
  trusted_proxies: cidrs.default([]),
  drain: z.strictObject({ notice_ms: count(0, 600_000, 0), max_ms: count(0, DAY_MS, 30_000) }).prefault({}),
  node_name: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,128}$/, "must be 1 to 128 letters, digits, dots, dashes or underscores")
    .default(defaultNodeName),
  data_dir: text(4096).default("weir-data"),
  usage: z.strictObject({ journal: journal.prefault({}), estimate_wait_ms: count(0, 60_000, 2_000) }).prefault({}),
  pool: z
    .strictObject({
      threads: whole(1, 64).default(1),
      queue: count(1, 65_536, 256),
      idle_ms: count(0, DAY_MS, 30_000),
      inline_bytes: count(0, GIB, 65_536),
    })
    .prefault({}),
  log: z.strictObject({ level: z.enum(LOG_LEVELS).default("info"), access: z.boolean().default(true) }).prefault({}),
});

type Place = { readonly host: string; readonly port: number };

/** Both listeners would get connections there, each some: acceptors share their port. */
function overlap(one: Place, other: Place): boolean {
  const everywhere = ({ host }: Place) => host === "0.0.0.0" || host === "::";
  if (one.port !== other.port || one.port === 0) return false;
  return one.host === other.host || everywhere(one) || everywhere(other);
}

/** weir.yaml. Every field has a default: an empty mapping is a whole configuration. */
export const weirConfigSchema = weirFields.refine((config) => !overlap(config.listen, config.ops.listen), {
  path: ["ops", "listen"],
  error: "must not be the address of listen: callers would reach the metrics, and scrapers the proxy",
});

export type WeirConfig = z.infer<typeof weirConfigSchema>;

// ---- resources.yaml --------------------------------------------------------------------------------

const resourceName = text(256);

function starred(maximum: number) {
  return text(maximum).refine((value) => value.indexOf("*") === value.lastIndexOf("*"), "may hold one * at most");
}

const milliseconds = whole(0, 2_147_483_647).optional();

const rateLimit = z.strictObject({
  rps: whole(1, Number.MAX_SAFE_INTEGER).optional(),
  rpm: whole(1, Number.MAX_SAFE_INTEGER).optional(),
  rph: whole(1, Number.MAX_SAFE_INTEGER).optional(),
  rpd: whole(1, Number.MAX_SAFE_INTEGER).optional(),
  tpm: whole(1, Number.MAX_SAFE_INTEGER).optional(),
  tpd: whole(1, Number.MAX_SAFE_INTEGER).optional(),
  concurrency: whole(1, Number.MAX_SAFE_INTEGER).optional(),
});

// These frame the message or belong to one connection; a fixed value would break every request.
const FRAMING_HEADERS = new Set(["connection", "content-length", "expect", "keep-alive", "te", "trailer"]);
FRAMING_HEADERS.add("transfer-encoding").add("upgrade");

const headerName = z
  .string()
  .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/, "must be a header name")
  .refine((name) => !FRAMING_HEADERS.has(name.toLowerCase()), "is a header that only the gateway itself may set");
const HEADER_TEXT = /^[ -~\u0080-\u00ff]*$/;
const HEADER_TEXT_RULE = "must be a header value: one line, no control characters";
const headerValue = z.string().regex(HEADER_TEXT, HEADER_TEXT_RULE);

const apiBase = text(2048).refine((value) => {
  const url = value.includes("://") ? value : `https://${value}`;
  if (!URL.canParse(url)) return false;
  const { protocol, hostname: host, username, password } = new URL(url);
  return (protocol === "https:" || protocol === "http:") && host !== "" && username === "" && password === "";
}, "must be an http or https address without credentials, such as https://api.example.com/v1");

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
  default_headers: z
    .record(headerName, headerValue)
    .refine((map) => new Set(Object.keys(map).map((name) => name.toLowerCase())).size === Object.keys(map).length, {
      error: "names the same header twice",
    })
    .default({}),
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
});

/** One entry of `models`. */
export const modelSchema = z.strictObject({
  id: resourceName.optional(),
  display_name: starred(256).optional(),
  name: starred(256).optional(),
  provider: text(128),
  model_name: starred(1024),
  provider_key: resourceName.optional(),
  provider_key_id: resourceName.optional(),
  rate_limit: rateLimit.optional(),
  timeout: milliseconds,
  stream_timeout: milliseconds,
  strict: z.boolean().default(false),
  allowed_cidrs: cidrs.default([]),
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
  metadata: z.record(text(128), z.string().max(1024)).default({}),
});

/** The collections that exist now, in the order in which they refer to each other. */
export const COLLECTIONS = { provider_keys: providerKeySchema, models: modelSchema, api_keys: apiKeySchema } as const;
export type CollectionName = keyof typeof COLLECTIONS;

export type ProviderKeyEntry = z.output<typeof providerKeySchema>;
export type ModelEntry = z.output<typeof modelSchema>;
export type ApiKeyEntry = z.output<typeof apiKeySchema>;

// ---- using a schema --------------------------------------------------------------------------------

export type Checked<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly issues: Issue[] };

/** Checks a value and fills in the defaults. Messages never repeat what was found. */
export function checkAgainst<S extends z.ZodType>(schema: S, value: unknown): Checked<z.output<S>> {
  const result = schema.safeParse(value, { error: (issue) => describe(issue as Finding) });
  if (result.success) return { ok: true, value: result.data };
  return { ok: false, issues: flatten(result.error.issues as readonly Finding[]) };
}

/** The schema as JSON Schema of what a file may hold: read by `fieldsOf`. */
export function outline(schema: z.ZodType): unknown {
  return z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
}
