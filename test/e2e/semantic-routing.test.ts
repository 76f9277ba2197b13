/** Semantic models: the meaning of what the user said last chooses the model. The embeddings are made by hand. */
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
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
import { type Answer, ask as post, type HandUpstream, metric, startHandUpstream } from "./wire.js";

/** Where a text points: each of these words a dimension of its own, the last one for all that has none of them. */
const WORDS = ["water", "code", "poem"];

let upstream: FakeUpstream;
let embedder: HandUpstream;
let gateway: RunningGateway;
let clients: Clients;
/** The texts of each embedding call. */
let embedded: string[][] = [];
let misbehave: "" | "fail" | "late" | "nonsense" | "few" = "";

function vectorOf(text: string): number[] {
  const found = WORDS.map((word) => text.toLowerCase().split(word).length - 1);
  return found.some((count) => count > 0) ? [...found, 0] : [0, 0, 0, 1];
}

async function startEmbedder(): Promise<HandUpstream> {
  return startHandUpstream(async (response, body) => {
    const { input } = JSON.parse(body.toString("utf8")) as { input: string[] };
    embedded.push(input);
    const how = misbehave;
    if (how === "late") await pause(2_500);
    const vectors = how === "nonsense" ? input.map(() => [0, 0, 0, 0]) : input.map(vectorOf);
    if (how === "few") vectors.pop();
    const data = vectors.map((embedding, index) => ({ object: "embedding", index, embedding }));
    const usage = { prompt_tokens: input.length * 3, total_tokens: input.length * 3 };
    response.writeHead(how === "fail" ? 500 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify(how === "fail" ? { error: {} } : { object: "list", data, model: "meaning", usage }));
  });
}

const ROUTES = [
  { name: "rivers", target: "rivers", examples: ["the water is high", "How deep is the water?"] },
  { name: "coding", target: "coders", examples: ["write code", "fix my code"], threshold: 0.9 },
  { name: "poems", target: "council", examples: ["a poem"] },
];

function semantic(name: string, more: Entry = {}): Entry {
  const rules = { embedding_model: "meaning", default: "anything", match: { threshold: 0.6 }, routes: ROUTES, ...more };
  return { display_name: name, semantic: rules };
}

function models(): Entry[] {
  const embedding = { display_name: "meaning", provider: "openai", model_name: "meaning", provider_key: "embedder" };
  return [
    { ...embedding, cost: { input_per_1k: 1 } },
    { ...embedding, display_name: "scarce-meaning", rate_limit: { rpm: 1 } },
    chatModel("rivers"),
    chatModel("anything"),
    chatModel("instead"),
    messagesModel("coder"),
    chatModel("broken-coder"),
    chatModel("far", { allowed_cidrs: ["10.0.0.0/8"] }),
    { display_name: "coders", routing: { targets: [{ model: "broken-coder" }, { model: "coder" }] } },
    {
      display_name: "council",
      ensemble: { panel: [{ model: "rivers" }, { model: "coder" }], judge: { model: "instead" } },
    },
    semantic("guide"),
    semantic("strict-guide", { on_embedding_failure: "fail", embedding_timeout_ms: 700 }),
    semantic("careful-guide", { on_embedding_failure: { target: "instead" }, embedding_timeout_ms: 700 }),
    semantic("scarce-guide", { embedding_model: "scarce-meaning", on_embedding_failure: "fail" }),
    semantic("fenced-guide", { default: "far" }),
    { display_name: "rare", routing: { targets: [{ model: "rivers" }] }, rate_limit: { rpm: 1 } },
    semantic("rare-guide", { default: "rare" }),
    { ...semantic("short-guide"), timeout: 300 },
  ];
}

function resources(): Entry {
  const file = withModels(upstream.url, models());
  (file.provider_keys as unknown[]).push({
    display_name: "embedder",
    provider: "openai",
    api_base: `${embedder.url}/v1`,
    api_key: "sk-embedder",
  });
  (file.api_keys as unknown[]).push({
    display_name: "guide-only",
    key_hash: sha256("guide-only"),
    allowed_models: ["guide"],
    rate_limit: { tpm: 10_000 },
  });
  return file;
}

beforeAll(async () => {
  upstream = await startFakeUpstream();
  embedder = await startEmbedder();
  gateway = await startGateway({ resources: resources(), config: { acceptors: 1 } });
  clients = clientsOf(gateway);
});
afterAll(async () => {
  await gateway?.dispose();
  await embedder?.close();
  await upstream?.close();
});
beforeEach(() => {
  upstream.reset();
  upstream.script({ match: { model: "up-broken-coder" }, status: 500, times: -1 });
  embedded = [];
  misbehave = "";
});

