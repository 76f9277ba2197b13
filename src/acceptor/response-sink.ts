/** The client's side of an exchange over uWebSockets.js: corked writes, backpressure, abort. */
import { STATUS_CODES } from "node:http";
import type { HttpResponse } from "uWebSockets.js";
import type { Sink } from "../pipeline/sink.js";
import { JsonLine, piece } from "../usage/json-line.js";

const NO_HEADERS: readonly string[] = Object.freeze([]);
const STATUS_LINES = new Map<number, string>();

function statusLine(status: number): string {
  let line = STATUS_LINES.get(status);
  if (line === undefined) {
    line = `${status} ${STATUS_CODES[status] ?? "Unknown"}`;
    STATUS_LINES.set(status, line);
  }
  return line;
}

/**
 * Ends an answer to HEAD: the head that GET would have got. uWebSockets.js takes a length that it is told for a body
 * still to come and cuts the connection at the next request: right where it is to be closed, else the length is a
 * header of ours. (An explicit `undefined` would be a length, too.)
 */
export function endHead(response: HttpResponse, length: number, close: boolean): void {
  if (close) {
    response.endWithoutBody(length, true);
    return;
  }
  response.writeHeader("content-length", String(length));
  response.endWithoutBody();
}

/** These never have a body, nor a length (RFC 9110 section 8.6). */
function isBodyless(status: number): boolean {
  return status === 204 || status === 304;
}

/** The length that an upstream told of an answer to HEAD; null = none. */
function announced(headers: readonly string[]): number | null {
  for (let index = 0; index + 1 < headers.length; index += 2) {
    if (headers[index] === "content-length") return Number(headers[index + 1]);
  }
  return null;
}

/** What all answers of one acceptor share. */
export interface SinkSettings {
  /** Value of the `server` header; "" = none. */
  readonly serverHeader: string;
  /** While true, every answer closes its connection. */
  draining: boolean;
}

/** Cannot come, since parsers and our own checks refuse it; were it there, it would begin a header of somebody else's. */
const LINE_BREAK = /[\r\n\0]/;

/**
 * What may be written in one cork, framing aside. uWebSockets.js collects 16 KiB there; a piece that goes beyond is
 * dropped where the connection, being full, does not take what was collected before it.
 */
const PIECE_BYTES = 15_360;
/** The same together with the answer's head. */
const FIRST_PIECE_BYTES = 8_192;

export class ResponseSink implements Sink {
  closed = false;
  started = false;
  readonly #response: HttpResponse;
  readonly #settings: SinkSettings;
  /** The request was HEAD: a body would be taken for the next answer. */
  readonly #headOnly: boolean;
  #status = 0;
  /** The head, until the first piece takes it along. */
  #head: readonly string[] | null = null;
  /** This connection must not be used again. */
  closeAfter = false;
  /** Headers of every answer on this way: names and values alternate. */
  extra: readonly string[] = NO_HEADERS;

  constructor(response: HttpResponse, settings: SinkSettings, headOnly: boolean) {
    this.#headOnly = headOnly;
    this.#response = response;
    this.#settings = settings;
  }

