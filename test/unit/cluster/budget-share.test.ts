import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { packSpent, unpackSpent } from "../../../src/cluster/budget-entry.js";
import { budgetKey } from "../../../src/cluster/subjects.js";
import { pack } from "../../../src/cluster/wire.js";
import { counterName } from "../../../src/quota/budget.js";
import { NOON } from "../usage/journal-line.js";
import { budget, Fleet, type FleetNode } from "./budget-fleet.js";

const DAY = 86_400_000;
const EACH = 0.25;
/** Owners whose money is spent at the same time. */
const AT_ONCE = 45;
const COUNTER = counterName(budget(), "ann");

let fleet: Fleet;
beforeEach(() => {
  fleet = new Fleet();
});
afterEach(() => fleet.end());

function entryOf(node: FleetNode, counter = COUNTER) {
  const key = budgetKey(counter, node.id);
  const stored = fleet.bucket.entries.get(key);
  return stored === undefined ? null : unpackSpent(key, stored.value);
}

describe("what a node spends", () => {
  it("counts at all others, and in nobody's account but its own", async () => {
    const [a, b] = [await fleet.add(), await fleet.add()];
    await fleet.settle();
    expect([a.spend(1), a.spend(2), b.spend(0.5)]).toEqual([true, true, true]);
    await fleet.settle();
    expect([a.spent(), b.spent()]).toEqual([3.5, 3.5]);
    expect([entryOf(a)?.nanos, entryOf(b)?.nanos]).toEqual([3e9, 0.5e9]);
    expect([...a.keeper.totals()].map(({ nanos }) => nanos)).toEqual([3.5e9]);
    expect([await a.account(), await b.account()]).toEqual([[3], [0.5]]);
  });

  it("is told once for each sum, and nothing is told while nothing is spent", async () => {
    const [a] = [await fleet.add(), await fleet.add()];
    a.spend(1);
    await fleet.settle();
    const { puts } = fleet.bucket;
    await fleet.pass(10_000);
    expect(puts).toBe(1);
    expect(fleet.bucket.puts).toBe(1);
  });

  it("of little is told later, of much at once", async () => {
    const [a, b] = [await fleet.add(), await fleet.add()];
    await fleet.settle();
    a.spend(0.01);
    await fleet.pass(250);
    expect(b.spent()).toBeCloseTo(0.01, 9);
    a.spend(0.01);
    await fleet.pass(500);
    expect(b.spent()).toBeCloseTo(0.01, 9);
    await fleet.pass(2_000);
    expect(b.spent()).toBeCloseTo(0.02, 9);
    a.spend(0.5);
    await fleet.pass(250);
    expect(b.spent()).toBeCloseTo(0.52, 9);
  });

  it("counts for each owner apart, also where this node has never seen it", async () => {
    const [a, b] = [await fleet.add(), await fleet.add()];
    await fleet.settle();
    a.spend(4, "eve");
    await fleet.settle();
    expect([b.spent("eve"), b.spent("ann")]).toEqual([4, 0]);
    expect([...b.keeper.totals()].map(({ owner, nanos }) => [owner, nanos])).toEqual([["eve", 4e9]]);
  });

  it("of a period that is over counts no more", async () => {
    const [a, b] = [await fleet.add(), await fleet.add()];
    await fleet.settle();
    a.spend(4);
    await fleet.settle();
    fleet.now = NOON + DAY;
    await fleet.settle();
    expect([a.spent(), b.spent()]).toEqual([0, 0]);
    expect(b.spend(1)).toBe(true);
    a.spend(2);
    await fleet.settle();
    expect([a.spent(), b.spent()]).toEqual([3, 3]);
  });

  it("of a budget that comes in force later counts from then on", async () => {
    const late = budget({ id: "late", name: "late" });
    const [a, b] = [await fleet.add({ budgets: [budget(), late] }), await fleet.add()];
    await fleet.settle();
    a.spend(4);
    await fleet.settle();
    await b.adopt(budget(), late);
    await fleet.settle();
    expect([b.spent("ann", "late"), b.spent()]).toEqual([4, 4]);
  });
});