function say(text: string, model = "guide", more: Entry = {}): Promise<Answer> {
  return post(gateway.url, { model, messages: [{ role: "user", content: text }], ...more });
}

function served(answer: Answer): string | null {
  return answer.headers.get("x-weir-upstream-model");
}

describe.each(WAYS)("$name", ({ ask }) => {
  it("is answered by the route that it means", async () => {
    const { text, requestId } = await ask(clients, "guide");
    expect(text).toBe("You said: How high is the water?");
    expect(upstream.requests().map(({ model }) => model)).toEqual(["up-rivers"]);
    const events = await eventsOf(gateway, requestId, 2);
    expect(
      events.map(({ attempt, operation, model, model_entry }) => [attempt, operation, model, model_entry]),
    ).toEqual([
      [1, "embeddings", "guide", "meaning"],
      [2, expect.any(String), "guide", "rivers"],
    ]);
    expect(events[0]).toMatchObject({ api_key: "tester", input_tokens: 3, cost_usd: 0.003, complete: true });
  });
});

describe("the routes", () => {
  it.each([
    ["nothing that is known", "the weather", "up-anything"],
    ["below the route's own threshold", "code code water", "up-anything"],
    ["the route that reaches its own threshold, of two as near", "code about a poem", "up-instead"],
    ["the nearer of two", "water water code", "up-rivers"],
    ["no words", "   ", "up-anything"],
  ])("%s", async (_what, text, model) => {
    const answer = await say(text);
    expect([answer.status, served(answer)]).toEqual([200, model]);
    expect(embedded.flat()).not.toContain("   ");
  });

  it("may end at a routing model, with its failover", async () => {
    const answer = await say("fix the code");
    expect([answer.status, served(answer), answer.headers.get("x-weir-attempts")]).toEqual([200, "up-coder", "3"]);
    expect(upstream.requests().map(({ model }) => model)).toEqual(["up-broken-coder", "up-coder"]);
    const events = await eventsOf(gateway, answer.headers.get("x-weir-request-id") ?? "", 3);
    expect(events.map(({ model_entry, error }) => [model_entry, error])).toEqual([
      ["meaning", ""],
      ["broken-coder", "upstream_error"],
      ["coder", ""],
    ]);
  });

  it("may end at an ensemble", async () => {
    const answer = await say("a poem");
    expect([answer.status, served(answer), answer.headers.get("x-weir-attempts")]).toEqual([200, "up-instead", "4"]);
    expect(bodiesFor(upstream, "up-instead")[0].messages.at(-1).content).toContain("## Answer 2 (coder)");
    const tools = [{ type: "function", function: { name: "look", parameters: { type: "object" } } }];
    const refused = await say("a poem", "guide", { tools });
    expect([refused.status, refused.json.error.param]).toEqual([400, "tools"]);
  });

  it("never leads where the caller's address may not go", async () => {
    expect((await say("the weather", "fenced-guide")).status).toBe(403);
    expect((await say("the water", "fenced-guide")).status).toBe(200);
  });
});

describe("the text", () => {
  const turns = (...messages: readonly Entry[]) => ({ model: "guide", max_tokens: 9, messages });

  it("is what the user said last, not what a tool answered", async () => {
    await say("the water"); // The examples are known from here on.
    embedded = [];
    const call = { type: "tool_use", id: "t1", name: "look", input: {} };
    const answered = { type: "tool_result", tool_use_id: "t1", content: "a poem of code" };
    const body = turns(
      { role: "user", content: "a poem" },
      { role: "assistant", content: "which?" },
      {
        role: "user",
        content: [
          { type: "text", text: "about" },
          { type: "text", text: "the water" },
        ],
      },
      { role: "assistant", content: [call] },
      { role: "user", content: [answered] },
    );
    const answer = await post(gateway.url, body, { path: "/v1/messages" });
    expect([answer.status, served(answer)]).toEqual([200, "up-rivers"]);
    expect(embedded).toEqual([["about\nthe water"]]);
  });

  it("is known by its beginning where it is long, without half a character", async () => {
    const answer = await say(`the water ${"x".repeat(8_181)}😀${"a poem ".repeat(50)}`);
    expect(served(answer)).toBe("up-rivers");
    expect(embedded.at(-1)).toEqual([`the water ${"x".repeat(8_181)}`]);
  });
});

