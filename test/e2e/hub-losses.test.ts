/** What a translation loses is said, and refused where the caller wants nothing lost; large bodies take the pool. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { BEARER, call, eventOf, lastRequest } from "./calls.js";
import { type RunningGateway, startGateway } from "./gateway.js";
import { acrossDialects, bodiesOf, STRICT_KEY } from "./hub-gateway.js";
import { metric } from "./wire.js";

const INLINE_BYTES = 4096;
const LOSSY = { seed: 7, logit_bias: { "50256": -100 }, presence_penalty: 0.5 };
const NAMES = ["seed", "presence_penalty", "logit_bias"];
const KEPT = { temperature: 0.5, stop: ["END"], user: "user-7" };

let upstream: FakeUpstream;
let gateway: RunningGateway;

beforeAll(async () => {
  upstream = await startFakeUpstream();
  gateway = await startGateway({
    resources: acrossDialects(upstream.url),
    config: { pool: { inline_bytes: INLINE_BYTES } },
  });
});
afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
});
beforeEach(() => upstream.reset());

function ask(more: object, headers: Record<string, string> = BEARER) {
  const body = { model: "claude-sonnet-4-5", messages: [{ role: "user", content: "Hello there" }], ...more };
  return call(`${gateway.url}/v1/chat/completions`, { body, headers });
}

const idOf = (headers: Record<string, unknown>) => String(headers["x-weir-request-id"]);

describe("losses", () => {
  test.each([false, true])("are named in a header, in the usage event and counted, streamed: %s", async (stream) => {
    const before = await metric(gateway.opsUrl, "weir_losses_total");
    const { status, headers } = await ask({ ...LOSSY, ...KEPT, stream });
    expect(status).toBe(200);
    expect(String(headers["x-weir-losses"]).split(",").toSorted()).toEqual(NAMES.toSorted());
    const event = await eventOf(gateway, idOf(headers));
    expect(event.losses.toSorted()).toEqual(NAMES.toSorted());
    await gateway.until(async () => (await metric(gateway.opsUrl, "weir_losses_total")) - before >= NAMES.length);
    expect(bodiesOf(upstream)[0]).toMatchObject({ temperature: 0.5, stop_sequences: ["END"] });
  });

  test("nothing lost, nothing said", async () => {
    const { status, headers } = await ask(KEPT);
    expect(status).toBe(200);
    expect(headers["x-weir-losses"]).toBeUndefined();
    expect((await eventOf(gateway, idOf(headers))).losses).toEqual([]);
  });
});

describe("what the caller's dialect has no place for in an answer", () => {
  /** Thinking, text and a call, as the upstream's vendor writes them. */
  const answerIn = (form: "whole.json" | "stream.txt") =>
    readFileSync(
      new URL(`../fixtures/answers/anthropic-messages/reasoning-signature.${form}`, import.meta.url),
      "utf8",
    );
  const LOST = ["thinking", "tool_calls"];

  test.each([false, true])("is named and counted like what a request loses, streamed: %s", async (stream) => {
    const content_type = stream ? "text/event-stream" : "application/json";
    upstream.script({ body: answerIn(stream ? "stream.txt" : "whole.json"), content_type });
    const before = await metric(gateway.opsUrl, "weir_losses_total");
    const body = { model: "claude-sonnet-4-5", prompt: "Weather?", max_tokens: 100, stream };
    const { status, headers, text } = await call(`${gateway.url}/v1/completions`, { body });
    expect(status).toBe(200);
    expect(text).not.toContain("signature");
    // The head of a stream has left before anything of the answer was known.
    const said = stream ? undefined : LOST.join(",");
    expect(headers["x-weir-losses"]).toBe(said);
    expect((await eventOf(gateway, idOf(headers))).losses).toEqual(LOST);
    await gateway.until(async () => (await metric(gateway.opsUrl, "weir_losses_total")) - before === LOST.length);
  });
});

describe("strict", () => {
  const STRICTNESS: readonly [name: string, more: object, headers: Record<string, string>][] = [
    ["by the request's header", {}, { ...BEARER, "x-weir-strict": "true" }],
    ["by the key", {}, { authorization: `Bearer ${STRICT_KEY}` }],
    ["by the model", { model: "strict-claude" }, BEARER],
  ];

  describe.each(STRICTNESS)("%s", (_name, more, headers) => {
    test("refuses what would lose something, and lists it", async () => {
      const answer = await ask({ ...LOSSY, ...more }, headers);
      expect(answer.status).toBe(400);
      expect(answer.json()).toMatchObject({ error: { code: "unsupported_operation" } });
      for (const name of NAMES) expect(answer.text).toContain(name);
      expect(upstream.requests()).toHaveLength(0);
    });

    test("lets pass what loses nothing", async () => {
      expect((await ask({ ...KEPT, ...more }, headers)).status).toBe(200);
    });
  });

  test("does not concern a caller of the upstream's own dialect", async () => {
    const body = { model: "chat-x", messages: [{ role: "user", content: "Hello" }], of_next_year: true, ...LOSSY };
    const headers = { authorization: `Bearer ${STRICT_KEY}` };
    expect((await call(`${gateway.url}/v1/chat/completions`, { body, headers })).status).toBe(200);
    expect(bodiesOf(upstream)[0]).toEqual(body);
  });
});

describe("bodies above pool.inline_bytes", () => {
  const jobs = () => metric(gateway.opsUrl, "weir_pool_jobs_total");

  test.each([
    ["messages of chat callers", "/v1/chat/completions", "claude-x"],
    ["chat of messages callers", "/v1/messages", "chat-x"],
  ])("are translated by the pool all the same: %s", async (_name, path, model) => {
    const before = await jobs();
    const long = "é😀 ".repeat(100_000);
    const body = { model, max_tokens: 100, messages: [{ role: "user", content: long }], stream: false };
    const answer = await call(`${gateway.url}${path}`, { body });
    expect(answer.status).toBe(200);
    expect(lastRequest(upstream).body.toString("utf8")).toContain(long);
    await gateway.until(async () => (await jobs()) - before >= 1);
  });

  test("lose and refuse as small ones do", async () => {
    const more = { ...LOSSY, messages: [{ role: "user", content: "x".repeat(INLINE_BYTES) }] };
    const said = await ask(more);
    expect(String(said.headers["x-weir-losses"]).split(",")).toHaveLength(NAMES.length);
    const refused = await ask(more, { ...BEARER, "x-weir-strict": "1" });
    expect(refused.status).toBe(400);
    const malformed = await ask({ messages: [{ role: "user", content: 7 }], filler: "x".repeat(INLINE_BYTES) });
    expect(malformed.status).toBe(400);
    expect(malformed.json()).toMatchObject({ error: { param: "messages[0].content" } });
  });

  test("small ones stay where they arrive", async () => {
    const before = await jobs();
    expect((await ask(KEPT)).status).toBe(200);
    expect(await jobs()).toBe(before);
  });
});
