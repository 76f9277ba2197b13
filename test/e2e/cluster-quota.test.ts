/** Limits hold for the fleet: over its nodes, when one is killed, and without NATS. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ClusterStatus } from "../../src/cluster/actor.js";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { call } from "./calls.js";
import { oneProvider, roomInWindow, type RunningGateway, sha256, startGateway, until } from "./gateway.js";
import { NATS_PROGRAM, NATS_REASON, NatsServer } from "./nats.js";
import { ask, chat } from "./wire.js";

const HOUR_MS = 3_600_000;
const LONG_MS = 150_000;
/** A key for each scenario, so that none finds what another has used; by the hour, which seldom ends meanwhile. */
const LIMITS = {
  sixty: { rph: 60 },
  wide: { rph: 60_000 },
  places: { concurrency: 4 },
  killed: { rph: 300 },
  tokens: { tph: 3_000 },
  thirty: { rph: 30 },
} as const;
type Key = keyof typeof LIMITS;

let upstream: FakeUpstream;
let nats: NatsServer;
const nodes: RunningGateway[] = [];

async function startNode(name: string): Promise<RunningGateway> {
  const resources = oneProvider(upstream.url);
  for (const [key, rate_limit] of Object.entries(LIMITS)) {
    (resources.api_keys as unknown[]).push({
      display_name: key,
      key_hash: sha256(key),
      allowed_models: ["*"],
      rate_limit,
    });
  }
  const gateway = await startGateway({
    config: { acceptors: name === "first" ? 2 : 1, node_name: name, log: { access: false } },
    environment: { WEIR_CLUSTER__NATS__SERVERS: nats.url },
    resources,
  });
  nodes.push(gateway);
  return gateway;
}

async function status({ opsUrl }: RunningGateway): Promise<ClusterStatus> {
  return JSON.parse((await call(`${opsUrl}/status/cluster`, { headers: {} })).text) as ClusterStatus;
}

function settled(count: number, which = nodes): Promise<unknown> {
  return until(async () => {
    const all = await Promise.all(which.map(status));
    return all.every(({ members, quota }) => members.length === count && quota?.granting === true);
  }, 20_000);
}

async function admits(node: RunningGateway, key: Key, body = chat()): Promise<boolean> {
  const { status: code, text } = await ask(node.url, body, { key, headers: { connection: "close" } });
  if (code !== 200 && code !== 429) throw new Error(`${code} ${text}`);
  return code === 200;
}

/** Calls at all nodes, one after the other at each, until `enough` says so. Returns how many were admitted. */
async function offer(key: Key, enough: () => boolean, which = nodes): Promise<number> {
  let admitted = 0;
  const clients = which.map(async (node) => {
    while (!enough()) {
      if (await admits(node, key).catch(() => false)) admitted += 1;
      await new Promise((done) => setTimeout(done, 20));
    }
  });
  await Promise.all(clients);
  return admitted;
}

function after(milliseconds: number): () => boolean {
  const end = Date.now() + milliseconds;
  return () => Date.now() >= end;
}

