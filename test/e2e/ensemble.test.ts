/** Ensembles: a panel answers at once and unseen, a judge writes the caller's answer from what it said. */
import OpenAI from "openai";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { call, received } from "./calls.js";
import { KEY, roomInWindow, type RunningGateway, sha256, startGateway } from "./gateway.js";
import {
  bodiesFor,
  chatModel,
  type Clients,
  clientsOf,
  type Entry,
  eventsOf,
  messagesModel,
  WAYS,
  withModels,
} from "./virtual.js";
import { type Answer, ask as post, metric, open } from "./wire.js";

const MINUTE_MS = 60_000;
const COST = { cost: { input_per_1k: 0, output_per_1k: 1 } };
const HELLO = { model: "council", messages: [{ role: "user" as const, content: "How high is the water?" }] };

let upstream: FakeUpstream;
let gateway: RunningGateway;
let clients: Clients;

function ensemble(name: string, panel: readonly Entry[], judge: Entry, more: Entry = {}): Entry {
  return { display_name: name, ensemble: { panel, judge, ...more } };
}

const THREE = [{ model: "ann", temperature: 0.1, seed: 7 }, { model: "bob" }, { model: "cleo", temperature: 0.9 }];

function models(): Entry[] {
  return [
    chatModel("ann", COST),
    chatModel("bob", COST),
    messagesModel("cleo", COST),
    chatModel("once", { rate_limit: { rpm: 1 } }),
    chatModel("judge", COST),
    messagesModel("other-judge", COST),
    chatModel("busy-judge", { rate_limit: { rpm: 1 } }),
    chatModel("far", { allowed_cidrs: ["10.0.0.0/8"] }),
    ensemble("council", THREE, { model: "judge" }),
    ensemble("other-council", THREE, { model: "other-judge", synthesis_prompt: "Weigh them." }),
    ensemble("all-three", THREE, { model: "judge" }, { min_responses: 3 }),
    ensemble("limited", [{ model: "ann" }, { model: "once" }], { model: "judge" }),
    ensemble("hurried", THREE, { model: "judge" }, { timeout_ms: 1_000 }),
    ensemble("refused", [{ model: "ann" }], { model: "busy-judge" }),
    ensemble("kept-away", [{ model: "ann" }, { model: "far" }], { model: "judge" }),
    { ...ensemble("short", THREE, { model: "judge" }), timeout: 1_000 },
  ];
}

const OTHERS = [
  { display_name: "counted", key_hash: sha256("counted"), allowed_models: ["council"], rate_limit: { tpm: 100_000 } },
  { display_name: "rich", key_hash: sha256("rich"), allowed_models: ["*"] },
  {
    display_name: "one-by-one",
    key_hash: sha256("one-by-one"),
    allowed_models: ["*"],
    rate_limit: { concurrency: 1, rpm: 3 },
  },
];
const BUDGETS = [{ name: "rich", scope: "key", scope_ref: "rich", limit_usd: 0.05, period: "day" }];

beforeAll(async () => {
  upstream = await startFakeUpstream();
  const resources = withModels(upstream.url, models(), {}, { budgets: BUDGETS });
  (resources.api_keys as unknown[]).push(...OTHERS);
  gateway = await startGateway({ resources });
  clients = clientsOf(gateway);
});
afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
});
beforeEach(() => upstream.reset());
afterEach(() => expect(gateway.child.exitCode).toBeNull());

function request(body: Entry, key = KEY): Promise<Answer> {
  return post(gateway.url, body, { key });
}

