/** Budgets hold for the fleet: over its nodes, over kills and lost disks, and without NATS. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ClusterStatus } from "../../src/cluster/actor.js";
import { readEvents } from "../../src/usage/reader.js";
import { journalDirectory } from "../../src/usage/segments.js";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { call } from "./calls.js";
import { oneProvider, type RunningGateway, sha256, startGateway, until } from "./gateway.js";
import { NATS_PROGRAM, NATS_REASON, NatsServer } from "./nats.js";
import { Client, ENDPOINTS, metricSum, type Reply, requestFor } from "./traffic.js";

/** Every answer costs 0.01. */
const WORDS = 10;
const CHAT = requestFor(ENDPOINTS.chat, { fake: { words: WORDS } });
const WAIT_MS = 20_000;
const LONG_MS = 90_000;
/** A key for each scenario, so that none finds what another has spent. */
const LIMITS = { even: 0.05, low: 1, warned: 0.2, killed: 0.06, busy: 4, lost: 0.03, away: 0.3 } as const;
type Key = keyof typeof LIMITS;
const WARNING = "a budget has reached a fraction that it warns at";

interface FleetNode {
  readonly gateway: RunningGateway;
  readonly client: Client;
  readonly data: string;
}

let upstream: FakeUpstream;
let nats: NatsServer;
let nodes: FleetNode[] = [];
const folders: string[] = [];

async function startNode(name: string, data = folder()): Promise<FleetNode> {
  const resources = oneProvider(upstream.url);
  for (const model of resources.models as Record<string, unknown>[]) {
    model.cost = { input_per_1k: 0, output_per_1k: 1 };
  }
  resources.api_keys = Object.entries(LIMITS).map(([key, limit_usd]) => ({
    display_name: key,
    key_hash: sha256(key),
    allowed_models: ["*"],
    budget: { limit_usd, period: "total", ...(key === "warned" ? { warn_at: [0.5, 0.9] } : {}) },
  }));
  const gateway = await startGateway({
    config: { acceptors: name === "first" ? 2 : 1, node_name: name, data_dir: data, log: { access: false } },
    environment: { WEIR_CLUSTER__NATS__SERVERS: nats.url },
    resources,
  });
  const node = { gateway, client: new Client(gateway.url, 8), data };
  nodes.push(node);
  return node;
}

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), "weir-fleet-budgets-"));
  folders.push(made);
  return made;
}

async function end(node: FleetNode, signal?: NodeJS.Signals): Promise<void> {
  nodes = nodes.filter((each) => each !== node);
  node.client.close();
  await node.gateway.end(signal);
  await node.gateway.dispose();
}

function pair(): [FleetNode, FleetNode] {
  const [first, second] = nodes;
  if (first === undefined || second === undefined) throw new Error("there are not two nodes");
  return [first, second];
}

async function status({ gateway }: FleetNode): Promise<ClusterStatus> {
  return JSON.parse((await call(`${gateway.opsUrl}/status/cluster`, { headers: {} })).text) as ClusterStatus;
}

/** Every node knows of all, and has had time to hear of their spending. */
function settled(count = nodes.length): Promise<unknown> {
  return until(async () => {
    const all = await Promise.all(nodes.map(status));
    return all.every(({ budgets }) => budgets?.following === true && budgets.shares === count);
  }, WAIT_MS);
}

function ask({ client }: FleetNode, key: Key): Promise<Reply> {
  return client.post(ENDPOINTS.chat.path, CHAT, { headers: { authorization: `Bearer ${key}` } });
}

/** How many were admitted before the first refusal, at most so many. */
async function askFor(node: FleetNode, key: Key, most = 1_000): Promise<number> {
  for (let admitted = 0; admitted < most; admitted += 1) {
    const reply = await ask(node, key);
    if (reply.status === 429) return admitted;
    expect(reply.status).toBe(200);
  }
  return most;
}

/** Asks until the budget is known to be spent. Returns how many were admitted, and what the refusal says. */
async function exhaust(node: FleetNode, key: Key): Promise<{ readonly admitted: number; readonly spent: number }> {
  let admitted = 0;
  const spent = await until(async () => {
    const reply = await ask(node, key);
    if (reply.status === 200) admitted += 1;
    const refused = reply.status === 429 ? budgetOf(reply) : null;
    return refused !== null && refused.spent_usd >= LIMITS[key] ? refused.spent_usd : null;
  }, WAIT_MS);
  return { admitted, spent };
}

function budgetOf(reply: Reply): { readonly spent_usd: number; readonly limit_usd: number } {
  return JSON.parse(reply.body.toString()).error.budget;
}

/** What this node's journal says of a key, dollars. */
async function journalSum(data: string, key: Key): Promise<number> {
  let nanos = 0;
  for await (const event of readEvents(journalDirectory(data))) {
    if (event.api_key === key) nanos += Math.round(event.cost_usd * 1e9);
  }
  return nanos / 1e9;
}

async function ratio({ gateway }: FleetNode, key: Key): Promise<number> {
  const { text } = await call(`${gateway.opsUrl}/metrics`, { headers: {} });
  return metricSum(text, "weir_budget_spent_ratio", { value: key });
}

async function warnings(): Promise<number> {
  const pages = await Promise.all(
    nodes.map(async ({ gateway }) => (await call(`${gateway.opsUrl}/metrics`, { headers: {} })).text),
  );
  return pages.reduce((sum, page) => sum + metricSum(page, "weir_budget_warnings_total"), 0);
}

