/**
 * Top-level values of a JSON object that arrives in chunks, cut anywhere. Memory is bounded whatever the
 * answer's size. It reads leniently: an answer is the upstream's business, a broken one captures nothing.
 */
import { closingQuote, endsInEscape } from "./json-string.js";
import { decodeString, type KeyTable } from "./json-text.js";

const MAX_VALUE_BYTES = 65_536;
/** Room for a key with every character escaped ("\u0075…"); longer keys are never wanted. */
const MAX_KEY_BYTES = 256;

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

const STATE = {
  ROOT: 0,
  KEY: 1,
  IN_KEY: 2,
  COLON: 3,
  VALUE: 4,
  STRING: 5,
  SCALAR: 6,
  NESTED: 7,
  NESTED_STRING: 8,
  DONE: 9,
} as const;

/** Bytes that matter outside strings of a nested value: 1 = opens, 2 = closes, 3 = a quote. */
const NESTED_CLASS = new Uint8Array(256);
NESTED_CLASS[0x7b] = 1;
NESTED_CLASS[0x5b] = 1;
NESTED_CLASS[0x7d] = 2;
NESTED_CLASS[0x5d] = 2;
NESTED_CLASS[QUOTE] = 3;

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/**
 * Captures the values of wanted top-level keys; of a key that comes twice, the first. Values longer than
 * the bound are left out. Chunks are referenced, not copied, while a value lies in one of them: they must
 * not be written to before the values are read.
 */
export class TopLevelCapture {
  private readonly keys: KeyTable;
  private readonly maxValueBytes: number;
  private readonly values: (Buffer | null)[];
  private missing: number;
  private state: number = STATE.ROOT;
  /** The last byte of the chunk before opened an escape. */
  private escaped = false;
  private depth = 0;
  private keyPieces: Buffer[] = [];
  private keyBytes = 0;
  /** Index of the value being captured; -1 = the current value is not wanted. */
  private wanted = -1;
  /** Where the captured value begins in the current chunk. */
  private captureFrom = 0;
  private pieces: Buffer[] = [];
  private pieceBytes = 0;

  constructor(keys: KeyTable, maxValueBytes: number = MAX_VALUE_BYTES) {
    this.keys = keys;
    this.maxValueBytes = maxValueBytes;
    this.values = new Array<Buffer | null>(keys.names.length).fill(null);
    this.missing = keys.names.length;
  }

  /** The whole value (quotes included for a string) by its index in the key table; null = not captured. */
  value(index: number): Buffer | null {
    return this.values[index] ?? null;
  }

  /** Reads the next chunk. */
  feed(chunk: Buffer): void {
    this.captureFrom = 0;
    let at = 0;
    while (at < chunk.length && this.state !== STATE.DONE) at = this.step(chunk, at);
    if (this.wanted >= 0 && this.state > STATE.VALUE && this.state !== STATE.DONE) this.keep(chunk, chunk.length);
  }

  private step(chunk: Buffer, at: number): number {
    switch (this.state) {
      case STATE.IN_KEY:
        return this.inKey(chunk, at);
      case STATE.STRING:
        return this.inString(chunk, at);
      case STATE.SCALAR:
        return this.inScalar(chunk, at);
      case STATE.NESTED:
        return this.inNested(chunk, at);
      case STATE.NESTED_STRING: {
        const end = this.stringEnd(chunk, at);
        if (end < 0) return chunk.length;
        this.state = STATE.NESTED;
        return end;
      }
      default:
        return this.between(chunk, at);
    }
  }

  /** White space and punctuation of the top level. */
  private between(chunk: Buffer, at: number): number {
    const byte = chunk[at] as number;
    if (isSpace(byte)) return at + 1;
    if (this.state === STATE.VALUE) return this.beginValue(byte, at);
    if (this.state === STATE.COLON && byte === 0x3a) this.state = STATE.VALUE;
    else if (this.state === STATE.KEY && byte === QUOTE) this.state = STATE.IN_KEY;
    else if (this.state === STATE.ROOT && byte === OPEN_BRACE) this.state = STATE.KEY;
    else if (!(this.state === STATE.KEY && byte === COMMA)) this.state = STATE.DONE;
    return at + 1;
  }

