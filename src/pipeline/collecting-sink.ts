/** Takes an answer into memory: where the gateway itself is the client. */
import type { Sink } from "./sink.js";

/**
 * Told once: the status, the whole body and the headers (names and values alternate); 0 and an empty body where the
 * answer was cut or is too long.
 */
export type Collected = (status: number, body: Buffer, headers: readonly string[]) => void;

export class CollectingSink implements Sink {
  readonly #maxBytes: number;
  readonly #done: Collected;
  #status = 0;
  #headers: readonly string[] = [];
  #pieces: Buffer[] = [];
  #bytes = 0;
  closed = false;
  started = false;

  constructor(maxBytes: number, done: Collected) {
    this.#maxBytes = maxBytes;
    this.#done = done;
  }

  answer(status: number, headers: readonly string[], body: string | Buffer): void {
    this.#status = status;
    this.#headers = headers;
    this.started = true;
    this.#add(body);
    this.#finish();
  }

  start(status: number, headers: readonly string[]): void {
    this.#status = status;
    this.#headers = headers;
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
    this.#done(this.#status, body, this.#headers);
  }
}
