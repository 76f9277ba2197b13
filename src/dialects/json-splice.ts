/**
 * Finding and replacing top-level members of a JSON object in its bytes, without parsing it whole: key
 * order, number spelling, escapes and unknown fields of the caller survive. Grammar: RFC 8259.
 * The structure is verified to the last byte. What stands inside strings (control characters, unknown
 * escapes) is left to the upstream to judge: looking at every byte would cost ten times the scan.
 */
import type { Span } from "./dialect.js";

/** Deeper nesting is refused; every known client stays far below. */
export const MAX_DEPTH = 512;

/** One name in a key is not longer than this once unescaped; longer keys are never wanted ones. */
const MAX_ESCAPED_KEY_BYTES = 512;

/** Bytes looked at one by one before a native search is worth its call; 8 to 12 measured best on prose, code and tools. */
const NEAR = 12;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const COMMA = 0x2c;
const COLON = 0x3a;

/** Wanted keys, encoded once. */
export interface KeyTable {
  readonly names: readonly string[];
  readonly bytes: readonly Buffer[];
}

/** Encodes the names of wanted top-level keys for `scanTopLevel` and `TopLevelCapture`. */
export function keyTable(names: readonly string[]): KeyTable {
  return { names, bytes: names.map((name) => Buffer.from(name)) };
}

/** What a scan found; positions are byte offsets into the scanned body. */
export interface TopLevelScan {
  /** Start of each wanted value by its index in the table; -1 = absent. */
  readonly starts: number[];
  /** End (exclusive) of each wanted value. */
  readonly ends: number[];
  /** Index of a wanted key that stands there twice; -1 = none. */
  duplicate: number;
  /** Where the bytes stop being a JSON object; -1 = they are one. */
  brokenAt: number;
  /** Just after the object's opening brace: where a first member can be put in. */
  membersAt: number;
  /** Has the object no members? */
  empty: boolean;
}

/** Finds the unescaped quote that closes a string; `from` is inside it, after no open escape. -1 = none. */
export function closingQuote(bytes: Buffer, from: number): number {
  const length = bytes.length;
  let at = from;
  while (at < length) {
    const near = Math.min(length, at + NEAR);
    while (at < near) {
      const byte = bytes[at];
      if (byte === QUOTE) return at;
      at += byte === BACKSLASH ? 2 : 1;
    }
    if (at >= length) return -1;
    const quote = bytes.indexOf(QUOTE, at);
    if (quote < 0) return -1;
    if (!endsInEscape(bytes, at, quote)) return quote;
    at = quote + 1;
  }
  return -1;
}

/** Do the bytes [from, end) of a string end with a backslash that escapes what follows? */
export function endsInEscape(bytes: Buffer, from: number, end: number): boolean {
  let at = end;
  while (at > from && bytes[at - 1] === BACKSLASH) at--;
  return ((end - at) & 1) === 1;
}

// The scanners below return the offset after what they skipped, or ~offset (negative) where the bytes break.
// A read past the end gives undefined, which equals no byte and compares false.

/** Skips white space. */
export function skipSpace(bytes: Buffer, from: number): number {
  let at = from;
  let byte = bytes[at];
  while (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) byte = bytes[++at];
  return at;
}

/** Skips the string whose opening quote stands at `from`. */
export function skipString(bytes: Buffer, from: number): number {
  const quote = closingQuote(bytes, from + 1);
  return quote < 0 ? ~bytes.length : quote + 1;
}

function skipDigits(bytes: Buffer, from: number): number {
  let at = from;
  let byte = bytes[at] as number;
  if (!(byte >= 0x30 && byte <= 0x39)) return ~at;
  while (byte >= 0x30 && byte <= 0x39) byte = bytes[++at] as number;
  return at;
}