describe.skipIf(NATS_PROGRAM === null)(`limits of a fleet of three${NATS_REASON}`, () => {
  beforeAll(async () => {
    upstream = await startFakeUpstream();
    nats = await NatsServer.create();
    for (const name of ["first", "second", "third"]) await startNode(name);
    await settled(3);
  });

  afterAll(async () => {
    for (const node of nodes) await node.dispose();
    await nats?.dispose();
    await upstream?.close();
  });

  it(
    "60 an hour are 60, wherever they are asked for",
    async () => {
      await roomInWindow(HOUR_MS, 15_000);
      expect(await offer("sixty", after(5_000))).toBe(60);
    },
    LONG_MS,
  );

  it(
    "below the limit nobody is refused, and requests cost no messages",
    async () => {
      await roomInWindow(HOUR_MS, 12_000);
      const sums = async () => {
        const all = await Promise.all(nodes.map(status));
        return all.reduce((sum, { quota }) => sum + (quota?.messages_sent ?? 0) + (quota?.messages_received ?? 0), 0);
      };
      const before = await sums();
      let refused = 0;
      let asked = 0;
      const clients = nodes.map(async (node) => {
        for (const enough = after(5_000); !enough(); asked += 1) if (!(await admits(node, "wide"))) refused += 1;
      });
      await Promise.all(clients);
      expect(refused).toBe(0);
      expect(((await sums()) - before) / nodes.length / 5).toBeLessThan(100);
      expect(asked).toBeGreaterThan(100);
    },
    LONG_MS,
  );

  it(
    "4 at once are 4 in all, and go to another node when they end",
    async () => {
      let refused = 0;
      const hold = async (node: RunningGateway): Promise<void> => {
        if (!(await admits(node, "places", chat({ held: true })))) refused += 1;
      };
      const first = [0, 1, 2].map(() => hold(nodes[0] as RunningGateway));
      await upstream.until((stats) => stats.in_flight === 3);
      const second = [0, 1].map(() => hold(nodes[1] as RunningGateway));
      await until(() => upstream.stats().in_flight + refused === 5);
      expect(refused).toBe(1);
      upstream.release();
      await Promise.all([...first, ...second]);
      let most = 0;
      for (const enough = after(20_000); most < 4 && !enough(); ) {
        refused = 0;
        const found = [0, 1, 2, 3, 4].map(() => hold(nodes[2] as RunningGateway));
        await until(() => upstream.stats().in_flight + refused === 5);
        most = Math.max(most, upstream.stats().in_flight);
        upstream.release();
        await Promise.all(found);
        expect(most).toBeLessThanOrEqual(4);
      }
      expect(most).toBe(4);
    },
    LONG_MS,
  );

  it(
    "tokens are exceeded by no more than a request's excess on each node",
    async () => {
      await roomInWindow(HOUR_MS, 15_000);
      const admitted = await offer("tokens", after(6_000));
      const used = nodes.map((node) =>
        node.events().then((events) => events.filter(({ api_key }) => api_key === "tokens")),
      );
      const events = (await Promise.all(used)).flat();
      const tokens = events.reduce(
        (sum, { input_tokens, output_tokens }) => sum + (input_tokens ?? 0) + (output_tokens ?? 0),
        0,
      );
      const largest = Math.max(
        ...events.map(({ input_tokens, output_tokens }) => (input_tokens ?? 0) + (output_tokens ?? 0)),
      );
      expect(admitted).toBeGreaterThan(0);
      expect(tokens).toBeLessThanOrEqual(3_000 + nodes.length * largest);
      expect(tokens).toBeGreaterThan(2_700);
    },
    LONG_MS,
  );

  it(
    "a node is killed, and a limit stays what it is",
    async () => {
      await roomInWindow(HOUR_MS, 25_000);
      const [, , third] = nodes as [RunningGateway, RunningGateway, RunningGateway];
      const offered = offer("killed", after(14_000));
      await new Promise((done) => setTimeout(done, 1_500));
      await third.end("SIGKILL");
      const admitted = await offered;
      expect(admitted).toBeLessThanOrEqual(303);
      // What it held and had not spent is lost until the window's end: one grant at most, a sixth of what was left.
      expect(admitted).toBeGreaterThanOrEqual(250);
      nodes.pop();
      await settled(2);
      await startNode("fourth");
      await settled(3);
    },
    LONG_MS,
  );

  it(
    "without NATS each has its share, and none counts twice when it is back",
    async () => {
      await roomInWindow(HOUR_MS, 35_000);
      await nats.kill();
      await until(async () =>
        (await Promise.all(nodes.map(status))).every(({ nats: held }) => held?.state !== "connected"),
      );
      expect(await offer("thirty", after(9_000))).toBe(30);
      await nats.start();
      await settled(3);
      expect(await offer("thirty", after(3_000))).toBe(0);
    },
    LONG_MS,
  );
});
