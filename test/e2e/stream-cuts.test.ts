/** A stream that the network cuts anywhere comes out the same, and its usage is read all the same. */
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { UsageEvent } from "../../src/usage/event.js";
import { oneProvider, type RunningGateway, startGateway } from "./gateway.js";
import { Client, type Endpoint, ENDPOINTS, inParallel, type Reply, requestFor } from "./traffic.js";

interface Case {
  readonly endpoint: Endpoint;
  /** Lines end with LF here; events that the client must not see stand between « and ». */
  readonly stream: string;
}

const CASES: readonly Case[] = [
  {
    endpoint: ENDPOINTS.chat,
    stream: [
      ": hi\n\n",
      'data: {"id":"c1","model":"m1","choices":[{"delta":{"content":"wäter 🌊"}}]}\n\n',
      'data:{"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n',
      '«data: {"choices":[],"usage":{"prompt_tokens":21,\ndata: "completion_tokens":42}}\n\n»',
      "data: [DONE]\n\n",
    ].join(""),
  },
  {
    endpoint: ENDPOINTS.completions,
    stream: [
      'data: {"id":"c1","model":"m1","choices":[{"text":"wäter"}]}\n\n',
      '«data: {"choices":[],"usage":{"prompt_tokens":21,"completion_tokens":42}}\n\n»',
      'data: {"choices":[{"text":"","finish_reason":"stop"}]}\n\n',
      "data: [DONE]\n\n",
    ].join(""),
  },
  {
    endpoint: ENDPOINTS.messages,
    stream: [
      'event: message_start\ndata: {"type":"message_start","message":{"id":"c1","model":"m1","usage":{"input_tokens":20,"cache_read_input_tokens":1}}}\n\n',
      'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"wäter 🌊"}}\n\n',
      'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"stop"},"usage":{"output_tokens":42}}\n\n',
      'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    ].join(""),
  },
  {
    endpoint: ENDPOINTS.responses,
    stream: [
      'event: response.created\ndata: {"type":"response.created","response":{"id":"c1","model":"m1"}}\n\n',
      'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"wäter 🌊"}\n\n',
      'event: response.completed\ndata: {"type":"response.completed","response":{"id":"c1","model":"m1","status":"stop","usage":{"input_tokens":21,"output_tokens":42}}}\n\n',
    ].join(""),
  },
];

const LINE_ENDS = { LF: "\n", CRLF: "\r\n", CR: "\r" } as const;

/** The upstream writes the stream of the model's number in pieces of the lengths asked for. */
const streams: Buffer[] = [];
let server: Server;
let gateway: RunningGateway;
let client: Client;

beforeAll(async () => {
  server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.once("end", () => {
      const { cut } = JSON.parse(Buffer.concat(parts).toString()) as { cut: Cut };
      void writeCut(response, streams[cut.stream] ?? Buffer.alloc(0), cut);
    });
  });
  server.keepAliveTimeout = 600_000;
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  gateway = await startGateway({
    config: { acceptors: 1, log: { access: false } },
    resources: oneProvider(`http://127.0.0.1:${port}`),
  });
  client = new Client(gateway.url, 64);
});

afterAll(async () => {
  client?.close();
  await gateway?.dispose();
  server?.closeAllConnections();
  await new Promise((done) => server.close(done));
});

interface Cut {
  readonly stream: number;
  /** Where the first piece ends. */
  readonly first: number;
  /** Length of the pieces after it; 0 = all that is left. */
  readonly size: number;
}

/** Each piece is an HTTP chunk of its own, sent when the one before has had time to be read. */
async function writeCut(response: ServerResponse, bytes: Buffer, { first, size }: Cut): Promise<void> {
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.flushHeaders();
  for (let at = 0; at < bytes.length; ) {
    const end = at === 0 && first > 0 ? first : size > 0 ? Math.min(bytes.length, at + size) : bytes.length;
    response.write(bytes.subarray(at, end));
    at = end;
    await new Promise((done) => setTimeout(done, 1));
  }
  response.end();
}

interface Prepared {
  readonly index: number;
  readonly bytes: Buffer;
  /** What the client must get. */
  readonly wanted: string;
}

function prepare(stream: string, lineEnd: string): Prepared {
  const withEnds = stream.replaceAll("\n", lineEnd);
  const bytes = Buffer.from(withEnds.replace(/[«»]/g, ""));
  return { index: streams.push(bytes) - 1, bytes, wanted: withEnds.replace(/«[^»]*»/g, "") };
}

async function checkEvents(ids: ReadonlySet<string>): Promise<void> {
  const events = await gateway.until(async () => {
    const found = (await gateway.events()).filter((event) => ids.has(event.request_id));
    return found.length >= ids.size ? found : null;
  });
  const facts = (event: UsageEvent) =>
    [event.input_tokens, event.output_tokens, event.estimated, event.complete, event.error, event.finish_reason].join();
  expect(events.length).toBe(ids.size);
  expect(new Set(events.map(facts))).toEqual(new Set(["21,42,false,true,,stop"]));
  expect(new Set(events.map((event) => `${event.response_id} ${event.response_model}`))).toEqual(new Set(["c1 m1"]));
}

describe.each(Object.entries(LINE_ENDS))("lines that end with %s", (_name, lineEnd) => {
  for (const { endpoint, stream } of CASES) {
    it(`${endpoint.operation}: cut in two at every byte, and into pieces of every small size`, async () => {
      const { index, bytes, wanted } = prepare(stream, lineEnd);
      const cuts: Cut[] = [];
      for (let first = 1; first < bytes.length; first += 1) cuts.push({ stream: index, first, size: 0 });
      for (const size of [1, 2, 3, 5, 7, 11, 13, 64, 0]) cuts.push({ stream: index, first: 0, size });
      const ids = new Set<string>();
      const wrong: unknown[] = [];
      // The long ones first, or the rest would wait for them at the end.
      await inParallel(cuts.reverse(), 64, async (cut) => {
        const reply: Reply = await client.post(endpoint.path, requestFor(endpoint, { stream: true, cut }));
        ids.add(reply.requestId);
        const text = reply.body.toString("utf8");
        if (text !== wanted || !reply.whole || reply.status !== 200) wrong.push({ cut, status: reply.status, text });
      });
      expect(wrong.slice(0, 3)).toEqual([]);
      expect(ids.size).toBe(cuts.length);
      await checkEvents(ids);
    });
  }
});
