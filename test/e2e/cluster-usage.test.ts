/** The journal goes into the stream in NATS: every event once, whoever is killed meanwhile. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unpack } from "msgpackr";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { ClusterStatus } from "../../src/cluster/actor.js";
import type { UsageEvent } from "../../src/usage/event.js";
import { readEvents } from "../../src/usage/reader.js";
import { journalDirectory } from "../../src/usage/segments.js";
import { call } from "./calls.js";
import { oneProvider, type RunningGateway, startGateway, until } from "./gateway.js";
import { type Message, NATS_PROGRAM, NATS_REASON, NatsServer } from "./nats.js";
import { Client, ENDPOINTS, inParallel, metricSum, requestFor } from "./traffic.js";
import { startUpstreamProcess, type UpstreamProcess } from "./upstream-process.js";

const STREAM = "WEIR_USAGE";
const LANES = 16;

let upstream: UpstreamProcess;
let nats: NatsServer;
let directory: string;
const gateways = new Set<RunningGateway>();

beforeAll(async () => {
  upstream = await startUpstreamProcess();
});
afterAll(() => upstream?.close());
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "weir-cluster-"));
});
afterEach(async () => {
  for (const gateway of gateways) await gateway.dispose();
  gateways.clear();
  await nats?.dispose();
  rmSync(directory, { recursive: true, force: true });
});

interface NodeOptions {
  readonly name?: string;
  readonly usage?: Record<string, unknown>;
}

async function startNode({ name = "test-node", usage = {} }: NodeOptions = {}): Promise<RunningGateway> {
  const gateway = await startGateway({
    config: {
      acceptors: 2,
      node_name: name,
      data_dir: join(directory, name),
      log: { access: false },
      cluster: { nats: { servers: [nats.url] } },
      usage,
    },
    resources: oneProvider(upstream.url),
  });
  gateways.add(gateway);
  return gateway;
}

async function status({ opsUrl }: RunningGateway): Promise<ClusterStatus> {
  return JSON.parse((await call(`${opsUrl}/status/cluster`, { headers: {} })).text) as ClusterStatus;
}

const CHAT = requestFor(ENDPOINTS.chat, { fake: { words: 8 } });

/** Sends so many requests; the answers were all received whole. */
async function ask({ url }: RunningGateway, count: number): Promise<void> {
  const client = new Client(url, LANES);
  await inParallel(Array.from({ length: count }), LANES, async () => {
    const reply = await client.post(ENDPOINTS.chat.path, CHAT);
    expect(reply.status).toBe(200);
    expect(reply.whole).toBe(true);
  });
  client.close();
}

interface Load {
  /** Ids of the requests whose answers were received whole. */
  readonly received: Set<string>;
  /** Ends it; resolves when the last answer is there. */
  stop(): Promise<void>;
}

/** Sends until it is stopped or the gateway is gone. */
function loadOn({ url }: RunningGateway, lanes = LANES): Load {
  const client = new Client(url, lanes);
  const received = new Set<string>();
  let isOver = false;
  const lane = async (): Promise<void> => {
    while (!isOver) {
      const reply = await client.post(ENDPOINTS.chat.path, CHAT).catch(() => null);
      if (reply === null) return;
      if (reply.whole || Number(reply.headers["content-length"]) === reply.body.length) received.add(reply.requestId);
    }
  };
  const ended = Promise.all(Array.from({ length: lanes }, lane));
  const stop = async (): Promise<void> => {
    isOver = true;
    await ended;
    client.close();
  };
  return { received, stop };
}

function ids(events: readonly { readonly id: string }[]): string[] {
  return events.map(({ id }) => id);
}

/** The journal of a node, whether it runs or not. */
async function journalOf(name = "test-node"): Promise<UsageEvent[]> {
  const events: UsageEvent[] = [];
  for await (const event of readEvents(journalDirectory(join(directory, name)))) events.push(event);
  return events;
}

/** Waits until as many are in the stream as on file, and returns both. */
async function settled(): Promise<{ messages: Message[]; events: UsageEvent[] }> {
  const events = await journalOf();
  await until(async () => (await nats.count(STREAM)) >= events.length, 20_000);
  return { messages: await nats.messages(STREAM), events };
}

/** Every event on file is in the stream, once, and nothing else. */
function expectExactlyOnce(messages: readonly Message[], events: readonly UsageEvent[]): void {
  expect(new Set(ids(messages)).size).toBe(messages.length);
  expect(ids(messages).sort()).toEqual(ids(events).sort());
}

it("a node without NATS is alone, and says so", async () => {
  const gateway = await startGateway({ resources: oneProvider(upstream.url) });
  gateways.add(gateway);
  const nothing = { nats: null, usage: null, config: null, health: null, quota: null, budgets: null, cache: null };
  expect(await status(gateway)).toEqual({ name: "weir", self: "", members: [], ...nothing });
});

