/** Where log lines wait: batched per thread, bounded, and written without ever holding up the thread. */
import { write, writeSync } from "node:fs";

/** UTF-16 units that may wait; a reader that stalls longer costs lines, not memory. */
const MAX_WAITING = 4 * 1024 * 1024;
const RETRY_MS = 20;
/** A write by another thread takes some hundred microseconds, unless the reader has stalled. */
const GATE_RETRY_MS = 2;

/** Collects lines until someone takes them away: the owner of a thread posts them to the main thread. */
export class LogSink {
  readonly #limit: number;
  readonly #onFirst: (() => void) | null;
  #text = "";
  #lines = 0;
  #dropped = 0;

  /** `onFirst` is called when a line arrives and none was waiting: the time to arrange for `take`. */
  constructor(onFirst: (() => void) | null = null, limit: number = MAX_WAITING) {
    this.#onFirst = onFirst;
    this.#limit = limit;
  }

  /** Takes one line, or several; a missing line end is added. Dropped and counted when the sink is full. */
  write(line: string): void {
    if (line === "") return;
    if (this.#text.length + line.length >= this.#limit) {
      this.#dropped += 1;
      return;
    }
    const first = this.#text === "";
    this.#text += line.charCodeAt(line.length - 1) === 10 ? line : `${line}\n`;
    this.#lines += 1;
    if (first) this.#onFirst?.();
  }

  /** Everything that waits, as text; "" when nothing does. */
  take(): string {
    const text = this.#text;
    this.#text = "";
    this.#lines = 0;
    return text;
  }

  /** Writes taken since the last `take`. */
  get waiting(): number {
    return this.#lines;
  }

  /** Writes refused since the beginning. */
  get dropped(): number {
    return this.#dropped;
  }
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
  /** UTF-16 units that may wait. */
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
  #rest: Buffer | null = null;
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
    // A write in the air owns the rest; writing it here too would print it twice.
    let rest = this.#busy ? null : this.#rest;
    this.#rest = this.#busy ? this.#rest : null;
    const text = this.sink.take();
    try {
      for (const bytes of [rest, Buffer.from(text, "utf8")]) {
        rest = bytes;
        while (rest !== null && rest.length > 0) rest = rest.subarray(writeSync(this.#file, rest));
      }
    } catch {
      this.#broken = true;
    }
    this.#turn?.gate.release(this.#turn.thread);
  }

  #arrange(): void {
    if (this.#delayMs === 0) this.#next();
    else setTimeout(() => this.#next(), this.#delayMs).unref();
  }

  #next(): void {
    if (this.#busy || this.#broken) return;
    if (this.#turn !== null && this.#rest === null && !this.#turn.gate.tryTake(this.#turn.thread)) {
      setTimeout(() => this.#next(), GATE_RETRY_MS).unref();
      return;
    }
    if (this.#rest === null) {
      const text = this.sink.take();
      if (text === "") {
        this.#turn?.gate.release(this.#turn.thread);
        return;
      }
      this.#rest = Buffer.from(text, "utf8");
    }
    this.#busy = true;
    write(this.#file, this.#rest, (error, written) => this.#written(error, written));
  }

  #written(error: NodeJS.ErrnoException | null, written: number): void {
    this.#busy = false;
    if (error !== null && error.code === "EAGAIN") {
      setTimeout(() => this.#next(), RETRY_MS).unref();
      return;
    }
    if (error !== null) {
      // The reader is gone (EPIPE) or the file is: nothing written from now on would arrive.
      this.#broken = true;
      this.#rest = null;
      this.sink.take();
      this.#turn?.gate.release(this.#turn.thread);
      return;
    }
    const rest = this.#rest?.subarray(written) ?? null;
    this.#rest = rest === null || rest.length === 0 ? null : rest;
    if (this.#rest === null) {
      this.#turn?.gate.release(this.#turn.thread);
      if (this.sink.waiting > 0) this.#arrange();
    } else this.#next();
  }
}
