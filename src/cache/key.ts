/** The fingerprint of a request: equal for requests that have the same answer, different for all others. */
import { hash } from "node:crypto";
import type { CachePolicy } from "../config/traffic.js";
import { canonicalMembers, type Member } from "./canonical.js";

/** A longer body is not looked up: that would cost more than a millisecond of everybody's time. */
export const MAX_KEYED_BYTES = 1024 * 1024;

/**
 * Members that say nothing of the answer's content: how it is delivered, and the model, whose name counts as the
 * caller's request resolved it.
 */
const DELIVERY: ReadonlySet<string> = new Set(['"model"', '"stream"', '"stream_options"']);

/** Headers that go on to an upstream and do not change what it answers. */
const SILENT_HEADERS: ReadonlySet<string> = new Set(["accept", "idempotency-key", "traceparent", "tracestate"]);

/** Members with which an answer is more than an answer: the upstream keeps it, or leans on what it has kept. */
const STATE: ReadonlySet<string> = new Set(['"store"', '"background"', '"previous_response_id"', '"conversation"']);
const STATELESS: ReadonlySet<string> = new Set(["null", "false"]);

/** What the key holds beside the body. */
export interface KeyParts {
  /** Of the policy and the caller; see `keyScope`. */
  readonly scope: string;
  readonly operation: string;
  /** The caller wants no part of the request lost in translation. */
  readonly strict: boolean;
  /** Those that go on to the upstream: names and values alternate. */
  readonly headers: readonly string[];
}

/** The part of the key that is the same for all requests of a caller to a model. */
export function keyScope(policy: CachePolicy, apiKey: string, model: string): string {
  const caller = policy.scope === "api_key" ? apiKey : "";
  return JSON.stringify([policy.id, policy.purgeGeneration, policy.scope, caller, model]);
}

/** A request body that can be looked up, its members sorted. */
export type KeyedBody = readonly Member[];

/** null: too large, not JSON, or a request whose answer is more than its text. */
export function readKeyedBody(body: Buffer): KeyedBody | null {
  if (body.length > MAX_KEYED_BYTES) return null;
  const members = canonicalMembers(body);
  if (members === null) return null;
  return members.some(({ name, value }) => STATE.has(name) && !STATELESS.has(value)) ? null : members;
}

/** SHA-256, 32 bytes. */
export function cacheKey(parts: KeyParts, body: KeyedBody): Buffer {
  let text = `${parts.scope}\n${parts.operation}\n${parts.strict ? "strict" : ""}\n${headerText(parts.headers)}\n`;
  for (const { name, value } of body) if (!DELIVERY.has(name)) text += `${name}:${value},`;
  // The text of a digest is made in half the time of its buffer.
  return Buffer.from(hash("sha256", text, "hex"), "hex");
}

function headerText(headers: readonly string[]): string {
  if (headers.length === 0) return "";
  const lines: string[] = [];
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const name = headers[index] as string;
    if (!SILENT_HEADERS.has(name)) lines.push(JSON.stringify([name, headers[index + 1]]));
  }
  return lines.sort().join(",");
}
