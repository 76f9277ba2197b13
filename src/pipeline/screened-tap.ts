/** Guardrails between an upstream's events and the caller: the tap's events, as far as they are cleared. */
import { type Failure, failure } from "../errors.js";
import type { ScreenedStream } from "./screened-stream.js";
import type { EventTap } from "./stream-relay.js";

const NOTHING = Buffer.alloc(0);

export class ScreenedTap implements EventTap {
  readonly screen = this;
  readonly #inner: EventTap;
  readonly #stream: ScreenedStream;
  #over = false;

  constructor(inner: EventTap, stream: ScreenedStream) {
    this.#inner = inner;
    this.#stream = stream;
  }

  /** Nothing is the end before all that stood before it has left. */
  get terminal(): boolean {
    return this.#inner.terminal && this.#stream.empty && this.refusal === null;
  }

  get failed(): boolean {
    return this.#inner.failed && this.#stream.empty && this.refusal === null;
  }

  get wholes(): number {
    return this.#stream.empty && this.refusal === null ? (this.#inner.wholes ?? 0) : 0;
  }

  /** Only whole events come out. */
  get oversize(): boolean {
    return false;
  }

  /** Why nothing more may come out; null = it may. */
  get refusal(): Failure | null {
    return this.#stream.refusal;
  }

  /** The end has come in, but not out yet. */
  get waiting(): boolean {
    const over = this.#over || this.#inner.terminal || this.#inner.failed;
    return over && !this.#stream.empty && this.refusal === null;
  }

  onReady(callback: () => void): void {
    this.#stream.onReady = callback;
  }

  push(batch: Buffer): Buffer | null {
    this.#take(batch.length === 0 ? null : this.#inner.push(batch));
    if (this.#inner.terminal || this.#inner.failed) this.#stream.close();
    return this.#stream.drain();
  }

  /** May be called again while something is waited for. */
  end(): Buffer | null {
    if (!this.#over) {
      this.#over = true;
      const rest = this.#inner.end();
      // An event without its end is none, unless it is the terminator.
      if (this.#inner.terminal || this.#inner.failed || endsWhole(rest)) this.#take(rest);
    }
    this.#stream.close();
    return this.#stream.drain();
  }

  owedLineFeed(): Buffer | null {
    return this.#inner.owedLineFeed();
  }

  #take(bytes: Buffer | null): void {
    const stream = this.#stream;
    // An event that nobody could look at must not pass.
    if (this.#inner.oversize && stream.refusal === null) stream.refusal = failure("content_filter", TOO_LONG);
    else stream.take(bytes ?? NOTHING);
  }
}

const TOO_LONG = "An event of the answer is too long to be screened.";

function endsWhole(rest: Buffer | null): boolean {
  return rest !== null && rest.length > 1 && rest[rest.length - 1] === 0x0a && rest[rest.length - 2] === 0x0a;
}
