/** Answers from the cache, through the built gateway: for plain clients and for the vendors' own. */
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Behaviour } from "../fake-upstream/behaviour.js";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { cacheOf, fresh, OTHER_KEY, question, startCaching } from "./cache-gateway.js";
import { eventOf } from "./calls.js";
import { KEY, type RunningGateway } from "./gateway.js";
import { ask, open } from "./wire.js";

let upstream: FakeUpstream;
let gateway: RunningGateway;

beforeAll(async () => {
  upstream = await startFakeUpstream();
});
afterAll(async () => {
  await upstream?.close();
});
beforeEach(() => upstream.reset());

describe("under a policy for everything", () => {
  beforeAll(async () => {
    gateway = await startCaching(upstream, [{ name: "everything" }]);
  });
  afterAll(() => gateway?.dispose());

  test("an equal request is answered from the cache, by whatever acceptor", async () => {
    const body = question();
    const first = await ask(gateway.url, body);
    expect(cacheOf(first)).toBe("miss");
    const seen = new Set<string>();
    for (let index = 0; index < 20; index += 1) {
      const again = await ask(gateway.url, body, { headers: { connection: "close" } });
      expect([again.status, again.text, cacheOf(again)]).toEqual([200, first.text, "hit"]);
      expect(again.headers.get("x-weir-served-by")).toBe("openai");
      expect(again.headers.get("x-weir-attempts")).toBe("0");
      expect(again.headers.get("content-length")).toBe(String(Buffer.byteLength(first.text)));
      seen.add(again.headers.get("x-weir-request-id") ?? "");
    }
    expect(seen.size).toBe(20);
    expect(upstream.requests()).toHaveLength(1);
  });

  test("the order of members does not matter, their values do", async () => {
    const text = fresh();
    await ask(gateway.url, question(text, { temperature: 1 }));
    const same = `{"temperature": 1.0, "fake": {}, "messages": [{"content": "${text}", "role": "user"}], "model": "gpt-test"}`;
    expect(cacheOf(await ask(gateway.url, same))).toBe("hit");
    expect(cacheOf(await ask(gateway.url, question(text, { temperature: 0.9 })))).toBe("miss");
    expect(cacheOf(await ask(gateway.url, question(text, { temperature: 1, seed: 1 })))).toBe("miss");
    expect(cacheOf(await ask(gateway.url, question(text, { temperature: 1, model: "gpt-other" })))).toBe("miss");
  });

  test("keys have answers of their own", async () => {
    const body = question();
    await ask(gateway.url, body);
    expect(cacheOf(await ask(gateway.url, body, { key: OTHER_KEY }))).toBe("miss");
    expect(cacheOf(await ask(gateway.url, body))).toBe("hit");
  });

  test("a hit leaves one event: nothing used, and what was saved", async () => {
    const body = question();
    const first = await eventOf(gateway, (await ask(gateway.url, body)).headers.get("x-weir-request-id"));
    expect(first).toMatchObject({ cache: "miss", attempt: 1, saved_input_tokens: 0 });
    const hit = await eventOf(gateway, (await ask(gateway.url, body)).headers.get("x-weir-request-id"));
    expect(hit).toMatchObject({
      cache: "hit",
      attempt: 0,
      status: 200,
      upstream_status: 0,
      input_tokens: 0,
      output_tokens: 0,
      cost_usd: 0,
      saved_input_tokens: first.input_tokens,
      saved_output_tokens: first.output_tokens,
      saved_cost_usd: first.cost_usd,
      provider: "openai",
      upstream_model: "gpt-test",
      response_id: first.response_id,
      complete: true,
      api_key: "tester",
    });
    expect(first.input_tokens).toBeGreaterThan(0);
  });

  test("no-cache asks the upstream and refreshes; no-store keeps nothing", async () => {
    const body = question(fresh(), {}, { words: 5 });
    await ask(gateway.url, body);
    const refreshed = await ask(gateway.url, body, { headers: { "cache-control": "no-cache" } });
    expect(cacheOf(refreshed)).toBe("miss");
    expect(upstream.requests()).toHaveLength(2);
    const again = await ask(gateway.url, body);
    expect([cacheOf(again), again.text]).toEqual(["hit", refreshed.text]);
    expect(cacheOf(await ask(gateway.url, body, { headers: { "cache-control": "max-age=0, no-store" } }))).toBe("hit");

    const other = question();
    expect(cacheOf(await ask(gateway.url, other, { headers: { "Cache-Control": "No-Store" } }))).toBe("miss");
    expect(cacheOf(await ask(gateway.url, other))).toBe("miss");
    const neither = await ask(gateway.url, other, { headers: { "cache-control": "no-cache, no-store" } });
    expect(cacheOf(neither)).toBe("bypass");
  });

  test("errors and broken answers are never kept", async () => {
    const failing: readonly Behaviour[] = [
      { status: 500 },
      { status: 429 },
      { status: 400 },
      { garbage: "json" },
      { body: { error: { message: "in band", type: "server_error" } } },
      { body: { id: "x", status: "failed" } },
    ];
    for (const fake of failing) {
      const body = question(fresh(), {}, fake);
      await ask(gateway.url, body);
      expect(cacheOf(await ask(gateway.url, body)), JSON.stringify(fake)).not.toBe("hit");
    }
    for (const fake of [{ close_after_frames: 2 }, { error_frame_after: 2 }, { end_without_terminator: true }]) {
      const body = question(fresh(), { stream: true }, { words: 10, ...fake });
      await ask(gateway.url, body).catch(() => null);
      expect(cacheOf(await open(gateway.url, body)), JSON.stringify(fake)).not.toBe("hit");
    }
  });

  test("an answer whose caller left is not kept", async () => {
    const body = question(fresh(), { stream: true }, { words: 50, gap_ms: 20 });
    const leaving = new AbortController();
    const response = await open(gateway.url, body, { signal: leaving.signal });
    await response.body?.getReader().read();
    leaving.abort();
    await gateway.until(async () => (await gateway.events()).some((event) => event.status === 499));
    expect(cacheOf(await open(gateway.url, body))).toBe("miss");
  });

  test("what is more than an answer passes by", async () => {
    const body = { model: "gpt-test", input: fresh(), store: true };
    for (let index = 0; index < 2; index += 1) {
      expect(cacheOf(await ask(gateway.url, body, { path: "/v1/responses" }))).toBe("bypass");
    }
    const models = await fetch(`${gateway.url}/v1/models`, { headers: { authorization: `Bearer ${KEY}` } });
    expect(models.status).toBe(200);
  });

  test("a long answer is told whole, however slowly it is read", async () => {
    const body = question(fresh(), { stream: true }, { bytes: 60_000, chunking: { mode: "burst" } });
    const first = await ask(gateway.url, body);
    const response = await open(gateway.url, body);
    expect(cacheOf(response)).toBe("hit");
    const reader = response.body!.getReader();
    const parts: Uint8Array[] = [];
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      if (parts.length % 4 === 0) await new Promise((resume) => setTimeout(resume, 5));
    }
    expect(Buffer.concat(parts).equals(Buffer.from(first.text))).toBe(true);
    const whole = question(fresh(), {}, { bytes: 300_000 });
    const [one, two] = [await ask(gateway.url, whole), await ask(gateway.url, whole)];
    expect([cacheOf(two), two.text === one.text]).toEqual(["hit", true]);
  });

  test("metrics tell of it", async () => {
    const text = await (await fetch(`${gateway.opsUrl}/metrics`)).text();
    for (const outcome of ["hit", "miss", "bypass"]) {
      expect(text).toMatch(new RegExp(`weir_cache_requests_total\\{outcome="${outcome}"\\} [1-9]`));
    }
    expect(text).toMatch(/weir_cache_stored_total [1-9]/);
    expect(text).toMatch(/weir_cache_bytes [1-9]/);
    expect(text).toMatch(/weir_cache_entries [1-9]/);
  });

  describe("the vendors' clients get equal answers in either mode", () => {
    let openai: OpenAI;
    let anthropic: Anthropic;

    beforeAll(() => {
      openai = new OpenAI({ apiKey: KEY, baseURL: `${gateway.url}/v1`, maxRetries: 0 });
      anthropic = new Anthropic({ apiKey: KEY, baseURL: gateway.url, maxRetries: 0 });
    });

    const told = (text: string, tokens: unknown) => ({ text, tokens });

    async function chatWhole(content: string) {
      const { data, response } = await openai.chat.completions
        .create({ model: "gpt-test", messages: [{ role: "user", content }] })
        .withResponse();
      return {
        ...told(data.choices[0]?.message.content ?? "", data.usage?.total_tokens),
        cache: cacheOf(response),
      };
    }

    async function chatStreamed(content: string, usage = true) {
      const { data, response } = await openai.chat.completions
        .create({
          model: "gpt-test",
          messages: [{ role: "user", content }],
          stream: true,
          ...(usage ? { stream_options: { include_usage: true } } : {}),
        })
        .withResponse();
      let text = "";
      let tokens: number | undefined;
      for await (const chunk of data) {
        text += chunk.choices[0]?.delta.content ?? "";
        tokens = chunk.usage?.total_tokens ?? tokens;
      }
      return { ...told(text, tokens), cache: cacheOf(response) };
    }

    async function messages(content: string, streamed: boolean) {
      const body = { model: "claude-test", max_tokens: 100, messages: [{ role: "user" as const, content }] };
      if (!streamed) {
        const { data, response } = await anthropic.messages.create(body).withResponse();
        const text = data.content.map((block) => (block.type === "text" ? block.text : "")).join("");
        return { ...told(text, [data.usage.input_tokens, data.usage.output_tokens]), cache: cacheOf(response) };
      }
      const stream = anthropic.messages.stream(body);
      const { data, response } = await stream.withResponse();
      const final = await data.finalMessage();
      const text = final.content.map((block) => (block.type === "text" ? block.text : "")).join("");
      return { ...told(text, [final.usage.input_tokens, final.usage.output_tokens]), cache: cacheOf(response) };
    }

    async function responses(input: string, streamed: boolean) {
      if (!streamed) {
        const { data, response } = await openai.responses.create({ model: "gpt-test", input }).withResponse();
        return { ...told(data.output_text, data.usage?.total_tokens), cache: cacheOf(response) };
      }
      const { data, response } = await openai.responses
        .create({ model: "gpt-test", input, stream: true })
        .withResponse();
      let text = "";
      let tokens: number | undefined;
      for await (const event of data) {
        if (event.type === "response.output_text.delta") text += event.delta;
        if (event.type === "response.completed") tokens = event.response.usage?.total_tokens;
      }
      return { ...told(text, tokens), cache: cacheOf(response) };
    }

    async function completions(prompt: string, streamed: boolean) {
      if (!streamed) {
        const { data, response } = await openai.completions.create({ model: "gpt-test", prompt }).withResponse();
        return { ...told(data.choices[0]?.text ?? "", data.usage?.total_tokens), cache: cacheOf(response) };
      }
      const { data, response } = await openai.completions
        .create({ model: "gpt-test", prompt, stream: true, stream_options: { include_usage: true } })
        .withResponse();
      let text = "";
      let tokens: number | undefined;
      for await (const chunk of data) {
        text += chunk.choices[0]?.text ?? "";
        tokens = chunk.usage?.total_tokens ?? tokens;
      }
      return { ...told(text, tokens), cache: cacheOf(response) };
    }

    test.each([
      ["chat", (text: string, streamed: boolean) => (streamed ? chatStreamed(text) : chatWhole(text))],
      ["messages", messages],
      ["responses", responses],
      ["completions", completions],
    ])("%s", async (_name, get) => {
      for (const recorded of [false, true]) {
        const text = fresh();
        const first = await get(text, recorded);
        expect(first.cache).toBe("miss");
        expect(first.text).not.toBe("");
        expect(await get(text, recorded)).toEqual({ ...first, cache: "hit" });
        expect(await get(text, !recorded)).toEqual({ ...first, cache: "hit" });
      }
      expect(upstream.requests()).toHaveLength(2);
    });

    test("usage in a stream is for those who ask for it", async () => {
      const hidden = fresh();
      const without = await chatStreamed(hidden, false);
      expect(without.tokens).toBeUndefined();
      const shown = await chatStreamed(hidden, true);
      expect(shown).toMatchObject({ text: without.text, cache: "hit" });
      expect(shown.tokens).toBeGreaterThan(0);
      const other = fresh();
      expect((await chatStreamed(other, true)).tokens).toBeGreaterThan(0);
      expect(await chatStreamed(other, false)).toMatchObject({ tokens: undefined, cache: "hit" });
      expect(upstream.requests()).toHaveLength(2);
    });

    test("embeddings", async () => {
      const input = [fresh(), fresh()];
      const get = () => openai.embeddings.create({ model: "text-embedding-test", input }).withResponse();
      const [first, second] = [await get(), await get()];
      expect([cacheOf(first.response), cacheOf(second.response)]).toEqual(["miss", "hit"]);
      expect(second.data).toEqual(first.data);
    });
  });
});
