/** Plays a simulated answer into an upstream handler, with its pauses and with backpressure. */
import type { DialectId, Operation } from "../../dialects/dialect.js";
import type { UpstreamCall, UpstreamHandler } from "../upstream.js";
import { type SimulatedAnswer, simulate } from "./simulate.js";

/** Starts the answer; nothing is delivered before this call has returned. */
export function simulatedCall(
  operation: Operation,
  dialect: DialectId,
  body: Buffer,
  handler: UpstreamHandler,
): UpstreamCall {
  const play = new Play(simulate(operation, dialect, body), handler);
  play.begin();
  return play;
}

class Play implements UpstreamCall {
  readonly #answer: SimulatedAnswer;
  readonly #handler: UpstreamHandler;
  #next = 0;
  #paused = false;
  #done = false;
  #timer: NodeJS.Timeout | null = null;

  constructor(answer: SimulatedAnswer, handler: UpstreamHandler) {
    this.#answer = answer;
    this.#handler = handler;
  }

  begin(): void {
    if (this.#answer.delayMs > 0) this.#timer = setTimeout(() => this.#head(), this.#answer.delayMs);
    else setImmediate(() => this.#head());
  }

  abort(): void {
    this.#done = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#play();
  }

  #head(): void {
    if (this.#done) return;
    this.#handler.onHead(this.#answer.status, ["content-type", this.#answer.contentType]);
    this.#play();
  }

  #play(): void {
    const { frames, gapMs, encoding = "utf8" } = this.#answer;
    while (!this.#done && !this.#paused && this.#next < frames.length) {
      const frame = Buffer.from(frames[this.#next] as string, encoding);
      this.#next += 1;
      this.#paused = !this.#handler.onData(frame);
      if (gapMs > 0 && this.#next < frames.length) {
        this.#timer = setTimeout(() => this.#play(), gapMs);
        return;
      }
    }
    if (this.#done || this.#paused) return;
    this.#done = true;
    this.#handler.onEnd();
  }
}
