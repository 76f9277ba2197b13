/** Limits under attack and under change: what a window has counted is never forgotten, nor credited to another. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { KEY, oneProvider, type RunningGateway, sha256, startGateway } from "./gateway.js";
import { ask, chat, metric, page, rawRequest, Wire } from "./wire.js";

const OTHER_KEY = "sk-other";
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

async function reloaded(running: RunningGateway, resources: Record<string, unknown>): Promise<void> {
  const before = (await page(`${running.opsUrl}/status/config`)).json.revision;
  running.writeResources(stringify(resources));
  running.child.kill("SIGHUP");
  await running.until(async () => (await page(`${running.opsUrl}/status/config`)).json.revision !== before);
  // Acceptors hear of it right after the supervisor does; a model that only the new file has tells when.
  await running.until(async () => (await ask(running.url, chat({}, { model: "marker" }))).status !== 404);
}

function keys(list: readonly Record<string, unknown>[], marker = false): Record<string, unknown> {
  const resources = oneProvider(fake.url);
  const free = { display_name: "free", key_hash: sha256(KEY), allowed_models: ["*"] };
  const model = { display_name: "marker", provider: "openai", model_name: "m", provider_key: "openai-main" };
  if (marker) (resources.models as unknown[]).push(model);
  return { ...resources, api_keys: [free, ...list] };
}

describe("a request whose body comes late", () => {
  const body = JSON.stringify(chat());
  const second = () => Math.floor(Date.now() / 1_000);

  /** Two requests begun a second ago, and two in this one, where there is room for two. null: the second was over. */
  async function inOneSecond(running: RunningGateway): Promise<readonly number[] | null> {
    const late = [new Wire(running.url), new Wire(running.url)];
    for (const wire of late) {
      wire.write(rawRequest("", [`authorization: Bearer ${OTHER_KEY}`, `content-length: ${body.length}`]));
    }
    await running.until(async () => (await metric(running.opsUrl, "weir_requests_in_flight")) === 2);
    const begun = second();
    await running.until(() => second() > begun && Date.now() % 1_000 < 200);
    const now = second();
    const prompt = [0, 1].map(() => ask(running.url, body, { key: OTHER_KEY }));
    const statuses = (await Promise.all(prompt)).map(({ status }) => status);
    for (const wire of late) {
      wire.write(body);
      await wire.saw("HTTP/1.1");
      statuses.push(wire.status);
      wire.destroy();
    }
    statuses.push((await ask(running.url, body, { key: OTHER_KEY })).status);
    return second() === now ? statuses : null;
  }

  it("counts in the window in which it is admitted, and forgets nothing of it", async () => {
    const limited = {
      display_name: "slow",
      key_hash: sha256(OTHER_KEY),
      allowed_models: ["*"],
      rate_limit: { rps: 2 },
    };
    const running = await startGateway({ resources: keys([limited]) });
    gateway = running;
    const statuses = await running.until(() => inOneSecond(running), 30_000);
    expect(statuses).toEqual([200, 200, 429, 429, 429]);
  });
});

describe("a key that takes the place of a removed one", () => {
  it("is not credited with what the removed one's requests give back", async () => {
    const one = {
      display_name: "one",
      key_hash: sha256("sk-one"),
      allowed_models: ["*"],
      rate_limit: { concurrency: 2 },
    };
    const two = {
      display_name: "two",
      key_hash: sha256("sk-two"),
      allowed_models: ["*"],
      rate_limit: { concurrency: 1 },
    };
    const running = await startGateway({ resources: keys([one]) });
    gateway = running;
    const leave = new AbortController();
    const old = [0, 1].map(() =>
      ask(running.url, chat({ delay_ms: 30_000 }), { key: "sk-one", signal: leave.signal }).catch(() => null),
    );
    await fake.until((stats) => stats.in_flight === 2);
    await reloaded(running, keys([two], true));
    const held = new AbortController();
    const first = ask(running.url, chat({ delay_ms: 30_000 }), { key: "sk-two", signal: held.signal }).catch(
      () => null,
    );
    await fake.until((stats) => stats.in_flight === 3);
    leave.abort();
    await Promise.all(old);
    await running.until(async () => (await metric(running.opsUrl, "weir_requests_in_flight")) === 1);
    expect((await ask(running.url, chat(), { key: "sk-two" })).status).toBe(429);
    held.abort();
    await first;
  });
});

describe("a crash of the acceptor that held a key's places", () => {
  it("gives them back", async () => {
    const limited = {
      display_name: "c",
      key_hash: sha256("sk-c"),
      allowed_models: ["*"],
      rate_limit: { concurrency: 1 },
    };
    const running = await startGateway({ resources: keys([limited]), environment: { WEIR_DEBUG_HOOKS: "1" } });
    gateway = running;
    const held = ask(running.url, chat({ delay_ms: 60_000 }), { key: "sk-c" }).catch(() => null);
    await fake.until((stats) => stats.in_flight === 1);
    expect((await ask(running.url, chat(), { key: "sk-c" })).status).toBe(429);
    running.child.kill("SIGUSR2");
    await held;
    // One that the crashed acceptor has taken meanwhile goes with it.
    const again = () => ask(running.url, chat(), { key: "sk-c" }).catch(() => null);
    await running.until(async () => (await again())?.status === 200);
  });
});
