/** Which target a request goes to: strategies, tiers, tags and addresses, over every acceptor of a node. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { type RunningGateway, startGateway } from "./gateway.js";
import {
  always,
  asked,
  attemptsOf,
  chatOf,
  type GroupShape,
  quickChat,
  routingResources,
  servedBy,
  tally,
} from "./routing.js";
import { inParallel } from "./traffic.js";
import { ask } from "./wire.js";

const PRICED = (input: number, output: number) => ({ cost: { input_per_1k: input, output_per_1k: output } });
const ELSEWHERE = { allowed_cidrs: ["10.0.0.0/8"] };
const HERE = { allowed_cidrs: ["127.0.0.0/8"] };

const RING: GroupShape = {
  name: "ring",
  targets: ["a", "b", "c", "d"],
  routing: { strategy: "consistent_hash" },
};
const GROUPS: readonly GroupShape[] = [
  {
    name: "share",
    targets: [
      { name: "a", weight: 70 },
      { name: "b", weight: 30 },
    ],
    routing: { strategy: "round_robin" },
  },
  {
    name: "none",
    targets: [{ name: "a", weight: 0 }, "b"],
    routing: { strategy: "round_robin" },
  },
  RING,
  {
    name: "picked",
    targets: ["a", "b", "c", "d"],
    routing: {
      strategy: "consistent_hash",
      hash_on: [{ type: "header", name: "X-Session" }, { type: "cookie", name: "sid" }, { type: "client_ip" }],
    },
  },
  { name: "busy", targets: ["a", "b"], routing: { strategy: "least_busy" } },
  { name: "heavy", targets: [{ name: "a", weight: 3 }, "b"], routing: { strategy: "least_busy" } },
  { name: "fast", targets: ["a", "b", "c"], routing: { strategy: "least_latency" } },
  {
    name: "cheap",
    targets: [
      { name: "a", model: PRICED(3, 4) },
      { name: "b", model: PRICED(5, 1) },
      { name: "c", model: PRICED(1, 6) },
    ],
    routing: { strategy: "least_cost" },
  },
  {
    name: "tiers",
    targets: [
      { name: "low", priority: -1 },
      { name: "b", priority: 5 },
      { name: "c", priority: 5 },
      { name: "middle" },
    ],
    routing: { strategy: "round_robin" },
  },
  {
    name: "tags",
    targets: [
      { name: "eu", tags: ["eu", "gdpr"] },
      { name: "us", tags: ["us"] },
      { name: "any", tags: ["default"] },
      "bare",
    ],
  },
  {
    name: "strict",
    targets: [
      { name: "eu", tags: ["eu"] },
      { name: "us", tags: ["us"] },
    ],
  },
  {
    name: "far",
    targets: [
      { name: "a", model: ELSEWHERE },
      { name: "b", model: HERE },
    ],
  },
  {
    name: "away",
    targets: [
      { name: "a", model: ELSEWHERE },
      { name: "b", model: ELSEWHERE },
    ],
  },
];

/** More callers beside the usual one. */
const CALLERS = ["first", "second", "third", "fourth", "fifth", "sixth"];

let fake: FakeUpstream;
let one: RunningGateway;
let two: RunningGateway;

const resources = (groups = GROUPS) => routingResources(groups, { upstream: fake.url, keys: CALLERS });

beforeAll(async () => {
  fake = await startFakeUpstream();
  const trust = { trusted_proxies: ["127.0.0.1/32"] };
  one = await startGateway({ config: { acceptors: 1, ...trust }, resources: resources() });
  two = await startGateway({ config: { acceptors: 2 }, resources: resources() });
});
afterAll(async () => {
  await one?.dispose();
  await two?.dispose();
  await fake?.close();
});
beforeEach(() => fake.reset());

const BODY = (model: string) => JSON.stringify({ model, messages: [{ role: "user", content: "Hi" }] });

/** So many calls, each on a connection of its own: how often each target answered. */
async function shares(gateway: RunningGateway, model: string, calls: number, width: number) {
  const targets: string[] = [];
  await inParallel(Array(calls).keys(), width, async () => {
    const [status, target] = await quickChat(gateway.url, BODY(model));
    expect(status).toBe(200);
    targets.push(target);
  });
  return tally(targets);
}