describe("of what is left a node", () => {
  it("spends its share, and more when all know what it has spent", async () => {
    const [a, b] = [await fleet.add(), await fleet.add()];
    await fleet.settle();
    expect([a.spendAll(), b.spendAll(2)]).toEqual([5, 2]);
    await fleet.pass(250);
    expect(a.spendAll()).toBe(0);
    await fleet.settle();
    expect(a.spendAll()).toBe(2);
    await fleet.settle();
    expect([a.spendAll() + b.spendAll(), a.spent() >= 9]).toEqual([2, true]);
  });

  it("may have all when it is alone, and every request of a budget that warns", async () => {
    const a = await fleet.add();
    await fleet.settle();
    expect(a.spendAll()).toBe(10);
    await a.adopt(budget({ id: "w", action: "warn" }));
    await fleet.settle();
    expect(a.spendAll(30)).toBe(30);
  });

  it("has an eighth only, before it has heard who else there is", async () => {
    const a = await fleet.add({ connected: false, budgets: [budget({ limitUsd: 80 })] });
    expect(a.spendAll()).toBe(10);
    await fleet.pass(3_000);
    expect(a.spendAll()).toBe(70);
  });

  it("never takes so much that all together exceed the limit by more than a request each", async () => {
    const nodes = [await fleet.add(), await fleet.add(), await fleet.add()] as const;
    fleet.bucket.delay = 2;
    // One takes its share and later what it may then have, the others theirs in between: whenever they do.
    const owners = [...range(0, 12)].flatMap((others) => [...range(1, 16)].map((again) => ({ others, again })));
    const sums = new Map<string, number>();
    const take = (node: FleetNode, owner: string): void => {
      sums.set(owner, (sums.get(owner) ?? 0) + node.spendAll(100, EACH, owner) * EACH);
    };
    for (let first = 0; first < owners.length; first += AT_ONCE) {
      await fleet.settle();
      const some = owners.slice(first, first + AT_ONCE).map((plan) => ({ ...plan, owner: JSON.stringify(plan) }));
      for (const step of range(0, 28)) {
        for (const { owner, others, again } of some) {
          if (step === 0 || step === others + again) take(nodes[0], owner);
          if (step === others) for (const node of [nodes[1], nodes[2]]) take(node, owner);
        }
        await fleet.pass(50);
      }
    }
    expect(sums.size).toBe(owners.length);
    expect(Math.max(...sums.values())).toBeLessThanOrEqual(10 + nodes.length * EACH);
    expect(Math.max(...sums.values())).toBeGreaterThan(9);
  }, 60_000);

  it("has spent just the limit with all others in the end, whoever asks when", async () => {
    const step = fc.record({ node: fc.nat(2), count: fc.constantFrom(1, 3, 10), steps: fc.nat(8) });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 20 }), async (steps) => {
        const others = new Fleet();
        const nodes = [await others.add(), await others.add(), await others.add()];
        others.bucket.delay = 2;
        await others.settle();
        let admitted = 0;
        for (const { node, count, steps: pause } of steps) {
          admitted += nodes[node]?.spendAll(count, EACH) ?? 0;
          await others.pass(pause * 50);
        }
        for (let tries = 0; tries < 30; tries += 1) {
          await others.pass(1_000);
          admitted += nodes[tries % 3]?.spendAll(100, EACH) ?? 0;
        }
        await others.settle();
        for (const node of nodes) expect(node.spent()).toBeCloseTo(admitted * EACH, 6);
        await others.end();
        expect(admitted * EACH).toBeGreaterThanOrEqual(10);
        expect(admitted * EACH).toBeLessThanOrEqual(10 + nodes.length * EACH);
      }),
      { numRuns: 5 },
    );
  }, 60_000);
});

function* range(from: number, to: number): Generator<number> {
  for (let number = from; number < to; number += 1) yield number;
}

