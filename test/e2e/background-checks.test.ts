/** Background checks: small real calls that take a model out of routing before a caller meets its failure. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { type RunningGateway, startGateway } from "./gateway.js";
import { bodiesFor, chatModel, type Entry, messagesModel, withModels } from "./virtual.js";
import { ask as post, page } from "./wire.js";

const PROMPT = "Are you there?";
const INTERVAL_S = 5;
const HELLO = [{ role: "user", content: "Hello" }];

function check(more: Entry = {}): Entry {
  return { background_model_check: { interval_seconds: INTERVAL_S, timeout_seconds: 3, prompt: PROMPT, ...more } };
}

function group(name: string, ...targets: string[]): Entry {
  return { display_name: name, routing: { targets: targets.map((model) => ({ model })) } };
}

const MODELS: readonly Entry[] = [
  chatModel("sick", check()),
  chatModel("stale", check({ stale_after_seconds: 1 })),
  chatModel("ignored", check({ ignore_statuses: [429] })),
  chatModel("slow", check({ timeout_seconds: 1 })),
  messagesModel("fine", check({ max_tokens: 3 })),
  chatModel("narrow", { ...check(), rate_limit: { rpm: 1 } }),
  chatModel("spare"),
  ...["sick", "stale", "ignored", "slow", "fine", "narrow"].map((name) => group(`${name}-group`, name, "spare")),
  group("only-sick", "sick"),
];

interface Shown {
  readonly state: string;
  readonly successes: number;
  readonly cooldown_until: string | null;
  readonly checks: { readonly passed: boolean; readonly status: number | null; readonly stale: boolean } | null;
}

async function statusOf(gateway: RunningGateway, name: string): Promise<Shown> {
  const { json } = await page(`${gateway.opsUrl}/status/models`);
  return json.models.find((model: { name: string }) => model.name === name);
}

function checked(gateway: RunningGateway, name: string, passed: boolean): Promise<Shown> {
  return gateway.until(async () => {
    // New resources take a moment to be in force.
    const shown: Shown | undefined = await statusOf(gateway, name);
    return shown?.checks?.passed === passed ? shown : null;
  });
}

async function servedBy(gateway: RunningGateway, model: string): Promise<string | null> {
  const answer = await post(gateway.url, { model, messages: HELLO });
  return answer.headers.get("x-weir-upstream-model");
}

describe("a node with checks", () => {
  let upstream: FakeUpstream;
  let gateway: RunningGateway;

  beforeAll(async () => {
    upstream = await startFakeUpstream();
    const contains = PROMPT;
    upstream.script(
      { match: { model: "up-sick", contains }, status: 503, headers: { "retry-after": "60" }, times: 1 },
      { match: { model: "up-stale", contains }, status: 500, times: -1 },
      { match: { model: "up-ignored", contains }, status: 429, times: -1 },
      { match: { model: "up-slow", contains }, delay_ms: 20_000, times: -1 },
    );
    gateway = await startGateway({ resources: withModels(upstream.url, MODELS), config: { acceptors: 2 } });
    // Before its first check, which is the last one, the model's limit is used up.
    await post(gateway.url, { model: "narrow", messages: HELLO });
  });
  afterAll(async () => {
    await gateway?.dispose();
    await upstream?.close();
  });

  it("leaves a model alone from a check that fails to one that succeeds", async () => {
    const shown = await checked(gateway, "sick", false);
    expect(shown).toMatchObject({ state: "unhealthy", checks: { status: 503 } });
    expect(await servedBy(gateway, "sick-group")).toBe("up-spare");
    const refused = await post(gateway.url, { model: "only-sick", messages: HELLO });
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "30"]);
    // By its own name it is called all the same; nobody but its checks has asked it until then.
    expect(bodiesFor(upstream, "up-sick").every(({ messages }) => messages[0].content === PROMPT)).toBe(true);
    const after = await checked(gateway, "sick", true);
    // The check's status is a check's: it has no cooldown beside it that would last longer.
    expect(after).toMatchObject({ state: "healthy", cooldown_until: null, successes: 0 });
    expect(await servedBy(gateway, "sick-group")).toBe("up-sick");
  });

  it("forgets a failed check that is stale", async () => {
    await gateway.until(async () => (await statusOf(gateway, "stale")).checks?.stale === true);
    expect(await servedBy(gateway, "stale-group")).toBe("up-stale");
  });

  it("takes a status that is to be ignored for no illness", async () => {
    expect(await checked(gateway, "ignored", true)).toMatchObject({ checks: { status: 429 }, cooldown_until: null });
    expect(await servedBy(gateway, "ignored-group")).toBe("up-ignored");
  });

  it("waits no longer than it may", async () => {
    expect(await checked(gateway, "slow", false)).toMatchObject({ state: "unhealthy" });
    await upstream.until((stats) => (stats.models["up-slow"]?.aborted ?? 0) > 0);
    expect(await servedBy(gateway, "slow-group")).toBe("up-spare");
  });

  it("asks in the words of each target, as little as it is told to", async () => {
    await checked(gateway, "fine", true);
    expect(bodiesFor(upstream, "up-fine")[0]).toMatchObject({
      model: "up-fine",
      max_tokens: 3,
      messages: [{ role: "user", content: expect.anything() }],
    });
    expect(bodiesFor(upstream, "up-sick")[0]).toEqual({
      model: "up-sick",
      max_completion_tokens: 1,
      messages: [{ role: "user", content: PROMPT }],
    });
  });

  it("learns nothing from a check for which there was no room", async () => {
    await gateway.until(async () => bodiesFor(upstream, "up-sick").length >= 3, 15_000);
    expect(bodiesFor(upstream, "up-narrow").length).toBeLessThanOrEqual(2);
    expect((await statusOf(gateway, "narrow")).state).toBe("healthy");
  });

  it("says of each call what it used, on nobody's account", async () => {
    const events = (await gateway.events()).filter((event) => event.api_key === "");
    expect(events.length).toBeGreaterThanOrEqual(6);
    expect(new Set(events.map((event) => event.request_id)).size).toBe(events.length);
    for (const event of events) {
      expect(event).toMatchObject({ operation: "chat", attempt: 1, model: event.model_entry, client_address: "" });
    }
    const of = (name: string) => events.find((event) => event.model_entry === name);
    expect(of("sick")).toMatchObject({ upstream_status: 503, error: "upstream_error" });
    expect(of("slow")).toMatchObject({ upstream_status: 0, error: "timeout" });
    expect(of("fine")).toMatchObject({ upstream_status: 200, error: "", target_dialect: "anthropic-messages" });
    expect(of("fine")?.input_tokens).toBeGreaterThan(0);
  });

  it("asks once an interval, whatever the number of acceptors", async () => {
    const received = () =>
      upstream
        .requests()
        .filter(({ model, body }) => model === "up-sick" && body.includes(PROMPT))
        .map(({ receivedAt }) => receivedAt);
    const times = await gateway.until(() => (received().length >= 3 ? received() : null));
    // All together, as one of them may have come late: were it each acceptor, half the time would do.
    const took = (times.at(-1) as number) - (times[0] as number);
    expect(took).toBeGreaterThan((times.length - 1) * INTERVAL_S * 1_000 * 0.75);
  });

  it("checks what new resources say, and no more what they do not", async () => {
    gateway.writeResources(withModels(upstream.url, [chatModel("sick"), chatModel("new", check())]));
    gateway.child.kill("SIGHUP");
    await checked(gateway, "new", true);
    const before = bodiesFor(upstream, "up-stale").length;
    await gateway.until(async () => bodiesFor(upstream, "up-new").length >= 2, 12_000);
    expect(bodiesFor(upstream, "up-stale").length).toBe(before);
  });
});

describe("many checks", () => {
  it("are under way four at once at most; the node's end does not wait for them", async () => {
    const upstream = await startFakeUpstream();
    upstream.script({ match: { contains: PROMPT }, delay_ms: 3_500, times: -1 });
    const names = Array.from({ length: 12 }, (_, index) => `m${index}`);
    const models = names.map((name) => chatModel(name, check({ timeout_seconds: 20 })));
    const gateway = await startGateway({ resources: withModels(upstream.url, models), config: { acceptors: 2 } });
    try {
      let most = 0;
      await gateway.until(() => {
        most = Math.max(most, upstream.stats().in_flight);
        return upstream.stats().completed >= 5;
      }, 15_000);
      expect(most).toBe(4);
      await upstream.until((stats) => stats.in_flight === 4);
      const { completed } = upstream.stats();
      expect((await gateway.end()).code).toBe(0);
      await upstream.until((stats) => stats.in_flight === 0);
      expect(upstream.stats()).toMatchObject({ completed, aborted: 4 });
      const events = await gateway.events();
      expect(events).toHaveLength(upstream.stats().requests);
      expect(events.filter(({ error }) => error === "client_closed_request")).toHaveLength(4);
    } finally {
      await gateway.dispose();
      await upstream.close();
    }
  });
});
