import { request as httpRequest, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { Behaviour } from "../../fake-upstream/behaviour.js";
import { type FakeUpstream, startFakeUpstream } from "../../fake-upstream/fake-upstream.js";

let fake: FakeUpstream;
beforeAll(async () => {
  fake = await startFakeUpstream();
});
afterAll(() => fake.close());
beforeEach(() => fake.reset());

interface Received {
  readonly message: IncomingMessage | null;
  readonly chunks: Buffer[];
  readonly body: Buffer;
  readonly outcome: "end" | "broken";
  /** From the request to the head, in ms. */
  readonly headMs: number;
}

const MESSAGES = [{ role: "user", content: "hello there" }];

function post(
  path: string,
  body: object,
  onData?: (message: IncomingMessage, soFar: number) => void,
): Promise<Received> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const start = performance.now();
    let headMs = -1;
    let message: IncomingMessage | null = null;
    const done = (outcome: "end" | "broken"): void =>
      resolve({ message, chunks, body: Buffer.concat(chunks), outcome, headMs });
    const sent = httpRequest(fake.url + path, { method: "POST", agent: false }, (response) => {
      message = response;
      headMs = performance.now() - start;
      response.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        onData?.(response, Buffer.concat(chunks).length);
      });
      response.on("error", () => {});
      response.on("close", () => done(response.complete ? "end" : "broken"));
    });
    sent.on("error", () => done("broken"));
    sent.end(JSON.stringify(body));
  });
}

function chat(behaviour: Behaviour, more: object = {}): Promise<Received> {
  return post("/v1/chat/completions", { model: "m", messages: MESSAGES, fake: behaviour, ...more });
}

const STREAM = { stream: true, stream_options: { include_usage: true } };

describe("paths", () => {
  it.each([
    ["/v1/chat/completions", "chat.completion"],
    ["/chat/completions?x=1", "chat.completion"],
    ["/any/prefix/openai/v1/completions", "text_completion"],
    ["/v1/embeddings", "list"],
    ["/v1/responses", '"response"'],
    ["/v1/responses/input_tokens", "response.input_tokens"],
    ["/anthropic/v1/messages", '"message"'],
    ["/v1/messages/count_tokens", "input_tokens"],
  ])("%s answers", async (path, part) => {
    const { message, body } = await post(path, { model: "m", messages: MESSAGES, input: "a", prompt: "a" });
    expect([message?.statusCode, message?.headers["content-length"]]).toEqual([200, String(body.length)]);
    expect(body.toString()).toContain(part);
  });

  it("others are 404, and a wrong method 405", async () => {
    expect((await post("/v1/elsewhere", {})).message?.statusCode).toBe(404);
    expect((await fetch(`${fake.url}/v1/chat/completions`)).status).toBe(405);
    expect(await (await fetch(`${fake.url}/v1/models`)).json()).toMatchObject({ object: "list" });
  });
});

