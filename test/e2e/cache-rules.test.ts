/** What stands around the cache: purges, equal misses at once, limits, guardrails, and answers by meaning. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { ADMIN_KEY, cacheOf, fresh, OTHER_KEY, question, startCaching, unscripted } from "./cache-gateway.js";
import { eventOf } from "./calls.js";
import { KEY, oneProvider, roomInWindow, type RunningGateway, startGateway } from "./gateway.js";
import { ask } from "./wire.js";

const MAIN = fileURLToPath(new URL("../../dist/main.js", import.meta.url));

let upstream: FakeUpstream;
let gateway: RunningGateway;

beforeAll(async () => {
  upstream = await startFakeUpstream();
});
afterAll(async () => {
  await upstream?.close();
});
beforeEach(() => upstream.reset());

describe("a purge", () => {
  beforeEach(async () => {
    gateway = await startCaching(upstream, [{ name: "chats", applies_to: "model:gpt-test" }, { name: "everything" }]);
  });
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

test("callers from where a target is closed are not told what it said to others", async () => {
  const { models: _models, ...plain } = oneProvider(upstream.url);
  const direct = (name: string, more = {}) => ({
    display_name: name,
    provider: "openai",
    model_name: name,
    provider_key: "openai-main",
    ...more,
  });
  const targets = [{ model: "inside" }, { model: "anywhere" }];
  gateway = await startGateway({
    config: { acceptors: 1, trusted_proxies: ["127.0.0.1/32"] },
    resources: {
      ...plain,
      models: [
        direct("inside", { allowed_cidrs: ["10.0.0.0/8"] }),
        direct("anywhere"),
        { display_name: "shared", routing: { targets } },
      ],
      cache_policies: [{ name: "everything" }],
    },
  });
  const body = { ...unscripted(fresh()), model: "shared" };
  const from = async (address: string) => {
    const answer = await ask(gateway.url, body, { headers: { "x-forwarded-for": address } });
    return [answer.status, cacheOf(answer), answer.headers.get("x-weir-upstream-model")];
  };
  expect(await from("10.1.2.3")).toEqual([200, "miss", "inside"]);
  expect(await from("10.9.9.9")).toEqual([200, "hit", "inside"]);
  expect(await from("192.0.2.1")).toEqual([200, "miss", "anywhere"]);
  expect(await from("192.0.2.1")).toEqual([200, "hit", "anywhere"]);
  expect(await from("10.1.2.3")).toEqual([200, "hit", "inside"]);
  await gateway.dispose();
});

test("an admin API without keys is closed", async () => {
  gateway = await startGateway({ resources: oneProvider(upstream.url) });
  const answer = await ask(gateway.opsUrl, {}, { path: "/admin/v1/cache/purge" });
  expect([answer.status, answer.json.error.message]).toEqual([403, expect.stringContaining("admin_key_hashes")]);
  expect(cacheOf(await ask(gateway.url, question()))).toBe("bypass");
  await gateway.dispose();
});

describe("equal misses at once", () => {
  beforeAll(async () => {
    gateway = await startCaching(upstream, [{ name: "shared", collapse: true, scope: "env" }]);
  });
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
    const body = unscripted(text);
    const answers = await Promise.all(Array.from({ length: 10 }, () => ask(gateway.url, body)));
    expect(answers.map(({ status }) => status).sort()).toEqual([...Array<number>(9).fill(200), 400]);
    expect(upstream.requests()).toHaveLength(2);
  });

  test("go on when the first caller leaves", async () => {
    const text = fresh();
    upstream.script({ match: { contains: text }, delay_ms: 10_000 });
    const leaving = new AbortController();
    const first = ask(gateway.url, unscripted(text), { signal: leaving.signal }).catch(() => null);
    await upstream.until(({ in_flight }) => in_flight === 1);
    const others = Promise.all([1, 2, 3].map(() => ask(gateway.url, unscripted(text))));
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
    const key = { rate_limit: { rpd: 4, tpd: 1_000_000 } };
    await roomInWindow(86_400_000, 15_000);
    gateway = await startCaching(upstream, [{ name: "everything" }], { key });
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

describe("guardrails", () => {
  afterEach(() => gateway?.dispose());

  test.each([false, true])("look at kept answers, whatever others were shown (streamed: %s)", async (stream) => {
    const more = {
      guardrails: [
        { name: "no-echo", kind: "keyword", hook_point: "output", patterns: [{ kind: "literal", value: "You said" }] },
      ],
      guardrail_attachments: [{ guardrail: "no-echo", scope_type: "api_key", scope_id: "other" }],
    };
    gateway = await startCaching(upstream, [{ name: "shared", scope: "env" }], { more });
    const body = question(fresh(), { stream });
    const shown = await ask(gateway.url, body);
    expect([shown.status, shown.text.includes("You")]).toEqual([200, true]);
    const blocked = await ask(gateway.url, body, { key: OTHER_KEY });
    expect(blocked.status).toBe(422);
    const event = await eventOf(gateway, blocked.headers.get("x-weir-request-id"));
    expect(event).toMatchObject({ cache: "hit", status: 422, error: "content_filter", complete: false });
    expect(event.guardrails).toEqual([{ name: "no-echo", action: "block", hook: "output" }]);
    // What was blocked on its first way is not kept for anybody.
    const other = question(fresh(), { stream });
    expect((await ask(gateway.url, other, { key: OTHER_KEY })).status).toBe(422);
    const after = await ask(gateway.url, other);
    expect([after.status, cacheOf(after)]).toEqual([200, "miss"]);
    expect(await ask(gateway.url, other)).toMatchObject({ text: after.text });
    expect(upstream.requests()).toHaveLength(3);
  });
});

describe("by meaning", () => {
  const VECTORS: Record<string, readonly number[]> = { sunny: [1, 0, 0], bright: [0.99, 0.1, 0], cold: [0, 1, 0] };

  beforeEach(async () => {
    gateway = await startCaching(upstream, [
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