describe.each(WAYS)("$name", ({ ask }) => {
  it.each(["council", "other-council"])("gets the judge's answer from %s", async (model) => {
    upstream.script({ match: { model: "up-ann" }, words: 3 }, { match: { model: "up-bob" }, words: 4 });
    const { text, requestId } = await ask(clients, model);
    expect(text).toMatch(/^You said: /);
    const judge = model === "council" ? "judge" : "other-judge";
    const events = await eventsOf(gateway, requestId, 4);
    expect(events.map((event) => event.attempt)).toEqual([1, 2, 3, 4]);
    expect(new Set(events.map((event) => event.model_entry))).toEqual(new Set(["ann", "bob", "cleo", judge]));
    expect(events.at(-1)?.model_entry).toBe(judge);
    for (const event of events) {
      expect(event).toMatchObject({ model, api_key: "tester", complete: true, error: "", status: 200 });
    }
    const asked = JSON.stringify(bodiesFor(upstream, `up-${judge}`)[0]);
    expect(asked).toContain("## Answer 1 (ann)\\n\\nthe water runs\\n\\n## Answer 2 (bob)\\n\\nthe water runs over");
    expect(asked).toContain("## Answer 3 (cleo)\\n\\nYou said: How high is the water?");
    if (judge === "other-judge") expect(asked).toContain("Weigh them.\\n\\n## Answer 1");
    expect(events.reduce((sum, event) => sum + event.output_tokens, 0)).toBe(upstream.stats().output);
  });
});

