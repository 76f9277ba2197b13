/**
 * A bare proxy of the gateway's two building blocks, uWebSockets.js and undici's dispatch, with none of its work:
 * `node --import tsx bench/load/ceiling.ts UPSTREAM_PORT`. What it reaches is what this machine allows the gateway.
 */
import { Pool } from "undici";
import uws, { type HttpResponse } from "uWebSockets.js";

const pool = new Pool(`http://127.0.0.1:${process.argv[2]}`, { connections: 4096, pipelining: 1 });
const FRAMING = new Set(["content-length", "transfer-encoding", "connection", "keep-alive", "date"]);

class Relay {
  private readonly response: HttpResponse;
  private pieces: Buffer[] = [];
  private flushQueued = false;
  private status = "200 OK";
  private headers: readonly string[] = [];
  private headSent = false;
  ended = false;

  constructor(response: HttpResponse) {
    this.response = response;
  }

  head(status: number, headers: readonly string[]): void {
    this.status = status === 200 ? "200 OK" : String(status);
    this.headers = headers;
  }

  /** Pieces of one socket read are written together, a microtask later. */
  piece(piece: Buffer): void {
    this.pieces.push(piece);
    if (this.flushQueued) return;
    this.flushQueued = true;
    queueMicrotask(() => this.flush(false));
  }

  flush(last: boolean): void {
    this.flushQueued = false;
    if (this.ended || (!last && this.pieces.length === 0)) return;
    const bytes = this.pieces.length === 1 ? (this.pieces[0] as Buffer) : Buffer.concat(this.pieces);
    this.pieces = [];
    this.response.cork(() => {
      if (!this.headSent) this.writeHead();
      if (last) this.response.end(bytes);
      else this.response.write(bytes);
    });
    this.ended = last;
  }

  private writeHead(): void {
    this.headSent = true;
    this.response.writeStatus(this.status);
    for (let index = 0; index + 1 < this.headers.length; index += 2) {
      this.response.writeHeader(this.headers[index] as string, this.headers[index + 1] as string);
    }
  }
}

function forward(relay: Relay, path: string, body: Buffer): void {
  pool.dispatch(
    { method: "POST", path, body, headers: ["content-type", "application/json"] },
    {
      onRequestStart: () => undefined,
      onResponseStart: (_controller, status, headers) => {
        const kept: string[] = [];
        for (const [name, value] of Object.entries(headers)) {
          if (!FRAMING.has(name) && typeof value === "string") kept.push(name, value);
        }
        relay.head(status, kept);
      },
      onResponseData: (_controller, piece) => relay.piece(piece as Buffer),
      onResponseEnd: () => relay.flush(true),
      onResponseError: () => {
        relay.head(502, []);
        relay.flush(true);
      },
    },
  );
}

const app = uws.App();
app.post("/*", (response, request) => {
  const relay = new Relay(response);
  const path = request.getUrl();
  const pieces: Buffer[] = [];
  response.onAborted(() => {
    relay.ended = true;
  });
  response.onData((chunk, isLast) => {
    pieces.push(Buffer.from(Buffer.from(chunk)));
    if (isLast) forward(relay, path, pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces));
  });
});
app.listen("127.0.0.1", 0, (socket) => {
  if (socket === false) throw new Error("the bare proxy cannot listen");
  process.stdout.write(`${JSON.stringify({ port: uws.us_socket_local_port(socket) })}\n`);
});
