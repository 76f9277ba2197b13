import { createHash } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type EntryMeta, packMeta, unpackMeta } from "../../../src/cache/entry.js";
import { allocateCacheMemory, CacheStore, tagOf } from "../../../src/cache/store.js";
import { CacheShare } from "../../../src/cluster/cache-share.js";
import type { Place } from "../../../src/cluster/cache-bucket.js";
import { newPurge, purgeBytes, Purges } from "../../../src/cluster/cache-purges.js";
import type { Live } from "../../../src/cluster/connection.js";
import { cacheEntryKey, fleetNames } from "../../../src/cluster/subjects.js";
import type { PurgeFilter } from "../../../src/cache/store.js";
import { Air, FakeConnection } from "./fake-connection.js";

const DAY = 86_400_000;
const names = fleetNames("weir");
const silent = { info: () => {}, warn: () => {}, error: () => {} };
const meta = packMeta({
  ...({ mode: "whole", contentType: "application/json", usageShown: false, losses: [], costUsd: 0 } as const),
  ...{ targetDialect: "d", provider: "p", upstreamModel: "m", responseModel: "m", responseId: "i", finishReason: "s" },
  ...{ inputTokens: 1, outputTokens: 1, cacheReadTokens: 0, cacheWriteTokens: 0, reasoningTokens: 0 },
} satisfies EntryMeta);

/** What the servers hold, for all nodes. */
class FakeServers {
  readonly answers = new Map<string, Uint8Array>();
  readonly deleted: PurgeFilter[] = [];
  purges: Uint8Array | null = null;
  opened = 0;
  fault: Error | null = null;
  /** Reads and writes do not come back. */
  silent = false;

  async answer<T>(value: () => T): Promise<T> {
    await Promise.resolve();
    if (this.fault !== null) throw this.fault;
    if (this.silent) return new Promise<T>(() => {});
    return value();
  }

  open(live: Live) {
    return this.answer(() => {
      this.opened += 1;
      return {
        live,
        read: (place: Place) => this.answer(() => this.answers.get(nameOf(place)) ?? null),
        write: (place: Place, _apiKey: string, bytes: Uint8Array) =>
          this.answer(() => {
            this.answers.set(nameOf(place), bytes);
            return true;
          }),
        readPurges: () => this.answer(() => this.purges),
        renewPurges: (renew: (recorded: Uint8Array | null) => Uint8Array) =>
          this.answer(() => {
            this.purges = renew(this.purges);
          }),
        purge: (filter: PurgeFilter) =>
          this.answer(() => {
            this.deleted.push(filter);
          }),
      };
    });
  }
}

function nameOf({ policy, model, key }: Place): string {
  return cacheEntryKey(policy, model, key);
}

class Connected extends FakeConnection {
  live: Live | null = null;
  #lose = new AbortController();
  #wake: (() => void)[] = [];

  connect(): void {
    this.state = "connected";
    this.#lose = new AbortController();
    this.live = { js: {}, manager: {}, lost: this.#lose.signal } as unknown as Live;
    for (const wake of this.#wake.splice(0)) wake();
  }

  disconnect(): void {
    this.live = null;
    this.state = "disconnected";
    this.#lose.abort();
  }

  async whenLive(signal: AbortSignal): Promise<Live | null> {
    while (this.live === null && !signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#wake.push(resolve);
        signal.addEventListener("abort", () => resolve());
      });
    }
    return this.live;
  }

  request(): Promise<Uint8Array> {
    return Promise.reject(new Error("not in this test"));
  }
}

interface TestNode {
  readonly connection: Connected;
  readonly store: CacheStore;
  readonly share: CacheShare;
}

let now: number;
let wanted: boolean;
let air: Air;
let servers: FakeServers;
let nodes: TestNode[];

beforeEach(() => {
  vi.useFakeTimers();
  now = 1_000 * DAY;
  wanted = true;
  air = new Air();
  servers = new FakeServers();
  nodes = [];
});
afterEach(() => {
  for (const { share } of nodes) share.stop();
  vi.useRealTimers();
});

/** Lets everything happen that is due by then. */
async function pass(milliseconds: number): Promise<void> {
  now += milliseconds;
  await vi.advanceTimersByTimeAsync(milliseconds);
}

async function startNode(connects = true): Promise<TestNode> {
  const connection = new Connected(air);
  const store = new CacheStore(allocateCacheMemory(16 * 1024 * 1024), 0);
  const settings = { replicas: 1, max_bytes: 1e8, max_age_ms: DAY };
  const open = (live: Live) => servers.open(live);
  const share = new CacheShare({
    ...{ connection, names, settings, store, log: silent, open },
    clock: () => now,
    wanted: () => wanted,
  });
  const node = { connection, store, share };
  nodes.push(node);
  share.start();
  if (connects) connection.connect();
  else connection.state = "disconnected";
  await pass(1);
  return node;
}

