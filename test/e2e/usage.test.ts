/** What an upstream says about usage, in whatever way it says it, is what the usage event tells. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { USAGE_VARIANTS } from "../../src/providers/simulator/prompt.js";
import { USAGE_FIELDS } from "../../src/usage/meter.js";
import type { Behaviour } from "../fake-upstream/behaviour.js";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { eventOf, lastRequest } from "./calls.js";
import { oneProvider, type RunningGateway, startGateway } from "./gateway.js";
import { Client, type Endpoint, ENDPOINTS, hasTerminator, requestFor, STREAMING } from "./traffic.js";

const WORDS = 24;
let upstream: FakeUpstream;
let gateway: RunningGateway;
let client: Client;

beforeAll(async () => {
  upstream = await startFakeUpstream();
  const key = { team_id: "team-7", user_id: "user-3", metadata: { cost_center: "42" } };
  const resources = oneProvider(upstream.url, key);
  Object.assign((resources.provider_keys as object[])[0] as object, { telemetry_tags: { account: "blue" } });
  gateway = await startGateway({ config: { acceptors: 1 }, resources });
  client = new Client(gateway.url);
});

afterAll(async () => {
  client?.close();
  await gateway?.dispose();
  await upstream?.close();
});

async function ask(endpoint: Endpoint, fake: Behaviour, more: Record<string, unknown> = {}) {
  const body = JSON.stringify(requestFor(endpoint, { fake: { words: WORDS, ...fake }, ...more }));
  const reply = await client.post(endpoint.path, body, { headers: { "user-agent": "gauge/1.0" } });
  return { body, reply, text: reply.body.toString("utf8"), event: await eventOf(gateway, reply.requestId) };
}

const modes = [
  ["whole", {}],
  ["streamed", { stream: true }],
] as const;

describe.each(STREAMING)("$operation", (endpoint) => {
  const onRequest = endpoint.operation === "chat" || endpoint.operation === "completions";

  for (const [mode, more] of modes) {
    for (const usage of USAGE_VARIANTS.filter((variant) => variant !== "none")) {
      it(`${mode}, usage ${usage}: the counts that the upstream dealt out`, async () => {
        const { event, reply } = await ask(endpoint, { usage }, more);
        const { inputTokens, outputTokens } = lastRequest(upstream);
        expect(reply.status).toBe(200);
        expect(outputTokens).toBe(WORDS);
        expect(event).toMatchObject({ input_tokens: inputTokens, output_tokens: outputTokens, estimated: false });
        expect(event).toMatchObject({ complete: true, status: 200, upstream_status: 200, error: "" });
      });
    }

    it(`${mode}, usage missing: estimated and flagged`, async () => {
      const { event, reply } = await ask(endpoint, { usage: "none" }, more);
      expect(reply.status).toBe(200);
      expect(event).toMatchObject({ estimated: true, complete: true, cache_read_tokens: 0, reasoning_tokens: 0 });
      // Each word of the answer is a token of every common vocabulary; the prompt has a dozen or less.
      expect(event.output_tokens).toBeGreaterThanOrEqual(WORDS - 2);
      expect(event.output_tokens).toBeLessThanOrEqual(WORDS + 4);
      expect(event.input_tokens).toBeGreaterThanOrEqual(3);
      expect(event.input_tokens).toBeLessThanOrEqual(30);
    });

    it(`${mode}: cached, cache-written and reasoning tokens are parts of the sums`, async () => {
      const parts = { cache_read_tokens: 500, cache_write_tokens: 30, reasoning_tokens: 7 };
      const { event } = await ask(endpoint, parts, more);
      const { inputTokens } = lastRequest(upstream);
      expect(inputTokens).toBeGreaterThan(530);
      expect(event).toMatchObject({ input_tokens: inputTokens, output_tokens: WORDS + 7, cache_read_tokens: 500 });
      // The OpenAI chat shape has no field for cache writes, the messages shape none for reasoning.
      expect(event.cache_write_tokens).toBe(onRequest ? 0 : 30);
      expect(event.reasoning_tokens).toBe(endpoint.operation === "messages" ? 0 : 7);
      expect(event.estimated).toBe(false);
    });
  }

  it("the usage chunk is the client's only when the client asked for it", async () => {
    const hidden = await ask(endpoint, {}, { stream: true });
    expect(hidden.text.includes('"choices":[],"usage":{')).toBe(false);
    expect(hasTerminator(endpoint.operation, hidden.reply.body)).toBe(true);
    if (!onRequest) return;
    expect(lastRequest(upstream).body.toString()).toContain('"include_usage":true');
    const shown = await ask(endpoint, {}, { stream: true, stream_options: { include_usage: true } });
    expect(shown.text.includes('"choices":[],"usage":{')).toBe(true);
    for (const { event } of [hidden, shown]) expect(event.output_tokens).toBe(WORDS);
    expect(hidden.event.response_bytes).toBe(shown.event.response_bytes);
  });

  it("a stream that the upstream breaks off: not complete, what came is estimated", async () => {
    const { event, reply } = await ask(endpoint, { close_after_frames: 12 }, { stream: true });
    expect(reply.status).toBe(200);
    expect(hasTerminator(endpoint.operation, reply.body)).toBe(false);
    expect(event).toMatchObject({ status: 200, upstream_status: 200, error: "transport_error", complete: false });
    expect(event.estimated).toBe(true);
    expect(event.output_tokens).toBeGreaterThanOrEqual(5);
    expect(event.output_tokens).toBeLessThanOrEqual(WORDS);
    expect(event.input_tokens).toBeGreaterThan(0);
  });

  it("an error event inside the stream: the upstream's error, not complete", async () => {
    const { event, reply } = await ask(endpoint, { error_frame_after: 6 }, { stream: true });
    expect(reply.body.includes("The fake upstream broke off.")).toBe(true);
    expect(hasTerminator(endpoint.operation, reply.body)).toBe(false);
    expect(event).toMatchObject({ status: 200, upstream_status: 200, error: "upstream_error", complete: false });
  });

  it("a client that leaves in mid-stream: 499, and what it used so far", async () => {
    const before = (await gateway.events()).length;
    const body = requestFor(endpoint, { stream: true, fake: { words: 2_000, gap_ms: 5 } });
    const reply = await client.post(endpoint.path, body, { leaveAfter: 8_000 });
    const event = await eventOf(gateway, reply.requestId);
    expect(event).toMatchObject({ status: 499, error: "client_closed_request", complete: false, estimated: true });
    expect(event.output_tokens).toBeGreaterThanOrEqual(10);
    expect(event.output_tokens).toBeLessThan(1_000);
    expect(event.input_tokens).toBeGreaterThan(0);
    expect((await gateway.events()).length).toBe(before + 1);
  });
});

describe("operations without output", () => {
  it("embeddings: input only", async () => {
    const { event } = await ask(ENDPOINTS.embeddings, {});
    const { inputTokens } = lastRequest(upstream);
    expect(event).toMatchObject({ input_tokens: inputTokens, output_tokens: 0, estimated: false, complete: true });
    const missing = await ask(ENDPOINTS.embeddings, { usage: "none" });
    expect(missing.event).toMatchObject({ output_tokens: 0, estimated: true });
    expect(missing.event.input_tokens).toBeGreaterThan(1);
  });

  it.each([ENDPOINTS.count_tokens, ENDPOINTS.input_tokens])("$operation uses no tokens", async (endpoint) => {
    const { event, reply } = await ask(endpoint, {});
    expect(reply.status).toBe(200);
    expect(event).toMatchObject({ operation: endpoint.operation, input_tokens: 0, output_tokens: 0, estimated: false });
  });
});

describe("attempts that fail", () => {
  const failures: readonly (readonly [string, Behaviour, object])[] = [
    ["status 429", { status: 429 }, { status: 429, upstream_status: 429, error: "upstream_error", complete: true }],
    ["status 500", { status: 500 }, { status: 500, upstream_status: 500, error: "upstream_error", complete: true }],
    ["a reset", { reset: true }, { status: 502, upstream_status: 0, error: "transport_error", complete: false }],
    ["noise", { garbage: "http" }, { status: 502, upstream_status: 0, complete: false }],
  ];

  it.each(failures)("%s: one event without tokens", async (_name, fake, expected) => {
    for (const endpoint of Object.values(ENDPOINTS)) {
      const before = (await gateway.events()).length;
      const { event } = await ask(endpoint, fake);
      expect(event).toMatchObject(expected);
      expect(event).toMatchObject({ input_tokens: 0, output_tokens: 0, estimated: false, attempt: 1 });
      expect((await gateway.events()).length).toBe(before + 1);
    }
  });

  it("requests that are refused never reach an upstream and leave no event", async () => {
    const before = (await gateway.events()).length;
    const asked = upstream.stats().requests;
    const { path } = ENDPOINTS.chat;
    const refused = [
      await client.post(path, requestFor(ENDPOINTS.chat), { headers: { authorization: "Bearer sk-wrong" } }),
      await client.post(path, requestFor(ENDPOINTS.chat, { model: "nobody-knows" })),
      await client.post(path, "{not json"),
      await client.post(path, { model: "gpt-x" }),
      await client.post("/v1/unheard-of", {}),
    ];
    expect(refused.map((reply) => reply.status)).toEqual([401, 404, 400, 400, 404]);
    await ask(ENDPOINTS.chat, {});
    expect((await gateway.events()).length).toBe(before + 1);
    expect(upstream.stats().requests).toBe(asked + 1);
  });
});

describe("the event", () => {
  it("tells who asked for what, who answered, and how it went", async () => {
    const { event, body, reply } = await ask(
      ENDPOINTS.chat,
      { delay_ms: 20 },
      { model: "gpt-alias", stream: true, stream_options: { include_usage: true } },
    );
    expect(Object.keys(event)).toEqual(Object.keys(USAGE_FIELDS));
    expect(event).toMatchObject({
      v: 1,
      request_id: reply.requestId,
      attempt: 1,
      node: "test-node",
      operation: "chat",
      client_dialect: "openai-chat",
      target_dialect: "openai-chat",
      api_key: "tester",
      team_id: "team-7",
      user_id: "user-3",
      metadata: { cost_center: "42" },
      model: "gpt-alias",
      model_entry: "gpt-alias",
      provider: "openai",
      provider_key: "openai-main",
      tags: { account: "blue" },
      upstream_model: "gpt-upstream",
      response_model: "gpt-upstream",
      streamed: true,
      finish_reason: "stop",
      request_bytes: Buffer.byteLength(body),
      response_bytes: lastRequest(upstream).bytesSent,
      client_address: "127.0.0.1",
      user_agent: "gauge/1.0",
      cache: "bypass",
      losses: [],
    });
    expect(reply.body.toString()).toContain(event.response_id);
    expect(event.time_to_first_token_ms).toBeGreaterThanOrEqual(19);
    expect(event.duration_ms).toBeGreaterThanOrEqual(event.time_to_first_token_ms);
    expect(Math.abs(Date.parse(event.time) - Date.now())).toBeLessThan(60_000);
  });

  it("names the pattern that matched, and each dialect's own stop reason", async () => {
    const stops: Record<string, [string, string]> = {
      chat: ["stop", "gpt-*"],
      completions: ["stop", "gpt-*"],
      messages: ["end_turn", "claude-*"],
      responses: ["completed", "gpt-*"],
    };
    for (const endpoint of STREAMING) {
      for (const [, more] of modes) {
        const { event } = await ask(endpoint, {}, more);
        expect([event.finish_reason, event.model_entry]).toEqual(stops[endpoint.operation]);
        expect(event.model).toBe(endpoint.model);
      }
    }
  });
});
