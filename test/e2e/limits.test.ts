/** Rate limits: exact over the acceptors, tokens reserved and settled, refusals cost nothing. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { oneProvider, roomInWindow, type RunningGateway, sha256, startGateway } from "./gateway.js";
import { type Answer, ask, chat, metric } from "./wire.js";

const MINUTE_MS = 60_000;
let fake: FakeUpstream;
let gateway: RunningGateway | null = null;

beforeAll(async () => {
  fake = await startFakeUpstream();
});

afterAll(() => fake?.close());
beforeEach(() => fake.reset());
afterEach(async () => {
  await gateway?.dispose();
  gateway = null;
});

async function start(key: Record<string, unknown>, model: Record<string, unknown> = {}): Promise<RunningGateway> {
  gateway = await startGateway({ config: { acceptors: 2 }, resources: resourcesWith(key, model) });
  return gateway;
}

function resourcesWith(key: Record<string, unknown>, model: Record<string, unknown>): Record<string, unknown> {
  const resources = oneProvider(fake.url, { rate_limit: key });
  const limited = { display_name: "gpt-limited", provider: "openai", model_name: "m", provider_key: "openai-main" };
  (resources.models as unknown[]).push({ ...limited, ...(Object.keys(model).length > 0 ? { rate_limit: model } : {}) });
  (resources.api_keys as unknown[]).push({ display_name: "free", key_hash: sha256("free"), allowed_models: ["*"] });
  return resources;
}

/** Windows are aligned to the clock: begin where there is time enough left in the minute. */
function roomInMinute(): Promise<unknown> {
  return roomInWindow(MINUTE_MS, 12_000);
}

/** A refusal by a limit; tells its retry-after. */
function expectRefused(answer: Answer): number {
  expect(answer.status).toBe(429);
  expect(answer.json.error).toMatchObject({ type: "rate_limit_exceeded", code: "rate_limit_exceeded" });
  const seconds = answer.headers.get("retry-after") ?? "";
  expect(seconds).toMatch(/^[1-9]\d*$/);
  return Number(seconds);
}

function admitted(answers: readonly Answer[]): number {
  return answers.filter(({ status }) => status === 200).length;
}

describe("rpm", () => {
  it("admits exactly its number over two acceptors and eight clients", async () => {
    const { url } = await start({ rpm: 40 });
    await roomInMinute();
    const clients = Array.from({ length: 8 }, async () => {
      const answers: Answer[] = [];
      for (let i = 0; i < 20; i += 1) {
        answers.push(await ask(url, chat({}, { stream: i % 2 === 0 }), { headers: { connection: "close" } }));
      }
      return answers;
    });
    const answers = (await Promise.all(clients)).flat();
    const left = (MINUTE_MS - (Date.now() % MINUTE_MS)) / 1_000;
    expect(admitted(answers)).toBe(40);
    expect(fake.requests()).toHaveLength(40);
    for (const answer of answers.filter(({ status }) => status !== 200)) {
      const seconds = expectRefused(answer);
      expect(seconds).toBeGreaterThanOrEqual(Math.floor(left));
      expect(seconds).toBeLessThanOrEqual(Math.ceil(left) + 10);
    }
    // Another key is not concerned, and the refused ones left no event.
    expect((await ask(url, chat(), { key: "free" })).status).toBe(200);
    await gateway?.until(async () => (await gateway?.events())?.length === 41);
  });

  it("is told in the envelope of the messages dialect, too", async () => {
    const { url } = await start({ rpm: 1 });
    await roomInMinute();
    const body = { model: "claude-x", max_tokens: 5, messages: [{ role: "user", content: "hi" }] };
    expect((await ask(url, body, { path: "/v1/messages" })).status).toBe(200);
    const refused = await ask(url, body, { path: "/v1/messages" });
    expect([refused.status, refused.json.error.type]).toEqual([429, "rate_limit_error"]);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
  });

  it("of a key and of a model admit together or not at all", async () => {
    const { url } = await start({ rpm: 6 }, { rpm: 2 });
    await roomInMinute();
    const limited = () => ask(url, chat({}, { model: "gpt-limited" }));
    const answers = [];
    for (let i = 0; i < 6; i += 1) answers.push(await limited());
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 429, 429, 429, 429]);
    expect(answers[2]?.json.error.message).toContain("model");
    // The four refusals took nothing from the key: it has four left.
    const others = [];
    for (let i = 0; i < 5; i += 1) others.push(await ask(url, chat()));
    expect(others.map(({ status }) => status)).toEqual([200, 200, 200, 200, 429]);
    // The model's limit is everybody's.
    expectRefused(await ask(url, chat({}, { model: "gpt-limited" }), { key: "free" }));
  });

  it("survives a reload, and a new bound is in force at once", async () => {
    const running = await start({ rpm: 3 });
    await roomInMinute();
    for (let i = 0; i < 3; i += 1) expect((await ask(running.url, chat())).status).toBe(200);
    expectRefused(await ask(running.url, chat()));
    running.writeResources(resourcesWith({ rpm: 5 }, {}));
    running.child.kill("SIGHUP");
    await running.until(async () => (await metric(running.opsUrl, "weir_config_reloads_total", "applied")) > 0);
    await running.until(async () => (await ask(running.url, chat())).status === 200);
    expect((await ask(running.url, chat())).status).toBe(200);
    expectRefused(await ask(running.url, chat()));
    expect(fake.requests()).toHaveLength(5);
  });
});

