/** Limits hold for the fleet: over its nodes, when one is killed, and without NATS. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ClusterStatus } from "../../src/cluster/actor.js";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { call } from "./calls.js";
import { oneProvider, type RunningGateway, sha256, startGateway, until } from "./gateway.js";
import { NATS_PROGRAM, NATS_REASON, NatsServer } from "./nats.js";
import { ask, chat } from "./wire.js";

const MINUTE_MS = 60_000;
const LONG_MS = 150_000;
/** A key for each scenario, so that none finds what another has used. */
const LIMITS = {
  sixty: { rpm: 60 },
  wide: { rpm: 60_000 },
  places: { concurrency: 4 },
  killed: { rpm: 300 },
  tokens: { tpm: 3_000 },
  thirty: { rpm: 30 },
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

/** Begins where there is time enough left in the minute. */
function roomInMinute(milliseconds: number): Promise<unknown> {
  return until(() => Date.now() % MINUTE_MS < MINUTE_MS - milliseconds, MINUTE_MS);
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
    "60 a minute are 60, wherever they are asked for",
    async () => {
      await roomInMinute(15_000);
      expect(await offer("sixty", after(5_000))).toBe(60);
    },
    LONG_MS,
  );

  it(
    "below the limit nobody is refused, and requests cost no messages",
    async () => {
      await roomInMinute(12_000);
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
      const hold = (node: RunningGateway) => admits(node, "places", chat({ delay_ms: 3_000 }));
      const first = [0, 1, 2].map(() => hold(nodes[0] as RunningGateway));
      await upstream.until((stats) => stats.in_flight === 3);
      const second = await Promise.all([hold(nodes[1] as RunningGateway), hold(nodes[1] as RunningGateway)]);
      expect(second.filter(Boolean)).toHaveLength(1);
      expect((await Promise.all(first)).every(Boolean)).toBe(true);
      let most = 0;
      for (const enough = after(10_000); most < 4 && !enough(); ) {
        const found = await Promise.all(
          [0, 1, 2, 3, 4].map(() => admits(nodes[2] as RunningGateway, "places", chat({ delay_ms: 500 }))),
        );
        most = Math.max(most, found.filter(Boolean).length);
        expect(most).toBeLessThanOrEqual(4);
      }
      expect(most).toBe(4);
    },
    LONG_MS,
  );

  it(
    "tokens are exceeded by no more than a request's excess on each node",
    async () => {
      await roomInMinute(15_000);
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
      await roomInMinute(25_000);
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
      await roomInMinute(35_000);
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