  private beginValue(byte: number, at: number): number {
    this.captureFrom = at;
    if (byte === QUOTE) this.state = STATE.STRING;
    else if (NESTED_CLASS[byte] === 1) {
      this.state = STATE.NESTED;
      this.depth = 1;
    } else this.state = STATE.SCALAR;
    return at + 1;
  }

  /** The offset after a string's closing quote, or -1 when the string goes on in the next chunk. */
  private stringEnd(chunk: Buffer, from: number): number {
    const start = this.escaped ? from + 1 : from;
    this.escaped = false;
    const quote = closingQuote(chunk, start);
    if (quote >= 0) return quote + 1;
    this.escaped = endsInEscape(chunk, start, chunk.length);
    return -1;
  }

  private inKey(chunk: Buffer, at: number): number {
    const end = this.stringEnd(chunk, at);
    const stop = end < 0 ? chunk.length : end - 1;
    this.keyBytes += stop - at;
    if (this.keyBytes <= MAX_KEY_BYTES) this.keyPieces.push(chunk.subarray(at, stop));
    if (end < 0) return chunk.length;
    this.wanted = this.keyBytes > MAX_KEY_BYTES ? -1 : this.lookUp();
    if (this.wanted >= 0 && this.values[this.wanted] !== null) this.wanted = -1;
    this.keyPieces = [];
    this.keyBytes = 0;
    this.state = STATE.COLON;
    return end;
  }

  private lookUp(): number {
    const key = this.keyPieces.map((piece) => piece.toString("latin1")).join("");
    const index = this.keys.spelled.indexOf(key);
    if (index >= 0 || !key.includes("\\")) return index;
    const quoted = Buffer.from(`"${key}"`, "latin1");
    return this.keys.names.indexOf(decodeString(quoted, 0, quoted.length) ?? "");
  }

  private inString(chunk: Buffer, at: number): number {
    const end = this.stringEnd(chunk, at);
    return end < 0 ? chunk.length : this.endValue(chunk, end);
  }

  private inScalar(chunk: Buffer, from: number): number {
    for (let at = from; at < chunk.length; at++) {
      const byte = chunk[at] as number;
      if (byte === COMMA || byte === CLOSE_BRACE || isSpace(byte)) return this.endValue(chunk, at);
    }
    return chunk.length;
  }

  private inNested(chunk: Buffer, from: number): number {
    let at = from;
    while (at < chunk.length) {
      const kind = NESTED_CLASS[chunk[at] as number];
      at++;
      if (kind === 0) continue;
      if (kind === 1) this.depth++;
      else if (kind === 2) {
        if (--this.depth === 0) return this.endValue(chunk, at);
      } else {
        const end = this.stringEnd(chunk, at);
        if (end < 0) {
          this.state = STATE.NESTED_STRING;
          return chunk.length;
        }
        at = end;
      }
    }
    return at;
  }

  private keep(chunk: Buffer, end: number): void {
    this.pieceBytes += end - this.captureFrom;
    if (this.pieceBytes > this.maxValueBytes) {
      this.dropCapture();
      return;
    }
    this.pieces.push(Buffer.from(chunk.subarray(this.captureFrom, end)));
  }

  private dropCapture(): void {
    this.wanted = -1;
    this.pieces = [];
    this.pieceBytes = 0;
  }

  private endValue(chunk: Buffer, end: number): number {
    this.state = STATE.KEY;
    const index = this.wanted;
    if (index < 0) return end;
    if (this.pieces.length === 0 && end - this.captureFrom <= this.maxValueBytes) {
      this.values[index] = chunk.subarray(this.captureFrom, end);
    } else {
      this.keep(chunk, end);
      this.values[index] = this.wanted < 0 ? null : Buffer.concat(this.pieces);
    }
    this.dropCapture();
    // Nothing left to find: the rest of the answer costs nothing.
    if (this.values[index] !== null && --this.missing === 0) this.state = STATE.DONE;
    return end;
  }
}