describe("a node that is started again", () => {
  it("goes on with its own entry, and may spend what it could before", async () => {
    const [a, b] = [await fleet.add(), await fleet.add()];
    await fleet.settle();
    a.spendAll(5);
    await fleet.pass(250);
    // Killed before this was told.
    a.spend(1);
    fleet.kill(a);
    const again = await fleet.add({ folder: a.folder });
    expect(again.id).toBe(a.id);
    await fleet.settle();
    expect([again.spent(), b.spent()]).toEqual([5, 5]);
    expect(again.spend(1)).toBe(true);
    await fleet.settle();
    expect([again.spent(), b.spent(), entryOf(again)?.nanos]).toEqual([6, 6, 6e9]);
  });

  it("without its disk is another one; what it had spent stays counted", async () => {
    const [a, b] = [await fleet.add(), await fleet.add()];
    await fleet.settle();
    a.spend(3);
    await fleet.settle();
    fleet.kill(a);
    fleet.kill(b);
    const fresh = await fleet.add();
    expect(fresh.spent()).toBe(3);
    fresh.spend(1);
    await fleet.settle();
    expect([fresh.spent(), await fresh.account()]).toEqual([4, [1]]);
  });

  it("whose journal was lost takes its word in NATS for it, once", async () => {
    const [a, b] = [await fleet.add(), await fleet.add()];
    await fleet.settle();
    a.spend(3);
    await fleet.settle();
    fleet.kill(a);
    rmSync(join(a.folder, "journal"), { recursive: true });
    mkdirSync(join(a.folder, "journal"));
    rmSync(join(a.folder, "budgets.json"), { force: true });
    const again = await fleet.add({ folder: a.folder });
    await fleet.settle();
    expect([again.spent(), b.spent()]).toEqual([3, 3]);
    again.spend(1);
    await fleet.settle();
    expect([again.spent(), b.spent(), entryOf(again)?.nanos]).toEqual([4, 4, 4e9]);
    expect(await again.account()).toEqual([4]);
  });
});

describe("without NATS a node", () => {
  async function partedPair(onPartition: "fair_share" | "open" | "closed") {
    const [a, b] = [await fleet.add({ onPartition }), await fleet.add({ onPartition })];
    await fleet.settle();
    a.spend(1);
    await fleet.settle();
    for (const node of [a, b]) node.link.disconnect();
    await fleet.pass(250);
    return [a, b] as const;
  }

  it("has its share of what was left, and no more of it later", async () => {
    const [a, b] = await partedPair("fair_share");
    // 9 were left.
    expect([a.spendAll(), b.spendAll()]).toEqual([5, 5]);
    await fleet.pass(20_000);
    expect([a.spendAll(), b.spendAll()]).toEqual([0, 0]);
    fleet.now += DAY;
    await fleet.pass(250);
    expect([a.spendAll(), b.spendAll()]).toEqual([5, 5]);
  });

  it("counts alone where that is wanted, after a moment", async () => {
    const [a, b] = await partedPair("open");
    expect([a.spendAll(), b.spendAll()]).toEqual([5, 5]);
    await fleet.pass(4_000);
    expect([a.spendAll(), b.spendAll()]).toEqual([4, 4]);
  });

  it("has what it could spend then, where nothing more is wanted, and nothing of a new period", async () => {
    const [a, b] = await partedPair("closed");
    expect(a.spendAll()).toBe(5);
    await fleet.pass(20_000);
    expect(a.spendAll()).toBe(0);
    fleet.now += DAY;
    expect([a.spendAll(), b.spendAll()]).toEqual([0, 0]);
    const fresh = await fleet.add({ onPartition: "closed", connected: false });
    await fleet.pass(20_000);
    expect(fresh.spendAll()).toBe(0);
  });

  it("tells the rest when NATS is back, and nothing counts twice", async () => {
    const [a, b] = await partedPair("fair_share");
    a.spendAll(2);
    b.spendAll(3);
    await fleet.pass(5_000);
    for (const node of [a, b]) node.link.connect();
    // A connection that was lost is taken up again half a second later.
    await expect.poll(() => a.share.status.following && b.share.status.following, { timeout: 10_000 }).toBe(true);
    await fleet.settle();
    expect([a.spent(), b.spent()]).toEqual([6, 6]);
    expect([entryOf(a)?.nanos, entryOf(b)?.nanos]).toEqual([3e9, 3e9]);
  });
});

