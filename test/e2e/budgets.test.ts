/** Budgets: money is reserved, charged, refused when it is spent, and remembered over restarts and kills. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { readEvents } from "../../src/usage/reader.js";
import { journalDirectory } from "../../src/usage/segments.js";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { eventOf } from "./calls.js";
import { KEY, oneProvider, roomInWindow, type RunningGateway, sha256, startGateway, until } from "./gateway.js";
import { Client, ENDPOINTS, metricSum, type Reply, requestFor, STREAMING } from "./traffic.js";

const DAY_MS = 86_400_000;
/** Dollars for each answer of `WORDS` words from a model that charges by output alone: 0.01. */
const WORDS = 10;
const OUTPUT_PER_1K = 1;
const EACH = (WORDS * OUTPUT_PER_1K) / 1_000;
const CHAT = requestFor(ENDPOINTS.chat, { fake: { words: WORDS } });

let upstream: FakeUpstream;
let directory = "";
let gateway: RunningGateway | undefined;
let client: Client;

beforeAll(async () => {
  upstream = await startFakeUpstream();
});
afterAll(() => upstream?.close());
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "weir-budgets-"));
});
afterEach(async () => {
  client?.close();
  await gateway?.dispose();
  gateway = undefined;
  rmSync(directory, { recursive: true, force: true });
});

interface Money {
  readonly budgets?: readonly Record<string, unknown>[];
  readonly key?: Record<string, unknown>;
  readonly cost?: Record<string, unknown> | null;
}

function resources({ budgets = [], key = {}, cost = { input_per_1k: 0, output_per_1k: OUTPUT_PER_1K } }: Money) {
  const file = oneProvider(upstream.url, key);
  if (cost !== null) for (const model of file.models as Record<string, unknown>[]) model.cost = cost;
  const others = ["free", "mate"].map((name) => ({
    display_name: name,
    key_hash: sha256(name),
    allowed_models: ["*"],
    ...(name === "mate" ? { team_id: "red" } : {}),
  }));
  (file.api_keys as unknown[]).push(...others);
  return { ...file, ...(budgets.length === 0 ? {} : { budgets }) };
}

async function start(money: Money, config: Record<string, unknown> = {}): Promise<RunningGateway> {
  gateway = await startGateway({
    config: { acceptors: 2, ...config },
    resources: resources(money),
  });
  client = new Client(gateway.url, 32);
  return gateway;
}

function ask(body: unknown = CHAT, key = KEY, path: string = ENDPOINTS.chat.path): Promise<Reply> {
  return client.post(path, body, { headers: { authorization: `Bearer ${key}` } });
}

async function statuses(count: number, key = KEY): Promise<number[]> {
  const found: number[] = [];
  for (let index = 0; index < count; index += 1) found.push((await ask(CHAT, key)).status);
  return found;
}

async function metrics(): Promise<string> {
  return (await fetch(`${(gateway as RunningGateway).opsUrl.replace(/\/$/, "")}/metrics`)).text();
}

/** Everything that the journal says was spent, dollars. */
async function journalSum(dataDirectory: string): Promise<number> {
  let nanos = 0;
  for await (const event of readEvents(journalDirectory(dataDirectory))) nanos += Math.round(event.cost_usd * 1e9);
  return nanos / 1e9;
}