describe.skipIf(NATS_PROGRAM === null)(`budgets of a fleet of two${NATS_REASON}`, () => {
  beforeAll(async () => {
    upstream = await startFakeUpstream();
    nats = await NatsServer.create();
    await startNode("first");
    await startNode("second");
    await settled();
  });

  afterAll(async () => {
    for (const node of [...nodes]) await end(node, "SIGKILL");
    await nats?.dispose();
    await upstream?.close();
    for (const made of folders) rmSync(made, { recursive: true, force: true });
  });

  it(
    "what is spent over both is refused on both, at most a request beyond it on each",
    async () => {
      const [first, second] = pair();
      const found = await Promise.all([exhaust(first, "even"), exhaust(second, "even")]);
      const total = (await journalSum(first.data, "even")) + (await journalSum(second.data, "even"));
      expect(total).toBeCloseTo((found[0].admitted + found[1].admitted) * 0.01, 9);
      expect(total).toBeGreaterThanOrEqual(0.05 - 1e-9);
      expect(total).toBeLessThanOrEqual(0.07 + 1e-9);
      for (const node of nodes) {
        await until(async () => Math.abs(budgetOf(await ask(node, "even")).spent_usd - total) < 1e-9, WAIT_MS);
        await until(async () => Math.abs((await ratio(node, "even")) - total / 0.05) < 1e-6, WAIT_MS);
      }
    },
    LONG_MS,
  );

  it(
    "many at once at both exceed it by no more than that either",
    async () => {
      const clients = nodes.flatMap((node) => Array.from({ length: 6 }, () => exhaust(node, "busy")));
      const admitted = (await Promise.all(clients)).reduce((sum, each) => sum + each.admitted, 0);
      expect(admitted).toBeGreaterThanOrEqual(400);
      expect(admitted).toBeLessThanOrEqual(402);
    },
    LONG_MS,
  );

  it(
    "far from the limit nobody is refused, whoever asks",
    async () => {
      const [first, second] = pair();
      expect(await askFor(first, "low", 25)).toBe(25);
      expect(await askFor(second, "low", 10)).toBe(10);
    },
    LONG_MS,
  );

  it(
    "one node alone spends what is left, also beyond its first share",
    async () => {
      const [first, second] = pair();
      const { spent, admitted } = await exhaust(first, "low");
      expect(admitted + 35).toBe(100);
      expect(spent).toBeCloseTo(1, 9);
      // It may not have heard of the last ones yet.
      expect((await exhaust(second, "low")).admitted).toBeLessThanOrEqual(1);
    },
    LONG_MS,
  );

  it(
    "each fraction is warned of once, by whatever node",
    async () => {
      const [first, second] = pair();
      await Promise.all([exhaust(first, "warned"), exhaust(second, "warned")]);
      await until(async () => (await warnings()) >= 2, WAIT_MS);
      for (const node of nodes) await until(async () => (await ratio(node, "warned")) >= 1, WAIT_MS);
      const told = await until(() => {
        const lines = nodes.flatMap(({ gateway }) => gateway.stdout().split("\n").slice(0, -1));
        const found = lines.filter((line) => line.includes(WARNING));
        return found.length >= 2 ? found : null;
      });
      expect(told.map((line) => JSON.parse(line).fraction).sort()).toEqual(["0.5", "0.9"]);
    },
    LONG_MS,
  );

  it(
    "a node that is killed and started again counts once",
    async () => {
      const [first, second] = pair();
      expect(await askFor(second, "killed", 2)).toBe(2);
      // Nobody has told a second time of what was warned of before.
      expect(await warnings()).toBe(2);
      await end(second, "SIGKILL");
      const again = await startNode("second", second.data);
      await settled();
      await until(async () => Math.abs((await ratio(first, "killed")) - 2 / 6) < 1e-6, WAIT_MS);
      await until(async () => Math.abs((await ratio(again, "killed")) - 2 / 6) < 1e-6, WAIT_MS);
      const { admitted, spent } = await exhaust(first, "killed");
      expect(admitted).toBe(4);
      expect(spent).toBeCloseTo(0.06, 9);
      expect((await exhaust(again, "killed")).admitted).toBeLessThanOrEqual(1);
    },
    LONG_MS,
  );

  it(
    "without NATS each has its share, and none counts twice when it is back",
    async () => {
      const [first, second] = pair();
      expect(await askFor(first, "away", 4)).toBe(4);
      await until(async () => (await ratio(second, "away")) > 0.13, WAIT_MS);
      await nats.kill();
      await until(async () => (await Promise.all(nodes.map(status))).every(({ nats: held }) => held?.server === null));
      const alone = [await askFor(first, "away"), await askFor(second, "away")];
      // Longer than a connection is most often away.
      await new Promise((done) => setTimeout(done, 3_500));
      const later = [await askFor(first, "away"), await askFor(second, "away")];
      // 0.26 were left, for two.
      expect(alone.map((admitted, index) => admitted + (later[index] ?? 0))).toEqual([13, 13]);
      expect([await askFor(first, "away"), await askFor(second, "away")]).toEqual([0, 0]);
      await nats.start();
      await settled();
      for (const node of nodes) {
        const { admitted, spent } = await exhaust(node, "away");
        expect(admitted).toBe(0);
        expect(spent).toBeCloseTo(0.3, 9);
      }
    },
    LONG_MS,
  );

  it(
    "what was spent survives the loss of all nodes with their disks",
    async () => {
      const [first, second] = pair();
      await exhaust(first, "lost");
      await Promise.all([end(first), end(second)]);
      await startNode("first");
      await startNode("second");
      await settled();
      for (const node of nodes) {
        const { admitted, spent } = await exhaust(node, "lost");
        expect(admitted).toBe(0);
        expect(spent).toBeCloseTo(0.03, 9);
        expect((await exhaust(node, "even")).admitted).toBe(0);
      }
      expect(await warnings()).toBe(0);
    },
    LONG_MS,
  );
});