describe("the panel", () => {
  it("gets the request unstreamed, with its own model, temperature and seed", async () => {
    const stream = await clients.openai.chat.completions.create({
      ...HELLO,
      temperature: 0.5,
      stream: true,
      stream_options: { include_usage: true },
    });
    for await (const _chunk of stream);
    const [ann, bob, cleo] = ["up-ann", "up-bob", "up-cleo"].map((model) => bodiesFor(upstream, model)[0]);
    const { model: _model, ...asked } = HELLO;
    expect(ann).toEqual({ ...asked, model: "up-ann", temperature: 0.1, seed: 7 });
    expect(bob).toEqual({ ...asked, model: "up-bob", temperature: 0.5 });
    expect(cleo).toMatchObject({ model: "up-cleo", temperature: 0.9 });
    expect(cleo.stream ?? false).toBe(false);
    const [judge] = bodiesFor(upstream, "up-judge");
    expect(judge).toMatchObject({ model: "up-judge", stream: true, temperature: 0.5 });
    expect(judge.messages.slice(0, -1)).toEqual(HELLO.messages);
  });

  it("counts what it is sent among the bodies in memory", async () => {
    const resources = withModels(upstream.url, models());
    const small = await startGateway({ config: { limits: { body_memory_bytes: 2 ** 20 } }, resources });
    try {
      // The request fits, and another one; that of the member that changes it in its own way does not any more.
      const long = { ...HELLO, messages: [{ role: "user", content: "x".repeat(400_000) }] };
      const refused = await post(small.url, long);
      expect([refused.status, refused.json.error.code]).toEqual([503, "overloaded"]);
      expect(upstream.requests()).toEqual([]);
      // Nothing of it is left: the same again is refused for the same reason, and what fits is served.
      expect((await post(small.url, long)).status).toBe(503);
      const shorter = { ...HELLO, messages: [{ role: "user", content: "x".repeat(200_000) }] };
      expect((await post(small.url, shorter)).status).toBe(200);
    } finally {
      await small.dispose();
    }
  });

  it("gets the caller's headers, but for those that speak of one answer alone", async () => {
    const headers = { "idempotency-key": "once", accept: "text/event-stream", traceparent: "00-a-b-01" };
    expect((await post(gateway.url, HELLO, { headers })).status).toBe(200);
    const of = (model: string, name: string) =>
      upstream
        .requests()
        .filter((sent) => sent.model === model)
        .flatMap((sent) => received(sent, name));
    expect(["up-ann", "up-bob"].flatMap((model) => of(model, "idempotency-key"))).toEqual([]);
    expect(of("up-ann", "accept")).not.toContain("text/event-stream");
    expect([of("up-ann", "traceparent"), of("up-judge", "idempotency-key")]).toEqual([["00-a-b-01"], ["once"]]);
  });

  it("is asked at once", async () => {
    upstream.script({ match: { model: "up-ann" }, held: true }, { match: { model: "up-bob" }, held: true });
    const answer = request(HELLO);
    await upstream.until(({ models }) => models["up-ann"]?.requests === 1 && models["up-bob"]?.requests === 1);
    expect(upstream.stats().in_flight).toBeGreaterThanOrEqual(2);
    upstream.release();
    expect((await answer).status).toBe(200);
  });

  it("may lose members, as long as enough of them answer", async () => {
    upstream.script({ match: { model: "up-bob" }, status: 503 });
    const answer = await request(HELLO);
    expect(answer.status).toBe(200);
    expect(answer.headers.get("x-weir-attempts")).toBe("4");
    const judge = JSON.stringify(bodiesFor(upstream, "up-judge"));
    expect(judge).toContain("## Answer 2 (cleo)");
    expect(judge).not.toContain("bob");
  });

  it.each([
    ["two of three fail", "council", ["up-bob", "up-ann"]],
    ["one of three that must all answer fails", "all-three", ["up-cleo"]],
  ])("502 when %s", async (_what, model, failing) => {
    upstream.script(...failing.map((name) => ({ match: { model: name }, reset: true })));
    const answer = await request({ ...HELLO, model });
    expect([answer.status, answer.json.error.code]).toEqual([502, "transport_error"]);
    expect(bodiesFor(upstream, "up-judge")).toEqual([]);
    expect(await eventsOf(gateway, answer.headers.get("x-weir-request-id") ?? "", 3)).toHaveLength(3);
  });

  it("counts an answer without words as none", async () => {
    const silent = { choices: [{ index: 0, message: { role: "assistant", content: null }, finish_reason: "stop" }] };
    upstream.script({ match: { model: "up-ann" }, body: silent }, { match: { model: "up-bob" }, body: "<html>" });
    expect((await request(HELLO)).status).toBe(502);
  });

  it("takes a member that is over its own limit for a failed one, without asking it", async () => {
    await roomInWindow(MINUTE_MS, 10_000);
    expect((await request({ ...HELLO, model: "limited" })).status).toBe(200);
    const second = await request({ ...HELLO, model: "limited" });
    expect([second.status, second.json.error.code]).toEqual([502, "transport_error"]);
    expect(upstream.stats().models["up-once"]?.requests).toBe(1);
    expect(upstream.stats().models["up-ann"]?.requests).toBe(2);
    // The limit is the member's own, by whatever name it is asked.
    expect((await request({ ...HELLO, model: "once" })).status).toBe(429);
  });

  it("keeps a member from callers that it may not serve", async () => {
    const answer = await request({ ...HELLO, model: "kept-away" });
    expect(answer.status).toBe(502);
    expect(upstream.stats().models["up-far"]).toBeUndefined();
  });

  it("has its time, the request has its own", async () => {
    upstream.script(
      { match: { model: "up-ann" }, delay_ms: 30_000 },
      { match: { model: "up-ann" }, delay_ms: 30_000 },
      { match: { model: "up-bob" }, delay_ms: 30_000, times: 2 },
    );
    const startedAt = performance.now();
    const hurried = await request({ ...HELLO, model: "hurried" });
    const short = await request({ ...HELLO, model: "short" });
    expect([hurried.status, hurried.json.error.code]).toEqual([502, "transport_error"]);
    expect([short.status, short.json.error.code]).toEqual([504, "timeout"]);
    expect(performance.now() - startedAt).toBeLessThan(15_000);
    const events = await eventsOf(gateway, hurried.headers.get("x-weir-request-id") ?? "", 3);
    expect(events.map(({ model_entry, error }) => [model_entry, error]).sort()).toEqual([
      ["ann", "timeout"],
      ["bob", "timeout"],
      ["cleo", ""],
    ]);
    await upstream.until((stats) => stats.in_flight === 0);
  });
});

