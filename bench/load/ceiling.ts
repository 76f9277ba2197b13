/**
 * A bare proxy of the gateway's two ends, uWebSockets.js and its connections to upstreams, with none of its work:
 * `node --import tsx bench/load/ceiling.ts UPSTREAM_PORT`. What it reaches is what this machine allows the gateway.
 */
import uws, { type HttpResponse } from "uWebSockets.js";
import { Upstreams } from "../../src/providers/upstream.js";

const origin = `http://127.0.0.1:${process.argv[2]}`;
const upstreams = new Upstreams({ connectMs: 5_000, connectionsPerOrigin: 4096 });
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
  upstreams.send(
    { origin, path, body, headers: ["content-type", "application/json"], firstByteMs: 0, idleMs: 0, tls: null },
    {
      onHead(status, headers) {
        const kept: string[] = [];
        for (let index = 0; index + 1 < headers.length; index += 2) {
          const name = headers[index] as string;
          if (!FRAMING.has(name)) kept.push(name, headers[index + 1] as string);
        }
        relay.head(status, kept);
      },
      onData(piece) {
        relay.piece(piece);
        return true;
      },
      onEnd: () => relay.flush(true),
      onFailure() {
        relay.head(502, []);
        relay.flush(true);
      },
    },
    performance.now(),
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