describe("round_robin", () => {
  it("is 70 to 30 exactly over 100 calls, one after the other and at once, on one acceptor", async () => {
    expect(await shares(one, "share", 100, 1)).toEqual({ "share-a": 70, "share-b": 30 });
    expect(await shares(one, "share", 100, 16)).toEqual({ "share-a": 70, "share-b": 30 });
  });

  it("is 70 to 30 exactly over 100 calls on two acceptors", async () => {
    expect(await shares(two, "share", 100, 1)).toEqual({ "share-a": 70, "share-b": 30 });
    for (let round = 0; round < 2; round += 1) {
      expect(await shares(two, "share", 100, 16)).toEqual({ "share-a": 70, "share-b": 30 });
    }
  });

  it("is smooth: ten calls are seven to three, and the lighter target is never asked twice in a row", async () => {
    const order: string[] = [];
    for (let call = 0; call < 20; call += 1) order.push((await quickChat(one.url, BODY("share")))[1]);
    for (let from = 0; from < 20; from += 10) {
      expect(tally(order.slice(from, from + 10))).toEqual({ "share-a": 7, "share-b": 3 });
    }
    expect(order.join(" ")).not.toContain("share-b share-b");
  });

  it("counts a failed attempt as a turn, and falls over to the other", async () => {
    always(fake, "share-a", { status: 500 });
    expect(await shares(one, "share", 10, 1)).toEqual({ "share-b": 10 });
    expect(tally(asked(fake))).toEqual({ "share-a": 7, "share-b": 10 });
  });

  it("asks a target of weight 0 only where the others have failed", async () => {
    expect(await shares(one, "none", 6, 1)).toEqual({ "none-b": 6 });
    always(fake, "none-b", { status: 500 });
    expect(await shares(one, "none", 3, 1)).toEqual({ "none-a": 3 });
  });
});

/** Which target each key goes to. */
async function places(gateway: RunningGateway, model: string, keys: readonly string[]): Promise<Map<string, string>> {
  const places = new Map<string, string>();
  await inParallel(keys, 8, async (key) => {
    const answer = await chatOf(gateway, model, {}, { headers: { "x-weir-routing-key": key } });
    expect(answer.status).toBe(200);
    places.set(key, servedBy(answer));
  });
  return places;
}

