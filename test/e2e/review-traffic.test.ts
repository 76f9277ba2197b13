/** Traffic rules under an attacker's eye: what a request holds is given back whichever way it ends. */
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { KEY, type RunningGateway, startGateway } from "./gateway.js";
import { chatModel, type Entry, messagesModel, withModels } from "./virtual.js";
import { type Answer, ask, type HandUpstream, metric, startHandUpstream } from "./wire.js";

const TURNS = [{ role: "user", content: "How high is the water?" }];
let upstream: FakeUpstream;
let gateway: RunningGateway | null = null;

beforeAll(async () => {
  upstream = await startFakeUpstream();
});
afterAll(() => upstream?.close());
beforeEach(() => upstream.reset());
afterEach(async () => {
  await gateway?.dispose();
  gateway = null;
});

async function start(models: readonly Entry[], more: Entry = {}, config: Entry = {}, key: Entry = {}) {
  gateway = await startGateway({ config, resources: withModels(upstream.url, models, key, more) });
  return gateway;
}

function post(model: string, more: Entry = {}, signal?: AbortSignal): Promise<Answer> {
  const body = { model, messages: TURNS, ...more };
  return ask((gateway as RunningGateway).url, body, signal === undefined ? {} : { signal });
}

const group = (name: string, ...targets: string[]): Entry => ({
  display_name: name,
  routing: { targets: targets.map((model) => ({ model })) },
});

describe("the room that a request takes under its target's own limits", () => {
  it("is free again when the pool has no room to translate the request", async () => {
    await start(
      [messagesModel("one", { rate_limit: { concurrency: 40 } }), group("pair", "one")],
      {},
      { pool: { inline_bytes: 0, queue: 1 } },
    );
    const messages = [{ role: "user", content: "word ".repeat(60_000) }];
    const told = await Promise.all(Array.from({ length: 200 }, () => post("pair", { messages })));
    const statuses = new Set(told.map(({ status }) => status));
    expect(statuses).toContain(503);
    expect((await post("pair")).status).toBe(200);
  }, 60_000);

  it("is free again when the client leaves while its request is translated", async () => {
    const running = await start(
      [messagesModel("one", { rate_limit: { concurrency: 1 } }), messagesModel("two"), group("pair", "one")],
      {},
      { pool: { inline_bytes: 0 } },
    );
    const messages = [{ role: "user", content: "word ".repeat(400_000) }];
    // The pool's one thread is busy with others.
    const busy = Array.from({ length: 8 }, () => post("two", { messages }));
    const left = new AbortController();
    const answer = post("pair", {}, left.signal).catch(() => null);
    await pause(100);
    left.abort();
    expect(await answer).toBe(null);
    await Promise.all(busy);
    await running.until(async () => (await metric(running.opsUrl, "weir_requests_in_flight")) === 0);
    expect((await post("pair")).status).toBe(200);
  }, 60_000);
});

describe("a request that all targets are too busy for", () => {
  it("has consumed nothing of its key's limits", async () => {
    const once = chatModel("once", { rate_limit: { rpd: 1 } });
    const running = await start([once, group("few", "once")], {}, {}, { rate_limit: { rpd: 100 } });
    expect((await post("few")).headers.get("x-ratelimit-remaining-requests")).toBe("99");
    for (let index = 0; index < 5; index += 1) expect((await post("few")).status).toBe(429);
    const list = await fetch(`${running.url}/v1/models`, { headers: { authorization: `Bearer ${KEY}` } });
    expect(list.headers.get("x-ratelimit-remaining-requests")).toBe("98");
  });
});

describe("a request whose chosen model is over its limit", () => {
  it("has consumed nothing of its key's limits where no vector was needed to choose", async () => {
    const few = { ...group("few", "one"), rate_limit: { rpd: 1 } };
    const routes = [{ name: "any", target: "one", examples: ["water"] }];
    const chooser = { embedding_model: "one", default: "few", match: { threshold: 0.6 }, routes };
    const models = [chatModel("one"), few, { display_name: "chooser", semantic: chooser }];
    const running = await start(models, {}, {}, { rate_limit: { rpd: 100 } });
    const silent = { messages: [{ role: "user", content: "" }] };
    expect((await post("chooser", silent)).status).toBe(200);
    for (let index = 0; index < 3; index += 1) expect((await post("chooser", silent)).status).toBe(429);
    const list = await fetch(`${running.url}/v1/models`, { headers: { authorization: `Bearer ${KEY}` } });
    expect(list.headers.get("x-ratelimit-remaining-requests")).toBe("98");
  });
});

describe("a round robin", () => {
  it("gives no turn to requests that guardrails keep from every target", async () => {
    const bad = { kind: "keyword", patterns: [{ kind: "literal", value: "falcon" }], mandatory: true };
    const routing = { strategy: "round_robin", targets: [{ model: "one" }, { model: "two" }] };
    const turns = { display_name: "pair", routing };
    await start(
      [chatModel("one"), chatModel("two"), turns],
      { guardrails: [{ name: "birds", ...bad }] },
      { acceptors: 1 },
    );
    const served: (string | null)[] = [];
    for (let index = 0; index < 6; index += 1) {
      expect((await post("pair", { messages: [{ role: "user", content: "A falcon." }] })).status).toBe(422);
      served.push((await post("pair")).headers.get("x-weir-upstream-model"));
    }
    expect(served.filter((name) => name === "up-one")).toHaveLength(3);
  });
});

