/** Counts the items of one top-level array of a JSON object that arrives in chunks, cut anywhere. */
import { closingQuote, endsInEscape } from "./json-string.js";

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

/** Reads leniently, as all that looks at answers does: broken JSON counts something or nothing. */
export class ArrayCount {
  readonly #key: string;
  /** Of the top level; the last string seen there that may be a key, cut. */
  #last = "";
  #depth = 0;
  #inString = false;
  #escaped = false;
  /** Inside the wanted array. */
  #inside = false;
  /** A value of the array has begun since its bracket or the last comma. */
  #begun = false;
  #count = -1;

  /** `key`: plain letters. */
  constructor(key: string) {
    this.#key = key;
  }

  /** -1 = there was no such array. */
  get count(): number {
    return this.#count;
  }

  feed(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#inString) at = this.#skipString(chunk, at);
      else {
        this.#read(chunk[at] as number);
        at++;
      }
    }
  }

  #skipString(chunk: Buffer, from: number): number {
    const start = this.#escaped ? from + 1 : from;
    this.#escaped = false;
    const quote = closingQuote(chunk, start);
    const end = quote < 0 ? chunk.length : quote;
    if (this.#depth === 1 && this.#last.length <= this.#key.length) {
      this.#last += chunk.toString("latin1", from, Math.min(end, from + this.#key.length + 1));
    }
    if (quote >= 0) this.#inString = false;
    else this.#escaped = endsInEscape(chunk, start, chunk.length);
    return quote < 0 ? chunk.length : quote + 1;
  }

  #read(byte: number): void {
    if (byte <= 0x20 || byte === COLON) return;
    if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      this.#depth--;
      if (this.#inside && this.#depth === 1) this.#inside = false;
      return;
    }
    if (this.#inside && this.#depth === 2) this.#item(byte);
    if (byte === QUOTE) {
      this.#inString = true;
      if (this.#depth === 1) this.#last = "";
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      if (byte === OPEN_BRACKET && this.#depth === 1 && this.#last === this.#key && this.#count < 0) {
        this.#inside = true;
        this.#begun = false;
        this.#count = 0;
      }
      this.#depth++;
    }
  }

  #item(byte: number): void {
    if (byte === COMMA) this.#begun = false;
    else if (!this.#begun) {
      this.#begun = true;
      this.#count++;
    }
  }
}