describe("consistent_hash", () => {
  const keys = Array.from({ length: 90 }, (_, index) => `user-${index}`);

  it("sends a key to the same target, on either acceptor, and moves only the keys of a removed target", async () => {
    const before = await places(two, "ring", keys);
    expect([...new Set(before.values())].sort()).toEqual(["ring-a", "ring-b", "ring-c", "ring-d"]);
    expect(await places(two, "ring", keys)).toEqual(before);
    // Another node has the same opinion.
    expect(await places(one, "ring", keys)).toEqual(before);
    const left = { ...RING, targets: ["a", "c", "d"] };
    const revision = await revisionOf(two);
    two.writeResources(resources(GROUPS.map((group) => (group === RING ? left : group))));
    two.child.kill("SIGHUP");
    await two.until(async () => (await revisionOf(two)) !== revision);
    await two.until(async () => {
      const seen = await Promise.all(Array.from({ length: 16 }, () => quickChat(two.url, BODY("ring-b"))));
      return seen.every(([status]) => status === 404);
    });
    const after = await places(two, "ring", keys);
    const moved = keys.filter((key) => after.get(key) !== before.get(key));
    expect(moved).toEqual(keys.filter((key) => before.get(key) === "ring-b"));
    expect(new Set(moved.map((key) => after.get(key))).size).toBeGreaterThan(1);
  });

  it("falls over to one other target a key, and leaves the keys of the others where they are", async () => {
    const before = await places(one, "ring", keys.slice(0, 40));
    always(fake, "ring-c", { status: 503 });
    const during = await places(one, "ring", keys.slice(0, 40));
    for (const [key, target] of before) {
      if (target === "ring-c") expect(during.get(key)).not.toBe("ring-c");
      else expect(during.get(key)).toBe(target);
    }
    expect(await places(one, "ring", keys.slice(0, 40))).toEqual(during);
  });

  it("takes the caller's key where no header says one", async () => {
    const mine = new Map<string, string>();
    for (const key of CALLERS) mine.set(key, servedBy(await chatOf(one, "ring", {}, { key })));
    expect(new Set(mine.values()).size).toBeGreaterThan(1);
    for (const key of CALLERS) expect(servedBy(await chatOf(one, "ring", {}, { key }))).toBe(mine.get(key));
    const headers = { "x-weir-routing-key": "user-1" };
    const same = await Promise.all(CALLERS.map((key) => chatOf(one, "ring", {}, { key, headers })));
    expect(new Set(same.map(servedBy)).size).toBe(1);
  });

  it("looks where it is told: a header, else a cookie, else the address", async () => {
    const by = async (headers: Record<string, string>) => servedBy(await chatOf(one, "picked", {}, { headers }));
    const sessions = Array.from({ length: 24 }, (_, index) => `s${index}`);
    const byHeader = await Promise.all(sessions.map((session) => by({ "x-session": session })));
    const byCookie = await Promise.all(sessions.map((session) => by({ cookie: `other=1; sid=${session}` })));
    const byAddress = await Promise.all(sessions.map((_, index) => by({ "x-forwarded-for": `192.0.2.${index}` })));
    expect(new Set(byHeader).size).toBeGreaterThan(1);
    expect(byCookie).toEqual(byHeader);
    expect(new Set(byAddress).size).toBeGreaterThan(1);
    expect(await by({ "x-session": "s1", cookie: "sid=s2", "x-forwarded-for": "192.0.2.3" })).toBe(byHeader[1]);
    expect(await by({ "x-session": "", cookie: "sid=s2" })).toBe(byHeader[2]);
    // The gateway's own header is not among the sources here.
    const own = await Promise.all(sessions.map((session) => by({ "x-weir-routing-key": session })));
    expect(new Set(own).size).toBe(1);
  });
});

async function revisionOf(gateway: RunningGateway): Promise<string> {
  const answer = await fetch(`${gateway.opsUrl}/status/config`, { headers: { connection: "close" } });
  return ((await answer.json()) as { revision: string }).revision;
}

describe("least_busy", () => {
  it("goes where fewest are in flight, over two acceptors", async () => {
    for (const model of ["busy-a", "busy-b"]) always(fake, model, { held: true });
    const calls: Promise<[number, string]>[] = [];
    for (let call = 1; call <= 8; call += 1) {
      calls.push(quickChat(two.url, BODY("busy")));
      await fake.until(({ in_flight }) => in_flight === call);
      expect(Math.abs((tally(asked(fake))["busy-a"] ?? 0) - (tally(asked(fake))["busy-b"] ?? 0))).toBeLessThan(2);
    }
    fake.release();
    expect(tally((await Promise.all(calls)).map(([, target]) => target))).toEqual({ "busy-a": 4, "busy-b": 4 });
    // Nobody is in flight any more: the first one again.
    fake.reset();
    expect((await quickChat(two.url, BODY("busy")))[1]).toBe("busy-a");
  });

  it("weighs: the heavier target has its share in flight", async () => {
    for (const model of ["heavy-a", "heavy-b"]) always(fake, model, { held: true });
    const calls: Promise<[number, string]>[] = [];
    for (let call = 1; call <= 8; call += 1) {
      calls.push(quickChat(one.url, BODY("heavy")));
      await fake.until(({ in_flight }) => in_flight === call);
    }
    fake.release();
    expect(tally((await Promise.all(calls)).map(([, target]) => target))).toEqual({ "heavy-a": 6, "heavy-b": 2 });
  });
});

describe("least_latency", () => {
  it("measures everybody once, then goes where the first byte comes soonest", async () => {
    always(fake, "fast-a", { delay_ms: 1_500 });
    always(fake, "fast-c", { delay_ms: 1_000 });
    const first: string[] = [];
    for (let call = 0; call < 3; call += 1) first.push((await quickChat(two.url, BODY("fast")))[1]);
    expect(first.sort()).toEqual(["fast-a", "fast-b", "fast-c"]);
    expect(await shares(two, "fast", 12, 1)).toEqual({ "fast-b": 12 });
  });
});

