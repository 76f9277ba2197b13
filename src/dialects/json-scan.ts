/**
 * Finding values in the bytes of JSON without building them: key order, number spelling, escapes and unknown fields
 * survive. Grammar: RFC 8259. The structure is verified to the last byte. What stands inside strings (control
 * characters, unknown escapes) is left to the upstream to judge: looking at every byte would cost ten times the scan.
 */
import { JsonText, type KeyTable, keyTable } from "./json-text.js";

/** Deeper nesting is refused; every known client stays far below. */
export const MAX_DEPTH = 512;

const QUOTE = 0x22;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
/** From an opening brace or bracket to its closing one. */
const TO_CLOSING = 2;

/** What a scan found; positions are byte offsets into the scanned body. */
export interface TopLevelScan {
  readonly json: JsonText;
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

/**
 * Scans a JSON object and reports where the values of wanted top-level keys stand. Linear; nothing but white space
 * may follow the object. A key wanted and present twice is reported (`duplicate`), its first value kept: parsers
 * disagree on which one counts.
 */
export function scanTopLevel(body: Buffer, wanted: KeyTable): TopLevelScan {
  const json = JsonText.of(body);
  const [starts, ends] = [wanted.absent.slice(), wanted.absent.slice()];
  const scan: TopLevelScan = { json, starts, ends, duplicate: -1, brokenAt: -1, membersAt: 0, empty: false };
  const open = json.space(0);
  if (json.code(open) !== OPEN_BRACE) return broken(scan, open);
  scan.membersAt = open + 1;
  scan.empty = json.code(json.space(open + 1)) === CLOSE_BRACE;
  const end = walk(json, open, scan, wanted);
  if (end < 0) return broken(scan, ~end);
  const rest = json.space(end);
  return rest === body.length ? scan : broken(scan, rest);
}

function broken(scan: TopLevelScan, position: number): TopLevelScan {
  scan.brokenAt = position;
  return scan;
}

const NO_KEYS = keyTable([]);

/** Skips one value of any kind that begins at `from`: the offset after it, or ~offset (negative) where it breaks. */
export function skipValue(json: JsonText, from: number): number {
  return walk(json, from, null, NO_KEYS);
}

/** What may come next. */
const NEXT = { VALUE: 0, FIRST: 1, KEY: 2, AFTER: 3 } as const;

/** One stack for all walks: a walk is synchronous and never calls itself. Opening braces and brackets. */
const stack = new Uint8Array(MAX_DEPTH + 1);

/**
 * Walks over one value, from `from` to its end, and notes where wanted members of the outermost object stand. One flat
 * loop, with its own stack: depth must not be ours to lose, and a call for each character would take most of the time.
 * Returns as `skipValue` does.
 */
function walk(json: JsonText, from: number, scan: TopLevelScan | null, wanted: KeyTable): number {
  let index = json.seek(from);
  let { text } = json;
  let depth = 0;
  let next: number = NEXT.VALUE;
  /** Of the outermost object: which wanted member is under way, and where its value begins. */
  let member = -1;
  let start = 0;
  do {
    let code = index < text.length ? text.charCodeAt(index) : 0;
    if (code <= 0x20) {
      index = json.significant(index);
      text = json.text;
      code = index < text.length ? text.charCodeAt(index) : 0;
    }
    const open = stack[depth] as number;
    if (next === NEXT.AFTER && code === COMMA) {
      next = open === OPEN_BRACE ? NEXT.KEY : NEXT.VALUE;
      index++;
    } else if ((next === NEXT.AFTER || (next === NEXT.FIRST && depth > 0)) && code === open + TO_CLOSING) {
      next = NEXT.AFTER;
      index++;
      if (--depth === 1 && member >= 0) member = noted(scan, member, start, json.base + index);
    } else if (next === NEXT.AFTER) {
      return ~(json.base + index);
    } else if (next === NEXT.KEY || (next === NEXT.FIRST && open === OPEN_BRACE)) {
      if (code !== QUOTE) return ~(json.base + index);
      const key = json.base + index + 1;
      const end = stringEnd(json, index);
      if (end < 0) return end;
      if (depth === 1 && scan !== null) member = memberAt(scan, wanted, key, end - 1);
      const value = json.code(end) === COLON ? end + 1 : colonEnd(json, end);
      if (value < 0) return value;
      index = json.seek(value);
      text = json.text;
      next = NEXT.VALUE;
    } else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      if (depth === MAX_DEPTH) return ~(json.base + index);
      if (depth === 1) start = json.base + index;
      stack[++depth] = code;
      index++;
      next = NEXT.FIRST;
    } else {
      if (depth === 1) start = json.base + index;
      const end = scalarEnd(json, index, code);
      if (end < 0) return end;
      index = json.seek(end);
      text = json.text;
      next = NEXT.AFTER;
      if (depth === 1 && member >= 0) member = noted(scan, member, start, end);
    }
  } while (depth > 0 || next !== NEXT.AFTER);
  return json.base + index;
}