describe("a bucket", () => {
  it("that was lost is filled with what the nodes know, also of nodes that are gone", async () => {
    const [a, b, c] = [await fleet.add(), await fleet.add(), await fleet.add()];
    await fleet.settle();
    for (const node of [a, b, c]) node.spend(1);
    await fleet.settle();
    fleet.kill(c);
    for (const node of [a, b]) node.link.disconnect();
    fleet.bucket.beginAnew();
    await fleet.pass(250);
    for (const node of [a, b]) node.link.connect();
    await expect.poll(() => a.share.status.following && b.share.status.following, { timeout: 10_000 }).toBe(true);
    await fleet.settle();
    expect([entryOf(a)?.nanos, entryOf(b)?.nanos, entryOf(c)?.nanos]).toEqual([1e9, 1e9, 1e9]);
    expect([a.spent(), b.spent()]).toEqual([3, 3]);
  });

  it("may hold anything: only entries of ours count", async () => {
    const a = await fleet.add();
    const good = {
      counter: COUNTER,
      node: "other",
      instance: "i",
      period: Date.UTC(2026, 10, 22),
      nanos: 1e9,
      at: NOON,
    };
    const key = budgetKey(COUNTER, "other");
    const bad = [
      Buffer.from("rubbish"),
      pack({ v: 2, ...good }),
      pack({ v: 1, ...good, nanos: -5 }),
      pack({ v: 1, ...good, nanos: Number.POSITIVE_INFINITY }),
      pack({ v: 1, ...good, node: "somebody" }),
      pack({ v: 1, ...good, counter: 7 }),
    ];
    for (const value of bad) fleet.bucket.put(key, value, undefined);
    await fleet.settle();
    expect([a.spent(), a.share.status.refused]).toEqual([0, bad.length]);
    fleet.bucket.put(key, pack({ v: 1, ...good, more: true }), undefined);
    await fleet.settle();
    expect(a.spent()).toBe(1);
    // Older words of the same period change nothing; neither do other budgets.
    fleet.bucket.put(key, packSpent({ ...good, nanos: 5 }), undefined);
    const foreign = counterName(budget({ id: "else" }), "ann");
    fleet.bucket.put(budgetKey(foreign, "other"), packSpent({ ...good, counter: foreign }), undefined);
    await fleet.settle();
    expect(a.spent()).toBe(1);
  });

  it("renews what does not end before it is let go, and nothing else", async () => {
    const ever = budget({ id: "ever", period: "total" });
    const old = new Date(NOON - 200 * DAY);
    const name = counterName(ever, "ann");
    const entry = { node: "other", instance: "i", nanos: 1e9, at: NOON };
    const long = { ...entry, counter: name, period: 1 };
    fleet.bucket.put(budgetKey(name, "other"), packSpent(long), undefined, old);
    fleet.bucket.put(budgetKey(COUNTER, "other"), packSpent({ ...entry, counter: COUNTER, period: 5 }), undefined, old);
    const a = await fleet.add({ budgets: [budget(), ever] });
    await fleet.settle();
    expect(a.spent("ann", "ever")).toBe(1);
    expect(fleet.bucket.entries.get(budgetKey(name, "other"))?.created.getTime()).toBe(NOON);
    expect(fleet.bucket.entries.get(budgetKey(COUNTER, "other"))?.created).toBe(old);
  });

  it("in which another process writes under this node's id is complained of, once", async () => {
    const a = await fleet.add();
    const period = Date.UTC(2026, 10, 22);
    for (const nanos of [1e9, 2e9]) {
      const copy = { counter: COUNTER, node: a.id, instance: "copy", period, nanos, at: NOON };
      fleet.bucket.put(budgetKey(COUNTER, a.id), packSpent(copy), undefined);
    }
    await fleet.settle();
    expect(a.logged.filter((text) => text.includes("another process has the id"))).toHaveLength(1);
  });
});
