/**
 * Bytes of JSON, read as text in which a character is a byte (latin1): V8 reads a character of a string in half the
 * time of a byte of a buffer, whose memory may be taken away at any time, and finds a quote without leaving its own
 * code. Long bodies are read in windows, as a long text would be a large object with memory of its own.
 */
import { isAscii } from "node:buffer";

const WINDOW_BYTES = 65_536;
/** A name in a key is not longer than this, written with escapes; longer keys are never wanted ones. */
const MAX_ESCAPED_KEY_BYTES = 512;
const LOOKED_AT_BYTES = 512;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Wanted keys, spelled once as the bytes of a body would. */
export interface KeyTable {
  readonly names: readonly string[];
  /** The UTF-8 bytes of each name as latin1. */
  readonly spelled: readonly string[];
  /** -1 for each name: what a scan begins with. */
  readonly absent: readonly number[];
}

/** Spells the names of wanted keys. */
export function keyTable(names: readonly string[]): KeyTable {
  const spelled = names.map((name) => Buffer.from(name).toString("latin1"));
  return { names, spelled, absent: names.map(() => -1) };
}

/** See `JsonText.of`. */
let last: JsonText | null = null;
const MOST_KEPT_BYTES = 16_384;
/** Of the memory that bytes are a part of; a short body has so much of its own. */
const MOST_KEPT_MEMORY = 65_536;
/** Pieces of a text that is no longer may be stored: each keeps the memory of it all. */
const SHORT_CHARACTERS = 1_024;

export function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

/** An index counts in the window's text, an offset in all bytes. Whatever goes forward may move the window. */
export class JsonText {
  readonly bytes: Buffer;
  /** Of all bytes. */
  readonly length: number;
  /** What the window shows. */
  text: string;
  /** The offset at which the window begins. */
  base = 0;
  #ascii: boolean | null = null;

  /**
   * The text of these bytes, which nobody may change any more. A request is read by one stage after the other: the last
   * short body is kept for the next of them.
   */
  static of(bytes: Buffer): JsonText {
    if (last?.bytes === bytes) return last;
    const text = new JsonText(bytes);
    if (bytes.length <= MOST_KEPT_BYTES && bytes.buffer.byteLength <= MOST_KEPT_MEMORY) last = text;
    return text;
  }

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.length = bytes.length;
    this.text = bytes.toString("latin1", 0, WINDOW_BYTES);
  }

  /** The index of an offset; what follows it can be read. */
  seek(offset: number): number {
    const index = offset - this.base;
    if (index >= 0 && index < this.text.length) return index;
    this.moveTo(offset);
    return 0;
  }

  /** The byte at an offset; 0, which no JSON holds, where there is none. */
  code(offset: number): number {
    const index = offset - this.base;
    if (index >= 0 && index < this.text.length) return this.text.charCodeAt(index);
    return offset >= 0 && offset < this.length ? (this.bytes[offset] as number) : 0;
  }

  /** The index of the next character that is no white space; that of the end where there is none. */
  significant(from: number): number {
    let index = from;
    for (;;) {
      while (index < this.text.length && isSpace(this.text.charCodeAt(index))) index++;
      if (index < this.text.length || this.base + index >= this.length) return index;
      this.moveTo(this.base + index);
      index = 0;
    }
  }

  /** The index after the quote that ends a string; `from`: after the quote that begins it. -1 = it has no end. */
  stringEnd(from: number): number {
    let start = from;
    for (;;) {
      const { text } = this;
      const quote = text.indexOf('"', start);
      const cut = opensEscape(text, start, quote < 0 ? text.length : quote);
      if (quote >= 0 && !cut) return quote + 1;
      if (quote >= 0) start = quote + 1;
      else if (this.base + text.length >= this.length) return -1;
      else {
        // A backslash without its pair stays with what it escapes.
        this.moveTo(this.base + text.length - (cut ? 1 : 0));
        start = 0;
      }
    }
  }

  /** Skips white space, by offsets. */
  space(offset: number): number {
    if (!isSpace(this.code(offset))) return offset;
    const index = this.significant(this.seek(offset));
    return this.base + index;
  }

  /** Skips the string that begins at an offset, by offsets; ~length where it does not end. */
  string(offset: number): number {
    const end = offset + 1 < this.length ? this.stringEnd(this.seek(offset + 1)) : -1;
    return end < 0 ? ~this.length : this.base + end;
  }

  /** The bytes [start, end) as latin1. It may keep the memory of them all: nothing to be stored. */
  slice(start: number, end: number): string {
    const [from, to] = [start - this.base, end - this.base];
    return from >= 0 && to <= this.text.length ? this.text.slice(from, to) : this.bytes.toString("latin1", start, end);
  }

  /** The bytes [start, end) as the text that they are. The same holds for its memory. */
  utf8(start: number, end: number): string {
    this.#ascii ??= isAscii(this.bytes);
    return this.#ascii ? this.slice(start, end) : this.bytes.toString("utf8", start, end);
  }

  /**
   * Which wanted key stands at [start, end) (quotes not included)? A key written with escapes is unescaped first:
   * "mod\u0065l" is "model" to every parser behind us. -1 = none of them.
   */
  match(start: number, end: number, { names, spelled }: KeyTable): number {
    const length = end - start;
    if (start < this.base || end > this.base + this.text.length) this.moveTo(start);
    const { text } = this;
    const index = start - this.base;
    for (let wanted = 0; wanted < spelled.length; wanted++) {
      const name = spelled[wanted] as string;
      if (name.length === length && text.startsWith(name, index)) return wanted;
    }
    if (length > MAX_ESCAPED_KEY_BYTES || !hasEscape(text, index, length)) return -1;
    if (!isDecodable(text.slice(index, index + length))) return -1;
    return names.indexOf(this.decode(start - 1, end + 1) ?? "");
  }

  /** What the JSON string at [start, end), quotes included, says; null when it is not a valid one. */
  decode(start: number, end: number): string | null {
    return this.length <= SHORT_CHARACTERS ? this.read(start, end) : decodeString(this.bytes, start, end);
  }

  /** The same, for reading only: it may keep the memory of all bytes. */
  read(start: number, end: number): string | null {
    if (this.code(start) !== QUOTE || end - start < 2) return null;
    const isNear = start >= this.base && end <= this.base + this.text.length;
    if (!isNear) return decodeString(this.bytes, start, end);
    const text = this.slice(start + 1, end - 1);
    return isPlain(text) ? text : parsedString(this.bytes, start, end);
  }

  /** The window begins at this offset from now on. */
  moveTo(offset: number): void {
    this.base = offset;
    this.text = this.bytes.toString("latin1", offset, offset + WINDOW_BYTES);
  }
}