/** Which wanted member begins? -1 = none that counts. */
function memberAt(scan: TopLevelScan, wanted: KeyTable, start: number, end: number): number {
  const member = scan.json.match(start, end, wanted);
  if (member < 0 || scan.starts[member] === -1) return member;
  scan.duplicate = member;
  return -1;
}

/** Notes a member that has been read to its end; none is under way then. */
function noted(scan: TopLevelScan | null, member: number, start: number, end: number): -1 {
  if (scan !== null) {
    scan.starts[member] = start;
    scan.ends[member] = end;
  }
  return -1;
}

function colonEnd(json: JsonText, offset: number): number {
  const colon = json.space(offset);
  return json.code(colon) === COLON ? colon + 1 : ~colon;
}

/** From the quote that begins a string to the offset after it, or ~offset. Most end at the first quote. */
function stringEnd(json: JsonText, quote: number): number {
  const { text } = json;
  let end = text.indexOf('"', quote + 1) + 1;
  if (end === 0 || text.charCodeAt(end - 2) === BACKSLASH) end = json.stringEnd(quote + 1);
  return end < 0 ? ~json.length : json.base + end;
}

/** From the first character of a string, number or word to the offset after it, or ~offset. */
function scalarEnd(json: JsonText, index: number, first: number): number {
  if (first === QUOTE) return stringEnd(json, index);
  const offset = json.base + index;
  if (first === 0x6e) return wordEnd(json, offset, "null");
  if (first === 0x74) return wordEnd(json, offset, "true");
  if (first === 0x66) return wordEnd(json, offset, "false");
  return numberEnd(json, index);
}

function wordEnd(json: JsonText, offset: number, word: string): number {
  if (json.text.startsWith(word, offset - json.base)) return offset + word.length;
  for (let index = 0; index < word.length; index++) {
    if (json.code(offset + index) !== word.charCodeAt(index)) return ~(offset + index);
  }
  return offset + word.length;
}

/** A number is shorter than a window; one that is not breaks. */
function numberEnd(json: JsonText, from: number): number {
  const end = numberIn(json.text, from);
  const cut = (end < 0 ? ~end : end) === json.text.length && json.base + json.text.length < json.length;
  if (cut && from > 0) {
    json.moveTo(json.base + from);
    return numberEnd(json, 0);
  }
  return end < 0 ? ~(json.base + ~end) : json.base + end;
}

/** By indexes of one text. */
function numberIn(text: string, from: number): number {
  const { length } = text;
  let at = from < length && text.charCodeAt(from) === 0x2d ? from + 1 : from;
  at = at < length && text.charCodeAt(at) === 0x30 ? at + 1 : digitsEnd(text, at);
  if (at < 0 || at >= length) return at;
  if (text.charCodeAt(at) === 0x2e) at = digitsEnd(text, at + 1);
  if (at < 0 || at >= length || (text.charCodeAt(at) | 0x20) !== 0x65) return at;
  const sign = at + 1 < length ? text.charCodeAt(at + 1) : 0;
  return digitsEnd(text, sign === 0x2b || sign === 0x2d ? at + 2 : at + 1);
}

/** At least one must be there. */
function digitsEnd(text: string, from: number): number {
  let at = from;
  while (at < text.length && isDigit(text.charCodeAt(at))) at++;
  return at === from ? ~at : at;
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}
