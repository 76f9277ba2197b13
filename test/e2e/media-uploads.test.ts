/**
 * Large uploads reach whoever answers them byte for byte, whatever became of an attempt before, of the client, or of
 * another upload beside them.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { BEARER, call } from "./calls.js";
import { formOf, type SentBody } from "./forms.js";
import { type RunningGateway, startGateway, until } from "./gateway.js";
import { routingResources } from "./routing.js";
import { metric } from "./wire.js";

const MIB = 1_048_576;
const TRANSCRIBE = "/v1/audio/transcriptions";
/** Where an upstream that breaks off does so. */
const ENOUGH = 5 * MIB;

/** Between two pieces of a body: all of it takes many seconds. */
const SLOW_MS = 30;

/** How targets behave, by the last word of their names. */
type Manner = "fine" | "busy" | "breaks" | "early" | "slow";

interface Seen {
  readonly model: string;
  bytes: number;
  whole: boolean;
  closed: boolean;
}

let server: Server;
let gateway: RunningGateway;
let seen: Seen[] = [];

/** Answers with the hash of what came, or does as the model's name says. */
function handle(incoming: IncomingMessage, response: ServerResponse): void {
  const hash = createHash("sha1");
  let head = "";
  let entry: Seen | null = null;
  incoming.on("error", () => {});
  response.on("close", () => {
    if (entry !== null) entry.closed = true;
  });
  incoming.on("data", (piece: Buffer) => {
    hash.update(piece);
    if (entry === null) {
      // The model may come in a piece of its own.
      head += piece.toString("latin1", 0, 1_000);
      const model = /name="model"\r\n\r\n([^\r]*)\r\n/.exec(head)?.[1];
      if (model === undefined) return;
      entry = { model, bytes: 0, whole: false, closed: false };
      seen.push(entry);
      if (manner(model) === "early") answer(response, 400, { error: { message: "no", type: "invalid_request_error" } });
    }
    entry.bytes += piece.length;
    if (manner(entry.model) === "breaks" && entry.bytes > ENOUGH) incoming.socket.destroy();
    if (manner(entry.model) === "early") incoming.pause();
    if (manner(entry.model) === "slow") {
      incoming.pause();
      setTimeout(() => incoming.resume(), SLOW_MS);
    }
  });
  incoming.on("end", () => {
    if (entry === null) return;
    entry.whole = true;
    if (manner(entry.model) === "busy") answer(response, 503, { error: { message: "busy", type: "server_error" } });
    else answer(response, 200, { text: hash.digest("hex") });
  });
}

function manner(model: string): Manner {
  return model.slice(model.lastIndexOf("-") + 1) as Manner;
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { "content-type": "application/json", "content-length": text.length });
  response.end(text);
}

beforeAll(async () => {
  server = createServer(handle);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const upstream = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const groups = [
    { name: "plain", targets: ["fine"] },
    { name: "next", targets: ["busy", "fine"], routing: { retries: 0 } },
    { name: "again", targets: ["breaks", "fine"], routing: { retries: 1 } },
    { name: "hasty", targets: ["early"] },
    { name: "slow", targets: ["slow"] },
  ];
  gateway = await startGateway({ config: { acceptors: 1 }, resources: routingResources(groups, { upstream }) });
});
afterAll(async () => {
  await gateway?.dispose();
  server?.closeAllConnections();
  await new Promise((done) => server?.close(done));
});
beforeEach(() => {
  seen = [];
});

/** A form whose bytes differ from those of other seeds everywhere. */
function upload(model: string, seed = 1, megabytes = 25): SentBody {
  const bytes = Buffer.alloc(megabytes * MIB);
  for (let at = 0; at + 4 <= bytes.length; at += 4) bytes.writeUInt32LE(Math.imul(at + seed, 2_654_435_761) >>> 0, at);
  return formOf({ model, prompt: "p" }, [{ field: "file", name: "a.bin", bytes }]);
}

