/** Is a value canonical as it stands? Most are: nothing has to be put together for them. */
import { opensEscape } from "../dialects/json-text.js";
import { canonicalScalar, NotJson } from "./canonical-number.js";

const QUOTE = 0x22;
const OPEN_BRACE = 0x7b;
const OPEN_BRACKET = 0x5b;
const COMMA = 0x2c;
const COLON = 0x3a;
/** From an opening brace or bracket to its closing one. */
const TO_CLOSING = 2;

/** Deeper values are put together. */
const MAX_DEPTH = 64;
/** What is open at each depth, and where its last name began and ended. */
const open = new Uint8Array(MAX_DEPTH + 1);
const nameStart = new Int32Array(MAX_DEPTH + 1);
const nameEnd = new Int32Array(MAX_DEPTH + 1);

/** The order of members: shorter names first; of equally long ones the later in the alphabet. */
export function compareNames(left: string, right: string): number {
  if (left.length !== right.length) return left.length - right.length;
  return left > right ? -1 : left < right ? 1 : 0;
}

/** What may come next. */
const NEXT = { VALUE: 0, FIRST: 1, KEY: 2, AFTER: 3 } as const;

/**
 * The index after the value that begins at `from`; -1 = it is not canonical, or no JSON. `text`: without any escape that
 * could be spelled in another way.
 */
export function canonicalEnd(text: string, from: number): number {
  let index = from;
  let depth = 0;
  let next: number = NEXT.VALUE;
  do {
    if (index >= text.length) return -1;
    const code = text.charCodeAt(index);
    const outer = open[depth] as number;
    if (next === NEXT.AFTER && code === COMMA) {
      next = outer === OPEN_BRACE ? NEXT.KEY : NEXT.VALUE;
      index++;
    } else if ((next === NEXT.AFTER || (next === NEXT.FIRST && depth > 0)) && code === outer + TO_CLOSING) {
      next = NEXT.AFTER;
      depth--;
      index++;
    } else if (next === NEXT.AFTER) {
      return -1;
    } else if (next === NEXT.KEY || (next === NEXT.FIRST && outer === OPEN_BRACE)) {
      const end = code === QUOTE ? stringEnd(text, index) : -1;
      if (end < 0 || text.charCodeAt(end) !== COLON) return -1;
      if (next === NEXT.KEY && !follows(text, depth, index, end)) return -1;
      nameStart[depth] = index;
      nameEnd[depth] = end;
      index = end + 1;
      next = NEXT.VALUE;
    } else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      if (depth === MAX_DEPTH) return -1;
      open[++depth] = code;
      index++;
      next = NEXT.FIRST;
    } else {
      const end = code === QUOTE ? stringEnd(text, index) : scalarEnd(text, index);
      if (end < 0 || (code !== QUOTE && !isCanonicalScalar(text.slice(index, end)))) return -1;
      index = end;
      next = NEXT.AFTER;
    }
  } while (depth > 0 || next !== NEXT.AFTER);
  return index;
}

/** Does the name at [start, end) stand where it belongs, after the one before it? */
function follows(text: string, depth: number, start: number, end: number): boolean {
  const [from, to] = [nameStart[depth] as number, nameEnd[depth] as number];
  if (end - start !== to - from) return end - start > to - from;
  return compareNames(text.slice(from, to), text.slice(start, end)) <= 0;
}

/** The index after the string that begins at `start`; -1 = it has no end. */
export function stringEnd(text: string, start: number): number {
  let quote = text.indexOf('"', start + 1);
  while (quote >= 0 && opensEscape(text, start + 1, quote)) quote = text.indexOf('"', quote + 1);
  return quote + 1 || -1;
}

/** The index after the characters of a number or word. */
export function scalarEnd(text: string, start: number): number {
  let end = start;
  while (end < text.length && isScalar(text.charCodeAt(end))) end++;
  return end;
}

/** A character of a number or of a word. */
function isScalar(code: number): boolean {
  if (code >= 0x30 && code <= 0x39) return true;
  const letter = code | 0x20;
  return (letter >= 0x61 && letter <= 0x7a) || code === 0x2b || code === 0x2d || code === 0x2e;
}

function isCanonicalScalar(text: string): boolean {
  try {
    return canonicalScalar(text) === text;
  } catch (error) {
    if (error instanceof NotJson) return false;
    throw error;
  }
}