describe.skipIf(NATS_PROGRAM === null)(`usage in NATS${NATS_REASON}`, () => {
  it("events arrive as they are on file, under their subject and id, in the order of their writers", async () => {
    nats = await NatsServer.create();
    const gateway = await startNode();
    await ask(gateway, 300);
    const { messages, events } = await settled();
    expect(events.length).toBe(300);
    expectExactlyOnce(messages, events);
    const byId = new Map(events.map((event) => [event.id, event]));
    for (const { id, subject, data } of messages) {
      expect(JSON.parse(Buffer.from(data).toString("utf8"))).toEqual(byId.get(id));
      expect(subject).toBe("weir.usage.tester.gpt-soak");
    }
    // The last group of an id is its writer's.
    for (const writer of new Set(ids(events).map((id) => id.slice(-12)))) {
      const own = (list: readonly { readonly id: string }[]) => ids(list).filter((id) => id.endsWith(writer));
      expect(own(messages)).toEqual(own(events));
    }
    const { usage, nats: connection } = await status(gateway);
    expect(connection).toMatchObject({ state: "connected", server: `127.0.0.1:${nats.port}` });
    expect(usage).toMatchObject({ stream: STREAM, published: 300, duplicates: 0, lost: 0, backlog_bytes: 0 });
    const page = (await call(`${gateway.opsUrl}/metrics`, { headers: {} })).text;
    expect(metricSum(page, "weir_usage_stream_published_total")).toBe(300);
    expect(metricSum(page, "weir_nats_connected")).toBe(1);
  });

  it("events are msgpack where the configuration says so", async () => {
    nats = await NatsServer.create();
    const gateway = await startNode({ usage: { encoding: "msgpack" } });
    await ask(gateway, 20);
    const { messages, events } = await settled();
    expectExactlyOnce(messages, events);
    const byId = new Map(events.map((event) => [event.id, event]));
    for (const { id, data } of messages) expect(unpack(data)).toEqual(byId.get(id));
  });

  it("the stream is made and changed as the configuration says", async () => {
    nats = await NatsServer.create();
    const settings = async () => (await nats.with((manager) => manager.streams.info(STREAM))).config;
    const first = await startNode({ usage: { stream: { max_age_ms: 86_400_000, max_bytes: 10_000_000 } } });
    await until(async () => (await status(first)).nats?.state === "connected");
    await until(() => settings().catch(() => null));
    expect(await settings()).toMatchObject({
      storage: "file",
      num_replicas: 1,
      max_age: 86_400_000e6,
      max_bytes: 10_000_000,
      duplicate_window: 600_000e6,
      subjects: ["weir.usage.>"],
    });
    await first.end();
    await startNode({ usage: { stream: { max_age_ms: 0, max_bytes: 0, dedupe_window_ms: 1_200_000 } } });
    await until(async () => (await settings()).max_age === 0);
    expect(await settings()).toMatchObject({ max_bytes: -1, duplicate_window: 1_200_000e6 });
  });

  it("a node starts, serves and ends without NATS; what it noted goes out when NATS is there", async () => {
    nats = await NatsServer.create({ started: false });
    const first = await startNode();
    await ask(first, 50);
    expect((await call(`${first.opsUrl}/readyz`, { headers: {} })).status).toBe(200);
    expect((await status(first)).nats).toMatchObject({ state: "connecting" });
    const before = performance.now();
    expect(await first.end()).toEqual({ code: 0, signal: null });
    expect(performance.now() - before).toBeLessThan(15_000);
    await ask(await startNode(), 50);
    await nats.start();
    const { messages, events } = await settled();
    expect(events.length).toBe(100);
    expectExactlyOnce(messages, events);
  });

  it("NATS is killed twice under load, the second time for 5 s: nothing is lost or doubled", async () => {
    nats = await NatsServer.create();
    const gateway = await startNode();
    const load = loadOn(gateway, 8);
    await until(async () => (await nats.count(STREAM)) > 500);
    await nats.kill();
    await nats.start();
    const counted = await nats.count(STREAM);
    await until(async () => (await nats.count(STREAM)) > counted + 500);
    await nats.kill();
    await until(async () => (await status(gateway)).nats?.state === "disconnected");
    await new Promise((done) => setTimeout(done, 5_000));
    expect((await status(gateway)).usage?.backlog_bytes).toBeGreaterThan(0);
    await nats.start();
    await load.stop();
    const { messages, events } = await settled();
    expectExactlyOnce(messages, events);
    const known = new Set(events.map(({ request_id }) => request_id));
    expect([...load.received].filter((id) => !known.has(id))).toEqual([]);
    expect((await status(gateway)).nats?.reconnects).toBeGreaterThanOrEqual(2);
  });

  it("the gateway is killed under load, twice: the stream is the journal", async () => {
    nats = await NatsServer.create();
    const received = new Set<string>();
    for (const answers of [200, 1_500]) {
      const gateway = await startNode();
      const load = loadOn(gateway);
      await until(() => load.received.size >= answers, 20_000);
      await gateway.end("SIGKILL");
      await load.stop();
      for (const id of load.received) received.add(id);
    }
    await startNode();
    const { messages, events } = await settled();
    expectExactlyOnce(messages, events);
    const known = new Set(events.map(({ request_id }) => request_id));
    expect([...received].filter((id) => !known.has(id))).toEqual([]);
  });

  it("the gateway and NATS are killed at the same moment: the stream is the journal", async () => {
    nats = await NatsServer.create();
    const first = await startNode();
    const load = loadOn(first);
    await until(() => load.received.size >= 1_000, 20_000);
    await Promise.all([first.end("SIGKILL"), nats.kill()]);
    await load.stop();
    await startNode();
    await nats.start();
    const { messages, events } = await settled();
    expectExactlyOnce(messages, events);
    const known = new Set(events.map(({ request_id }) => request_id));
    expect([...load.received].filter((id) => !known.has(id))).toEqual([]);
  });
});