describe("the judge", () => {
  it("reads at most 8 KiB of each answer, and no half characters", async () => {
    const content = `x${"ü".repeat(10_000)}`;
    const long = { choices: [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }] };
    upstream.script({ match: { model: "up-ann" }, body: long });
    expect((await request(HELLO)).status).toBe(200);
    const turn: string = bodiesFor(upstream, "up-judge")[0].messages.at(-1).content;
    const cut = /\(ann\)\n\n(x.*)\n\[cut\]\n\n## Answer 2/.exec(turn)?.[1] ?? "";
    expect(cut).toBe(`x${"ü".repeat(4_095)}`);
  });

  it("gives its own error, or is over its own limit", async () => {
    await roomInWindow(MINUTE_MS, 10_000);
    upstream.script({ match: { model: "up-judge" }, status: 418, body: { error: { message: "no tea" } } });
    const failed = await request(HELLO);
    expect([failed.status, failed.json.error.message]).toEqual([418, "no tea"]);
    expect((await request({ ...HELLO, model: "refused" })).status).toBe(200);
    const refused = await request({ ...HELLO, model: "refused" });
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
  });

  it("streams", async () => {
    upstream.script({ match: { model: "up-judge" }, words: 100, gap_ms: 20 });
    const response = await open(gateway.url, { ...HELLO, stream: true });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    let pieces = 0;
    while (!(await reader.read()).done) pieces += 1;
    expect(pieces).toBeGreaterThan(5);
  });
});

describe("what it uses", () => {
  it("is the sum of all calls: the key's tokens, the key's budget, the metrics", async () => {
    await roomInWindow(MINUTE_MS, 10_000);
    upstream.script(...["up-ann", "up-bob", "up-cleo", "up-judge"].map((model) => ({ match: { model }, words: 10 })));
    const requests = await metric(gateway.opsUrl, "weir_requests_total");
    const first = await request(HELLO, "counted");
    expect(first.status).toBe(200);
    const used = upstream.stats();
    expect(used.output).toBe(40);
    const second = await request(HELLO, "counted");
    const reserved = Number(first.headers.get("x-ratelimit-remaining-tokens"));
    const remaining = Number(second.headers.get("x-ratelimit-remaining-tokens"));
    // Both had the same reserved when they were admitted; what the first has really used lies between.
    expect(reserved - remaining).toBe(used.input + used.output);
    expect(await metric(gateway.opsUrl, "weir_requests_total")).toBe(requests + 2);
  });

  it("is charged in money, and ends the budget", async () => {
    const ten = ["up-ann", "up-bob", "up-cleo", "up-judge"].map((model) => ({
      match: { model },
      words: 10,
      times: -1,
    }));
    upstream.script(...ten);
    const first = await request(HELLO, "rich");
    const events = await eventsOf(gateway, first.headers.get("x-weir-request-id") ?? "", 4);
    expect(events.map((event) => event.cost_usd)).toEqual([0.01, 0.01, 0.01, 0.01]);
    expect((await request(HELLO, "rich")).status).toBe(200);
    const refused = await request(HELLO, "rich");
    expect(refused.status).toBe(429);
    expect(refused.json.error.budget).toMatchObject({ spent_usd: 0.08, limit_usd: 0.05 });
  });
});

