/**
 * A server that speaks one vendor's own wire and takes nothing but what that vendor would: a request is compared
 * with what the vendor's own client makes of it, then read, then held against the scene it asks for.
 */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { isDeepStrictEqual } from "node:util";
import type { JsonObject } from "../../src/dialects/semantic.js";
import { type Cast, type Dealt, FAILURE, type Heard, playScene, Refused, type Said } from "./vendor-talk.js";

/** One vendor's wire. */
export interface VendorWire {
  readonly cast: Cast;
  /** Is a stream asked for? A refusal (as text) for a path or headers that the vendor does not know. */
  route(request: Pick<VendorRequest, "path" | "headers" | "body">): boolean | string;
  /** The body that the vendor's own client sends for the same request; null = it has sent it to the recorder. */
  sentByVendor(body: JsonObject, recorder: string): Promise<JsonObject | null>;
  /** Throws `Refused` for what the vendor refuses. */
  hear(body: JsonObject): Heard;
  whole(said: Said): JsonObject;
  readonly streamType: string;
  frames(said: Said): readonly Buffer[];
  /** Tells of a failure inside a stream. */
  failureFrame(message: string): Buffer;
  error(status: number, message: string): { readonly headers: Record<string, string>; readonly body: JsonObject };
}

export interface VendorRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: JsonObject;
  /** Why it was refused; "" = it was not. */
  refusal: string;
  dealt: Dealt | null;
}

export interface VendorUpstream {
  readonly url: string;
  /** What has been asked since the last reset. */
  requests(): readonly VendorRequest[];
  reset(): void;
  close(): Promise<void>;
}

const RECORDER = "/recorder/";
/** Small and odd: frames and characters are cut anywhere. */
const PIECE_BYTES = 61;

export async function startVendorUpstream(wire: VendorWire): Promise<VendorUpstream> {
  let requests: VendorRequest[] = [];
  const judge = new Judge(wire);
  const server = createServer((incoming, response) => {
    const parts: Buffer[] = [];
    incoming.on("data", (part: Buffer) => parts.push(part));
    incoming.on("end", () => {
      const body = JSON.parse(Buffer.concat(parts).toString("utf8")) as JsonObject;
      const path = incoming.url ?? "";
      if (judge.records(path, body)) return send(response, 200, { headers: {}, body: {} });
      const request: VendorRequest = { path, headers: incoming.headers, body, refusal: "", dealt: null };
      requests.push(request);
      answer(request, response, judge).catch((error: unknown) => {
        request.refusal = String(error);
        send(response, 400, wire.error(400, request.refusal));
      });
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  judge.url = url;
  return {
    url,
    requests: () => requests,
    reset: () => {
      requests = [];
    },
    close: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}

/** Lets the vendor's own client send what was received, to an address where it is only recorded, and compares. */
class Judge {
  readonly wire: VendorWire;
  url = "";
  readonly #recorded = new Map<string, JsonObject>();
  #count = 0;

  constructor(wire: VendorWire) {
    this.wire = wire;
  }

  /** Is it one of the recordings? */
  records(path: string, body: JsonObject): boolean {
    if (!path.startsWith(RECORDER)) return false;
    this.#recorded.set(path.slice(RECORDER.length).split("/", 1)[0] ?? "", body);
    return true;
  }

  async demand(body: JsonObject): Promise<void> {
    const name = String(this.#count++);
    const sent = await this.wire.sentByVendor(body, `${this.url}${RECORDER}${name}`);
    const vendors = sent ?? this.#recorded.get(name);
    this.#recorded.delete(name);
    if (isDeepStrictEqual(vendors, body)) return;
    throw new Refused(`the vendor's client sends ${JSON.stringify(vendors)} instead of ${JSON.stringify(body)}`);
  }
}

async function answer(request: VendorRequest, response: ServerResponse, judge: Judge): Promise<void> {
  const { wire } = judge;
  const streamed = wire.route(request);
  if (typeof streamed === "string") throw new Refused(streamed);
  await judge.demand(request.body);
  const played = playScene(wire.hear(request.body), wire.cast);
  if (played.kind === "refusal") throw new Refused(played.reason);
  if (played.kind === "failure") return send(response, played.status, wire.error(played.status, FAILURE));
  request.dealt = played.kind === "answer" ? played.said.usage : null;
  if (!streamed) return send(response, 200, { headers: {}, body: wire.whole(played.said) });
  const frames = wire.frames(played.said);
  response.writeHead(200, { "content-type": wire.streamType });
  if (played.kind === "answer") {
    await write(response, Buffer.concat(frames));
    response.end();
    return;
  }
  await write(response, Buffer.concat(frames.slice(0, Math.ceil(frames.length / 2))));
  if (!played.cut) response.end(wire.failureFrame(FAILURE));
  else response.socket?.destroySoon();
}

async function write(response: ServerResponse, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    await new Promise<void>((done) => response.write(bytes.subarray(at, at + PIECE_BYTES), () => done()));
  }
}

function send(
  response: ServerResponse,
  status: number,
  { headers, body }: { readonly headers: Record<string, string>; readonly body: JsonObject },
): void {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
}