describe("a budget", () => {
  it("admits until it is spent, then refuses with what a caller needs to know", async () => {
    await roomInWindow(DAY_MS, 20_000);
    await start({ budgets: [{ name: "red", scope: "team", limit_usd: 0.05, period: "day" }], key: { team_id: "red" } });
    expect(await statuses(7)).toEqual([200, 200, 200, 200, 200, 429, 429]);
    const refused = await ask();
    const { error } = JSON.parse(refused.body.toString());
    expect(error).toMatchObject({ type: "billing_error", code: "budget_exceeded" });
    const midnight = new Date(Math.ceil(Date.now() / DAY_MS) * DAY_MS).toISOString();
    expect(error.budget).toEqual({ scope: "team", limit_usd: 0.05, spent_usd: 0.05, resets_at: midnight });
    expect(Number(refused.headers["retry-after"])).toBeGreaterThan(0);
    // The team's money, whichever of its keys; nobody else's.
    expect((await ask(CHAT, "mate")).status).toBe(429);
    expect((await ask(CHAT, "free")).status).toBe(200);
    const messages = requestFor(ENDPOINTS.messages, { fake: { words: WORDS } });
    const other = await ask(messages, KEY, ENDPOINTS.messages.path);
    expect(other.status).toBe(429);
    expect(JSON.parse(other.body.toString())).toMatchObject({ type: "error" });
    // What costs nothing is still to be had.
    const models = await fetch(`${gateway?.url}/v1/models`, { headers: { authorization: `Bearer ${KEY}` } });
    expect(models.status).toBe(200);
    expect(metricSum(await metrics(), "weir_limit_refusals_total", { kind: "budget" })).toBe(5);
  });

  it("holds under many requests at once, over two acceptors, on every endpoint", async () => {
    await start({ key: { budget: { limit_usd: 0.5, period: "total" } } });
    const replies = await Promise.all(
      Array.from({ length: 120 }, (_, index) => {
        const endpoint = STREAMING[index % STREAMING.length] ?? ENDPOINTS.chat;
        const more = { fake: { words: WORDS, gap_ms: 1 }, stream: index % 3 === 0 };
        return ask(requestFor(endpoint, more), KEY, endpoint.path);
      }),
    );
    const admitted = replies.filter(({ status }) => status === 200).length;
    expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([200, 429]));
    // Reserved are 256 tokens each until more is known, and never more than what remains.
    expect(admitted).toBeGreaterThanOrEqual(2);
    expect(admitted).toBeLessThanOrEqual(50);
    expect(await journalSum((gateway as RunningGateway).dataDirectory)).toBeCloseTo(admitted * EACH, 9);
  });

  it("that warns never refuses, and tells of each fraction once", async () => {
    const warning = { name: "all", scope: "all", limit_usd: 0.04, action: "warn", warn_at: [0.5, 1] };
    await start({ budgets: [warning] });
    expect(new Set(await statuses(10))).toEqual(new Set([200]));
    const page = await (gateway as RunningGateway).until(async () => {
      const text = await metrics();
      return metricSum(text, "weir_budget_spent_ratio", { budget: "all" }) > 2.4 ? text : null;
    });
    expect(metricSum(page, "weir_budget_warnings_total", { budget: "all" })).toBe(2);
    expect(metricSum(page, "weir_cost_usd_total", { provider: "openai" })).toBeCloseTo(0.1, 9);
    const told = await until(() => {
      const lines = (gateway as RunningGateway).stdout().split("\n").slice(0, -1);
      const found = lines.filter((line) => line.includes("a budget has reached"));
      return found.length >= 2 ? found : null;
    });
    expect(told.map((line) => JSON.parse(line).fraction)).toEqual(["0.5", "1"]);
  });

  it("charges nothing for an answer that failed", async () => {
    await start({ key: { budget: { limit_usd: 0.01 } } });
    const broken = requestFor(ENDPOINTS.chat, { fake: { status: 500 } });
    for (let index = 0; index < 5; index += 1) expect((await ask(broken)).status).toBe(500);
    expect(await statuses(2)).toEqual([200, 429]);
  });

  it("that a reload brings begins with what was spent before", async () => {
    const running = await start({});
    expect(await statuses(3)).toEqual([200, 200, 200]);
    running.writeResources(resources({ budgets: [{ name: "all", scope: "all", limit_usd: 0.04 }] }));
    running.child.kill("SIGHUP");
    await running.until(() => running.stdout().includes("resources reloaded"));
    await running.until(async () => metricSum(await metrics(), "weir_budget_spent_ratio", { budget: "all" }) > 0.7);
    expect(await statuses(3)).toEqual([200, 429, 429]);
  });
});

