/** Where log lines wait: batched per thread, bounded, and written without ever holding up the thread. */
import { write, writeSync } from "node:fs";

const LF = 0x0a;

/** Bytes that may wait; a reader that stalls longer costs lines, not memory. */
const MAX_WAITING = 4 * 1024 * 1024;
/** Lines are written into blocks of this size at once: text kept until a timer fires would outlive the young
 * generation, and every line would be copied by the garbage collector (measured: 8 % of an acceptor's time). */
const BLOCK_BYTES = 128 * 1024;
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
  #block: Buffer | null = null;
  #used = 0;
  #spare: Buffer | null = null;
  #dropped = 0;

  /** `onFirst` is called when a line arrives and none was waiting: the time to arrange for `take`. */
  constructor(onFirst: (() => void) | null = null, limit: number = MAX_WAITING) {
    this.#onFirst = onFirst;
    this.#limit = limit;
  }

  /** Takes one line, or several; a missing line end is added. Dropped and counted when the sink is full. */
  write(line: string): void {
    if (line === "") return;
    // A UTF-16 unit takes three bytes of UTF-8 at most; one more for the line end.
    const most = line.length * 3 + 1;
    if (this.waitingBytes + line.length >= this.#limit) {
      this.#dropped += 1;
      return;
    }
    const first = this.waitingBytes === 0;
    const block = this.#blockWith(most);
    this.#used += block.write(line, this.#used, "utf8");
    if (block[this.#used - 1] !== LF) block[this.#used++] = LF;
    if (first) this.#onFirst?.();
  }

  /** The oldest lines that wait, whole ones, as UTF-8; null when none do. Give it back when it is written. */
  take(): Buffer | null {
    const full = this.#full.shift();
    if (full !== undefined) {
      this.#fullBytes -= full.length;
      return full;
    }
    if (this.#block === null || this.#used === 0) return null;
    const bytes = this.#block.subarray(0, this.#used);
    this.#block = null;
    this.#used = 0;
    return bytes;
  }

  /** Bytes that `take` gave and nobody reads any more: their memory serves the next lines. */
  giveBack(bytes: Buffer): void {
    if (bytes.buffer.byteLength === BLOCK_BYTES) this.#spare = Buffer.from(bytes.buffer);
  }

  get waitingBytes(): number {
    return this.#fullBytes + this.#used;
  }

  /** Writes refused since the beginning. */
  get dropped(): number {
    return this.#dropped;
  }

  #blockWith(bytes: number): Buffer {
    if (this.#block !== null && this.#block.length - this.#used >= bytes) return this.#block;
    if (this.#block !== null && this.#used > 0) {
      this.#full.push(this.#block.subarray(0, this.#used));
      this.#fullBytes += this.#used;
    }
    this.#used = 0;
    if (bytes > BLOCK_BYTES) this.#block = Buffer.allocUnsafeSlow(bytes);
    else {
      this.#block = this.#spare ?? Buffer.allocUnsafeSlow(BLOCK_BYTES);
      this.#spare = null;
    }
    return this.#block;
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