function keyOf(question: string): Buffer {
  return createHash("sha256").update(question).digest();
}

/** The node has answered a question; the answer's length is that of its text. */
function answered({ store, share }: TestNode, question: string, length = 10, apiKey = "k"): boolean {
  const tags = { policy: tagOf("p"), model: tagOf("m"), apiKey: tagOf(apiKey) };
  const entry = { key: keyOf(question), meta, body: Buffer.alloc(length, "x"), expiresAt: now + 60_000, tags };
  const put = store.put({ ...entry, meaning: null }, store.purges);
  share.keep({ key: keyOf(question), policy: "p", model: "m", apiKey, askedAt: now });
  return put;
}

function ask({ share }: TestNode, question: string, ttlMs = 60_000): Promise<boolean> {
  return share.ask({ key: keyOf(question), policy: "p", model: "m", ttlMs });
}

describe("answers that the nodes share", () => {
  it("come from one node's memory into the other's, with the rest of their life", async () => {
    const [one, other] = [await startNode(), await startNode()];
    answered(one, "q");
    await pass(20_000);
    expect(await ask(other, "q")).toBe(true);
    const found = other.store.get(keyOf("q"), now + 39_999);
    expect(found?.body.toString()).toBe("xxxxxxxxxx");
    expect(unpackMeta(found?.meta as Buffer)).toEqual(unpackMeta(meta));
    expect(other.store.get(keyOf("q"), now + 40_000)).toBeNull();
    expect(await ask(other, "never asked")).toBe(false);
    expect([one.share.counts, other.share.counts]).toMatchObject([{ stored: 1 }, { hits: 1, misses: 1 }]);
  });

  it("live no longer than the asker's policy allows, and not beyond their own end", async () => {
    const [one, other] = [await startNode(), await startNode()];
    answered(one, "q");
    await pass(1);
    expect(await ask(other, "q", 5_000)).toBe(true);
    expect(other.store.get(keyOf("q"), now + 5_000)).toBeNull();
    await pass(60_000);
    expect(await ask(other, "q")).toBe(false);
  });

  it("that are too long stay where they are", async () => {
    const [one, other] = [await startNode(), await startNode()];
    expect(answered(one, "q", 950_000)).toBe(true);
    await pass(1);
    expect(one.share.counts).toMatchObject({ too_long: 1, stored: 0 });
    expect(await ask(other, "q")).toBe(false);
  });

  it("have no bucket while no policy wants one; a purge waits until then", async () => {
    wanted = false;
    const node = await startNode();
    node.share.purge({ policy: "p" });
    await pass(10_000);
    expect([servers.opened, node.share.status]).toMatchObject([0, { open: false, problem: "" }]);
    wanted = true;
    await pass(1_001);
    expect([servers.opened, servers.deleted.length]).toEqual([1, 1]);
  });

  it("are none when the bytes are somebody else's", async () => {
    const node = await startNode();
    servers.answers.set(cacheEntryKey("p", "m", keyOf("q")), Buffer.from("something else"));
    expect(await ask(node, "q")).toBe(false);
    expect(node.share.counts).toMatchObject({ misses: 1, failed: 0 });
  });

  it("are none where another request's answer was put", async () => {
    const [one, other] = [await startNode(), await startNode()];
    answered(one, "q");
    await pass(1);
    const bytes = servers.answers.get(cacheEntryKey("p", "m", keyOf("q"))) as Uint8Array;
    servers.answers.set(cacheEntryKey("p", "m", keyOf("another")), bytes);
    expect(await ask(other, "another")).toBe(false);
    expect(await ask(other, "q")).toBe(true);
  });

  it("wait for the servers in a bounded number; the oldest are not pushed out by new ones", async () => {
    const node = await startNode();
    servers.silent = true;
    for (let index = 0; index < 1_100; index += 1) answered(node, `q${index}`);
    expect(node.share.status).toMatchObject({ waiting: 1_024, dropped: 72 });
  });
});

