/** Reading and splicing of the request fields that the gateway itself needs, the same for every dialect. */
import { isUtf8 } from "node:buffer";
import { type Failure, failure } from "../errors.js";
import type { RequestView, Span } from "./dialect.js";
import { scanTopLevel, type TopLevelScan } from "./json-scan.js";
import { applyEdits, type Edit } from "./json-splice.js";
import { decodeString, type KeyTable, keyTable } from "./json-text.js";

export const MAX_MODEL_LENGTH = 256;
/** A model's JSON string cannot be longer: every character may be written as "\uXXXX". */
const MAX_MODEL_BYTES = MAX_MODEL_LENGTH * 6 + 2;

const QUOTE = 0x22;
const OPEN_BRACE = 0x7b;
const OPEN_BRACKET = 0x5b;

/** A field that a request cannot go without. */
export interface RequiredField {
  /** One of these must be there; the first is named in the refusal. */
  readonly oneOf: readonly string[];
  readonly kind: "array" | "string or array" | "any";
}

/** What one operation of a dialect asks of a body. */
export interface RequestShape {
  readonly keys: KeyTable;
  /** Indexes into `keys`; -1 = the operation has no such field. */
  readonly model: number;
  readonly stream: number;
  readonly streamOptions: number;
  /** Caps on output tokens, the one that wins first. */
  readonly caps: readonly number[];
  readonly required: { readonly indexes: readonly number[]; readonly kind: RequiredField["kind"] } | null;
}

/** Builds a shape; `streams`: has a `stream` field; `asksUsage`: usage in streams comes on request only. */
export function requestShape(
  required: RequiredField | null,
  caps: readonly string[],
  options: { readonly streams: boolean; readonly asksUsage: boolean },
): RequestShape {
  const names = ["model", ...caps, ...(required?.oneOf ?? [])];
  if (options.streams) names.push("stream");
  if (options.asksUsage) names.push("stream_options");
  return {
    keys: keyTable(names),
    model: 0,
    stream: names.indexOf("stream"),
    streamOptions: names.indexOf("stream_options"),
    caps: caps.map((name) => names.indexOf(name)),
    required: required && { indexes: required.oneOf.map((name) => names.indexOf(name)), kind: required.kind },
  };
}

const INCLUDE_USAGE_KEYS = keyTable(["include_usage"]);

/** Finds and checks the fields of a shape; see `Dialect.readRequest`. */
export function readFields(body: Buffer, shape: RequestShape, modelOverride: string | null): RequestView | Failure {
  if (body.length === 0) return failure("invalid_request_error", "The request has no body.");
  if (!isUtf8(body)) return failure("invalid_request_error", "The body is not valid UTF-8.");
  const scan = scanTopLevel(body, shape.keys);
  if (scan.brokenAt >= 0) return notAnObject(body, scan.brokenAt);
  if (scan.duplicate >= 0) {
    const name = shape.keys.names[scan.duplicate] ?? "";
    return failure("invalid_request_error", `The field "${name}" stands in the body twice.`, name);
  }
  const modelSpan = spanOf(scan, shape.model);
  const model = readModel(body, modelSpan, modelOverride);
  if (typeof model !== "string") return model;
  const stream = readBoolean(body, spanOf(scan, shape.stream));
  if (stream === null) return failure("invalid_request_error", "stream must be a boolean.", "stream");
  const streamOptionsSpan = spanOf(scan, shape.streamOptions);
  const usageAsked = readUsageAsked(body, shape, stream, streamOptionsSpan);
  if (typeof usageAsked !== "boolean") return usageAsked;
  const maxOutputTokens = readCap(body, shape, scan);
  if (typeof maxOutputTokens !== "number") return maxOutputTokens;
  const missing = checkRequired(body, shape, scan);
  if (missing !== null) return missing;
  return { model, modelSpan, stream, usageAsked, streamOptionsSpan, maxOutputTokens };
}