describe("an ensemble", () => {
  const COST = { cost: { input_per_1k: 0, output_per_1k: 1 } };
  const PANEL = ["ann", "bob", "cleo", "dan"];

  it("reserves for its whole panel, so that many at once exceed a budget by one request at most", async () => {
    const judged = { panel: PANEL.map((model) => ({ model })), judge: { model: "judge" } };
    const council = { display_name: "council", ensemble: judged };
    const budgets = [{ name: "a dollar", scope: "key", limit_usd: 1, period: "day" }];
    const running = await start([...[...PANEL, "judge"].map((name) => chatModel(name, COST)), council], { budgets });
    const each = { max_tokens: 100, fake: { words: 100, delay_ms: 300 } };
    await Promise.all(Array.from({ length: 20 }, () => post("council", each)));
    const spent = (await running.events()).reduce((sum, event) => sum + event.cost_usd, 0);
    expect(spent).toBeGreaterThan(0.4);
    expect(spent).toBeLessThan(1.6);
  });
});

describe("a stream that goes on at the next target", () => {
  let broken: HandUpstream;
  beforeAll(async () => {
    broken = await startHandUpstream(async (response, body) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      if (JSON.parse(body.toString()).model === "up-two") {
        response.end(`${piece("con, it was.")}data: [DONE]\n\n`);
        return;
      }
      response.write(piece("A long beginning that nobody objects to. "));
      await pause(50);
      response.write(piece("It was a fal"));
      await pause(50);
      response.socket?.resetAndDestroy();
    });
  });
  afterAll(() => broken?.close());

  function piece(content: string): string {
    const choices = [{ index: 0, delta: { role: "assistant", content }, finish_reason: null }];
    return `data: ${JSON.stringify({ id: "x", object: "chat.completion.chunk", created: 1, model: "m", choices })}\n\n`;
  }

  it.each([false, true])("never carries a blocked word over the seam: with a guardrail %s", async (guarded) => {
    const bad = { kind: "keyword", patterns: [{ kind: "literal", value: "falcon" }], hook_point: "output" };
    const pair = { ...group("pair", "one", "two") };
    (pair.routing as Entry).continue_on_failure = true;
    gateway = await startGateway({
      resources: withModels(
        broken.url,
        [chatModel("one"), chatModel("two"), pair],
        {},
        {
          guardrails: [{ name: "birds", ...bad, mandatory: guarded }],
        },
      ),
    });
    const answer = await post("pair", { stream: true });
    const told = [...answer.text.matchAll(/"content":"([^"]*)"/g)].map(([, text]) => text).join("");
    expect(told.startsWith("A long beginning that nobody objects to.")).toBe(true);
    expect(told.includes("falcon")).toBe(!guarded);
    expect(answer.text.includes("transport_error")).toBe(guarded);
  });
});

describe("a request that waits for the vector of what it asks", () => {
  it.each(["client leaves", "request's time is over"])("pays for the embedding also when the %s", async (how) => {
    const embedder = await startHandUpstream(async (response) => {
      await pause(3_000);
      response.writeHead(500);
      response.end("{}");
    });
    const late = how === "client leaves" ? {} : { timeout: 300 };
    const vectors = { display_name: "vectors", provider: "openai", model_name: "v", provider_key: "vectors" };
    const policy = { name: "by meaning", applies_to: "model:asked", semantic: { embedding_model: "vectors" } };
    const key = { rate_limit: { tpd: 100_000 } };
    const file = withModels(upstream.url, [chatModel("asked", late), vectors], key, { cache_policies: [policy] });
    const api = { provider: "openai", api_base: `${embedder.url}/v1`, api_key: "sk-vectors" };
    (file.provider_keys as Entry[]).push({ display_name: "vectors", ...api });
    gateway = await startGateway({ resources: file });
    const { until, events, opsUrl, url } = gateway;
    const left = new AbortController();
    const asked = post("asked", {}, left.signal).catch(() => null);
    if (how === "client leaves") await until(() => embedder.requests === 1).then(() => left.abort());
    const answer = await asked;
    if (how !== "client leaves") expect(answer?.status).toBe(504);
    const [event] = await until(async () => {
      const found = await events();
      return found.length > 0 ? found : null;
    });
    await until(async () => (await metric(opsUrl, "weir_requests_in_flight")) === 0);
    expect(event).toMatchObject({ model_entry: "vectors", error: "client_closed_request", output_tokens: 0 });
    const list = await fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${KEY}` } });
    expect(100_000 - Number(list.headers.get("x-ratelimit-remaining-tokens"))).toBe(event?.input_tokens);
    expect(event?.input_tokens).toBeGreaterThan(0);
    // Nobody is asked for an answer when the time for it is over.
    expect(await events()).toHaveLength(1);
    await embedder.close();
  });
});
