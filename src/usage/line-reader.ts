/** Reads one journal file line by line with bounded memory, and can go on when the file has grown. */
import { isAscii } from "node:buffer";
import { closeSync, openSync, readSync } from "node:fs";

const CHUNK_BYTES = 64 * 1024;
/** No event is this long; a longer line is not held in memory. */
const MAX_LINE_BYTES = 1024 * 1024;
const LINE_END = 0x0a;

export class LineReader {
  readonly #path: string;
  readonly #chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  #file = -1;
  #position: number;
  /** The line begun: its pieces so far. */
  #begun: Buffer[] = [];
  #begunBytes = 0;
  #oversized = 0;
  #ends: number[] = [];
  readonly #end: number;

  /** `position` is the byte to start at, `end` the one to stop before. */
  constructor(path: string, position = 0, end = Number.POSITIVE_INFINITY) {
    this.#path = path;
    this.#end = end;
    this.#position = position;
  }

  /** Bytes of a line whose end has not come yet. */
  get begunBytes(): number {
    return this.#begunBytes;
  }

  /** Bytes up to the end of the last whole line. */
  get passed(): number {
    return this.#position - this.#begunBytes;
  }

  /** Lines passed over because of their length. */
  get oversized(): number {
    return this.#oversized;
  }

  /** Where each line of the last piece ended: bytes from the file's beginning, the line's end included. */
  get ends(): readonly number[] {
    return this.#ends;
  }

  /** The whole lines of the next piece of the file; null at its present end. Throws what open and read throw. */
  read(): string[] | null {
    if (this.#file < 0) this.#file = openSync(this.#path, "r");
    const wanted = Math.min(CHUNK_BYTES, this.#end - this.#position);
    const count = wanted <= 0 ? 0 : readSync(this.#file, this.#chunk, 0, wanted, this.#position);
    if (count === 0) return null;
    this.#position += count;
    return this.#split(this.#chunk.subarray(0, count));
  }

  close(): void {
    if (this.#file >= 0) closeSync(this.#file);
    this.#file = -1;
  }

  #split(bytes: Buffer): string[] {
    const lines: string[] = [];
    this.#ends = [];
    let start = 0;
    // The first may have begun in an earlier piece.
    if (this.#begunBytes > 0) start = this.#splitBytes(bytes, 0, bytes.indexOf(LINE_END) + 1, lines);
    const end = bytes.lastIndexOf(LINE_END) + 1;
    const whole = bytes.subarray(start, Math.max(start, end));
    if (isAscii(whole)) this.#splitText(whole.toString("latin1"), start + this.#position - bytes.length, lines);
    else this.#splitBytes(bytes, start, end, lines);
    this.#begin(bytes.subarray(start + whole.length));
    return lines;
  }

  /** Whole lines of ASCII alone, which begin at a byte of the file: cheaper all at once than one by one. */
  #splitText(text: string, before: number, lines: string[]): void {
    let start = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", start)) {
      const line = text.slice(start, end);
      start = end + 1;
      if (line === "") continue;
      lines.push(line);
      this.#ends.push(before + start);
    }
  }

  /** The same for any; returns where it has come to. */
  #splitBytes(bytes: Buffer, from: number, to: number, lines: string[]): number {
    const before = this.#position - bytes.length;
    let start = from;
    while (start < to) {
      const end = bytes.indexOf(LINE_END, start);
      const line = this.#finish(bytes.subarray(start, end));
      start = end + 1;
      if (line === "") continue;
      lines.push(line);
      this.#ends.push(before + start);
    }
    return start;
  }

  #begin(piece: Buffer): void {
    if (piece.length === 0) return;
    this.#begunBytes += piece.length;
    // A copy, because the chunk is read into again; past the bound only the length is kept.
    if (this.#begunBytes <= MAX_LINE_BYTES) this.#begun.push(Buffer.from(piece));
    else this.#begun = [];
  }

  #finish(piece: Buffer): string {
    if (this.#begunBytes === 0) return piece.toString("utf8");
    const whole = this.#begunBytes + piece.length;
    const pieces = this.#begun;
    this.#begun = [];
    this.#begunBytes = 0;
    if (whole > MAX_LINE_BYTES) {
      this.#oversized += 1;
      return "";
    }
    pieces.push(piece);
    return Buffer.concat(pieces, whole).toString("utf8");
  }
}