function notAnObject(body: Buffer, at: number): Failure {
  const message = at >= body.length ? "The body ends in the middle of its JSON." : null;
  return failure(
    "invalid_request_error",
    message ?? `The body must be one JSON object; it stops being one at byte ${at}.`,
  );
}

function spanOf(scan: TopLevelScan, index: number): Span | null {
  const start = index < 0 ? -1 : (scan.starts[index] ?? -1);
  return start < 0 ? null : { start, end: scan.ends[index] ?? start };
}

function isNull(body: Buffer, span: Span): boolean {
  return body[span.start] === 0x6e;
}

/** Clients that name the model elsewhere write null or "" in the body. */
function saysNothing(body: Buffer, span: Span): boolean {
  return isNull(body, span) || (body[span.start] === QUOTE && span.end - span.start === 2);
}

function readModel(body: Buffer, span: Span | null, override: string | null): string | Failure {
  if (override !== null && override.length > MAX_MODEL_LENGTH) return badModel();
  if (span === null || (override !== null && saysNothing(body, span))) {
    return override ?? failure("invalid_request_error", "model is required.", "model");
  }
  if (body[span.start] !== QUOTE) return failure("invalid_request_error", "model must be a string.", "model");
  const model = span.end - span.start > MAX_MODEL_BYTES ? null : decodeString(body, span.start, span.end);
  if (model === null || model.length === 0 || model.length > MAX_MODEL_LENGTH) return badModel();
  return override ?? model;
}

function badModel(): Failure {
  const message = `model must be a valid string of 1 to ${MAX_MODEL_LENGTH} characters.`;
  return failure("invalid_request_error", message, "model");
}

/** An absent or null field is false; null = it is something else. */
function readBoolean(body: Buffer, span: Span | null): boolean | null {
  if (span === null) return false;
  const first = body[span.start];
  if (first === 0x74) return true;
  return first === 0x66 || first === 0x6e ? false : null;
}

function readUsageAsked(body: Buffer, shape: RequestShape, stream: boolean, span: Span | null): boolean | Failure {
  if (shape.streamOptions < 0) return true;
  if (span === null || isNull(body, span)) return !stream;
  if (body[span.start] !== OPEN_BRACE) {
    return failure("invalid_request_error", "stream_options must be an object.", "stream_options");
  }
  const options = body.subarray(span.start, span.end);
  const scan = scanTopLevel(options, INCLUDE_USAGE_KEYS);
  const asked = scan.duplicate >= 0 ? null : readBoolean(options, spanOf(scan, 0));
  if (asked === null) {
    const message = "stream_options.include_usage must be one boolean.";
    return failure("invalid_request_error", message, "stream_options.include_usage");
  }
  return asked || !stream;
}

function readCap(body: Buffer, shape: RequestShape, scan: TopLevelScan): number | Failure {
  let cap = -1;
  for (const index of shape.caps) {
    const start = scan.starts[index] ?? -1;
    if (start < 0 || body[start] === 0x6e) continue;
    const first = body[start] as number;
    if (first !== 0x2d && !(first >= 0x30 && first <= 0x39)) {
      const name = shape.keys.names[index] ?? "";
      return failure("invalid_request_error", `${name} must be a number.`, name);
    }
    // A fraction or a negative count is the upstream's to refuse; for us it is no cap.
    const value = Number(body.toString("latin1", start, scan.ends[index]));
    if (cap < 0 && Number.isSafeInteger(value) && value >= 0) cap = value;
  }
  return cap;
}

function checkRequired(body: Buffer, shape: RequestShape, scan: TopLevelScan): Failure | null {
  const { required, keys } = shape;
  if (required === null) return null;
  for (const index of required.indexes) {
    const start = scan.starts[index] ?? -1;
    if (start < 0) continue;
    const first = body[start];
    if (first === 0x6e && required.indexes.length > 1) continue;
    if (required.kind === "any" || first === OPEN_BRACKET) return null;
    if (required.kind === "string or array" && first === QUOTE) return null;
    const name = keys.names[index] ?? "";
    return failure("invalid_request_error", `${name} must be ${withArticle(required.kind)}.`, name);
  }
  const name = keys.names[required.indexes[0] ?? 0] ?? "";
  return failure("invalid_request_error", `${name} is required.`, name);
}

