/**
 * Answers from the cache: guardrails look at the answer as at any other, and what the hit has saved is on file before
 * the answer's end leaves. The answer goes as fast as its client takes it.
 */
import { unpackMeta } from "../cache/entry.js";
import { type Replay, replay } from "../cache/replay.js";
import type { EntryMeta } from "../cache/entry.js";
import type { FoundEntry } from "../cache/entries.js";
import { ERRORS, type Failure, isFailure } from "../errors.js";
import { rateLimitHeaders } from "../quota/headers.js";
import { headerValue } from "./answer-headers.js";
import { hitEvent } from "./hit-event.js";
import { noteLeft } from "./client-left.js";
import type { Exchange, WorkUnderWay } from "./exchange.js";
import { keepTurn } from "./kept-turns.js";
import type { Delivery } from "./ledger.js";
import type { Node } from "./node.js";
import { outputScreenOf, type Screened, whenScreened } from "./output-screen.js";
import { refuse } from "./refuse.js";
import { settle } from "./settle.js";
import { settleLeases } from "./settle-leases.js";

const PIECE_BYTES = 65_536;

/** False: the entry cannot be told as the caller wants it; nothing has happened. True: the exchange is being answered. */
export function answerFromCache(exchange: Exchange, node: Node, found: FoundEntry): boolean {
  const { view, route } = exchange;
  if (view === null) return false;
  const meta = unpackMeta(found.meta);
  const told = replay(
    { meta, body: found.body },
    {
      dialect: route.dialect.id,
      body: exchange.body,
      view,
      requestId: exchange.id,
      created: Math.floor(exchange.startedAtWall / 1_000),
    },
  );
  if (told === null) return false;
  new CacheHit(exchange, node, { meta, told }).begin();
  return true;
}

interface Hit {
  readonly meta: EntryMeta;
  readonly told: Replay;
}

class CacheHit implements WorkUnderWay, Delivery {
  readonly #exchange: Exchange;
  readonly #node: Node;
  readonly #hit: Hit;
  #body: Buffer;
  #sent = 0;
  #refusal: Failure | null = null;
  #blockedSince = 0;
  /** The usage line is written, or about to be. */
  #posted = false;

  constructor(exchange: Exchange, node: Node, hit: Hit) {
    this.#exchange = exchange;
    this.#node = node;
    this.#hit = hit;
    this.#body = hit.told.body;
  }

  begin(): void {
    const exchange = this.#exchange;
    exchange.cache = "hit";
    exchange.work = this;
    const screen = outputScreenOf(exchange, this.#node);
    const { streamed } = this.#hit.told;
    if (screen === null) this.#tell();
    else {
      const screened = streamed ? screen.events(this.#body) : screen.whole(this.#body);
      whenScreened(screened, this.#node, (shown) => this.#show(shown));
    }
  }

  /** The client has gone. */
  cancel(): void {
    if (this.#posted) return;
    noteLeft(this.#exchange);
    this.#post();
  }

  tick(now: number): void {
    if (this.#blockedSince === 0 || this.#posted) return;
    const patience = this.#node.config.timeouts.client_stall_ms;
    if (patience === 0 || now - this.#blockedSince < patience) {
      this.#exchange.sink.keepWaiting();
      return;
    }
    this.#exchange.sink.abort();
    this.cancel();
  }

  /** The usage line is on file. */
  deliver(): void {
    settleLeases(this.#exchange, this.#node);
    try {
      this.#end();
    } catch (error) {
      this.#node.reportFault(error);
      this.#exchange.sink.abort();
    }
    settle.run(this.#exchange, this.#node);
  }

  #show(shown: Screened): void {
    if (this.#posted) return;
    if (!isFailure(shown)) {
      this.#body = shown;
      this.#tell();
      return;
    }
    this.#refusal = shown;
    this.#exchange.status = ERRORS[shown.code].status;
    this.#exchange.error = shown.code;
    this.#post();
  }

  /** Sends all but the last piece. */
  #tell(): void {
    const exchange = this.#exchange;
    exchange.status = 200;
    exchange.firstByteAt = performance.now();
    const { length } = this.#body;
    // Whoever asks under another key gets the same id, and may go on from it.
    keepTurn(exchange, this.#node, this.#body);
    const inOnePiece = length <= (this.#hit.told.streamed ? PIECE_BYTES : this.#wholeBytes);
    if (!inOnePiece) {
      exchange.sink.start(200, this.#headers());
      while (length - this.#sent > PIECE_BYTES) if (!this.#write()) return;
    }
    this.#post();
  }

  get #wholeBytes(): number {
    return this.#node.config.limits.answer_buffer_bytes;
  }

  /** False: the client is slow; what is left follows when it takes more. */
  #write(): boolean {
    const { sink } = this.#exchange;
    const piece = this.#body.subarray(this.#sent, this.#sent + PIECE_BYTES);
    this.#sent += piece.length;
    this.#exchange.responseBytes += piece.length;
    if (sink.write(piece)) return true;
    this.#blockedSince = performance.now();
    sink.onWritable(() => this.#resume());
    return false;
  }

  #resume(): void {
    this.#blockedSince = 0;
    if (this.#posted) return;
    while (this.#body.length - this.#sent > PIECE_BYTES) if (!this.#write()) return;
    this.#post();
  }

  #post(): void {
    this.#posted = true;
    const event = hitEvent(this.#exchange, this.#node, this.#hit.meta);
    this.#exchange.usage = event;
    this.#node.ledger.post(event, this);
  }

  #end(): void {
    const exchange = this.#exchange;
    const { sink } = exchange;
    if (sink.closed) return;
    if (this.#refusal !== null) {
      refuse(exchange, this.#node, this.#refusal);
      return;
    }
    const rest = this.#body.subarray(this.#sent);
    exchange.responseBytes += rest.length;
    if (!sink.started && !this.#hit.told.streamed) {
      sink.answer(200, this.#headers(), rest);
      return;
    }
    if (!sink.started) sink.start(200, this.#headers());
    sink.end(rest);
  }

  #headers(): string[] {
    const { headerNames: names } = this.#node;
    const { meta, told } = this.#hit;
    const { id, cache, attempts, lease } = this.#exchange;
    const headers = ["content-type", told.contentType, names.requestId, id];
    headers.push(names.servedBy, headerValue(meta.provider), names.upstreamModel, headerValue(meta.upstreamModel));
    headers.push(names.cache, cache, names.attempts, String(attempts));
    if (meta.losses.length > 0) headers.push(names.losses, meta.losses.join(","));
    if (lease !== null) rateLimitHeaders(lease, Date.now(), headers);
    return headers;
  }
}
