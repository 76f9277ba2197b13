/** An answer as the nodes share it: what one of them put there, checked before another one gives it to a caller. */
import { z } from "zod";
import { type EntryMeta, packMeta, unpackMeta } from "../cache/entry.js";
import type { FoundEntry } from "../cache/entries.js";
import { pack, unpack } from "./wire.js";

/** Messages of NATS have a bound of 1 MiB, unless a server says otherwise. */
export const MAX_SHARED_BYTES = 900 * 1024;

export interface SharedEntry extends FoundEntry {
  readonly apiKey: string;
  /** When its request came, milliseconds since the epoch. */
  readonly askedAt: number;
}

const text = z.string().max(1_024);
/** Goes into a header. */
const headerText = z
  .string()
  .max(512)
  .regex(/^[\x20-\x7e]*$/);
const amount = z.number().min(0);
const metaSchema = z.object({
  mode: z.enum(["whole", "stream"]),
  contentType: headerText,
  usageShown: z.boolean(),
  targetDialect: text,
  provider: text,
  upstreamModel: text,
  responseModel: text,
  responseId: text,
  finishReason: text,
  inputTokens: amount,
  outputTokens: amount,
  cacheReadTokens: amount,
  cacheWriteTokens: amount,
  reasoningTokens: amount,
  costUsd: amount,
  losses: z.array(headerText).max(1_024),
});
const entrySchema = z.object({
  v: z.literal(1),
  key: z.instanceof(Uint8Array),
  api_key: z.string().max(256),
  asked_at: amount,
  expires_at: amount,
  meta: metaSchema,
  body: z.instanceof(Uint8Array).refine((bytes) => bytes.length > 0),
});

/** `key`: the fingerprint of its request. null: it is too long to be shared. */
export function packEntry(entry: SharedEntry, key: Uint8Array): Uint8Array | null {
  const { meta, body, expiresAt, apiKey, askedAt } = entry;
  if (meta.length + body.length > MAX_SHARED_BYTES) return null;
  const told = { v: 1, key, api_key: apiKey, asked_at: askedAt, expires_at: expiresAt, meta: unpackMeta(meta), body };
  const packed = pack(told);
  return packed.length > MAX_SHARED_BYTES ? null : packed;
}

/** null: the bytes are no answer that we know, or another request's. */
export function parseEntry(bytes: Uint8Array, key: Uint8Array): SharedEntry | null {
  if (bytes.length > MAX_SHARED_BYTES) return null;
  const read = entrySchema.safeParse(unpack(bytes));
  if (!read.success || Buffer.compare(read.data.key, key) !== 0) return null;
  const { api_key: apiKey, asked_at: askedAt, expires_at: expiresAt, body } = read.data;
  const meta: EntryMeta = read.data.meta;
  return { meta: packMeta(meta), body: Buffer.from(body), expiresAt, apiKey, askedAt };
}
