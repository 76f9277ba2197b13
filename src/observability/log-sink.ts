/** Where log lines wait: batched per thread, bounded, and written without ever holding up the thread. */
import { write, writeSync } from "node:fs";
import { JsonLine } from "../usage/json-line.js";

const LF = 0x0a;

/** Bytes that may wait; a reader that stalls longer costs lines, not memory. */
const MAX_WAITING = 4 * 1024 * 1024;
/** Lines are written into blocks of this size at once: text kept until a timer fires would outlive the young
 * generation, and every line would be copied by the garbage collector (measured: 8 % of an acceptor's time). */
const BLOCK_BYTES = 128 * 1024;
/** Most lines that are written where they wait are shorter. */
const LINE_BYTES = 1_024;
const RETRY_MS = 20;
/** A write by another thread takes some hundred microseconds, unless the reader has stalled. */
const GATE_RETRY_MS = 2;

/** Collects lines, as bytes, until someone takes them away. */
export class LogSink {
  readonly #limit: number;
  readonly #onFirst: (() => void) | null;
  /** Full blocks, oldest first. */
  #full: Buffer[] = [];
  #fullBytes = 0;
  /** The block that is being filled. */
  #line: JsonLine | null = null;
  #spare: Buffer | null = null;
  #dropped = 0;

  /** `onFirst` is called when a line arrives and none was waiting: the time to arrange for `take`. */
  constructor(onFirst: (() => void) | null = null, limit: number = MAX_WAITING) {
    this.#onFirst = onFirst;
    this.#limit = limit;
  }

  /** Takes one line, or several; a missing line end is added. Dropped and counted when the sink is full. */
  write(line: string): void {
    if (line !== "") this.#add(line.length, writeText, line);
  }

  /** Takes one line that is written where it waits, without its end. */
  writeIn<Fields>(write: (line: JsonLine, fields: Fields) => void, fields: Fields): void {
    this.#add(LINE_BYTES, write, fields);
  }

  /** `bytes`: about as long as it will be. */
  #add<Fields>(bytes: number, write: (line: JsonLine, fields: Fields) => void, fields: Fields): void {
    if (this.waitingBytes + bytes >= this.#limit) {
      this.#dropped += 1;
      return;
    }
    const first = this.waitingBytes === 0;
    const line = this.#lineWith(bytes);
    const before = line.length;
    try {
      write(line, fields);
    } catch (error) {
      line.length = before;
      throw error;
    }
    if (line.bytes[line.length - 1] !== LF) line.byte(LF);
    if (first) this.#onFirst?.();
  }

  /** The oldest lines that wait, whole ones, as UTF-8; null when none do. Give it back when it is written. */
  take(): Buffer | null {
    const full = this.#full.shift();
    if (full !== undefined) {
      this.#fullBytes -= full.length;
      return full;
    }
    if (this.#line === null) return null;
    const bytes = this.#line.written();
    this.#line = null;
    return bytes;
  }

  /** Bytes that `take` gave and nobody reads any more: their memory serves the next lines. */
  giveBack(bytes: Buffer): void {
    if (bytes.buffer.byteLength === BLOCK_BYTES) this.#spare = Buffer.from(bytes.buffer);
  }

  get waitingBytes(): number {
    return this.#fullBytes + (this.#line === null ? 0 : this.#line.length);
  }

  /** Writes refused since the beginning. */
  get dropped(): number {
    return this.#dropped;
  }

  /** A line that does not fit all the same moves its block to larger memory. */
  #lineWith(bytes: number): JsonLine {
    if (this.#line !== null) {
      if (this.#line.bytes.length - this.#line.length >= bytes) return this.#line;
      const full = this.#line.written();
      this.#full.push(full);
      this.#fullBytes += full.length;
    }
    this.#line = new JsonLine(this.#spare ?? Buffer.allocUnsafeSlow(BLOCK_BYTES));
    this.#spare = null;
    return this.#line;
  }
}

function writeText(line: JsonLine, text: string): void {
  line.text(text);
}

