/**
 * The shape of weir.yaml (the process) and of resources.yaml (what it serves; its collections are in the
 * schema-*.ts files beside this one), and nothing else. The only zod schemas of the house; the types are
 * inferred from them, and docs/configuration.md and docs/resources.md are held equal to them by a test.
 */
import { availableParallelism, hostname } from "node:os";
import { z } from "zod";
import { describe, type Finding, flatten, type Issue } from "./issues.js";
import { apiKeySchema, providerKeySchema } from "./schema-accounts.js";
import { cluster, USAGE_ENCODINGS, usageStream } from "./schema-cluster.js";
import { guardrailSchema } from "./schema-guardrails.js";
import { modelSchema } from "./schema-models.js";
import { cidrs, count, GIB, hash, headerName, MIB, text, whole } from "./schema-parts.js";
import {
  attachmentSchema,
  budgetSchema,
  cachePolicySchema,
  passthroughRouteSchema,
  rateLimitPolicySchema,
} from "./schema-traffic.js";

const DAY_MS = 86_400_000;

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

const ORIGIN_RULE = 'must be an origin, such as https://app.example.com, or "*"';

/** As browsers send it: scheme, host and port, nothing behind. */
function isOrigin(value: string): boolean {
  return value === "*" || (URL.canParse(value) && new URL(value).origin === value);
}

const cors = z.strictObject({
  origins: z.array(text(2048).refine(isOrigin, ORIGIN_RULE)).max(256).default([]),
  headers: z.array(headerName).max(256).default([]),
  max_age: count(0, 86_400, 600),
});

const responseState = z.strictObject({
  memory_bytes: count(0, 64 * GIB, 32 * MIB).refine(
    (bytes) => bytes === 0 || bytes >= MIB,
    "must be 0, to keep nothing, or at least 1 MiB",
  ),
  ttl_seconds: count(1, 31_536_000, 86_400),
  max_turn_bytes: count(1024, 64 * MIB, MIB),
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
  cors: cors.prefault({}),
  responses: z
    .strictObject({
      carry_provider: z.enum(["auto", "always", "never"]).default("auto"),
      state: responseState.prefault({}),
    })
    .prefault({}),
  trusted_proxies: cidrs.default([]),
  drain: z.strictObject({ notice_ms: count(0, 600_000, 0), max_ms: count(0, DAY_MS, 30_000) }).prefault({}),
  node_name: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,128}$/, "must be 1 to 128 letters, digits, dots, dashes or underscores")
    .default(defaultNodeName),
  data_dir: text(4096).default("weir-data"),
  usage: z
    .strictObject({
      journal: journal.prefault({}),
      estimate_wait_ms: count(0, 60_000, 2_000),
      encoding: z.enum(USAGE_ENCODINGS).default("json"),
      stream: usageStream.prefault({}),
    })
    .prefault({}),
  cluster: cluster.prefault({}),
  pool: z
    .strictObject({
      threads: whole(1, 64).default(1),
      queue: count(1, 65_536, 256),
      idle_ms: count(0, DAY_MS, 30_000),
      inline_bytes: count(0, GIB, 65_536),
    })
    .prefault({}),
  cache: z.strictObject({ memory_bytes: count(MIB, 64 * GIB, 64 * MIB) }).prefault({}),
  pricing: z.strictObject({ file: text(4096).nullable().default(null) }).prefault({}),
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

/** The collections that exist now, in the order in which they refer to each other. */
export const COLLECTIONS = {
  provider_keys: providerKeySchema,
  models: modelSchema,
  api_keys: apiKeySchema,
  rate_limit_policies: rateLimitPolicySchema,
  budgets: budgetSchema,
  cache_policies: cachePolicySchema,
  passthrough_routes: passthroughRouteSchema,
  guardrails: guardrailSchema,
  guardrail_attachments: attachmentSchema,
} as const;
export type CollectionName = keyof typeof COLLECTIONS;

/** One entry of a collection, checked, its defaults filled in. */
export type EntryOf<N extends CollectionName> = z.output<(typeof COLLECTIONS)[N]>;

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