function skipNumber(bytes: Buffer, from: number): number {
  let at = bytes[from] === 0x2d ? from + 1 : from;
  at = bytes[at] === 0x30 ? at + 1 : skipDigits(bytes, at);
  if (at >= 0 && bytes[at] === 0x2e) at = skipDigits(bytes, at + 1);
  if (at >= 0 && ((bytes[at] as number) | 0x20) === 0x65) {
    const sign = bytes[at + 1];
    at = skipDigits(bytes, sign === 0x2b || sign === 0x2d ? at + 2 : at + 1);
  }
  return at;
}

function skipWord(bytes: Buffer, from: number, word: string): number {
  for (let index = 0; index < word.length; index++) {
    if (bytes[from + index] !== word.charCodeAt(index)) return ~(from + index);
  }
  return from + word.length;
}

function skipScalar(bytes: Buffer, from: number): number {
  switch (bytes[from]) {
    case QUOTE:
      return skipString(bytes, from);
    case 0x74:
      return skipWord(bytes, from, "true");
    case 0x66:
      return skipWord(bytes, from, "false");
    case 0x6e:
      return skipWord(bytes, from, "null");
    default:
      return skipNumber(bytes, from);
  }
}

/** Skips `"key" :` and the space around; the result is where the value begins. */
function skipKey(bytes: Buffer, from: number): number {
  if (bytes[from] !== QUOTE) return ~from;
  let at = skipString(bytes, from);
  if (at < 0) return at;
  at = skipSpace(bytes, at);
  return bytes[at] === COLON ? skipSpace(bytes, at + 1) : ~at;
}

/** One stack for all scans: a scan is synchronous and never calls itself. 1 = object, 0 = array. */
const stack = new Uint8Array(MAX_DEPTH + 1);

/** Skips one value of any kind that begins at `from`. Flat, with its own stack: depth must not be ours to lose. */
export function skipValue(bytes: Buffer, from: number): number {
  let at = from;
  let depth = 0;
  for (;;) {
    const open = bytes[at];
    if (open === OPEN_BRACE || open === OPEN_BRACKET) {
      if (depth === MAX_DEPTH - 1) return ~at;
      const isObject = open === OPEN_BRACE;
      stack[depth++] = isObject ? 1 : 0;
      at = skipSpace(bytes, at + 1);
      if (bytes[at] !== (isObject ? CLOSE_BRACE : CLOSE_BRACKET)) {
        if (isObject) at = skipKey(bytes, at);
        if (at < 0) return at;
        continue;
      }
    } else {
      at = skipScalar(bytes, at);
      if (at < 0) return at;
    }
    for (;;) {
      if (depth === 0) return at;
      const inObject = stack[depth - 1] === 1;
      at = skipSpace(bytes, at);
      const byte = bytes[at];
      if (byte === COMMA) {
        at = skipSpace(bytes, at + 1);
        if (inObject) at = skipKey(bytes, at);
        if (at < 0) return at;
        break;
      }
      if (byte !== (inObject ? CLOSE_BRACE : CLOSE_BRACKET)) return ~at;
      at++;
      if (--depth === 0) return at;
    }
  }
}

function equalBytes(bytes: Buffer, from: number, wanted: Buffer): boolean {
  for (let index = 0; index < wanted.length; index++) {
    if (bytes[from + index] !== wanted[index]) return false;
  }
  return true;
}

/**
 * Which wanted key stands at [from, end) (quotes not included)? A key written with escapes is unescaped
 * first: "mod\u0065l" is "model" to every parser behind us. -1 = none of them.
 */
export function matchKey(bytes: Buffer, from: number, end: number, keys: KeyTable): number {
  const length = end - from;
  for (let index = 0; index < keys.bytes.length; index++) {
    const wanted = keys.bytes[index] as Buffer;
    if (wanted.length === length && equalBytes(bytes, from, wanted)) return index;
  }
  if (length > MAX_ESCAPED_KEY_BYTES) return -1;
  for (let at = from; at < end; at++) {
    if (bytes[at] === BACKSLASH) return keys.names.indexOf(decodeString(bytes, from - 1, end + 1) ?? "");
  }
  return -1;
}