function hashOf({ bytes }: SentBody): string {
  return createHash("sha1").update(bytes).digest("hex");
}

async function send({ bytes, contentType }: SentBody): Promise<{ status: number; text: string }> {
  const headers = { ...BEARER, "content-type": contentType };
  const { status, json } = await call(gateway.url + TRANSCRIBE, { body: bytes, headers });
  return { status, text: (json() as { text?: string }).text ?? "" };
}

/** Sends so much of a body, and leaves when told to. */
function begin({ bytes, contentType }: SentBody, length: number): { leave(): void } {
  const outgoing = request(gateway.url + TRANSCRIBE, {
    method: "POST",
    agent: false,
    headers: { ...BEARER, "content-type": contentType, "content-length": bytes.length },
  });
  outgoing.on("error", () => {});
  outgoing.write(bytes.subarray(0, length));
  return { leave: () => outgoing.destroy() };
}

function idle(): Promise<unknown> {
  return until(async () => (await metric(gateway.opsUrl, "weir_requests_in_flight")) === 0);
}

describe("a large upload", () => {
  it("goes whole to the next target when the first has refused it", async () => {
    expect(await send(upload("next"))).toEqual({ status: 200, text: hashOf(upload("next-fine")) });
    expect(seen.map(({ model, whole }) => [model, whole])).toEqual([
      ["next-busy", true],
      ["next-fine", true],
    ]);
  });

  it("is sent again from its beginning where an upstream breaks off in the middle", async () => {
    expect(await send(upload("again"))).toEqual({ status: 200, text: hashOf(upload("again-fine")) });
    expect(seen.map(({ model, whole }) => [model, whole])).toEqual([
      ["again-breaks", false],
      ["again-breaks", false],
      ["again-fine", true],
    ]);
  });

  it("whose upstream answers before it has read it gets that answer, and the next one is whole", async () => {
    expect((await send(upload("hasty"))).status).toBe(400);
    for (const seed of [2, 3]) {
      expect(await send(upload("plain", seed))).toEqual({ status: 200, text: hashOf(upload("plain-fine", seed)) });
    }
  });

  it("whose client leaves while it comes reaches nobody, and those beside and behind it are whole", async () => {
    const body = upload("plain", 4);
    const { leave } = begin(body, 10 * MIB);
    const beside = send(upload("plain", 5));
    await until(async () => (await metric(gateway.opsUrl, "weir_requests_in_flight")) > 0);
    expect(await beside).toEqual({ status: 200, text: hashOf(upload("plain-fine", 5)) });
    leave();
    await idle();
    expect(await send(upload("plain", 6))).toEqual({ status: 200, text: hashOf(upload("plain-fine", 6)) });
    expect(seen).toHaveLength(2);
  });

  it("whose client leaves while it is passed on ends there, and those beside and behind it are whole", async () => {
    const body = upload("slow", 7);
    const { leave } = begin(body, body.bytes.length);
    await until(() => seen.length === 1);
    const beside = send(upload("plain", 8));
    leave();
    await until(() => seen[0]?.closed);
    expect(seen[0]?.whole).toBe(false);
    expect(await beside).toEqual({ status: 200, text: hashOf(upload("plain-fine", 8)) });
    await idle();
    expect(await send(upload("plain", 9))).toEqual({ status: 200, text: hashOf(upload("plain-fine", 9)) });
  });

  it("is not mixed with others at the same time, and of other lengths", async () => {
    const jobs = Array.from({ length: 6 }, (_, index) => ({ seed: 20 + index, megabytes: 3 + 4 * index }));
    const answers = await Promise.all(jobs.map(({ seed, megabytes }) => send(upload("plain", seed, megabytes))));
    expect(answers).toEqual(
      jobs.map(({ seed, megabytes }) => ({ status: 200, text: hashOf(upload("plain-fine", seed, megabytes)) })),
    );
  });
});
