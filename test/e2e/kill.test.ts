/** A process that is killed under load has every answer that a client fully received on its books. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { UsageEvent } from "../../src/usage/event.js";
import { noFaults, readEvents } from "../../src/usage/reader.js";
import { journalDirectory } from "../../src/usage/segments.js";
import type { Behaviour } from "../fake-upstream/behaviour.js";
import { oneProvider, type RunningGateway, startGateway } from "./gateway.js";
import { Client, type Endpoint, ENDPOINTS, hasTerminator, type Reply, requestFor, STREAMING } from "./traffic.js";
import { startUpstreamProcess, type UpstreamProcess } from "./upstream-process.js";

const CLIENTS = 32;
/** Answers received before the kill, a round; the moment falls anywhere in the batches of the journal. */
const ROUNDS = [40, 333, 700, 1_201];

let upstream: UpstreamProcess;
let directory: string;
let gateway: RunningGateway | undefined;

beforeAll(async () => {
  upstream = await startUpstreamProcess();
  directory = mkdtempSync(join(tmpdir(), "weir-kill-"));
});

afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
  rmSync(directory, { recursive: true, force: true });
});

function start(): Promise<RunningGateway> {
  return startGateway({
    config: { acceptors: 2, data_dir: directory, log: { access: false } },
    resources: oneProvider(upstream.url),
  });
}

async function journal(): Promise<{ events: Map<string, UsageEvent>; faults: ReturnType<typeof noFaults> }> {
  const faults = noFaults();
  const events = new Map<string, UsageEvent>();
  for await (const event of readEvents(journalDirectory(directory), { faults })) events.set(event.request_id, event);
  return { events, faults };
}

interface Load {
  /** Requests whose answer came to its end. */
  readonly received: Map<string, Endpoint>;
  /** Requests of whose answer something came, but not the end. */
  cut: number;
}

/** A mix that keeps some answers long under way: quick whole ones, quick streams, large ones, paced streams. */
const SHAPES: readonly (readonly [Behaviour, boolean])[] = [
  [{ words: 8 }, false],
  [{ words: 8 }, true],
  [{ words: 8, chunking: { mode: "burst" } }, true],
  [{ bytes: 150_000, chunking: { mode: "bytes", size: 20_000 } }, false],
  [{ words: 40, gap_ms: 1 }, true],
  [{ usage: "none", words: 8 }, false],
];

function fullyReceived(reply: Reply, endpoint: Endpoint, streamed: boolean): boolean {
  if (!streamed) return reply.whole || Number(reply.headers["content-length"]) === reply.body.length;
  // A client takes a stream as complete when it sees the terminator, whatever follows.
  return hasTerminator(endpoint.operation, reply.body);
}

/** Sends until the connection to the gateway is gone. */
async function lane(client: Client, first: number, load: Load, onReceived: () => void): Promise<void> {
  for (let index = first; ; index += CLIENTS) {
    const endpoint = STREAMING[index % STREAMING.length] ?? ENDPOINTS.chat;
    const [fake, streamed] = SHAPES[Math.floor(index / STREAMING.length) % SHAPES.length] ?? [{}, false];
    const body = requestFor(endpoint, { fake, ...(streamed ? { stream: true } : {}) });
    const reply = await client.post(endpoint.path, body).catch((error: NodeJS.ErrnoException) => {
      // Where nobody listens any more nothing was on its way.
      if (error.code !== "ECONNREFUSED") load.cut += 1;
    });
    if (reply === undefined) return;
    if (fullyReceived(reply, endpoint, streamed)) {
      load.received.set(reply.requestId, endpoint);
      onReceived();
    } else load.cut += 1;
  }
}

async function runUntilKilled(target: RunningGateway, answers: number): Promise<Load> {
  const load: Load = { received: new Map(), cut: 0 };
  const client = new Client(target.url, CLIENTS);
  const onReceived = (): void => {
    if (load.received.size === answers) target.child.kill("SIGKILL");
  };
  await Promise.all(Array.from({ length: CLIENTS }, (_, index) => lane(client, index, load, onReceived)));
  client.close();
  return load;
}

describe("kill -9 under load", () => {
  const all = new Map<string, Endpoint>();

  it.each(ROUNDS)(
    "after %d answers: each one received is in the journal, and the next start goes on",
    async (answers) => {
      gateway = await start();
      const load = await runUntilKilled(gateway, answers);
      await gateway.until(() => gateway?.child.signalCode === "SIGKILL");
      await gateway.dispose();
      expect(load.received.size).toBeGreaterThanOrEqual(answers);
      // It was under load: answers were on their way.
      expect(load.cut).toBeGreaterThan(0);
      for (const [id, endpoint] of load.received) all.set(id, endpoint);
      const { events, faults } = await journal();
      const missing = [...all.keys()].filter((id) => !events.has(id));
      expect(missing).toEqual([]);
      for (const [id, endpoint] of load.received) {
        expect(events.get(id)).toMatchObject({ status: 200, complete: true, operation: endpoint.operation });
      }
      // At most one torn line a writer: two acceptors were killed each round so far.
      expect(faults.invalid).toBe(0);
      expect(faults.torn).toBeLessThanOrEqual(2 * ROUNDS.length);
    },
  );

  it("a start on the same data directory serves, and drains with everything on the books", async () => {
    gateway = await start();
    const client = new Client(gateway.url);
    const reply = await client.post(ENDPOINTS.chat.path, requestFor(ENDPOINTS.chat));
    expect(reply.status).toBe(200);
    client.close();
    expect(await gateway.end()).toEqual({ code: 0, signal: null });
    const { events } = await journal();
    expect(events.has(reply.requestId)).toBe(true);
    expect([...all.keys()].filter((id) => !events.has(id))).toEqual([]);
    expect(events.size).toBeGreaterThan(ROUNDS.reduce((sum, answers) => sum + answers, 0));
  });
});