describe("rps", () => {
  it("admits again when retry-after has passed", async () => {
    const { url, until } = await start({ rps: 2 });
    const refused = await until(async () => {
      const answers = await Promise.all(Array.from({ length: 12 }, () => ask(url, chat())));
      return answers.find(({ status }) => status === 429);
    });
    const from = Date.now();
    expect(expectRefused(refused)).toBe(1);
    await until(async () => (await ask(url, chat())).status === 200);
    expect(Date.now() - from).toBeLessThan(5_000);
  });
});

describe("tpm", () => {
  it("reserves what a request may use, and gives back what it did not", async () => {
    const { url } = await start({ tpm: 2_000 });
    await roomInMinute();
    const held = ask(url, chat({ held: true, words: 10 }, { max_tokens: 5_000 }));
    await fake.until((stats) => stats.in_flight === 1);
    expectRefused(await ask(url, chat()));
    fake.release();
    expect((await held).status).toBe(200);
    // A handful was used: nearly all of it is there again.
    expect((await ask(url, chat({ words: 10 }, { max_tokens: 1_500 }))).status).toBe(200);
  });

  it("is settled with the tokens that the upstream says, cached and streamed ones included", async () => {
    const { url } = await start({ tpm: 300 });
    await roomInMinute();
    let count = 0;
    for (; count < 40; count += 1) {
      const answer = await ask(url, chat({ words: 20 }, { max_tokens: 30, stream: count % 2 === 0 }));
      if (answer.status === 429) break;
      expect(answer.status).toBe(200);
    }
    const { input, output } = fake.stats();
    const each = (input + output) / count;
    // Admitted as long as anything was left, refused from the moment on at which all was used.
    expect(input + output).toBeGreaterThanOrEqual(300);
    expect(input + output - each).toBeLessThan(300);
  });

  it("is given back whole when the upstream could not be reached", async () => {
    const { url } = await start({ tpm: 200 });
    await roomInMinute();
    for (let i = 0; i < 8; i += 1) {
      expect((await ask(url, chat({ reset: true }, { max_tokens: 150 }))).status).toBe(502);
      expect((await ask(url, chat({ status: 500 }, { max_tokens: 150 }))).status).toBe(500);
    }
    expect((await ask(url, chat({ words: 5 }))).status).toBe(200);
  });
});

describe("concurrency", () => {
  it("holds over the acceptors, with retry-after, and frees its places however requests end", async () => {
    const { url, opsUrl, until } = await start({ concurrency: 3 });
    for (const how of ["answered", "left", "broken"] as const) {
      fake.reset();
      const leave = new AbortController();
      const script = { held: true, reset: how === "broken" };
      const options = { signal: leave.signal, headers: { connection: "close" } };
      const held = Array.from({ length: 3 }, () => ask(url, chat(script), options).catch(() => null));
      await fake.until((stats) => stats.in_flight === 3);
      const refused = await Promise.all(Array.from({ length: 4 }, () => ask(url, chat())));
      for (const answer of refused) expectRefused(answer);
      expect((await ask(url, chat(), { key: "free" })).status).toBe(200);
      if (how === "left") leave.abort();
      else fake.release();
      await Promise.all(held);
      await until(async () => (await metric(opsUrl, "weir_requests_in_flight")) === 0);
      const again = Array.from({ length: 3 }, () => ask(url, chat({ delay_ms: 100 })));
      expect(admitted(await Promise.all(again))).toBe(3);
    }
  });
});