describe("while NATS", () => {
  it("is away, nothing is asked or kept, and nobody waits", async () => {
    const node = await startNode(false);
    answered(node, "q");
    expect(await ask(node, "q")).toBe(false);
    expect(node.share.status).toMatchObject({ open: false, refused: 1, dropped: 1 });
    node.connection.connect();
    await pass(1);
    expect(node.share.status).toMatchObject({ open: true, problem: "" });
  });

  it("has gone in the middle, what waits is dropped; it goes on with the next connection", async () => {
    const node = await startNode();
    servers.silent = true;
    for (let index = 0; index < 10; index += 1) answered(node, `q${index}`);
    node.connection.disconnect();
    expect(await ask(node, "q")).toBe(false);
    servers.silent = false;
    node.connection.connect();
    await pass(1_001);
    expect(node.share.status).toMatchObject({ open: true, waiting: 0, dropped: 6 });
    expect(servers.opened).toBe(2);
  });

  it("fails, everything counts as missing until the bucket has been opened anew", async () => {
    const node = await startNode();
    servers.fault = new Error("no answer");
    expect(await ask(node, "q")).toBe(false);
    expect(await ask(node, "q")).toBe(false);
    expect(node.share.status).toMatchObject({ open: false, failed: 1, refused: 1, problem: "no answer" });
    await pass(1_001);
    expect(node.share.status).toMatchObject({ open: false });
    servers.fault = null;
    await pass(1_001);
    expect(node.share.status).toMatchObject({ open: true, problem: "" });
  });

  it("is silent, no more than so many ask at once", async () => {
    const node = await startNode();
    servers.silent = true;
    for (let index = 0; index < 130; index += 1) void ask(node, `q${index}`);
    expect(node.share.counts.refused).toBe(2);
  });
});

describe("a purge", () => {
  it("reaches the memory of every node and the bucket", async () => {
    const [one, other] = [await startNode(), await startNode()];
    answered(other, "q");
    await pass(1);
    one.store.purge({ policy: "p" });
    one.share.purge({ policy: "p" });
    await pass(1);
    expect(other.store.get(keyOf("q"), now)).toBeNull();
    expect(servers.deleted).toEqual([{ policy: "p", model: undefined, apiKey: undefined }]);
    expect(other.share.counts.purges).toBe(1);
    expect(one.share.counts.purges).toBe(0);
    // Written by a node that had not heard of it: too old all the same.
    expect(await ask(one, "q")).toBe(false);
    answered(other, "q");
    await pass(1);
    expect(await ask(one, "q")).toBe(true);
  });

  it("heard with very many others costs one walk through the memory, and forgets too much rather than too little", async () => {
    const node = await startNode();
    const outside = new FakeConnection(air);
    const purge = vi.spyOn(node.store, "purge");
    const tell = (count: number) => {
      for (let index = 0; index < count; index += 1) {
        outside.publish(names.cachePurge, purgeBytes(newPurge({ policy: `p${index}` }, now + index)));
      }
    };
    tell(1_000);
    await pass(1);
    expect(purge.mock.calls).toEqual([[{}]]);
    await pass(5_000);
    tell(3);
    await pass(1);
    expect(purge).toHaveBeenCalledTimes(4);
    expect(node.share.counts.purges).toBe(1_003);
  });

  it("of other names leaves an answer alone", async () => {
    const [one, other] = [await startNode(), await startNode()];
    answered(other, "q");
    await pass(1);
    one.share.purge({ policy: "p", apiKey: "somebody else" });
    await pass(1);
    expect(other.store.get(keyOf("q"), now)).not.toBeNull();
    expect(await ask(one, "q")).toBe(true);
  });

  it("while a node is away is found by it when it comes back", async () => {
    const [one, other] = [await startNode(), await startNode()];
    answered(other, "q");
    await pass(1);
    other.connection.disconnect();
    one.share.purge({});
    await pass(1);
    expect(other.store.get(keyOf("q"), now)).not.toBeNull();
    other.connection.connect();
    await pass(1_001);
    expect(other.store.get(keyOf("q"), now)).toBeNull();
    const third = await startNode();
    expect(await ask(third, "q")).toBe(false);
  });

  it("by a node that is away is told when it comes back", async () => {
    const [one, other] = [await startNode(), await startNode()];
    answered(other, "q");
    await pass(1);
    one.connection.disconnect();
    for (let index = 0; index < 65; index += 1) one.share.purge({ model: `m${index}` });
    expect(other.share.counts.purges).toBe(0);
    one.connection.connect();
    await pass(1_001);
    // So many have become one of everything.
    expect(other.store.get(keyOf("q"), now)).toBeNull();
    expect(servers.deleted).toEqual([{ policy: undefined, model: undefined, apiKey: undefined }]);
  });

  it("that fails halfway is begun again", async () => {
    const node = await startNode();
    servers.fault = new Error("no answer");
    node.share.purge({ policy: "p" });
    await pass(1);
    expect(servers.deleted).toEqual([]);
    servers.fault = null;
    await pass(2_001);
    expect(servers.deleted).toHaveLength(1);
    const known = new Purges(DAY);
    expect(known.merge(servers.purges as Uint8Array, now)).toMatchObject([{ policy: "p" }]);
  });

  it("is not undone by an answer that was being fetched", async () => {
    const [one, other] = [await startNode(), await startNode()];
    answered(one, "q");
    await pass(1);
    const asking = ask(other, "q");
    for (const handle of air.handles.get(names.cachePurge) ?? []) {
      const data = purgeBytes(newPurge({ policy: "else" }, now));
      handle({ subject: names.cachePurge, data, respond: () => false });
    }
    expect(await asking).toBe(false);
  });
});