describe("survival", () => {
  const data = () => join(directory, "data");
  const startHere = (here: Money, config: Record<string, unknown> = {}) => start(here, { data_dir: data(), ...config });
  const money = (limit: number): Money => ({ key: { budget: { limit_usd: limit, period: "month" } } });

  it("a restart forgets nothing", async () => {
    await startHere(money(0.05));
    expect(await statuses(3)).toEqual([200, 200, 200]);
    expect(await gateway?.end()).toEqual({ code: 0, signal: null });
    const kept = JSON.parse(readFileSync(join(data(), "budgets.json"), "utf8"));
    expect(Object.values(kept.totals)).toEqual([[expect.any(Number), 30_000_000]]);
    await startHere(money(0.05));
    expect(await statuses(3)).toEqual([200, 200, 429]);
  });

  it.each([60, 200])("a kill under load after %d answers: the budget is the journal's sum", async (answers) => {
    await startHere(money(1_000_000), { log: { access: false } });
    let received = 0;
    const lane = async (index: number): Promise<void> => {
      for (;;) {
        const endpoint = STREAMING[index % STREAMING.length] ?? ENDPOINTS.chat;
        const fake = { words: WORDS, gap_ms: index % 5 };
        const reply = await ask(requestFor(endpoint, { fake, stream: index % 2 === 0 }), KEY, endpoint.path).catch(
          () => null,
        );
        if (reply === null) return;
        received += 1;
        if (received === answers) gateway?.child.kill("SIGKILL");
      }
    };
    await Promise.all(Array.from({ length: 24 }, (_, index) => lane(index)));
    await gateway?.until(() => gateway?.child.signalCode === "SIGKILL");
    const sum = await journalSum(data());
    expect(sum).toBeGreaterThanOrEqual(answers * EACH - 24 * EACH);
    // The same budget with a limit below what is spent tells its account in the refusal.
    await startHere(money(0.000_001));
    const refused = await ask();
    expect(refused.status).toBe(429);
    expect(JSON.parse(refused.body.toString()).error.budget.spent_usd).toBeCloseTo(sum, 9);
  });

  it("an account that is broken is made anew from the journal", async () => {
    await startHere(money(0.03));
    expect(await statuses(3)).toEqual([200, 200, 200]);
    await gateway?.end();
    writeFileSync(join(data(), "budgets.json"), '{"version":1,"tot');
    await startHere(money(0.03));
    await gateway?.until(() => gateway?.stdout().includes("budgets are added up anew from the journal"));
    expect(await statuses(1)).toEqual([429]);
  });
});

describe("prices", () => {
  it("a model without one costs nothing, and both event and metrics say so", async () => {
    await start({ cost: null, key: { budget: { limit_usd: 0.000_001 } } });
    const reply = await ask(requestFor(ENDPOINTS.chat, { model: "gpt-nobody-knows" }));
    expect(reply.status).toBe(200);
    const event = await eventOf(gateway as RunningGateway, reply.requestId);
    expect(event).toMatchObject({ cost_usd: 0, price_known: false });
    expect(metricSum(await metrics(), "weir_unknown_price_total", { provider: "openai", model: "gpt-*" })).toBe(1);
  });

  it("the bundled ones count cached and reasoning tokens", async () => {
    await start({ cost: null });
    const parts = { cache_read_tokens: 1_000, reasoning_tokens: 20, words: 30 };
    const reply = await ask(requestFor(ENDPOINTS.chat, { model: "gpt-4o", fake: parts }));
    const event = await eventOf(gateway as RunningGateway, reply.requestId);
    const fresh = event.input_tokens - 1_000;
    expect(event).toMatchObject({ cache_read_tokens: 1_000, output_tokens: 50, price_known: true });
    expect(event.cost_usd).toBeCloseTo((fresh * 2.5 + 1_000 * 1.25 + 50 * 10) / 1e6, 9);
  });

  it("a price file goes over the bundled ones, and is read again on SIGHUP", async () => {
    const file = join(directory, "prices.yaml");
    const write = (price: unknown): void =>
      writeFileSync(file, `version: 1\nprices: [{ provider: openai, model: "gpt-*", output_per_1m: ${price} }]\n`);
    write(1_000);
    const running = await start({ cost: null }, { pricing: { file } });
    const cost = async (): Promise<number> => {
      const reply = await ask();
      return (await eventOf(running, reply.requestId)).cost_usd;
    };
    expect(await cost()).toBeCloseTo(0.01, 9);
    write(2_000);
    running.child.kill("SIGHUP");
    await running.until(() => running.stdout().includes("prices reloaded"));
    await running.until(async () => Math.abs((await cost()) - 0.02) < 1e-9);
    write('"much"');
    running.child.kill("SIGHUP");
    await running.until(() => running.stdout().includes("price file refused"));
    const wrong = "prices[0].output_per_1m: must be a number of US dollars";
    await running.until(() => running.stdout().includes(wrong));
    expect(await cost()).toBeCloseTo(0.02, 9);
  });

  it("a price file with an error keeps the gateway from starting, and names the place", async () => {
    const file = join(directory, "prices.yaml");
    writeFileSync(file, "version: 1\nprices: [{ provider: acme }]\n");
    await expect(start({}, { pricing: { file } })).rejects.toThrow(`${file}:prices[0].model: is required`);
  });
});