/** The text of the JSON string at [start, end), quotes included; null when it is not a valid one. */
export function decodeString(bytes: Buffer, start: number, end: number): string | null {
  if (bytes[start] !== QUOTE || end - start < 2) return null;
  for (let at = start + 1; at < end - 1; at++) {
    const byte = bytes[at] as number;
    if (byte < 0x20) return null;
    if (byte === BACKSLASH || byte > 0x7e) return parseString(bytes, start, end);
  }
  return bytes.toString("latin1", start + 1, end - 1);
}

function parseString(bytes: Buffer, start: number, end: number): string | null {
  try {
    const value: unknown = JSON.parse(bytes.toString("utf8", start, end));
    return typeof value === "string" ? value : null;
  } catch {
    return null;
  }
}

/**
 * Scans a JSON object and reports where the values of wanted top-level keys stand. Linear, no allocation
 * beyond the result; nothing but white space may follow the object. A key wanted and present twice is
 * reported (`duplicate`), its first value kept: parsers disagree on which one counts.
 */
export function scanTopLevel(body: Buffer, wanted: KeyTable): TopLevelScan {
  const count = wanted.names.length;
  const scan: TopLevelScan = {
    starts: new Array<number>(count).fill(-1),
    ends: new Array<number>(count).fill(-1),
    duplicate: -1,
    brokenAt: -1,
    membersAt: 0,
    empty: false,
  };
  let at = skipSpace(body, 0);
  if (body[at] !== OPEN_BRACE) return broken(scan, ~at);
  scan.membersAt = at + 1;
  at = skipSpace(body, at + 1);
  if (body[at] === CLOSE_BRACE) scan.empty = true;
  else {
    at = scanMembers(body, at, wanted, scan);
    if (at < 0) return broken(scan, at);
  }
  at = skipSpace(body, at + 1);
  return at === body.length ? scan : broken(scan, ~at);
}

const NO_KEYS = keyTable([]);

/** Are these bytes one JSON object, to the last of them? About 1.5 ns a byte; strings cost next to nothing. */
export function isJsonObject(bytes: Buffer): boolean {
  return scanTopLevel(bytes, NO_KEYS).brokenAt < 0;
}

function broken(scan: TopLevelScan, position: number): TopLevelScan {
  scan.brokenAt = ~position;
  return scan;
}

/** Scans `"key": value, …`; returns where the closing brace stands. */
function scanMembers(body: Buffer, from: number, wanted: KeyTable, scan: TopLevelScan): number {
  let at = from;
  for (;;) {
    const key = at;
    if (body[key] !== QUOTE) return ~key;
    at = skipString(body, key);
    if (at < 0) return at;
    const index = matchKey(body, key + 1, at - 1, wanted);
    at = skipSpace(body, at);
    if (body[at] !== COLON) return ~at;
    const start = skipSpace(body, at + 1);
    const end = skipValue(body, start);
    if (end < 0) return end;
    if (index >= 0) {
      if (scan.starts[index] === -1) {
        scan.starts[index] = start;
        scan.ends[index] = end;
      } else scan.duplicate = index;
    }
    at = skipSpace(body, end);
    if (body[at] === CLOSE_BRACE) return at;
    if (body[at] !== COMMA) return ~at;
    at = skipSpace(body, at + 1);
  }
}

/** A replacement of the bytes [start, end); start = end puts bytes in. */
export interface Edit extends Span {
  readonly bytes: Buffer;
}

/** A new buffer with the edits applied; they are ordered by position and do not overlap. */
export function applyEdits(body: Buffer, edits: readonly Edit[]): Buffer {
  if (edits.length === 0) return body;
  let length = body.length;
  for (const edit of edits) length += edit.bytes.length - (edit.end - edit.start);
  const out = Buffer.allocUnsafe(length);
  let from = 0;
  let to = 0;
  for (const edit of edits) {
    to += body.copy(out, to, from, edit.start);
    to += edit.bytes.copy(out, to);
    from = edit.end;
  }
  body.copy(out, to, from);
  return out;
}
