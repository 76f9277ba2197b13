/** The part of weir.yaml that says which fleet a node belongs to, and how it reaches NATS. */
import { z } from "zod";
import { count, GIB, MIB, text, whole } from "./schema-parts.js";
import { ON_PARTITION } from "./traffic.js";

const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;

const SERVER_RULE = "must be a server's address without credentials, such as nats://127.0.0.1:4222 or tls://nats:4222";

/** `host`, `host:port`, and the same behind a scheme. */
function isServer(value: string): boolean {
  return /^(?:(?:nats|tls):\/\/)?(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?$/.test(value);
}

const file = text(4096).nullable().default(null);
const secret = text(1024).nullable().default(null);

const tls = z
  .strictObject({ ca_file: file, cert_file: file, key_file: file })
  .refine((value) => (value.cert_file === null) === (value.key_file === null), {
    path: ["key_file"],
    error: "cert_file and key_file go together",
  })
  .optional()
  .transform((value) => value ?? null);

const nats = z
  .strictObject({
    servers: z.array(text(2048).refine(isServer, SERVER_RULE)).min(1).max(64),
    creds_file: file,
    nkey_file: file,
    user: secret,
    password: secret,
    token: secret,
    tls,
  })
  .refine((value) => (value.user === null) === (value.password === null), {
    path: ["password"],
    error: "user and password go together",
  })
  .refine((value) => [value.creds_file, value.nkey_file, value.user, value.token].filter(Boolean).length <= 1, {
    error: "give one of creds_file, nkey_file, user with password, and token",
  })
  .optional()
  .transform((value) => value ?? null);

/** Names of streams are made of it in capitals, so only one case is allowed here. */
const fleetName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, "must be 1 to 64 of a-z, 0-9, dash and underscore, a letter or digit first")
  .default("weir");

const cache = z
  .strictObject({
    max_bytes: count(MIB, 1024 * GIB, 256 * MIB),
    max_age_ms: count(MINUTE_MS, 365 * DAY_MS, DAY_MS),
    wait_ms: count(1, 5_000, 50),
  })
  .prefault({});

export const cluster = z.strictObject({
  name: fleetName,
  replicas: whole(1, 5).default(1),
  config: z.enum(["nats", "file"]).default("nats"),
  on_partition: z.enum(ON_PARTITION).default("fair_share"),
  nats,
  cache,
});

export const usageStream = z
  .strictObject({
    max_age_ms: whole(0, Number.MAX_SAFE_INTEGER).default(30 * DAY_MS),
    max_bytes: whole(0, Number.MAX_SAFE_INTEGER).default(GIB),
    dedupe_window_ms: count(10 * MINUTE_MS, 7 * DAY_MS, 10 * MINUTE_MS),
    rollup_days: whole(0, 36_500).default(400),
  })
  .refine((value) => value.max_age_ms === 0 || value.max_age_ms >= value.dedupe_window_ms, {
    path: ["max_age_ms"],
    error: "must be 0 or at least dedupe_window_ms",
  });

export const USAGE_ENCODINGS = ["json", "msgpack"] as const;
