/** Where one part of a streamed request is answered: takes its events whole and hands them to the request's stream. */
import { LINE, nextEventEnd } from "../dialects/sse.js";
import type { Sink } from "./sink.js";

export interface PartSinkOwner {
  readonly closed: boolean;
  refused(index: number, status: number, headers: readonly string[], body: Buffer): void;
  /** False: the client is slow. */
  events(index: number, events: readonly Buffer[]): boolean;
  keepWaiting(): void;
  onWritable(callback: () => void): void;
  aborted(): void;
}

const LF = 0x0a;

export class PartSink implements Sink {
  started = false;
  readonly #owner: PartSinkOwner;
  readonly #index: number;
  /** The beginning of an event that has not come to its end. */
  #rest: Buffer | null = null;
  #ended = false;

  constructor(owner: PartSinkOwner, index: number) {
    this.#owner = owner;
    this.#index = index;
  }

  get closed(): boolean {
    return this.#ended || this.#owner.closed;
  }

  answer(status: number, headers: readonly string[], body: string | Buffer): void {
    if (this.closed) return;
    this.#ended = true;
    this.started = true;
    const bytes = typeof body === "string" ? Buffer.from(body) : body;
    this.#owner.refused(this.#index, status, headers, bytes);
  }

  start(): void {
    this.started = true;
  }

  write(chunk: Buffer | string): boolean {
    if (this.closed) return true;
    const bytes = typeof chunk === "string" ? Buffer.from(chunk) : chunk;
    return this.#owner.events(this.#index, this.#whole(bytes));
  }

  keepWaiting(): void {
    this.#owner.keepWaiting();
  }

  onWritable(callback: () => void): void {
    this.#owner.onWritable(callback);
  }

  end(chunk: Buffer | null): void {
    if (this.closed) return;
    const events = chunk === null ? [] : this.#whole(chunk);
    if (this.#rest !== null) events.push(this.#rest);
    this.#rest = null;
    this.#owner.events(this.#index, events);
    this.#ended = true;
  }

  abort(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#owner.aborted();
  }

  /** Relays hand over whole events; an event that is too long to be held back comes in pieces. */
  #whole(bytes: Buffer): Buffer[] {
    const all = this.#rest === null ? bytes : Buffer.concat([this.#rest, bytes]);
    this.#rest = null;
    const events: Buffer[] = [];
    for (let at = 0; at < all.length; ) {
      const end = nextEventEnd(all, at, LINE.START);
      const event = all.subarray(at, end);
      if (end === all.length && !endsInBlankLine(event)) this.#rest = event;
      else events.push(event);
      at = end;
    }
    return events;
  }
}

function endsInBlankLine(event: Buffer): boolean {
  const { length } = event;
  if (event[length - 1] !== LF) return false;
  return event[length - 2] === LF || (event[length - 2] === 0x0d && event[length - 3] === LF);
}