describe("what it cannot do", () => {
  const tool = { type: "function", function: { name: "look", parameters: { type: "object" } } };
  it.each([
    ["tools", { tools: [tool] }],
    ["functions", { functions: [tool.function] }],
    ["tool_choice", { tool_choice: "required" }],
    ["tool_choice", { tool_choice: { type: "function", function: { name: "look" } } }],
    ["function_call", { function_call: { name: "look" } }],
  ])("%s: 400 that names it, and nothing is consumed", async (param, more) => {
    const answer = await request({ ...HELLO, ...more }, "one-by-one");
    expect([answer.status, answer.json.error.param, answer.json.error.code]).toEqual([
      400,
      param,
      "invalid_request_error",
    ]);
    expect(upstream.stats().requests).toBe(0);
  });

  it("takes an empty list and a choice that forces nothing", async () => {
    const free = { tools: [], tool_choice: "auto" };
    expect((await request({ ...HELLO, ...free }, "one-by-one")).status).not.toBe(429);
    const messages = { model: "council", max_tokens: 50, messages: HELLO.messages, tool_choice: { type: "auto" } };
    expect((await post(gateway.url, messages, { path: "/v1/messages" })).status).toBe(200);
    const forced = { ...messages, tool_choice: { type: "any" } };
    expect((await post(gateway.url, forced, { path: "/v1/messages" })).json.error.message).toContain("tools");
  });

  it.each([
    ["embeddings", "/v1/embeddings", { input: "text" }],
    ["count_tokens", "/v1/messages/count_tokens", { messages: HELLO.messages }],
  ])("%s: 400", async (_operation, path, body) => {
    const answer = await post(gateway.url, { model: "council", ...body }, { path });
    expect(answer.status).toBe(400);
  });

  it("several prompts at once: 400", async () => {
    const answer = await post(gateway.url, { model: "council", prompt: ["one", "two"] }, { path: "/v1/completions" });
    expect([answer.status, answer.json.error.param]).toEqual([400, "prompt"]);
  });
});

describe("a client that leaves", () => {
  const slow = ["up-ann", "up-bob", "up-cleo"].map((model) => ({ match: { model }, delay_ms: 20_000 }));

  it("ends all calls of the panel, gives the key's place back, and is charged with what was begun", async () => {
    await roomInWindow(MINUTE_MS, 10_000);
    upstream.script(...slow);
    const leaving = new AbortController();
    const left = post(gateway.url, HELLO, { key: "one-by-one", signal: leaving.signal }).catch(() => null);
    await upstream.until((stats) => stats.in_flight === 3);
    const ids = new Set((await gateway.events()).map((event) => event.request_id));
    leaving.abort();
    await left;
    await upstream.until((stats) => stats.aborted === 3 && stats.in_flight === 0);
    const events = await gateway.until(async () => {
      const fresh = (await gateway.events()).filter((event) => !ids.has(event.request_id));
      return fresh.length === 3 ? fresh : null;
    });
    for (const event of events) {
      expect(event).toMatchObject({ status: 499, error: "client_closed_request", estimated: true, complete: false });
      expect(event.input_tokens).toBeGreaterThan(0);
    }
    await gateway.until(async () => (await metric(gateway.opsUrl, "weir_requests_in_flight")) === 0);
    expect((await request({ model: "ann", messages: HELLO.messages }, "one-by-one")).status).toBe(200);
  });

  it("ends the judge's call", async () => {
    upstream.script({ match: { model: "up-judge" }, words: 100, gap_ms: 100 });
    const leaving = new AbortController();
    const response = await open(gateway.url, { ...HELLO, stream: true }, { signal: leaving.signal });
    expect(response.status).toBe(200);
    leaving.abort();
    await upstream.until((stats) => stats.aborted === 1 && stats.in_flight === 0);
    await gateway.until(async () => (await metric(gateway.opsUrl, "weir_requests_in_flight")) === 0);
  });
});

describe("a node that drains", () => {
  it("waits for the panel and the judge", async () => {
    const other = await startGateway({
      resources: withModels(upstream.url, models()),
      config: { drain: { notice_ms: 0 } },
    });
    try {
      upstream.script(...["up-ann", "up-judge"].map((model) => ({ match: { model }, delay_ms: 600 })));
      const client = new OpenAI({ apiKey: KEY, baseURL: `${other.url}/v1`, maxRetries: 0 });
      const answer = client.chat.completions.create(HELLO);
      await upstream.until((stats) => stats.requests === 3);
      const ended = other.end();
      expect((await answer).choices[0]?.message.content).toMatch(/^You said/);
      expect((await ended).code).toBe(0);
      expect(await other.events()).toHaveLength(4);
    } finally {
      await other.dispose();
    }
  });
});

it("is listed under the name of its kind", async () => {
  const answer = await call(`${gateway.url}/v1/models/council`);
  expect(answer.json()).toMatchObject({ id: "council", owned_by: "ensemble" });
});