describe("the examples", () => {
  it("are asked for once by each thread for each configuration, by nobody's key", async () => {
    const other = await startGateway({ resources: resources(), config: { acceptors: 1 } });
    const examples = () => embedded.filter((texts) => texts.includes("write code"));
    try {
      const ask = () => post(other.url, { model: "guide", messages: [{ role: "user", content: "the water" }] });
      const answers = await Promise.all(Array.from({ length: 20 }, ask));
      expect(answers.map(served)).toEqual(Array.from({ length: 20 }, () => "up-rivers"));
      expect(examples()).toEqual([ROUTES.flatMap((route) => route.examples)]);
      expect(embedded).toHaveLength(21);
      const events = (await other.events()).filter((event) => event.model === "meaning");
      expect(events).toMatchObject([{ api_key: "", operation: "embeddings", attempt: 1, input_tokens: 15 }]);
      other.writeResources({ ...resources(), models: [...models(), chatModel("more")] });
      other.child.kill("SIGHUP");
      await other.until(async () => (await post(other.url, { model: "more", messages: [] })).status !== 404);
      await ask();
      await ask();
      expect(examples()).toHaveLength(2);
    } finally {
      await other.dispose();
    }
  });

  it("are asked for anew after a failure, and in batches", async () => {
    misbehave = "fail";
    const many = Array.from({ length: 200 }, (_, index) => `code ${index}`);
    const routes = [{ name: "many", target: "rivers", examples: many }];
    const rules = semantic("many-guide", { routes, on_embedding_failure: "fail" });
    const other = await startGateway({
      resources: { ...resources(), models: [...models(), rules] },
      config: { acceptors: 1 },
    });
    try {
      const body = { model: "many-guide", messages: [{ role: "user", content: "some code" }] };
      expect((await post(other.url, body)).status).toBe(502);
      misbehave = "";
      embedded = [];
      expect(served(await post(other.url, body))).toBe("up-rivers");
      expect(embedded.map((texts) => texts.length).sort((one, two) => one - two)).toEqual([1, 8, 96, 96]);
    } finally {
      await other.dispose();
    }
  });
});

describe.each(["fail", "late", "nonsense", "few"] as const)("an embedding model that answers: %s", (how) => {
  it("leads to the default, to an error, or to the model for that", async () => {
    await say("the water", "strict-guide");
    await say("the water", "careful-guide");
    misbehave = how;
    const startedAt = performance.now();
    const answer = await say("the water", "strict-guide");
    expect([answer.status, answer.json.error.code]).toEqual([502, "transport_error"]);
    const careful = await say("the water", "careful-guide");
    expect([careful.status, served(careful)]).toEqual([200, "up-instead"]);
    expect(performance.now() - startedAt).toBeLessThan(4_500);
    const usual = await say("the water");
    // Without a timeout of its own an embedding call has the request's time.
    expect([usual.status, served(usual)]).toEqual([200, how === "late" ? "up-rivers" : "up-anything"]);
  });
});

describe("limits and time", () => {
  it("of the embedding model are its own", async () => {
    await roomInWindow(60_000, 10_000);
    await say("the water", "scarce-guide");
    expect((await say("the water", "scarce-guide")).status).toBe(502);
  });

  it("of a name that was chosen are asked, too", async () => {
    await roomInWindow(60_000, 10_000);
    expect((await say("the weather", "rare-guide")).status).toBe(200);
    expect((await say("the weather", "rare-guide")).status).toBe(429);
    expect((await say("the water", "rare-guide")).status).toBe(200);
  });

  it("of the request end it", async () => {
    misbehave = "late";
    const answer = await say("the water", "short-guide");
    expect([answer.status, answer.json.error.code]).toEqual([504, "timeout"]);
  });

  it("of the key hold the embedding's tokens; the key needs to be allowed the name it asks for, not those behind it", async () => {
    await roomInWindow(60_000, 10_000);
    const ask = () =>
      post(gateway.url, { model: "guide", messages: [{ role: "user", content: "the water" }] }, { key: "guide-only" });
    const before = await ask();
    const after = await ask();
    const left = (answer: Answer) => Number(answer.headers.get("x-ratelimit-remaining-tokens"));
    const { input, output } = upstream.stats();
    expect(left(before) - left(after)).toBe((input + output) / 2 + 3);
  });
});

it("a client that leaves ends the embedding call, and nothing stays behind", async () => {
  misbehave = "late";
  const before = embedder.aborted;
  const leaving = new AbortController();
  const body = { model: "guide", messages: [{ role: "user", content: "the water" }] };
  const left = post(gateway.url, body, { signal: leaving.signal }).catch(() => null);
  await gateway.until(() => embedded.length > 0);
  leaving.abort();
  await left;
  await gateway.until(() => embedder.aborted === before + 1);
  await gateway.until(async () => (await metric(gateway.opsUrl, "weir_requests_in_flight")) === 0);
  expect(upstream.requests()).toEqual([]);
});

it("embeddings and counts have no conversation to go by: 400", async () => {
  const answer = await post(gateway.url, { model: "guide", input: "text" }, { path: "/v1/embeddings", key: KEY });
  expect([answer.status, answer.json.error.code]).toEqual([400, "unsupported_operation"]);
});
