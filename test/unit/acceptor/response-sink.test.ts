import type { HttpResponse } from "uWebSockets.js";
import { describe, expect, it } from "vitest";
import { ResponseSink } from "../../../src/acceptor/response-sink.js";

/** What uWebSockets.js collects while corked. */
const CORK_BYTES = 16_384;

/**
 * A response that writes as uWebSockets.js does: what goes beyond the cork is dropped when the connection does not take
 * what the cork holds, and everything else is kept until it does.
 */
class FullResponse {
  sent = "";
  waiting = "";
  /** What the connection takes before it is full. */
  room: number;
  #cork: string | null = null;

  constructor(room: number) {
    this.room = room;
  }

  cork(callback: () => void): void {
    this.#cork = "";
    callback();
    const rest: string | null = this.#cork;
    this.#cork = null;
    if (rest !== null) this.#put(rest);
  }

  writeStatus(status: string): void {
    this.#put(`HTTP/1.1 ${status}\r\n`);
  }

  writeHeader(name: string, value: string): void {
    this.#put(`${name}: ${value}\r\n`);
  }

  write(piece: Buffer | string): boolean {
    const text = piece.toString("latin1");
    const flows = this.#put(`[${text.length.toString(16)}]`);
    return this.#put(text) && flows;
  }

  end(): void {
    this.#put("[end]");
  }

  drain(): void {
    this.room = Number.POSITIVE_INFINITY;
    this.#put("");
  }

  #put(text: string): boolean {
    if (this.waiting !== "" && !this.#flush()) {
      this.waiting += text;
      return false;
    }
    if (this.#cork !== null && this.#cork.length + text.length <= CORK_BYTES) {
      this.#cork += text;
      return true;
    }
    const collected = this.#cork ?? "";
    this.#cork = null;
    this.waiting = collected;
    if (!this.#flush()) return false;
    this.waiting = text;
    return this.#flush();
  }

  #flush(): boolean {
    const taken = this.waiting.slice(0, this.room);
    this.room -= taken.length;
    this.sent += taken;
    this.waiting = this.waiting.slice(taken.length);
    return this.waiting === "";
  }
}

function sinkOver(response: FullResponse): ResponseSink {
  return new ResponseSink(response as unknown as HttpResponse, { serverHeader: "", draining: false }, false);
}

/** Undoes the framing; throws where a piece is not as long as was said. */
function bodyOf(sent: string): string {
  let body = "";
  for (let at = sent.indexOf("["); ; ) {
    const close = sent.indexOf("]", at);
    const length = sent.slice(at + 1, close);
    if (length === "end") return body;
    const end = close + 1 + Number.parseInt(length, 16);
    body += sent.slice(close + 1, end);
    if (sent[end] !== "[") throw new Error(`a piece of ${length} does not end where it should`);
    at = end;
  }
}

const HEAD = ["content-type", "text/event-stream", "x-long", "v".repeat(3_000)];
const PIECES = [100, 70_000, 5, 15_360, 15_361, 30_000, 8_193, 20_000].map((length, index) =>
  Buffer.alloc(length, String.fromCharCode(97 + index)),
);
const LAST = Buffer.alloc(40_000, "z");

/** What the client gets of these pieces where the connection is full once, after so many bytes. */
function sentThrough(room: number, pieces: readonly Buffer[]): string {
  const response = new FullResponse(room);
  const sink = sinkOver(response);
  sink.start(200, HEAD);
  for (const piece of pieces) sink.write(piece);
  sink.end(LAST);
  response.drain();
  return response.sent;
}

describe("pieces of an answer", () => {
  it.each([0, 1])("all arrive wherever the connection is full (first piece: %i)", (first) => {
    const pieces = PIECES.slice(first);
    const whole = sentThrough(Number.POSITIVE_INFINITY, pieces);
    const bounds = [...whole.matchAll(/\[/g)].map(({ index }) => index);
    for (const room of bounds.flatMap((at) => [at - 1_000, at - 1, at, at + 1, at + 4, at + 5_000])) {
      expect(bodyOf(sentThrough(room, pieces)) === Buffer.concat([...pieces, LAST]).toString()).toBe(true);
    }
  });

  it("say that the client is slow at the latest with the piece behind the one that was not taken", () => {
    const sink = sinkOver(new FullResponse(1_000));
    sink.start(200, []);
    const flows = [20_000, 20_000].map((length) => sink.write(Buffer.alloc(length)));
    expect(flows[1]).toBe(false);
  });

  it("are written at once where they are small", () => {
    const response = new FullResponse(Number.POSITIVE_INFINITY);
    const sink = sinkOver(response);
    sink.start(200, []);
    expect(sink.write("data: x\n\n")).toBe(true);
    sink.end(null);
    expect(response.sent).toBe("HTTP/1.1 200 OK\r\n[9]data: x\n\n[end]");
  });
});
