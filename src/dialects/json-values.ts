/** Reading values out of answers whose types nobody has checked. */
import type { TopLevelScan } from "./json-scan.js";
import { decodeString } from "./json-text.js";

export type JsonObject = Readonly<Record<string, unknown>>;

const QUOTE = 0x22;
const OPEN_BRACE = 0x7b;

/** The value as an object; null when it is something else. */
export function asObject(value: unknown): JsonObject | null {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : null;
}

/** The value as an array; empty when it is something else. */
export function asArray(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** A count of tokens; -1 when the value is not one. */
export function asCount(value: unknown): number {
  return typeof value === "number" && value >= 0 && value <= Number.MAX_SAFE_INTEGER ? Math.trunc(value) : -1;
}

/** The value as text; "" when it is something else. */
export function asText(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** Parses bytes; undefined when they are not JSON. */
export function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    return undefined;
  }
}

/** The object in these bytes; null when they hold something else or are broken. */
export function parseObject(bytes: Buffer | null): JsonObject | null {
  return bytes !== null && bytes[0] === OPEN_BRACE ? asObject(parseJson(bytes)) : null;
}

/** The bytes of a scanned value; null when absent. */
export function scannedValue({ json, starts, ends }: TopLevelScan, index: number): Buffer | null {
  const start = starts[index] ?? -1;
  return start < 0 ? null : json.bytes.subarray(start, ends[index]);
}

/** The object in a scanned value; null when it is something else. */
export function scannedObject({ json, starts, ends }: TopLevelScan, index: number): JsonObject | null {
  const start = starts[index] ?? -1;
  if (json.code(start) !== OPEN_BRACE) return null;
  try {
    return JSON.parse(json.utf8(start, ends[index] ?? start)) as JsonObject;
  } catch {
    return null;
  }
}

/** The string in these bytes, cut to 256 characters; "" when they hold something else. */
export function textOf(bytes: Buffer | null): string {
  if (bytes === null || bytes[0] !== QUOTE) return "";
  return (decodeString(bytes, 0, bytes.length) ?? "").slice(0, 256);
}

/** The string in a scanned value, cut to 256 characters; "" when it is something else. */
export function scannedText({ json, starts, ends }: TopLevelScan, index: number): string {
  const start = starts[index] ?? -1;
  if (json.code(start) !== QUOTE) return "";
  return (json.decode(start, ends[index] ?? start) ?? "").slice(0, 256);
}

/**
 * The last string member of this (quoted) name at any depth of some JSON. Inside a JSON string the quotes
 * of such a name would be escaped, so what is found is a key. "" when there is none.
 */
export function lastMemberText(json: string, quotedName: string): string {
  let at = json.lastIndexOf(quotedName);
  while (at >= 0) {
    let start = at + quotedName.length;
    while (json[start] === " " || json[start] === ":") start++;
    const end = json[start] === '"' ? json.indexOf('"', start + 1) : -1;
    if (end >= 0) return detached(json.slice(start + 1, Math.min(end, start + 65)));
    at = at === 0 ? -1 : json.lastIndexOf(quotedName, at - 1);
  }
  return "";
}

/** Shorter pieces of a text are copies; longer ones keep the memory of the whole. */
const PIECE_CHARACTERS = 13;

/** A text of bytes (latin1) that does not keep the memory of a longer one. */
function detached(piece: string): string {
  return piece.length < PIECE_CHARACTERS ? piece : Buffer.from(piece, "latin1").toString("latin1");
}

/** What an in-band error calls itself: its type, else its code; "error" when it says neither. At most 64 characters. */
export function errorName(error: unknown): string {
  const fields = asObject(error);
  const code = fields?.code;
  const name = asText(fields?.type) || (typeof code === "number" ? String(code) : asText(code));
  return (name || "error").slice(0, 64);
}
