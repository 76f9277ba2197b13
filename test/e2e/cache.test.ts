/** Answers from the cache, through the built gateway: for plain clients and for the vendors' own. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { eventOf } from "./calls.js";
import { KEY, oneProvider, type RunningGateway, sha256, startGateway } from "./gateway.js";
import { ask, chat, open } from "./wire.js";

const ADMIN_KEY = "admin-key";
const OTHER_KEY = "sk-other-key";
const MAIN = fileURLToPath(new URL("../../dist/main.js", import.meta.url));

let upstream: FakeUpstream;
let gateway: RunningGateway;
let counter = 0;

/** A prompt that no other test has used. */
function fresh(): string {
  counter += 1;
  return `Question ${counter}`;
}

function question(text = fresh(), more: Record<string, unknown> = {}, fake = {}) {
  return chat(fake, { messages: [{ role: "user", content: text }], ...more });
}

function resources(policies: readonly Record<string, unknown>[], key: Record<string, unknown> = {}) {
  const plain = oneProvider(upstream.url, key);
  return {
    ...plain,
    api_keys: [
      ...(plain.api_keys as object[]),
      { display_name: "other", key_hash: sha256(OTHER_KEY), allowed_models: ["*"] },
    ],
    cache_policies: policies,
  };
}

function cacheOf(answer: { headers: Headers }): string | null {
  return answer.headers.get("x-weir-cache");
}

async function start(policies: readonly Record<string, unknown>[], key: Record<string, unknown> = {}): Promise<void> {
  gateway = await startGateway({
    config: { acceptors: 2, ops: { listen: "127.0.0.1:0", admin_key_hashes: [sha256(ADMIN_KEY)] } },
    resources: resources(policies, key),
  });
}

beforeAll(async () => {
  upstream = await startFakeUpstream();
});
afterAll(async () => {
  await upstream?.close();
});
beforeEach(() => upstream.reset());

describe("under a policy for everything", () => {
  beforeAll(() => start([{ name: "everything" }]));
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
    for (const fake of [
      { status: 500 },
      { status: 429 },
      { status: 400 },
      { garbage: "json" },
      { body: { error: { message: "in band", type: "server_error" } } },
      { body: { id: "x", status: "failed" } },
    ]) {
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
    const body = question(fresh(), { stream: true }, { bytes: 600_000, chunking: { mode: "burst" } });
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

describe("a purge", () => {
  beforeEach(() => start([{ name: "chats", applies_to: "model:gpt-test" }, { name: "everything" }]));
  afterEach(() => gateway?.dispose());

  function purge(body: unknown, key = ADMIN_KEY) {
    return ask(gateway.opsUrl, body, { path: "/admin/v1/cache/purge", key });
  }

  function command(...names: string[]): Promise<{ code: number | null; out: string }> {
    const child = spawn(process.execPath, [MAIN, "cache", "purge", "--url", gateway.opsUrl, ...names], {
      env: { PATH: process.env.PATH ?? "", WEIR_ADMIN_KEY: ADMIN_KEY },
    });
    let out = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        out += text;
      });
    }
    return new Promise((done) => child.once("close", (code) => done({ code, out })));
  }

  test("forgets everything, or what bears a name", async () => {
    const bodies = [question(), question(fresh(), { model: "gpt-other" })];
    const states = async () => Promise.all(bodies.map(async (body) => cacheOf(await ask(gateway.url, body))));
    expect(await states()).toEqual(["miss", "miss"]);
    expect(await states()).toEqual(["hit", "hit"]);
    expect((await purge({ policy: "chats" })).json).toEqual({ purged: 1 });
    expect(await states()).toEqual(["miss", "hit"]);
    expect((await purge({ model: "gpt-other", api_key: "tester" })).json).toEqual({ purged: 1 });
    expect(await states()).toEqual(["hit", "miss"]);
    expect((await purge({ api_key: "nobody" })).json).toEqual({ purged: 0 });
    expect(await command("--model", "gpt-test")).toEqual({ code: 0, out: "1 answers forgotten\n" });
    expect(await states()).toEqual(["miss", "hit"]);
    expect(await command()).toEqual({ code: 0, out: "2 answers forgotten\n" });
    expect(await states()).toEqual(["miss", "miss"]);
  });

  test("is the administrator's alone", async () => {
    expect((await purge({}, "wrong")).status).toBe(401);
    expect((await fetch(`${gateway.opsUrl}/admin/v1/cache/purge`, { method: "POST" })).status).toBe(401);
    expect((await purge({ model: 1 })).status).toBe(400);
    expect((await purge({ modle: "x" })).status).toBe(400);
    expect((await purge("{")).status).toBe(400);
    expect((await purge("x".repeat(100_000))).status).toBe(400);
    expect((await ask(gateway.opsUrl, {}, { path: "/admin/v1/other", key: ADMIN_KEY })).status).toBe(404);
    const got = await fetch(`${gateway.opsUrl}/admin/v1/cache/purge`, { headers: { "x-api-key": ADMIN_KEY } });
    expect(got.status).toBe(405);
    expect((await command("--nonsense")).code).toBe(1);
  });
});