  answer(status: number, headers: readonly string[], body: string | Buffer): void {
    if (this.closed) return;
    this.started = true;
    this.closed = true;
    const close = this.closeAfter || this.#settings.draining;
    this.#response.cork(() => {
      this.#response.writeStatus(statusLine(status));
      this.#writeHeaders(headers, false);
      // Says "connection: close" itself.
      if (isBodyless(status)) this.#endBodyless(close);
      else if (this.#headOnly) endHead(this.#response, announced(headers) ?? Buffer.byteLength(body), close);
      else this.#response.end(body, close);
    });
  }

  start(status: number, headers: readonly string[]): void {
    this.started = true;
    this.#status = status;
    this.#head = headers;
  }

  write(chunk: Buffer | string): boolean {
    if (this.closed) return true;
    if (this.#headOnly) return true;
    if (this.#isLarge(chunk)) return this.#writeInPieces(chunk);
    let flowing = true;
    this.#response.cork(() => {
      this.#writeHead();
      flowing = this.#response.write(chunk);
    });
    return flowing;
  }

  onWritable(callback: () => void): void {
    if (this.closed) return;
    this.#response.onWritable(() => {
      callback();
      return true;
    });
  }

  /** uWebSockets.js cuts a connection that takes nothing for ten seconds; resuming starts them anew. */
  keepWaiting(): void {
    if (this.closed) return;
    this.#response.pause();
    this.#response.resume();
  }

  end(chunk: Buffer | null): void {
    if (this.closed) return;
    this.closed = true;
    const large = chunk !== null && !this.#headOnly && this.#isLarge(chunk);
    if (large) this.#writeInPieces(chunk);
    this.#response.cork(() => {
      this.#writeHead();
      if (this.#headOnly) {
        this.#response.endWithoutBody();
        return;
      }
      if (chunk !== null && chunk.length > 0 && !large) this.#response.write(chunk);
      // Never with `closeConnection`: uWebSockets.js would write its "Connection: close" into the begun body.
      this.#response.end();
    });
  }

  abort(): void {
    if (this.closed) return;
    this.closed = true;
    this.#response.close();
  }

  /** The client has gone: uWebSockets.js calls this through `onAborted`; the response is dead. */
  gone(): void {
    this.closed = true;
  }

  #isLarge(chunk: Buffer | string): chunk is Buffer {
    return typeof chunk !== "string" && chunk.length > (this.#head === null ? PIECE_BYTES : FIRST_PIECE_BYTES);
  }

  /** False: the client is slow. What it does not take at once is written without a cork, which keeps all of it. */
  #writeInPieces(chunk: Buffer): boolean {
    if (this.#head !== null) this.#response.cork(() => this.#writeHead());
    let flowing = true;
    let at = 0;
    while (flowing && at < chunk.length) {
      const piece = chunk.subarray(at, at + PIECE_BYTES);
      this.#response.cork(() => {
        flowing = this.#response.write(piece);
      });
      at += piece.length;
    }
    if (at < chunk.length) flowing = this.#response.write(chunk.subarray(at));
    return flowing;
  }

  #writeHead(): void {
    if (this.#head === null) return;
    this.#response.writeStatus(statusLine(this.#status));
    this.#writeHeaders(this.#head, this.closeAfter || this.#settings.draining);
    this.#head = null;
  }

  #endBodyless(close: boolean): void {
    if (close) this.#response.writeHeader("connection", "close");
    this.#response.endWithoutBody();
  }

  /**
   * All headers in one call: each call crosses into the server's own code and converts its texts (measured: a third of
   * what an answer's head costs). None of them holds a line break: names and texts of people are made safe before.
   */
  #writeHeaders(headers: readonly string[], close: boolean): void {
    const block = BLOCK.begin();
    for (let index = 0; index + 1 < headers.length; index += 2) {
      const name = headers[index] as string;
      // The connection frames what it sends; only an answer to HEAD tells of a length that does not come.
      if (name !== "content-length") block.add(name, headers[index + 1] as string);
    }
    for (let index = 0; index + 1 < this.extra.length; index += 2) {
      block.add(this.extra[index] as string, this.extra[index + 1] as string);
    }
    if (this.#settings.serverHeader !== "") block.add("server", this.#settings.serverHeader);
    if (close) block.add("connection", "close");
    if (block.name !== "") this.#response.writeHeader(block.name, block.line.written());
  }
}

/** Names of headers whose last lines are kept; upstreams choose some of them. */
const MOST_LINES = 64;
/** A longer value is not kept. */
const MOST_VALUE = 128;

/** A header's line as it was last written. */
interface KeptLine {
  /** The line's beginning, up to the value. */
  readonly lead: Buffer;
  value: string;
  /** The whole of it; null = the value was not the same twice. */
  line: Buffer | null;
}

/** A first header, and the others as further lines of its value. Most say what they said in the answer before. */
class HeaderBlock {
  name = "";
  readonly line = new JsonLine();
  readonly #kept = new Map<string, KeptLine>();

  begin(): this {
    this.name = "";
    this.line.length = 0;
    return this;
  }

  add(name: string, value: string): void {
    if (this.name === "") {
      if (this.#write(value)) this.name = name;
      return;
    }
    const kept = this.#keptOf(name);
    if (kept.line !== null && kept.value === value) {
      this.line.piece(kept.line);
      return;
    }
    const before = this.line.length;
    this.line.piece(kept.lead);
    if (!this.#write(value)) {
      this.line.length = before;
      return;
    }
    if (kept.value === value) kept.line = Buffer.from(this.line.bytes.subarray(before, this.line.length));
    else {
      kept.line = null;
      kept.value = value.length <= MOST_VALUE ? value : "";
    }
  }

  /** False: it would begin a header of somebody else's, and nothing was written. */
  #write(value: string): boolean {
    if (this.line.printable(value)) return true;
    if (LINE_BREAK.test(value)) return false;
    this.line.text(value);
    return true;
  }

  #keptOf(name: string): KeptLine {
    let kept = this.#kept.get(name);
    if (kept === undefined) {
      kept = { lead: piece(`\r\n${name}: `), value: "", line: null };
      if (this.#kept.size < MOST_LINES) this.#kept.set(name, kept);
    }
    return kept;
  }
}

/** The head that is being written: uWebSockets.js has taken it when the call returns. */
const BLOCK = new HeaderBlock();