describe("behaviours", () => {
  it("status, body and headers", async () => {
    const { message, body } = await chat({ status: 429, headers: { "Retry-After": "7" } });
    expect([message?.statusCode, message?.headers["retry-after"]]).toEqual([429, "7"]);
    expect(JSON.parse(body.toString()).error.type).toBe("fake_error");
    const plain = await chat({ status: 502, body: "<html>bad</html>", content_type: "text/html" });
    expect([plain.body.toString(), plain.message?.headers["content-type"]]).toEqual(["<html>bad</html>", "text/html"]);
    const anthropic = await post("/v1/messages", { model: "m", fake: { status: 529 } });
    expect(JSON.parse(anthropic.body.toString())).toMatchObject({ type: "error" });
    expect((await post("/v1/messages", { model: "status-503" })).message?.statusCode).toBe(503);
  });

  it("redirect", async () => {
    const { message } = await chat({ redirect: "http://127.0.0.1:1/" });
    expect([message?.statusCode, message?.headers.location]).toEqual([307, "http://127.0.0.1:1/"]);
  });

  it("delays", async () => {
    expect((await chat({ delay_ms: 60 })).headMs).toBeGreaterThanOrEqual(55);
    const start = performance.now();
    const late = await chat({ first_byte_delay_ms: 1_000 });
    expect(performance.now() - start).toBeGreaterThanOrEqual(995);
    expect(late.headMs).toBeLessThan(900);
    const paced = performance.now();
    const { body } = await chat({ words: 4, gap_ms: 10 }, STREAM);
    const frames = body.toString().split("\n\n").length - 1;
    expect(performance.now() - paced).toBeGreaterThanOrEqual((frames - 1) * 9);
  });

  it("holds answers until they are released, or the other side leaves", async () => {
    const held = [chat({ held: true, words: 3 }), chat({ held: true, reset: true })];
    const leaving = httpRequest(`${fake.url}/v1/chat/completions`, { method: "POST", agent: false });
    leaving.on("error", () => {});
    leaving.end(JSON.stringify({ model: "m", messages: MESSAGES, fake: { held: true } }));
    await fake.until((stats) => stats.in_flight === 3);
    leaving.destroy();
    await fake.until((stats) => stats.aborted === 1);
    expect(fake.stats()).toMatchObject({ in_flight: 2, completed: 0 });
    fake.release();
    expect((await Promise.all(held)).map(({ outcome }) => outcome)).toEqual(["end", "broken"]);
    expect(fake.stats()).toMatchObject({ in_flight: 0, completed: 1, aborted: 1 });
  });

  it("length in words and in bytes", async () => {
    const words = await chat({ words: 30 });
    expect(JSON.parse(words.body.toString()).choices[0].message.content.split(" ")).toHaveLength(30);
    const bytes = await chat({ bytes: 300_000 });
    expect(Math.abs(bytes.body.length - 300_000)).toBeLessThan(30_000);
  });

  it("chunking changes how bytes come, not which", async () => {
    const identical = (received: Received) => received.body.toString().replaceAll(/"(id|created)":[^,]+/g, "");
    const frames = await chat({}, STREAM);
    const burst = await chat({ chunking: { mode: "burst" } }, STREAM);
    const bytes = await chat({ chunking: { mode: "bytes", size: 7 } }, STREAM);
    expect(identical(burst)).toBe(identical(frames));
    expect(identical(bytes)).toBe(identical(frames));
    const { completed_tokens: tokens, output } = fake.stats();
    expect([tokens.output, output % 3]).toEqual([output, 0]);
  });

  it("gzip, also streamed", async () => {
    for (const more of [{}, STREAM]) {
      const { message, body } = await chat({ gzip: true }, more);
      expect(message?.headers["content-encoding"]).toBe("gzip");
      expect(gunzipSync(body).toString()).toMatch(/"usage":\{"prompt_tokens"/);
    }
  });

  it("chunked whole answers and another content type", async () => {
    const { message } = await chat({ chunked: true, content_type: "text/plain" });
    expect(message?.headers["content-length"]).toBeUndefined();
    expect(message?.headers["content-type"]).toBe("text/plain");
  });

  it("line ends", async () => {
    const { body } = await chat({ crlf: true }, STREAM);
    expect(body.toString().endsWith("data: [DONE]\r\n\r\n")).toBe(true);
    expect(body.toString()).not.toMatch(/[^\r]\n/);
  });

  it("breaks: after frames, after bytes, before the head", async () => {
    const frames = await chat({ close_after_frames: 3 }, STREAM);
    expect([frames.outcome, frames.body.toString().split("\n\n").length - 1]).toEqual(["broken", 3]);
    const bytes = await chat({ close_after_bytes: 100 }, STREAM);
    expect([bytes.outcome, bytes.body.length]).toEqual(["broken", 100]);
    const whole = await chat({ close_after_bytes: 50 });
    expect([whole.outcome, whole.body.length]).toEqual(["broken", 50]);
    const reset = await chat({ reset: true });
    expect([reset.outcome, reset.message]).toEqual(["broken", null]);
    expect(fake.stats()).toMatchObject({ requests: 4, completed: 0, aborted: 0, in_flight: 0 });
  });

  it("ends without its terminator", async () => {
    const { body, outcome } = await chat({ end_without_terminator: true }, STREAM);
    expect(outcome).toBe("end");
    expect(body.toString()).not.toContain("[DONE]");
    const messages = await post("/v1/messages", {
      model: "m",
      messages: MESSAGES,
      stream: true,
      fake: { end_without_terminator: true },
    });
    expect(messages.body.toString()).not.toContain("message_stop");
  });

  it("garbage", async () => {
    const json = await chat({ garbage: "json" });
    expect(() => JSON.parse(json.body.toString())).toThrow();
    const streamed = await chat({ garbage: "json" }, STREAM);
    expect(streamed.body.toString()).toContain('"choices":[{"del\n\n');
    expect((await chat({ garbage: "binary" })).body.includes(0xff)).toBe(true);
    const http = await chat({ garbage: "http" });
    expect([http.outcome, http.message]).toEqual(["broken", null]);
  });

  it("an error inside the stream", async () => {
    for (const path of ["/v1/chat/completions", "/v1/messages", "/v1/responses"]) {
      const body = { model: "m", messages: MESSAGES, input: "a", stream: true, fake: { error_frame_after: 2 } };
      const frames = (await post(path, body)).body.toString().split("\n\n");
      expect(frames).toHaveLength(4);
      expect(frames[2]).toContain("broke off");
    }
  });

  it("usage as scripted", async () => {
    const none = await chat({ usage: "none" }, STREAM);
    expect(none.body.toString()).not.toContain("prompt_tokens");
    const cached = await chat({ cache_read_tokens: 11 });
    expect(JSON.parse(cached.body.toString()).usage.prompt_tokens_details.cached_tokens).toBe(11);
  });

  it("stalls until the other side leaves, and knows that it left", async () => {
    let message: IncomingMessage | undefined;
    const body = { model: "m", messages: MESSAGES, ...STREAM, fake: { stall_after_frames: 2 } };
    const received = post("/v1/chat/completions", body, (response) => {
      message = response;
    });
    await fake.until((stats) => stats.in_flight === 1 && stats.output === 1);
    await vi.waitFor(() => expect(message).toBeDefined(), 10_000);
    const left = fake.until((stats) => stats.aborted === 1);
    message?.destroy();
    expect((await received).outcome).toBe("broken");
    expect((await left).completed).toBe(0);
  });
});

describe("tokens", () => {
  it("count as they are sent", async () => {
    const whole = await chat({ words: 20 }, STREAM);
    expect(whole.outcome).toBe("end");
    expect(fake.stats()).toMatchObject({
      output: 20,
      completed_tokens: { output: 20 },
      models: { m: { completed: 1 } },
    });
    fake.reset();
    await post(
      "/v1/chat/completions",
      { model: "m", messages: MESSAGES, ...STREAM, fake: { words: 50, gap_ms: 5 } },
      (message, soFar) => {
        if (soFar > 1000) message.destroy();
      },
    );
    const stats = await fake.until((now) => now.aborted === 1);
    expect(stats.output).toBeGreaterThan(0);
    expect(stats.output).toBeLessThan(50);
    expect(stats).toMatchObject({ completed: 0, completed_tokens: { input: 0, output: 0 } });
    expect(fake.requests()[0]).toMatchObject({ aborted: true, completed: false, outputTokens: stats.output });
  });

  it("are not dealt faster than they are read", async () => {
    const socket = connect(fake.port, "127.0.0.1");
    const body = JSON.stringify({ model: "m", messages: MESSAGES, ...STREAM, fake: { bytes: 300_000 } });
    socket.write(`POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    socket.pause();
    const planned = Math.ceil(300_000 / 4.8);
    // Once the buffers between the two ends are full, nothing more is dealt.
    let before = -1;
    await vi.waitFor(
      () => {
        const { output } = fake.stats();
        const still = output > 0 && output === before;
        before = output;
        expect(still).toBe(true);
      },
      { interval: 50, timeout: 15_000 },
    );
    expect(before).toBeLessThan(planned);
    expect(fake.stats().in_flight).toBe(1);
    socket.destroy();
    await fake.until((stats) => stats.aborted === 1);
    expect(fake.stats().output).toBeLessThan(planned);
  });
});

describe("scripts", () => {
  it("match by model, path and content, so many times, in order", async () => {
    fake.script(
      { match: { model: "a*" }, status: 500, times: 2 },
      { match: { path: "/embeddings" }, status: 501 },
      { match: { contains: "magic" }, status: 418, times: -1 },
    );
    const status = async (path: string, body: object) => (await post(path, body)).message?.statusCode;
    const seen: unknown[] = [];
    for (const model of ["abc", "b", "abc", "abc"]) seen.push(await status("/v1/chat/completions", { model }));
    expect(seen).toEqual([500, 200, 500, 200]);
    expect(await status("/v1/embeddings", { model: "x" })).toBe(501);
    expect(await status("/v1/embeddings", { model: "x" })).toBe(200);
    for (let i = 0; i < 3; i++) expect(await status("/v1/responses", { input: "magic" })).toBe(418);
  });
});

describe("control calls", () => {
  const control = async (name: string, body?: unknown) => {
    const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
    return (await fetch(`${fake.url}/__control/${name}`, init)).json();
  };

  it("script, show and forget", async () => {
    expect(await control("script", { match: { model: "m" }, status: 500 })).toEqual({ ok: true });
    const sent = { model: "m", odd: 1e2, fakeless: true };
    expect((await post("/v1/chat/completions?q=1", sent)).message?.statusCode).toBe(500);
    const [record] = (await control("requests")) as Record<string, unknown>[];
    expect(record).toMatchObject({ method: "POST", path: "/v1/chat/completions?q=1", aborted: false, status: 500 });
    expect(Buffer.from(String(record?.body), "base64").toString()).toBe(JSON.stringify(sent));
    expect(record?.rawHeaders).toContain("Connection");
    expect(await control("stats")).toMatchObject({ requests: 1, completed: 1, in_flight: 0 });
    await control("reset", {});
    expect(await control("stats")).toMatchObject({ requests: 0, models: {} });
    expect((await fetch(`${fake.url}/__control/script`, { method: "POST", body: "{" })).status).toBe(400);
    expect((await fetch(`${fake.url}/__control/other`)).status).toBe(404);
  });
});
