import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { smoothSequence } from "../../../src/routing/balance.js";
import { Cursors } from "../../../src/routing/cursors.js";
import { direct, facts, Fleet, group, memory, routing, target } from "./fleet.js";

function tally(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

const AB = [direct("a"), direct("b")];
const seventyThirty = routing([target("a", { weight: 70 }), target("b", { weight: 30 })], { strategy: "round_robin" });

describe("round robin", () => {
  it("is 70/30 over any 100 calls in a row", () => {
    const fleet = new Fleet([...AB, group(seventyThirty)]);
    const calls = Array.from({ length: 250 }, () => fleet.first());
    for (const from of [0, 1, 37, 150]) expect(tally(calls.slice(from, from + 100))).toEqual({ a: 70, b: 30 });
  });

  it("is exact over the threads of a node, however their requests interleave", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 100, maxLength: 100 }), (threads) => {
        const fleet = new Fleet([...AB, group(seventyThirty)], 3);
        const calls = threads.map((thread) => fleet.first(facts(), fleet.routers[thread]));
        expect(tally(calls)).toEqual({ a: 70, b: 30 });
      }),
      { numRuns: 20 },
    );
  });

  it("is one over all operations of a model", () => {
    const fleet = new Fleet([...AB, group(routing([target("a"), target("b")], { strategy: "round_robin" }))]);
    const model = fleet.snapshot.findModel("group");
    if (model === undefined) throw new Error("no such model");
    const names = (["chat", "responses", "chat", "responses"] as const).map((operation) => {
      const dialect = operation === "chat" ? "openai-chat" : "openai-responses";
      const plan = fleet.router.plan(fleet.snapshot, model, { operation, dialect }, facts());
      return "candidates" in plan ? plan.candidates[0]?.name : plan.code;
    });
    expect(names).toEqual(["a", "b", "a", "b"]);
  });

  it("is spread evenly, each as often as its weight says", () => {
    const weights = fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(weights, (given) => {
        const sequence = smoothSequence(given);
        const shares = given.some((weight) => weight > 0) ? given : given.map(() => 1);
        const total = shares.reduce((sum, share) => sum + share, 0);
        for (const [index, share] of shares.entries()) {
          const turns = sequence.filter((turn) => turn === index).length;
          expect(turns * total).toBe(share * sequence.length);
        }
      }),
    );
    expect([...smoothSequence([5, 1, 1])]).toEqual([0, 0, 1, 0, 2, 0, 0]);
  });

  it("keeps its period within bounds where weights are huge or broken", () => {
    expect(smoothSequence([1_000_003, 999_983]).length).toBeLessThanOrEqual(100_002);
    expect(tally([...smoothSequence([0.7, 0.3])].map(String))).toEqual({ 0: 70_000, 1: 30_000 });
  });

  it("falls back on the others, heavier first", () => {
    const targets = [
      target("a", { weight: 1 }),
      target("b", { weight: 5 }),
      target("c", { weight: 3 }),
      target("d", { weight: 0 }),
    ];
    const fleet = new Fleet([...AB, direct("c"), direct("d"), group(routing(targets, { strategy: "round_robin" }))]);
    const orders = new Set(Array.from({ length: 9 }, () => (fleet.names() as string[]).join("")));
    expect([...orders].sort()).toEqual(["abcd", "bcad", "cbad"]);
  });

  it("shares the turns of one that is not well among the others by their weights", () => {
    const targets = [target("a"), target("b"), target("c")];
    const fleet = new Fleet([...AB, direct("c"), group(routing(targets, { strategy: "round_robin" }))]);
    fleet.router.health.coolDown(fleet.slot("c"), Date.now() + 60_000);
    expect(tally(Array.from({ length: 20 }, () => fleet.first()))).toEqual({ a: 10, b: 10 });
  });

  it("is not put out of step by requests with other tags", () => {
    const targets = [target("a", { tags: ["x"] }), target("b", { tags: ["x", "y"] }), target("c", { tags: ["y"] })];
    const fleet = new Fleet([...AB, direct("c"), group(routing(targets, { strategy: "round_robin" }))]);
    const x: string[] = [];
    const y: string[] = [];
    for (let turn = 0; turn < 10; turn += 1) {
      x.push(fleet.first(facts({ others: ["x-weir-routing-tags", "x"] })));
      y.push(fleet.first(facts({ others: ["x-weir-routing-tags", "y"] })));
    }
    expect([tally(x), tally(y)]).toEqual([
      { a: 5, b: 5 },
      { b: 5, c: 5 },
    ]);
  });
});

describe("cursors", () => {
  it("are one count over the threads for each name", () => {
    const { cursors } = memory();
    const [left, right] = [new Cursors(cursors), new Cursors(cursors)];
    expect([left.next(7), right.next(7), left.next(8), right.next(7)]).toEqual([0, 1, 0, 2]);
  });

  it("go on counting when there are more than there is room for", () => {
    const cursors = new Cursors(memory().cursors);
    for (let name = 1; name < 20_000; name += 1) cursors.next(name);
    expect(cursors.next(19_999)).toBeGreaterThanOrEqual(0);
    cursors.tidy();
    expect(cursors.next(5)).toBe(0);
  });

  it("are left alone while there is room", () => {
    const cursors = new Cursors(memory().cursors);
    cursors.next(5);
    cursors.tidy();
    expect(cursors.next(5)).toBe(1);
  });
});