function withArticle(kind: string): string {
  return kind.startsWith("a") ? `an ${kind}` : `a ${kind}`;
}

/** Model names as JSON, encoded once; wildcards make them many, so the map is emptied when it is full. */
const encodedModels = new Map<string, Buffer>();
const MAX_ENCODED_MODELS = 1024;

function encodeModel(model: string): Buffer {
  let encoded = encodedModels.get(model);
  if (encoded === undefined) {
    encoded = Buffer.from(JSON.stringify(model));
    if (encodedModels.size >= MAX_ENCODED_MODELS) encodedModels.clear();
    encodedModels.set(model, encoded);
  }
  return encoded;
}

const INCLUDE_USAGE = Buffer.from('"stream_options":{"include_usage":true}');
const INCLUDE_USAGE_VALUE = Buffer.from('{"include_usage":true}');
const INCLUDE_USAGE_MEMBER = Buffer.from('"include_usage":true');
const COMMA = Buffer.from(",");
const MODEL_KEY = Buffer.from('"model":');
const TRUE = Buffer.from("true");

/** Replaces or inserts the model and asks for usage where `usageAsked` is false; every other byte stays. */
export function spliceFields(body: Buffer, view: RequestView, targetModel: string): Buffer {
  return applyEdits(body, fieldEdits(body, view, targetModel));
}

/** What `spliceFields` changes, in order. */
export function fieldEdits(body: Buffer, view: RequestView, targetModel: string): readonly Edit[] {
  const edits: Edit[] = [];
  const added: Buffer[] = [];
  if (view.modelSpan === null) added.push(MODEL_KEY, encodeModel(targetModel));
  else if (decodeString(body, view.modelSpan.start, view.modelSpan.end) !== targetModel) {
    edits.push({ start: view.modelSpan.start, end: view.modelSpan.end, bytes: encodeModel(targetModel) });
  }
  if (!view.usageAsked) {
    if (view.streamOptionsSpan !== null) edits.push(usageEdit(body, view.streamOptionsSpan));
    else {
      if (added.length > 0) added.push(COMMA);
      added.push(INCLUDE_USAGE);
    }
  }
  if (edits.length === 2 && (edits[0] as Edit).start > (edits[1] as Edit).start) edits.reverse();
  if (added.length > 0) edits.unshift(firstMember(body, added));
  return edits;
}

/** Puts members in front of the others, just after the opening brace. */
function firstMember(body: Buffer, members: Buffer[]): Edit {
  const at = body.indexOf(OPEN_BRACE) + 1;
  let next = at;
  while ((body[next] as number) <= 0x20) next++;
  if (body[next] === QUOTE) members.push(COMMA);
  return { start: at, end: at, bytes: members.length === 1 ? (members[0] as Buffer) : Buffer.concat(members) };
}

function usageEdit(body: Buffer, span: Span): Edit {
  if (isNull(body, span)) return { start: span.start, end: span.end, bytes: INCLUDE_USAGE_VALUE };
  const options = body.subarray(span.start, span.end);
  const scan = scanTopLevel(options, INCLUDE_USAGE_KEYS);
  const start = scan.starts[0] ?? -1;
  if (start >= 0) {
    return { start: span.start + start, end: span.start + (scan.ends[0] ?? start), bytes: TRUE };
  }
  const at = span.start + scan.membersAt;
  const bytes = scan.empty ? INCLUDE_USAGE_MEMBER : Buffer.concat([INCLUDE_USAGE_MEMBER, COMMA]);
  return { start: at, end: at, bytes };
}