test("an admin API without keys is closed", async () => {
  gateway = await startGateway({ resources: resources([]) });
  const answer = await ask(gateway.opsUrl, {}, { path: "/admin/v1/cache/purge" });
  expect([answer.status, answer.json.error.message]).toEqual([403, expect.stringContaining("admin_key_hashes")]);
  expect(cacheOf(await ask(gateway.url, question()))).toBe("bypass");
  await gateway.dispose();
});

describe("equal misses at once", () => {
  beforeAll(() => start([{ name: "shared", collapse: true, scope: "env" }]));
  afterAll(() => gateway?.dispose());

  test("share one upstream call", async () => {
    const body = question(fresh(), {}, { delay_ms: 300 });
    const asked = Array.from({ length: 50 }, (_, index) =>
      ask(gateway.url, body, { headers: { connection: "close" }, key: index % 2 === 0 ? KEY : OTHER_KEY }),
    );
    const answers = await Promise.all(asked);
    expect(upstream.requests()).toHaveLength(1);
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    const states = answers.map(cacheOf).sort();
    expect(states).toEqual([...Array<string>(49).fill("hit"), "miss"]);
  });

  test("go on when the first fails, one after the other", async () => {
    const text = fresh();
    upstream.script({ match: { contains: text }, delay_ms: 200, status: 400 });
    const body = question(text);
    const answers = await Promise.all(Array.from({ length: 10 }, () => ask(gateway.url, body)));
    expect(answers.map(({ status }) => status).sort()).toEqual([...Array<number>(9).fill(200), 400]);
    expect(upstream.requests()).toHaveLength(2);
  });

  test("go on when the first caller leaves", async () => {
    const text = fresh();
    upstream.script({ match: { contains: text }, delay_ms: 10_000 });
    const leaving = new AbortController();
    const first = ask(gateway.url, question(text), { signal: leaving.signal }).catch(() => null);
    await upstream.until(({ started }) => started === 1);
    const others = Promise.all([1, 2, 3].map(() => ask(gateway.url, question(text))));
    // They have come, and nothing was asked for them.
    await gateway.until(async () =>
      /weir_requests_in_flight 4/.test(await (await fetch(`${gateway.opsUrl}/metrics`)).text()),
    );
    expect(upstream.requests().length).toBeLessThanOrEqual(1);
    leaving.abort();
    await first;
    expect((await others).map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(upstream.requests()).toHaveLength(2);
  });

  test("wait no longer than their own time", async () => {
    const text = fresh();
    await expect(
      Promise.all([
        ask(gateway.url, question(text, {}, { delay_ms: 600 })),
        ask(gateway.url, question(text, {}, { delay_ms: 600 }), { headers: { "cache-control": "no-store" } }),
      ]),
    ).resolves.toMatchObject([{ status: 200 }, { status: 200 }]);
    expect(upstream.requests()).toHaveLength(2);
  });
});

describe("limits", () => {
  afterEach(() => gateway?.dispose());

  test("a hit counts as a request, and uses no tokens", async () => {
    await start([{ name: "everything" }], { rate_limit: { rpd: 4, tpd: 1_000_000 } });
    const body = question();
    const first = await ask(gateway.url, body);
    const used = 1_000_000 - Number(first.headers.get("x-ratelimit-remaining-tokens"));
    expect(used).toBeGreaterThan(0);
    for (let index = 0; index < 3; index += 1) {
      const hit = await ask(gateway.url, body);
      expect(cacheOf(hit)).toBe("hit");
      expect(hit.headers.get("x-ratelimit-remaining-requests")).toBe(String(2 - index));
    }
    expect((await ask(gateway.url, body)).status).toBe(429);
  });
});

describe("by meaning", () => {
  const VECTORS: Record<string, readonly number[]> = { sunny: [1, 0, 0], bright: [0.99, 0.1, 0], cold: [0, 1, 0] };

  beforeEach(async () => {
    await start([
      {
        name: "meaning",
        semantic: { embedding_model: "text-embedding-test", threshold: 0.9, embedding_timeout_ms: 2_000 },
      },
    ]);
    for (const [word, embedding] of Object.entries(VECTORS)) {
      const body = {
        object: "list",
        data: [{ object: "embedding", index: 0, embedding }],
        usage: { prompt_tokens: 3, total_tokens: 3 },
      };
      upstream.script({ match: { path: "/embeddings", contains: word }, body, times: -1 });
    }
  });
  afterEach(() => gateway?.dispose());

  const weather = (word: string, more: Record<string, unknown> = {}) => question(`Is it ${word}?`, more);
  const chats = () => upstream.requests().filter(({ path }) => path.endsWith("/chat/completions")).length;

  test("a like question is answered from the cache, an unlike one is not", async () => {
    const first = await ask(gateway.url, weather("sunny"));
    expect([first.status, cacheOf(first)]).toEqual([200, "miss"]);
    for (let index = 0; index < 4; index += 1) {
      const like = await ask(gateway.url, weather("bright"), { headers: { connection: "close" } });
      expect([like.text, cacheOf(like)]).toEqual([first.text, "hit"]);
    }
    expect(cacheOf(await ask(gateway.url, weather("cold")))).toBe("miss");
    // Everything else must be equal.
    expect(cacheOf(await ask(gateway.url, weather("bright", { temperature: 0.1 })))).toBe("miss");
    expect(chats()).toBe(3);
    const embeddings = (await gateway.events()).filter(({ operation }) => operation === "embeddings");
    expect(embeddings.length).toBeGreaterThan(4);
    expect(embeddings[0]).toMatchObject({ api_key: "tester", input_tokens: 3 });
  });

  test("a like question in the other mode, too", async () => {
    await ask(gateway.url, weather("sunny"));
    const streamed = await ask(gateway.url, weather("bright", { stream: true }));
    expect(cacheOf(streamed)).toBe("hit");
    expect(streamed.headers.get("content-type")).toContain("text/event-stream");
    expect(streamed.text.trimEnd().endsWith("data: [DONE]")).toBe(true);
    expect(chats()).toBe(1);
  });

  test("a failure of the embedding model is a miss", async () => {
    upstream.reset();
    upstream.script({ match: { path: "/embeddings" }, status: 500, times: -1 });
    const first = await ask(gateway.url, weather("sunny"));
    expect([first.status, cacheOf(first)]).toEqual([200, "miss"]);
    expect(cacheOf(await ask(gateway.url, weather("bright")))).toBe("miss");
    expect(cacheOf(await ask(gateway.url, weather("sunny")))).toBe("hit");
  });
});
