/** The translating counterpart of the diagonal's StreamTap: an upstream's events in, the caller's bytes out. */
import type { StreamDecoder, StreamEncoder } from "../dialects/codec.js";
import { clientCodecOf } from "../dialects/codecs.js";
import { FRAME, type StreamObserver } from "../dialects/dialect.js";
import { streamDecoderOf, type Translation } from "../dialects/hub.js";
import type { AnswerEvent } from "../dialects/semantic.js";
import { sseData, sseEvent } from "../dialects/sse.js";
import { StreamTap } from "../dialects/stream-tap.js";
import type { Attempt } from "./attempt.js";
import type { EventTap } from "./stream-relay.js";
import { AnswerLosses, codecContext, tallyEvent } from "./translated-answer.js";

/** A longer event cannot be translated; images inside events stay below it. */
const MAX_EVENT_BYTES = 32 * 1024 * 1024;
/** Every event that says anything has a line of data. */
const EVERY_FRAME = /^data/m;

export class TranslatingTap implements EventTap, StreamObserver {
  readonly interest = EVERY_FRAME;
  terminal = false;
  failed = false;
  readonly #attempt: Attempt;
  readonly #framer: StreamTap;
  readonly #decoder: StreamDecoder;
  readonly #encoder: StreamEncoder;
  #out = "";
  #error: AnswerEvent | null = null;

  constructor(attempt: Attempt, translation: Translation) {
    this.#attempt = attempt;
    this.#framer = new StreamTap(this, MAX_EVENT_BYTES);
    this.#decoder = streamDecoderOf(translation);
    const losses = new AnswerLosses(attempt, translation);
    const encoder = () => clientCodecOf(translation.client).streamEncoder(codecContext(attempt, translation), losses);
    this.#encoder = attempt.exchange.continuation?.encoder(encoder) ?? encoder();
  }

  /** Encoded events are always whole. */
  get oversize(): boolean {
    return false;
  }

  owedLineFeed(): Buffer | null {
    return null;
  }

  push(batch: Buffer): Buffer | null {
    this.#framer.push(batch);
    if (this.#framer.oversize) this.#break("An event of the upstream's stream is too long.");
    return this.#taken();
  }

  end(): Buffer | null {
    this.#framer.end();
    this.#close();
    if (!this.terminal && !this.failed) this.#read(() => this.#decoder.finish());
    return this.#taken();
  }

  close(): Buffer | null {
    this.#close();
    return this.#taken();
  }

  /** Where another target could go on with the answer, one that lacks but its end is ended here instead. */
  #close(): void {
    const { continuation } = this.#attempt.exchange;
    if (continuation === null || this.terminal || this.failed) return;
    this.#read(() => this.#decoder.close?.() ?? []);
    if (continuation.stopped && !this.terminal) this.#encode({ kind: "end" });
  }

  errorBytes(): Buffer | null {
    return this.#error === null ? null : Buffer.from(this.#encoder.push(this.#error));
  }

  /** One whole SSE frame of the upstream. */
  observe(frame: Buffer): number {
    if (this.terminal || this.failed) return FRAME.PASS;
    const data = sseData(frame);
    if (data !== "") this.#read(() => this.#decoder.push({ event: sseEvent(frame), data }));
    return FRAME.PASS;
  }

  #read(decode: () => readonly AnswerEvent[]): void {
    try {
      for (const event of decode()) this.#encode(event);
    } catch {
      // Also what a codec did not foresee: it costs this answer, not the thread.
      this.#break("The upstream's stream could not be read.");
    }
  }

  #encode(event: AnswerEvent): void {
    tallyEvent(event, this.#attempt.tally);
    if (event.kind === "error") {
      // Written when it is sure that nobody takes over.
      this.#error = event;
      this.failed = true;
      return;
    }
    const { continuation } = this.#attempt.exchange;
    if (continuation === null) this.#out += this.#encoder.push(event);
    else for (const told of continuation.adapt(event)) this.#out += this.#encoder.push(told);
    if (event.kind === "end") this.terminal = true;
  }

  #break(message: string): void {
    if (this.failed) return;
    this.#encode({ kind: "error", error: { status: 502, type: "upstream_decode_error", code: null, message } });
  }

  #taken(): Buffer | null {
    if (this.#out === "") return null;
    const bytes = Buffer.from(this.#out);
    this.#out = "";
    return bytes;
  }
}