/** Lets one thread at a time write to a shared file descriptor, so that lines never mix inside a full pipe. */
export class LogGate {
  readonly #owner: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.#owner = new Int32Array(memory);
  }

  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(4);
  }

  /** `thread`: a number above 0 that no other living thread has. */
  tryTake(thread: number): boolean {
    return Atomics.compareExchange(this.#owner, 0, 0, thread) === 0;
  }

  /** Also for a thread that has died with the gate in hand. */
  release(thread: number): void {
    Atomics.compareExchange(this.#owner, 0, thread, 0);
  }
}

/** How one thread shares the file descriptor with the others. */
export interface LogTurn {
  readonly gate: LogGate;
  /** This thread's number at the gate. */
  readonly thread: number;
}

export interface LogOutputOptions {
  /** Bytes that may wait. */
  readonly limit?: number;
  /** Milliseconds to collect lines before they are written; 0 = none. */
  readonly delayMs?: number;
  readonly turn?: LogTurn;
}

/**
 * Writes a sink's text to a file descriptor, one write at a time, off the thread: a pipe whose reader has
 * stalled blocks neither the event loop nor the memory, it fills the sink.
 */
export class LogOutput {
  readonly sink: LogSink;
  readonly #file: number;
  readonly #delayMs: number;
  readonly #turn: LogTurn | null;
  /** What is being written, and how much of it is. */
  #batch: Buffer | null = null;
  #written = 0;
  #busy = false;
  #broken = false;

  constructor(file: number, options: LogOutputOptions = {}) {
    this.#file = file;
    this.#delayMs = options.delayMs ?? 0;
    this.#turn = options.turn ?? null;
    this.sink = new LogSink(() => this.#arrange(), options.limit ?? MAX_WAITING);
  }

  /** Writes what is left before the process ends; gives up at the first refusal. */
  flushSync(): void {
    try {
      // A write in the air owns its batch; writing it here too would print it twice.
      if (!this.#busy && this.#batch !== null) writeAll(this.#file, this.#batch.subarray(this.#written));
      for (let bytes = this.sink.take(); bytes !== null; bytes = this.sink.take()) writeAll(this.#file, bytes);
    } catch {
      this.#broken = true;
    }
    if (!this.#busy) this.#batch = null;
    this.#leaveGate();
  }

  #arrange(): void {
    if (this.#delayMs === 0) this.#next();
    else setTimeout(() => this.#next(), this.#delayMs).unref();
  }

  #next(): void {
    if (this.#busy || this.#broken) return;
    if (this.#batch === null) {
      if (this.#turn !== null && !this.#turn.gate.tryTake(this.#turn.thread)) {
        setTimeout(() => this.#next(), GATE_RETRY_MS).unref();
        return;
      }
      this.#batch = this.sink.take();
      this.#written = 0;
    }
    if (this.#batch === null) {
      this.#leaveGate();
      return;
    }
    this.#busy = true;
    write(this.#file, this.#batch, this.#written, (error, written) => this.#wrote(error, written));
  }

  #wrote(error: NodeJS.ErrnoException | null, written: number): void {
    this.#busy = false;
    if (error !== null && error.code === "EAGAIN") {
      setTimeout(() => this.#next(), RETRY_MS).unref();
      return;
    }
    if (error !== null || this.#batch === null) {
      // The reader is gone (EPIPE) or the file is: nothing written from now on would arrive.
      this.#broken = error !== null;
      this.#batch = null;
      while (this.#broken && this.sink.take() !== null);
      this.#leaveGate();
      return;
    }
    this.#written += written;
    if (this.#written < this.#batch.length) {
      this.#next();
      return;
    }
    this.sink.giveBack(this.#batch);
    this.#batch = null;
    this.#leaveGate();
    if (this.sink.waitingBytes > 0) this.#arrange();
  }

  #leaveGate(): void {
    this.#turn?.gate.release(this.#turn.thread);
  }
}

function writeAll(file: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
}
