/** The fingerprint of a request: equal for requests that have the same answer, different for all others. */
import { hash } from "node:crypto";
import type { CachePolicy } from "../config/traffic.js";
import { JsonLine } from "../usage/json-line.js";
import { canonicalMembers, type Member } from "./canonical.js";

const COLON = 0x3a;
const COMMA = 0x2c;
const LF = 0x0a;
/** "!", which no operation has in its name. */
const STRICT = 0x21;
/** What is kept for the next key. */
const MOST_LINE_BYTES = 65_536;

/** A longer body is not looked up: that would cost more than a millisecond of everybody's time. */
export const MAX_KEYED_BYTES = 1024 * 1024;

/**
 * Members that say nothing of the answer's content: how it is delivered, and the model, whose name counts as the
 * caller's request resolved it.
 */
const DELIVERY = namesOf("model", "stream", "stream_options");

/** Headers that go on to an upstream and do not change what it answers. */
const SILENT_HEADERS: ReadonlySet<string> = new Set(["accept", "idempotency-key", "traceparent", "tracestate"]);

/** Members with which an answer is more than an answer: the upstream keeps it, or leans on what it has kept. */
const STATE = namesOf("store", "background", "previous_response_id", "conversation");
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
  return members.some(({ name, value }) => isOneOf(STATE, name) && !STATELESS.has(value)) ? null : members;
}

/** Written anew for every key. */
const LINE = new JsonLine();

/** SHA-256, 32 bytes. */
export function cacheKey(parts: KeyParts, body: KeyedBody): Buffer {
  LINE.length = 0;
  LINE.text(parts.scope);
  LINE.byte(LF);
  LINE.ascii(parts.operation);
  LINE.byte(parts.strict ? STRICT : LF);
  if (parts.headers.length > 0) LINE.text(headerText(parts.headers));
  LINE.byte(LF);
  for (const { name, value } of body) {
    if (isOneOf(DELIVERY, name)) continue;
    LINE.ascii(name);
    LINE.byte(COLON);
    LINE.ascii(value);
    LINE.byte(COMMA);
  }
  // The text of a digest is made in half the time of its buffer.
  const digest = hash("sha256", LINE.written(), "hex");
  if (LINE.bytes.length > MOST_LINE_BYTES) LINE.bytes = Buffer.allocUnsafeSlow(MOST_LINE_BYTES);
  return Buffer.from(digest, "hex");
}

/** Names of members as canonical JSON has them, and how long they are: most others are told by that. */
interface Names {
  readonly all: ReadonlySet<string>;
  /** A bit for each length. */
  readonly lengths: number;
}

function namesOf(...names: readonly string[]): Names {
  const all = names.map((name) => JSON.stringify(name));
  return { all: new Set(all), lengths: all.reduce((bits, name) => bits | (1 << name.length), 0) };
}

function isOneOf({ all, lengths }: Names, name: string): boolean {
  return ((lengths >>> name.length) & 1) === 1 && name.length < 32 && all.has(name);
}

function headerText(headers: readonly string[]): string {
  const lines: string[] = [];
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const name = headers[index] as string;
    if (!SILENT_HEADERS.has(name)) lines.push(JSON.stringify([name, headers[index + 1]]));
  }
  return lines.sort().join(",");
}
