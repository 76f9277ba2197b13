/**
 * Writes JSON into bytes that are used again. A line that is put together as text is a hundred small objects and a
 * copy; every request writes three lines, and what they leave to the garbage collector cost more than making them.
 */
import { quote } from "./json-text.js";

const FIRST_BYTES = 1024;
/** Characters that are written one by one before a native write is worth its call. */
const NEAR = 64;
/** Most bytes of UTF-8 for a UTF-16 unit. */
const UNIT_BYTES = 3;

const ZERO = 0x30;
const DOT = 0x2e;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Whole numbers below it are written digit by digit. */
const FEW_DIGITS = 1e9;
/** Room for the text of any number. */
const NUMBER_BYTES = 32;

const EMPTY_LIST = piece("[]");

/** Text that is written often, encoded once. */
export function piece(text: string): Buffer {
  return Buffer.from(text);
}

export class JsonLine {
  /** Written up to `length`; replaced by a longer one where it does not suffice. */
  bytes: Buffer;
  length = 0;

  constructor(bytes: Buffer = Buffer.allocUnsafeSlow(FIRST_BYTES)) {
    this.bytes = bytes;
  }

  /** From here on, so many bytes can be written without another question. */
  reserve(bytes: number): void {
    if (this.bytes.length - this.length >= bytes) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.bytes.length * 2, this.length + bytes));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }

  /** What has been written, in place. */
  written(): Buffer {
    return this.bytes.subarray(0, this.length);
  }

  piece(bytes: Buffer): void {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  byte(code: number): void {
    this.reserve(1);
    this.bytes[this.length++] = code;
  }

  /** Text in which a character is a byte: ASCII, or bytes read as latin1. Nothing is escaped. */
  ascii(text: string): void {
    this.reserve(text.length);
    const { bytes } = this;
    const at = this.length;
    if (text.length > NEAR) bytes.write(text, at, "latin1");
    else for (let index = 0; index < text.length; index += 1) bytes[at + index] = text.charCodeAt(index);
    this.length = at + text.length;
  }

  /** Any text, as it is. Half a surrogate pair becomes U+FFFD. */
  text(text: string): void {
    this.reserve(text.length * UNIT_BYTES);
    this.length += this.bytes.write(text, this.length, "utf8");
  }

  /** Printable ASCII. False: there is something else in the text; nothing has been written. */
  printable(text: string): boolean {
    this.reserve(text.length);
    const { bytes } = this;
    const at = this.length;
    for (let index = 0; index < text.length; index += 1) {
      const code = text.charCodeAt(index);
      if (code < 0x20 || code > 0x7e) return false;
      bytes[at + index] = code;
    }
    this.length = at + text.length;
    return true;
  }

  /** The JSON string of a text, one physical line whatever is in it. */
  quoted(text: string): void {
    if (text.length > NEAR || !this.#quotedPlain(text)) this.text(quote(text));
  }

  /** The same for text of foreign origin: cut to `limit` UTF-16 units first. */
  quotedCut(text: string, limit: number): void {
    this.quoted(text.length > limit ? text.slice(0, limit) : text);
  }

  /** The JSON array of these texts. */
  list(texts: readonly string[]): void {
    if (texts.length === 0) this.piece(EMPTY_LIST);
    else this.text(`[${texts.map(quote).join(",")}]`);
  }

  /** A JSON number; what JSON cannot say (NaN, infinities) becomes 0, so that the line stays readable. */
  number(value: number): void {
    if (Number.isInteger(value) && value >= 0 && value < FEW_DIGITS) this.#whole(value);
    else this.ascii(Number.isFinite(value) ? String(value) : "0");
  }

  flag(value: boolean): void {
    this.ascii(value ? "true" : "false");
  }

  /** Milliseconds with three decimals at most. */
  milliseconds(value: number): void {
    const thousandths = Math.round(value * 1000);
    if (!(value >= 0 && value < FEW_DIGITS)) {
      this.number(thousandths / 1000);
      return;
    }
    const whole = Math.floor(thousandths / 1000);
    this.number(whole);
    this.#decimals(thousandths - whole * 1000);
  }

  /** False: not everything in it may stand in JSON as it is; nothing has been written. */
  #quotedPlain(text: string): boolean {
    this.reserve(text.length + 2);
    const { bytes } = this;
    let at = this.length;
    bytes[at++] = QUOTE;
    for (let index = 0; index < text.length; index += 1) {
      const code = text.charCodeAt(index);
      if (code < 0x20 || code > 0x7e || code === QUOTE || code === BACKSLASH) return false;
      bytes[at++] = code;
    }
    bytes[at++] = QUOTE;
    this.length = at;
    return true;
  }

  #whole(value: number): void {
    this.reserve(NUMBER_BYTES);
    const { bytes } = this;
    let end = this.length + digitsOf(value);
    this.length = end;
    let rest = value;
    do {
      const tens = Math.floor(rest / 10);
      bytes[--end] = ZERO + rest - tens * 10;
      rest = tens;
    } while (rest > 0);
  }

  #decimals(thousandths: number): void {
    if (thousandths === 0) return;
    this.reserve(NUMBER_BYTES);
    this.bytes[this.length++] = DOT;
    let rest = thousandths;
    for (let unit = 100; rest > 0; unit /= 10) {
      const digit = Math.floor(rest / unit);
      this.bytes[this.length++] = ZERO + digit;
      rest -= digit * unit;
    }
  }
}

function digitsOf(value: number): number {
  let digits = 1;
  for (let bound = 10; value >= bound; bound *= 10) digits += 1;
  return digits;
}

/** Pieces kept of each kind; past it all are forgotten, and made again. */
const MOST_PIECES = 1_000;
/** UTF-16 units that a field of foreign origin may have to be kept: fields that were cut may hold on to all they were. */
const SHORT = 255;

/** Fields that many lines share, as those of a key or a model are. */
export interface SharedFields<Fields, Kept> {
  write(line: JsonLine, fields: Fields): void;
  /** The fields that are compared, and no others: what is kept holds their memory. */
  keep(fields: Fields): Kept;
  /** Do two lines share them? */
  same(kept: Kept, fields: Fields): boolean;
  /** UTF-16 units of the longest of them that is of foreign origin. */
  longest(fields: Fields): number;
}

/** Writes shared fields once for as long as they are the same. */
export class SharedPiece<Fields, Kept> {
  readonly #shared: SharedFields<Fields, Kept>;
  readonly #kept = new Map<string, { readonly fields: Kept; readonly bytes: Buffer }>();

  constructor(shared: SharedFields<Fields, Kept>) {
    this.#shared = shared;
  }

  /** `name`: the one field that tells most pieces apart. */
  of(name: string, fields: Fields): Buffer {
    const kept = this.#kept.get(name);
    if (kept !== undefined && this.#shared.same(kept.fields, fields)) return kept.bytes;
    const line = new JsonLine();
    this.#shared.write(line, fields);
    const bytes = Buffer.from(line.written());
    if (this.#shared.longest(fields) > SHORT) return bytes;
    if (this.#kept.size >= MOST_PIECES) this.#kept.clear();
    this.#kept.set(name, { fields: this.#shared.keep(fields), bytes });
    return bytes;
  }
}