describe("least_cost", () => {
  it("goes by the price of input and output together", async () => {
    expect(await shares(one, "cheap", 4, 1)).toEqual({ "cheap-b": 4 });
    always(fake, "cheap-b", { status: 500 });
    fake.script({ status: 500, match: { model: "cheap-a" }, times: -1 });
    const answer = await chatOf(one, "cheap");
    expect(servedBy(answer)).toBe("cheap-c");
    expect(asked(fake).slice(4)).toEqual(["cheap-b", "cheap-a", "cheap-c"]);
  });
});

describe("tiers", () => {
  it("go by priority, and the strategy orders within each", async () => {
    expect(await shares(one, "tiers", 10, 1)).toEqual({ "tiers-b": 5, "tiers-c": 5 });
    fake.reset();
    for (const model of ["tiers-b", "tiers-c", "tiers-middle"]) always(fake, model, { status: 502 });
    const answer = await chatOf(one, "tiers");
    expect([servedBy(answer), attemptsOf(answer)]).toEqual(["tiers-low", 4]);
    expect(asked(fake).slice(2)).toEqual(["tiers-middle", "tiers-low"]);
    expect(asked(fake).slice(0, 2).sort()).toEqual(["tiers-b", "tiers-c"]);
  });
});

describe("tags", () => {
  const by = (model: string, tags: string | null, gateway = one) =>
    chatOf(gateway, model, {}, tags === null ? {} : { headers: { "x-weir-routing-tags": tags } });

  it.each([
    ["eu", "tags-eu"],
    ["us", "tags-us"],
    ["gdpr", "tags-eu"],
    ["nowhere, us", "tags-us"],
    [" us ,", "tags-us"],
    ["nowhere", "tags-any"],
    ["default", "tags-any"],
    ["", "tags-any"],
    [null, "tags-any"],
  ])("%j goes to %s", async (tags, target) => {
    expect(servedBy(await by("tags", tags))).toBe(target);
  });

  it("keep a request among the targets that fit: others are no fallback", async () => {
    always(fake, "tags-us", { status: 500, body: { error: { message: "us is down" } } });
    const answer = await by("tags", "us");
    expect(answer.status).toBe(500);
    expect(new Set(asked(fake))).toEqual(new Set(["tags-us"]));
  });

  it("that no target has are refused where none is for everybody; without tags all may serve", async () => {
    const refused = await by("strict", "asia");
    expect(refused.status).toBe(400);
    expect(refused.json.error).toMatchObject({ type: "invalid_request_error", param: "x-weir-routing-tags" });
    expect(fake.requests()).toHaveLength(0);
    expect(servedBy(await by("strict", null))).toBe("strict-eu");
    expect(servedBy(await by("strict", "us"))).toBe("strict-us");
  });

  it("mean the same in another dialect, and do not reach the upstream", async () => {
    const headers = { "x-weir-routing-tags": "us" };
    const body = { model: "tags", max_tokens: 50, messages: [{ role: "user", content: "Hi" }] };
    const answer = await ask(one.url, body, { path: "/v1/messages", headers });
    expect([answer.status, servedBy(answer)]).toEqual([200, "tags-us"]);
    expect(fake.requests()[0]?.rawHeaders.join(" ").toLowerCase()).not.toContain("routing-tags");
  });
});

describe("addresses", () => {
  it("leave out the targets that do not take the caller's, and refuse where none does", async () => {
    expect(servedBy(await chatOf(one, "far"))).toBe("far-b");
    const refused = await chatOf(one, "away");
    expect(refused.status).toBe(403);
    expect(refused.json.error).toMatchObject({ code: "ip_restricted" });
    expect(asked(fake)).toEqual(["far-b"]);
    // A caller behind a trusted proxy is who the proxy says.
    const headers = { "x-forwarded-for": "10.1.2.3" };
    expect(servedBy(await chatOf(one, "far", {}, { headers }))).toBe("far-a");
    expect(servedBy(await chatOf(one, "away", {}, { headers }))).toBe("away-a");
  });
});
