/** Clients that leave, read slowly or not at all: the upstream notices at once, memory stays bounded, usage is recorded. */
import { createHash, type Hash } from "node:crypto";
import { once } from "node:events";
import { type IncomingMessage, request as httpRequest, type ServerResponse } from "node:http";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { KEY, oneProvider, type RunningGateway, startGateway } from "./gateway.js";
import { ask, chat, type HandUpstream, metric, open, rawRequest, startHandUpstream, Wire } from "./wire.js";

const MIB = 1_048_576;
let fake: FakeUpstream;
let gateway: RunningGateway;

beforeAll(async () => {
  fake = await startFakeUpstream();
  gateway = await startGateway({ resources: oneProvider(fake.url) });
});

afterAll(async () => {
  await gateway?.dispose();
  await fake?.close();
});

beforeEach(() => fake.reset());

/** A request in each dialect that streams. */
const DIALECTS = [
  ["chat", "/v1/chat/completions", (more: object) => ({ ...chat(), ...more })],
  [
    "messages",
    "/v1/messages",
    (more: object) => ({
      model: "claude-test",
      max_tokens: 500,
      messages: [{ role: "user", content: "Tell me something." }],
      ...more,
    }),
  ],
  ["responses", "/v1/responses", (more: object) => ({ model: "gpt-test", input: "Tell me something.", ...more })],
] as const;

describe.each(DIALECTS)("a client of %s that leaves", (_name, path, body) => {
  it("in the middle of a stream ends the upstream's work within a second, and is recorded", async () => {
    const earlier = (await gateway.events()).length;
    const leave = new AbortController();
    const streamed = body({ stream: true, fake: { words: 200, gap_ms: 20 } });
    const response = await open(gateway.url, streamed, { path, signal: leave.signal });
    const reader = response.body?.getReader();
    for (let text = ""; (text.match(/"delta":/g) ?? []).length < 5; ) {
      text += Buffer.from((await reader?.read())?.value ?? []).toString();
    }
    leave.abort();
    await fake.until((stats) => stats.aborted === 1, 1_000);
    const event = await gateway.until(async () => (await gateway.events())[earlier]);
    expect(event).toMatchObject({
      status: 499,
      upstream_status: 200,
      error: "client_closed_request",
      streamed: true,
      estimated: true,
      complete: false,
    });
    expect(event.input_tokens).toBeGreaterThan(0);
    expect(event.output_tokens).toBeGreaterThanOrEqual(4);
    expect(event.output_tokens).toBeLessThan(100);
  });

  it.each([true, false])("before the answer (stream: %s) ends the upstream's work, and is recorded", async (stream) => {
    const earlier = (await gateway.events()).length;
    const leave = new AbortController();
    const answer = ask(gateway.url, body({ stream, fake: { delay_ms: 30_000 } }), { path, signal: leave.signal });
    await fake.until((stats) => stats.in_flight === 1);
    leave.abort();
    await expect(answer).rejects.toThrow();
    await fake.until((stats) => stats.aborted === 1, 1_000);
    const event = await gateway.until(async () => (await gateway.events())[earlier]);
    expect(event).toMatchObject({ status: 499, upstream_status: 0, error: "client_closed_request", estimated: true });
    expect(event.input_tokens).toBeGreaterThan(0);
    expect(event.output_tokens).toBe(0);
    await gateway.until(async () => (await metric(gateway.opsUrl, "weir_requests_in_flight")) === 0);
  });
});

describe("a client that leaves", () => {
  it("while its body is still coming costs no upstream call, no event and no place", async () => {
    const earlier = (await gateway.events()).length;
    const client = new Wire(gateway.url);
    client.write(rawRequest("{", ["content-length: 5000"]));
    await gateway.until(async () => (await metric(gateway.opsUrl, "weir_requests_in_flight")) === 1);
    client.destroy();
    await gateway.until(async () => (await metric(gateway.opsUrl, "weir_requests_in_flight")) === 0);
    expect(fake.requests()).toHaveLength(0);
    expect(await gateway.events()).toHaveLength(earlier);
  });

  it("only half (its sending side) still gets its answer or an end, never silence", async () => {
    const client = new Wire(gateway.url);
    client.socket.end(rawRequest(JSON.stringify(chat({ delay_ms: 200 }))));
    await client.ended();
    await gateway.until(async () => (await metric(gateway.opsUrl, "weir_requests_in_flight")) === 0);
  });
});