/** What the JSON string at [start, end), quotes included, says; null when it is not a valid one. */
export function decodeString(bytes: Buffer, start: number, end: number): string | null {
  if (bytes[start] !== QUOTE || end - start < 2) return null;
  // Long texts mostly hold an escape soon: they are not copied to find that out.
  const looked = Math.min(end - 1, start + 1 + LOOKED_AT_BYTES);
  const begin = bytes.toString("latin1", start + 1, looked);
  if (!isPlain(begin)) return parsedString(bytes, start, end);
  if (looked === end - 1) return begin;
  const text = bytes.toString("latin1", start + 1, end - 1);
  return isPlain(text) ? text : parsedString(bytes, start, end);
}

/** Half an escape, one that JSON does not know, or a control character. */
const UNDECODABLE = /[^\x20-\uffff]|(?:^|[^\\])(?:\\\\)*\\(?!["\\/bfnrt]|u[0-9a-fA-F]{4})/;

/**
 * Can the inside of a string, or all of it, be decoded? Asked before `JSON.parse` where a client could make it throw at
 * every few bytes: an exception costs a thousand times as much as the question.
 */
export function isDecodable(text: string): boolean {
  return !UNDECODABLE.test(text);
}

function parsedString(bytes: Buffer, start: number, end: number): string | null {
  try {
    const value: unknown = JSON.parse(bytes.toString("utf8", start, end));
    return typeof value === "string" ? value : null;
  } catch {
    return null;
  }
}

/** Are these the characters that the string says, in the bytes that it says them in? */
function isPlain(text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code < 0x20 || code > 0x7e || code === BACKSLASH) return false;
  }
  return true;
}

function hasEscape(text: string, from: number, length: number): boolean {
  for (let index = from; index < from + length; index++) if (text.charCodeAt(index) === BACKSLASH) return true;
  return false;
}

/** Do the characters [start, end) of a string end with a backslash that escapes what follows? */
export function opensEscape(text: string, start: number, end: number): boolean {
  let at = end;
  while (at > start && text.charCodeAt(at - 1) === BACKSLASH) at--;
  return ((end - at) & 1) === 1;
}