describe("least cost", () => {
  it("goes by the price of input and output, unknown ones last", () => {
    const cost = (inputPer1k: number | null, outputPer1k: number | null) => {
      const none = { cachedInputPer1k: null, cacheWritePer1k: null, perRequest: null, perImage: null, perSecond: null };
      return { cost: { inputPer1k, outputPer1k, ...none } };
    };
    const fleet = new Fleet([
      direct("a"),
      direct("b", cost(0.01, 0.03)),
      direct("c", cost(0.02, 0.01)),
      direct("d", cost(null, null)),
      direct("e", cost(0, null)),
      group(
        routing(
          ["a", "b", "c", "d", "e"].map((name) => target(name)),
          { strategy: "least_cost" },
        ),
      ),
    ]);
    expect(fleet.names()).toEqual(["e", "c", "b", "a", "d"]);
    fleet.router.usePrices(({ upstreamModel }) => (upstreamModel === "d" ? 1 : upstreamModel === "a" ? 2 : null));
    expect(fleet.names()).toEqual(["d", "a", "b", "c", "e"]);
  });
});

describe("least latency", () => {
  const make = () =>
    new Fleet(
      [
        ...AB,
        direct("c"),
        group(
          routing(
            ["a", "b", "c"].map((name) => target(name)),
            { strategy: "least_latency" },
          ),
        ),
      ],
      2,
    );

  it("goes by the time to the first byte, the unmeasured first", () => {
    const fleet = make();
    const { health } = fleet.router;
    health.reportSuccess(fleet.slot("a"), 200, 80, Date.now());
    health.reportSuccess(fleet.slot("b"), 200, 40, Date.now());
    expect(fleet.names()).toEqual(["c", "b", "a"]);
    health.reportSuccess(fleet.slot("c"), 200, 60, Date.now());
    expect(fleet.names(facts(), fleet.routers[1])).toEqual(["b", "c", "a"]);
  });

  it("lets one request at a time measure, while others go where it is known to be fast", () => {
    const fleet = make();
    const { health } = fleet.router;
    health.reportSuccess(fleet.slot("a"), 200, 80, Date.now());
    health.changeInFlight(fleet.slot("b"), 1);
    health.changeInFlight(fleet.slot("b"), 1);
    health.changeInFlight(fleet.slot("c"), 1);
    expect(fleet.names()).toEqual(["a", "c", "b"]);
  });
});

describe("least busy", () => {
  it("goes by the requests in flight on all threads, for each unit of weight", () => {
    const targets = [target("a"), target("b", { weight: 3 }), target("c", { weight: 0 })];
    const fleet = new Fleet([...AB, direct("c"), group(routing(targets, { strategy: "least_busy" }))], 2);
    const [left, right] = fleet.routers;
    expect(fleet.names()).toEqual(["b", "a", "c"]);
    for (let call = 0; call < 3; call += 1) right?.health.changeInFlight(fleet.slot("b"), 1);
    expect(fleet.names()).toEqual(["a", "b", "c"]);
    left?.health.changeInFlight(fleet.slot("a"), 1);
    expect(fleet.names()).toEqual(["b", "a", "c"]);
  });
});

describe("consistent hash", () => {
  const targets = ["a", "b", "c"].map((name) => target(name));
  const make = (differs = {}) =>
    new Fleet([...AB, direct("c"), group(routing(targets, { strategy: "consistent_hash", ...differs }))]);
  const keyed = (key: string) => facts({ others: ["x-weir-routing-key", key] });

  it("sends equal keys to the same target, from every thread, and different ones to all", () => {
    const [one, other] = [make(), make()];
    const keys = Array.from({ length: 300 }, (_, index) => `key-${index}`);
    const names = keys.map((key) => one.first(keyed(key)));
    expect(keys.map((key) => other.first(keyed(key)))).toEqual(names);
    for (const count of Object.values(tally(names))) expect(count).toBeGreaterThan(60);
  });

  it("takes the caller's key where no header says another", () => {
    const fleet = make();
    const callers = Array.from({ length: 50 }, (_, index) => `caller-${index}`);
    const firsts = callers.map((apiKey) => fleet.first(facts({ apiKey })));
    expect(new Set(firsts).size).toBe(3);
    expect(callers.map((name) => fleet.first(keyed(name)))).toEqual(firsts);
  });

  it("takes the first of its sources that says something", () => {
    const hashOn = [
      { type: "header", name: "x-session" },
      { type: "cookie", name: "sid" },
      { type: "client_ip", name: "" },
    ] as const;
    const fleet = make({ hashOn });
    const plain = make();
    const expected = (key: string) => plain.first(keyed(key));
    for (let index = 0; index < 20; index += 1) {
      const key = `key-${index}`;
      const cookie = ["cookie", `theme=dark; sid=${key}; sidx=no`];
      expect(fleet.first(facts({ others: [...cookie, "x-session", key] }))).toBe(expected(key));
      expect(fleet.first(facts({ passed: ["x-session", key] }))).toBe(expected(key));
      expect(fleet.first(facts({ others: ["x-session", " ", ...cookie] }))).toBe(expected(key));
      expect(fleet.first(facts({ clientAddress: `10.0.0.${index}` }))).toBe(expected(`10.0.0.${index}`));
    }
  });

  it("moves no key of the others when one is not well", () => {
    const fleet = make();
    const keys = Array.from({ length: 200 }, (_, index) => `key-${index}`);
    const before = keys.map((key) => fleet.names(keyed(key)));
    fleet.router.health.coolDown(fleet.slot("b"), Date.now() + 60_000);
    for (const [index, key] of keys.entries()) {
      expect(fleet.names(keyed(key))).toEqual((before[index] as string[]).filter((name) => name !== "b"));
    }
  });
});
