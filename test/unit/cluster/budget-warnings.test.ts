import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { budget, Fleet } from "./budget-fleet.js";

const DAY = 86_400_000;

let fleet: Fleet;
beforeEach(() => {
  fleet = new Fleet();
});
afterEach(() => fleet.end());

describe("a warning", () => {
  const warning = { budgets: [budget({ warnAt: [0.5, 0.9], action: "warn" })] };

  it("is told once by the fleet, also where no node alone has reached the fraction", async () => {
    const nodes = [await fleet.add(warning), await fleet.add(warning), await fleet.add(warning)];
    await fleet.settle();
    for (const node of nodes) node.spend(2);
    await fleet.settle();
    expect(nodes.flatMap(({ warned }) => warned.map(({ fraction }) => fraction))).toEqual([0.5]);
    for (const node of nodes) node.spend(2);
    await fleet.settle();
    expect(nodes.flatMap(({ warned }) => warned.map(({ fraction }) => fraction)).sort()).toEqual([0.5, 0.9]);
  });

  it("is told of all fractions that were reached at once, and again in the next period", async () => {
    const a = await fleet.add(warning);
    a.spend(20);
    await fleet.settle();
    expect(a.warned.map(({ fraction }) => fraction)).toEqual([0.5, 0.9]);
    fleet.now += DAY;
    a.spend(6);
    await fleet.settle();
    expect(a.warned.map(({ fraction }) => fraction)).toEqual([0.5, 0.9, 0.5]);
  });

  it("is not told again by a node that comes later, with its disk or without", async () => {
    const a = await fleet.add(warning);
    a.spend(6);
    await fleet.settle();
    fleet.kill(a);
    const later = [await fleet.add({ ...warning, folder: a.folder }), await fleet.add(warning)];
    await fleet.settle();
    later[1]?.spend(1);
    await fleet.settle();
    expect(later.flatMap(({ warned }) => warned)).toEqual([]);
  });

  it("is told without NATS too, and not by others when it is back", async () => {
    const [a, b] = [await fleet.add(warning), await fleet.add(warning)];
    await fleet.settle();
    for (const node of [a, b]) node.link.disconnect();
    await fleet.pass(250);
    a.spend(6);
    await fleet.pass(500);
    expect(a.warned.map(({ fraction }) => fraction)).toEqual([0.5]);
    a.link.connect();
    await expect.poll(() => a.share.status.following, { timeout: 10_000 }).toBe(true);
    await fleet.settle();
    b.link.connect();
    await expect.poll(() => b.share.status.following, { timeout: 10_000 }).toBe(true);
    await fleet.settle();
    expect([b.spent(), b.warned.length]).toEqual([6, 0]);
  });
});
