/**
 * The write-ahead spool of usage events: append-only files of JSON lines, one writer each. Whole batches go
 * down in one write call, so a killed process leaves at most one torn line, and that at a file's end.
 * What has reached the kernel survives the process; it is not synced to the disk against a power failure.
 */
import { accessSync, closeSync, constants, fstatSync, mkdirSync, openSync, unlinkSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { UsageEvent } from "./event.js";
import { JsonLine } from "./json-line.js";
import { listSegments, segmentName } from "./segments.js";

/** Bytes of lines kept in memory while the file system refuses them. */
const MAX_PENDING = 8 * 1024 * 1024;
/** Room for the lines of one turn of the event loop; a longer batch gets more, for as long as it takes. */
const BLOCK_BYTES = 128 * 1024;
const LF = 0x0a;
const OPEN_TRIES = 16;

export interface JournalOptions<Item> {
  /** Writes an item as one line, without its end. */
  readonly write: (line: JsonLine, item: Item) => void;
  readonly directory: string;
  /** Part of the file names: letters, digits, `_`, `.` and `-`; no two live writers share one. */
  readonly writer: string;
  /** A file at least this long is followed by a new one. */
  readonly segmentBytes: number;
  /** Bound of the whole directory; files are kept at a quarter of it or less, so that old ones can go. */
  readonly maxBytes: number;
}

export interface JournalStats {
  /** Lines on file. */
  readonly lines: number;
  /** Bytes on file, written by this writer. */
  readonly bytes: number;
  /** Lines given up because memory for waiting lines was full. */
  readonly lost: number;
  /** Writes and opens that the file system refused. */
  readonly failed: number;
  /** Lines waiting in memory. */
  readonly pending: number;
  /** Code of the last refusal ("ENOSPC"); "" = none since the last success. */
  readonly problem: string;
}

export class JournalWriter<Item = UsageEvent> {
  readonly #write: JournalOptions<Item>["write"];
  readonly #directory: string;
  readonly #writer: string;
  readonly #segmentBytes: number;
  #file = -1;
  #path = "";
  #segmentLength = 0;
  /** Lines for the next flush: written into memory that is used again, they leave no garbage. */
  #block = new JsonLine(Buffer.allocUnsafeSlow(BLOCK_BYTES));
  #blockLines = 0;
  /** What a write left over; it starts in the middle of a line, so it belongs into the same file. */
  #rest: Buffer | null = null;
  #restLines = 0;
  #lines = 0;
  #bytes = 0;
  #lost = 0;
  #failed = 0;
  #problem = "";
  #closed = false;

  /** Opens a new file at once, so that a bad directory shows in `stats.problem`; it does not throw. */
  constructor(options: JournalOptions<Item>) {
    this.#write = options.write;
    this.#directory = options.directory;
    this.#writer = options.writer;
    this.#segmentBytes = Math.max(1, Math.min(options.segmentBytes, Math.floor(options.maxBytes / 4)));
    this.#open();
  }

  /** Takes one item for the next flush. */
  append(item: Item): void {
    const block = this.#block;
    const before = block.length;
    try {
      this.#write(block, item);
    } catch (error) {
      block.length = before;
      throw error;
    }
    if (block.length + (this.#rest === null ? 0 : this.#rest.length) >= MAX_PENDING) {
      block.length = before;
      this.#lost += 1;
      return;
    }
    block.byte(LF);
    this.#blockLines += 1;
  }

  /** Writes everything taken so far; true = it is all on file. Never throws; what fails is tried again. */
  flush(): boolean {
    if (this.#rest !== null && !this.#writeRest()) return false;
    if (this.#blockLines === 0) return true;
    if (this.#segmentLength >= this.#segmentBytes) this.#closeFile();
    if (this.#file < 0 && !this.#open()) return false;
    this.#rest = this.#block.written();
    this.#restLines = this.#blockLines;
    this.#block.length = 0;
    this.#blockLines = 0;
    const written = this.#writeRest();
    if (!written || this.#block.bytes.length > BLOCK_BYTES) {
      this.#block = new JsonLine(Buffer.allocUnsafeSlow(BLOCK_BYTES));
    }
    return written;
  }

  /**
   * To be called now and then: tries again what the file system refused, and leaves a file that somebody has
   * removed, whose lines nobody could read.
   */
  refresh(): void {
    if (this.#closed) return;
    if (this.#file >= 0 && this.#rest === null && this.#isRemoved()) this.#closeFile();
    if (this.#file < 0) this.#open();
    this.flush();
  }

  /** Flushes and closes; an unused file is removed. */
  close(): void {
    this.flush();
    this.#closed = true;
    const empty = this.#file >= 0 && this.#segmentLength === 0;
    this.#closeFile();
    if (!empty) return;
    try {
      unlinkSync(this.#path);
    } catch {
      // An empty file is in nobody's way.
    }
  }

  get stats(): JournalStats {
    return {
      lines: this.#lines,
      bytes: this.#bytes,
      lost: this.#lost,
      failed: this.#failed,
      pending: this.#blockLines + this.#restLines,
      problem: this.#problem,
    };
  }

  #isRemoved(): boolean {
    try {
      return fstatSync(this.#file).nlink === 0;
    } catch {
      return true;
    }
  }

  #writeRest(): boolean {
    let rest = this.#rest as Buffer;
    try {
      while (rest.length > 0) {
        const written = writeSync(this.#file, rest);
        this.#segmentLength += written;
        this.#bytes += written;
        rest = rest.subarray(written);
      }
    } catch (error) {
      this.#rest = rest;
      this.#refused(error);
      return false;
    }
    this.#rest = null;
    this.#lines += this.#restLines;
    this.#restLines = 0;
    this.#problem = "";
    return true;
  }

  /** Always a new file: the last one may end in a torn line of a killed process. */
  #open(): boolean {
    try {
      mkdirSync(this.#directory, { recursive: true });
      this.#file = this.#openNext();
    } catch (error) {
      this.#refused(error);
      return false;
    }
    this.#segmentLength = 0;
    this.#problem = "";
    return true;
  }

  #openNext(): number {
    let sequence = 1;
    for (const segment of listSegments(this.#directory)) {
      if (segment.writer === this.#writer) sequence = segment.sequence + 1;
    }
    for (let tries = 1; ; tries += 1, sequence += 1) {
      this.#path = join(this.#directory, segmentName(this.#writer, sequence));
      try {
        return openSync(this.#path, "ax", 0o640);
      } catch (error) {
        if (codeOf(error) !== "EEXIST" || tries === OPEN_TRIES) throw error;
      }
    }
  }

  #closeFile(): void {
    if (this.#file < 0) return;
    try {
      closeSync(this.#file);
    } catch (error) {
      this.#refused(error);
    }
    this.#file = -1;
  }

  #refused(error: unknown): void {
    this.#failed += 1;
    this.#problem = codeOf(error);
  }
}

/** Why no journal can be kept in this directory (an error code such as "EACCES"); null = one can. It is made. */
export function journalProblem(directory: string): string | null {
  try {
    mkdirSync(directory, { recursive: true });
    accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK);
    return null;
  } catch (error) {
    return codeOf(error);
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? "unknown";
}
