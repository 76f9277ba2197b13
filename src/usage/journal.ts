/**
 * The write-ahead spool of usage events: append-only files of JSON lines, one writer each. Whole batches go
 * down in one write call, so a killed process leaves at most one torn line, and that at a file's end.
 * What has reached the kernel survives the process; it is not synced to the disk against a power failure.
 */
import { accessSync, closeSync, constants, fstatSync, mkdirSync, openSync, unlinkSync, writeSync } from "node:fs";
import { join } from "node:path";
import { listSegments, segmentName } from "./segments.js";

/** Bytes of lines kept in memory while the file system refuses them. */
const MAX_PENDING = 8 * 1024 * 1024;
/** Room for the lines of one turn of the event loop; a longer batch gets more, for as long as it takes. */
const BLOCK_BYTES = 128 * 1024;
const LF = 0x0a;
const OPEN_TRIES = 16;

export interface JournalOptions {
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

export class JournalWriter {
  readonly #directory: string;
  readonly #writer: string;
  readonly #segmentBytes: number;
  #file = -1;
  #path = "";
  #segmentLength = 0;
  /** Lines for the next flush: written into memory that is used again, they leave no garbage. */
  #block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  #used = 0;
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
  constructor(options: JournalOptions) {
    this.#directory = options.directory;
    this.#writer = options.writer;
    this.#segmentBytes = Math.max(1, Math.min(options.segmentBytes, Math.floor(options.maxBytes / 4)));
    this.#open();
  }

  /** Takes one line (without its end) for the next flush. */
  append(line: string): void {
    const waiting = this.#used + (this.#rest === null ? 0 : this.#rest.length);
    if (waiting + line.length >= MAX_PENDING) {
      this.#lost += 1;
      return;
    }
    // A UTF-16 unit takes three bytes of UTF-8 at most; one more for the line end.
    this.#makeRoom(line.length * 3 + 1);
    this.#used += this.#block.write(line, this.#used, "utf8");
    this.#block[this.#used++] = LF;
    this.#blockLines += 1;
  }

  /** Writes everything taken so far; true = it is all on file. Never throws; what fails is tried again. */
  flush(): boolean {
    if (this.#rest !== null && !this.#writeRest()) return false;
    if (this.#blockLines === 0) return true;
    if (this.#segmentLength >= this.#segmentBytes) this.#closeFile();
    if (this.#file < 0 && !this.#open()) return false;
    this.#rest = this.#block.subarray(0, this.#used);
    this.#restLines = this.#blockLines;
    this.#used = 0;
    this.#blockLines = 0;
    const written = this.#writeRest();
    if (!written || this.#block.length > BLOCK_BYTES) this.#block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
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

  #makeRoom(bytes: number): void {
    if (this.#block.length - this.#used >= bytes) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#block.length * 2, this.#used + bytes));
    this.#block.copy(larger, 0, 0, this.#used);
    this.#block = larger;
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
