/** Reading values out of answers whose types nobody has checked. */
import { decodeString, type TopLevelScan } from "./json-splice.js";

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
export function scannedValue(bytes: Buffer, scan: TopLevelScan, index: number): Buffer | null {
  const start = scan.starts[index] ?? -1;
  return start < 0 ? null : bytes.subarray(start, scan.ends[index]);
}

/** The string in these bytes, cut to 256 characters; "" when they hold something else. */
export function textOf(bytes: Buffer | null): string {
  if (bytes === null || bytes[0] !== QUOTE) return "";
  return (decodeString(bytes, 0, bytes.length) ?? "").slice(0, 256);
}

/** The string in a scanned value; "" when it is something else. */
export function scannedText(bytes: Buffer, scan: TopLevelScan, index: number): string {
  const start = scan.starts[index] ?? -1;
  if (start < 0 || bytes[start] !== QUOTE) return "";
  return (decodeString(bytes, start, scan.ends[index] ?? start) ?? "").slice(0, 256);
}

/**
 * The last string member of this (quoted) name at any depth of some JSON. Inside a JSON string the quotes
 * of such a name would be escaped, so what is found is a key. "" when there is none.
 */
export function lastMemberText(bytes: Buffer, quotedName: Buffer): string {
  let at = bytes.lastIndexOf(quotedName);
  while (at >= 0) {
    let start = at + quotedName.length;
    while (bytes[start] === 0x20 || bytes[start] === 0x3a) start++;
    const end = bytes[start] === QUOTE ? bytes.indexOf(QUOTE, start + 1) : -1;
    if (end >= 0) return bytes.toString("latin1", start + 1, Math.min(end, start + 65));
    at = at === 0 ? -1 : bytes.lastIndexOf(quotedName, at - 1);
  }
  return "";
}

/** What an in-band error calls itself: its type, else its code; "error" when it says neither. At most 64 characters. */
export function errorName(error: unknown): string {
  const fields = asObject(error);
  const code = fields?.code;
  const name = asText(fields?.type) || (typeof code === "number" ? String(code) : asText(code));
  return (name || "error").slice(0, 64);
}
