/** Undoes a content encoding between an upstream and its handler, with the same backpressure. */
import {
  type BrotliDecompress,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  type Gunzip,
  type Inflate,
} from "node:zlib";
import type { UpstreamFailureKind, UpstreamHandler } from "./upstream.js";

type Decoder = Gunzip | Inflate | BrotliDecompress;

/** A decoder for a `content-encoding` value; null for identity, undefined for one we cannot read. */
export function decoderFor(encoding: string): Decoder | null | undefined {
  switch (encoding.trim().toLowerCase()) {
    case "":
    case "identity":
      return null;
    case "gzip":
    case "x-gzip":
      return createGunzip();
    case "deflate":
      return createInflate();
    case "br":
      return createBrotliDecompress();
    default:
      return undefined;
  }
}

/** What the decoder needs of the call it stands in. */
export interface Resumable {
  resume(): void;
}

/**
 * Feeds encoded chunks to a decoder and hands decoded ones to `sink`. The upstream is paused while the
 * decoder or the sink is full, so that a small compressed answer cannot grow without bound in memory.
 */
export class DecodingHandler {
  readonly #decoder: Decoder;
  readonly #sink: Pick<UpstreamHandler, "onData" | "onEnd" | "onFailure">;
  readonly #call: Resumable;
  #finished = false;

  constructor(decoder: Decoder, sink: Pick<UpstreamHandler, "onData" | "onEnd" | "onFailure">, call: Resumable) {
    this.#decoder = decoder;
    this.#sink = sink;
    this.#call = call;
    decoder.on("data", (chunk: Buffer) => {
      if (!this.#finished && !sink.onData(chunk)) decoder.pause();
    });
    decoder.on("drain", () => call.resume());
    decoder.on("end", () => this.#finish(() => sink.onEnd()));
    decoder.on("error", () => this.fail("decode", "the content encoding is broken"));
  }

  onData(chunk: Buffer): boolean {
    return this.#decoder.write(chunk);
  }

  onEnd(): void {
    this.#decoder.end();
  }

  fail(kind: UpstreamFailureKind, message: string): void {
    this.#finish(() => this.#sink.onFailure(kind, message));
    this.#decoder.destroy();
  }

  /** The client takes more again. */
  resume(): void {
    this.#decoder.resume();
    this.#call.resume();
  }

  /** Nobody listens any more. */
  destroy(): void {
    this.#finished = true;
    this.#decoder.destroy();
  }

  #finish(deliver: () => void): void {
    if (this.#finished) return;
    this.#finished = true;
    deliver();
  }
}
