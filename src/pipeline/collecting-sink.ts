/** Takes an answer into memory: where the gateway itself is the client. */
import type { Sink } from "./sink.js";

/** Told once: the status and the whole body; 0 and an empty one where the answer was cut or is too long. */
export type Collected = (status: number, body: Buffer) => void;

export class CollectingSink implements Sink {
  readonly #maxBytes: number;
  readonly #done: Collected;
  #status = 0;
  #pieces: Buffer[] = [];
  #bytes = 0;
  closed = false;
  started = false;

  constructor(maxBytes: number, done: Collected) {
    this.#maxBytes = maxBytes;
    this.#done = done;
  }

  answer(status: number, _headers: readonly string[], body: string | Buffer): void {
    this.#status = status;
    this.started = true;
    this.#add(body);
    this.#finish();
  }

  start(status: number): void {
    this.#status = status;
    this.started = true;
  }

  write(chunk: Buffer | string): boolean {
    this.#add(chunk);
    return true;
  }

  keepWaiting(): void {}

  onWritable(): void {}

  end(chunk: Buffer | null): void {
    if (chunk !== null) this.#add(chunk);
    this.#finish();
  }

  /** What has come so far is no answer. */
  abort(): void {
    this.#status = 0;
    this.#pieces = [];
    this.#finish();
  }

  #add(chunk: Buffer | string): void {
    if (this.closed) return;
    const bytes = typeof chunk === "string" ? Buffer.from(chunk) : chunk;
    this.#bytes += bytes.length;
    if (this.#bytes > this.#maxBytes) this.abort();
    else this.#pieces.push(bytes);
  }

  #finish(): void {
    if (this.closed) return;
    this.closed = true;
    const body = Buffer.concat(this.#pieces);
    this.#pieces = [];
    this.#done(this.#status, body);
  }
}