describe("a client that reads slowly", () => {
  const HUGE = 200 * MIB;
  const SLOW_READERS = 8;
  let upstream: HandUpstream;
  let slow: RunningGateway | null = null;
  /** Bytes sent since the last stream was asked for, and what that one has been sent. */
  let sent = 0;
  let sentHash: Hash;

  /** Sends SSE events of 1 KiB, 64 in one write, as fast as they are taken; then the terminator. */
  async function sendHuge(response: ServerResponse, body: Buffer): Promise<void> {
    const bytes = Number((JSON.parse(body.toString()) as { bytes?: number }).bytes ?? 0);
    response.writeHead(200, { "content-type": "text/event-stream" });
    const hash = createHash("sha1");
    sentHash = hash;
    let own = 0;
    for (let number = 0; own < bytes && !response.destroyed; number += 1) {
      let block = "";
      for (let i = 0; i < 64; i += 1) {
        const content = `${number}.${i} `.padEnd(960, "x");
        block += `data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"${content}"}}]}\n\n`;
      }
      own += block.length;
      sent += block.length;
      hash.update(block);
      if (!response.write(block)) await once(response, "drain").catch(() => {});
    }
    const end = `data: {"id":"chatcmpl-1","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":9,"total_tokens":16}}\n\ndata: [DONE]\n\n`;
    sent += end.length;
    hash.update(end);
    response.end(end);
  }

  beforeAll(async () => {
    upstream = await startHandUpstream((response, body) => void sendHuge(response, body));
  });

  afterAll(() => upstream?.close());

  afterEach(async () => {
    await slow?.dispose();
    slow = null;
  });

  /** Asks for a stream of so many bytes; the answer is paused until it is read. */
  function start(url: string, bytes: number): Promise<IncomingMessage> {
    sent = 0;
    const body = JSON.stringify({ ...chat(), stream: true, stream_options: { include_usage: true }, bytes });
    return new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${KEY}`, "content-type": "application/json" };
      const request = httpRequest(`${url}/v1/chat/completions`, { method: "POST", headers, agent: false });
      request.once("error", reject);
      request.once("response", (response) => {
        response.pause();
        response.on("error", () => {});
        resolve(response);
      });
      request.end(body);
    });
  }

  async function readOn(response: IncomingMessage): Promise<{ bytes: number; hash: string; tail: string }> {
    const hash = createHash("sha1");
    let bytes = 0;
    let tail = "";
    for await (const chunk of response) {
      bytes += (chunk as Buffer).length;
      hash.update(chunk as Buffer);
      tail = (tail + (chunk as Buffer).toString("latin1")).slice(-64);
    }
    return { bytes, hash: hash.digest("hex"), tail };
  }

  /** Resolves once the upstream has been able to send nothing for `ms`. */
  async function paused(ms = 700): Promise<void> {
    let last = -1;
    let since = performance.now();
    await gateway.until(() => {
      if (sent === last && sent > 0) return performance.now() - since >= ms;
      last = sent;
      since = performance.now();
      return false;
    }, ms + 10_000);
  }

  it("pauses its upstream, and gets every byte when it reads on", async () => {
    slow = await startGateway({ config: { acceptors: 1 }, resources: oneProvider(upstream.url) });
    const response = await start(slow.url, HUGE);
    await paused();
    // What is under way stands in the kernels' buffers; the gateway itself holds next to nothing.
    expect(sent).toBeLessThan(40 * MIB);
    const got = await readOn(response);
    expect(got.bytes).toBe(sent);
    expect(got.hash).toBe(sentHash.digest("hex"));
    expect((await slow.events()).at(-1)).toMatchObject({
      status: 200,
      complete: true,
      input_tokens: 7,
      output_tokens: 9,
    });
  }, 40_000);

  it("costs little memory, whatever its upstream still has to send", async () => {
    slow = await startGateway({ config: { acceptors: 1 }, resources: oneProvider(upstream.url) });
    const { opsUrl, url } = slow;
    const resident = () => metric(opsUrl, "process_resident_memory_bytes");
    // One round alone would tell of the collector and the compiler: their memory comes and goes by 15 MiB and more.
    for (let round = 0; round < 2; round += 1) await readOn(await start(url, 20 * MIB));
    const growth: number[] = [];
    for (let round = 0; round < 5; round += 1) {
      const before = await resident();
      const readers = await Promise.all(Array.from({ length: SLOW_READERS }, () => start(url, 60 * MIB)));
      await paused();
      expect(sent).toBeLessThan(SLOW_READERS * 40 * MIB);
      growth.push(((await resident()) - before) / MIB);
      for (const reader of readers) reader.destroy();
      await gateway.until(async () => (await metric(opsUrl, "weir_requests_in_flight")) === 0);
    }
    expect(growth.toSorted((a, b) => a - b)[2]).toBeLessThan(SLOW_READERS * 3);
  }, 60_000);

  it("may rest for as long as timeouts.client_stall_ms allows, and longer than the server's own ten seconds", async () => {
    slow = await startGateway({
      config: { timeouts: { client_stall_ms: 60_000 } },
      resources: oneProvider(upstream.url),
    });
    const response = await start(slow.url, 30 * MIB);
    await paused(14_000);
    const got = await readOn(response);
    expect(got.bytes).toBe(sent);
    expect(got.tail).toContain("[DONE]");
  }, 40_000);

  it("is cut once it has taken nothing for timeouts.client_stall_ms", async () => {
    slow = await startGateway({
      config: { timeouts: { client_stall_ms: 1_000 } },
      resources: oneProvider(upstream.url),
    });
    const before = upstream.aborted;
    await start(slow.url, 60 * MIB);
    const startedAt = performance.now();
    await slow.until(() => upstream.aborted === before + 1, 8_000);
    expect(performance.now() - startedAt).toBeGreaterThan(900);
    const event = await slow.until(async () => (await slow?.events())?.at(-1));
    expect(event).toMatchObject({ status: 499, complete: false, upstream_status: 200, estimated: true });
  });

  it("is never cut when timeouts.client_stall_ms is 0", async () => {
    slow = await startGateway({ config: { timeouts: { client_stall_ms: 0 } }, resources: oneProvider(upstream.url) });
    const response = await start(slow.url, 30 * MIB);
    await paused(1_500);
    const got = await readOn(response);
    expect(got.bytes).toBe(sent);
    expect(got.tail).toContain("[DONE]");
  });

  it("ends the upstream's work at once when it leaves", async () => {
    const before = upstream.aborted;
    slow = await startGateway({ resources: oneProvider(upstream.url) });
    const response = await start(slow.url, 60 * MIB);
    await paused();
    response.destroy();
    await slow.until(() => upstream.aborted === before + 1, 1_000);
    const event = await slow.until(async () => (await slow?.events())?.at(-1));
    expect(event).toMatchObject({ status: 499, complete: false, error: "client_closed_request" });
  });

  it("gets a whole answer that is larger than any buffer", async () => {
    const content = "y".repeat(24 * MIB);
    const whole = await startHandUpstream((response) => {
      response.writeHead(200, { "content-type": "application/json" });
      response.end(
        JSON.stringify({ id: "chatcmpl-2", object: "chat.completion", choices: [{ message: { content } }] }),
      );
    });
    try {
      slow = await startGateway({ resources: oneProvider(whole.url) });
      const response = await start(slow.url, 0);
      await gateway.until(() => response.readableLength > 0);
      const got = await readOn(response);
      expect(got.bytes).toBeGreaterThan(24 * MIB);
      expect(got.tail.endsWith('"}}]}')).toBe(true);
      expect((await slow.events()).at(-1)).toMatchObject({ status: 200, complete: true, estimated: true });
    } finally {
      await whole.close();
    }
  });
});
