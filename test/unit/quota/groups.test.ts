import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isFailure } from "../../../src/errors.js";
import { Place } from "../../../src/quota/groups.js";
import { admitLayers, settleLease } from "../../../src/quota/lease.js";
import type { QuotaTable } from "../../../src/quota/table.js";
import { dimensionOf, groupLayer, MINUTE, NOON, setUpTables } from "./quota-setup.js";

const place = (name: string) => Place.hashed(name, 7);

function admits(table: QuotaTable, name: string, now = NOON, limit = { rpm: 1 }): boolean {
  return !isFailure(admitLayers(table, [groupLayer(limit, name)], 1, () => now));
}

describe("the counters of a group", () => {
  it("are found by every thread under the same name, and by no other name", () => {
    const { table, other } = setUpTables();
    const [here, there] = [table.locate(place("a"), NOON), other.locate(place("a"), NOON)];
    expect(there).toBe(here);
    expect(here).toBeGreaterThanOrEqual(8);
    expect(other.locate(place("b"), NOON)).not.toBe(here);
    expect([admits(table, "a"), admits(other, "a"), admits(other, "b")]).toEqual([true, false, true]);
  });

  it("stay while any of their windows is in force, and go to another when all have passed, emptied", () => {
    const { table } = setUpTables(8, 1);
    expect(admits(table, "a")).toBe(true);
    const block = table.locate(place("a"), NOON);
    const generation = table.generation(block);
    expect(table.locate(place("b"), NOON + MINUTE - 1)).toBe(7);
    expect(table.locate(place("b"), NOON + MINUTE)).toBe(block);
    expect(table.generation(block)).toBe(generation + 1);
    expect(table.used(block, dimensionOf("rpm"), NOON / MINUTE)).toBe(0);
    // The first name finds itself without a block, not in the one that it had.
    expect(table.locate(place("a"), NOON + MINUTE)).toBe(7);
  });

  it("stay while requests are in flight", () => {
    const { table } = setUpTables(8, 1);
    const lease = admitLayers(table, [groupLayer({ concurrency: 1 }, "a")], 1, () => NOON);
    if (isFailure(lease)) throw new Error("refused");
    const later = NOON + 600 * MINUTE;
    expect(table.locate(place("b"), later)).toBe(7);
    settleLease(table, lease, { tokens: 0, micros: 0 });
    expect(table.locate(place("b"), later)).toBe(8);
  });

  it("that find no room are one for all of them: not unlimited, and counted", () => {
    const { table, other } = setUpTables(8, 1);
    expect(admits(table, "a")).toBe(true);
    expect([admits(table, "b"), admits(other, "c"), admits(table, "b")]).toEqual([true, false, false]);
    expect([table.overflows, other.overflows]).toEqual([2, 1]);
    // There is room again when the first one's minute is over.
    expect([admits(other, "c", NOON + MINUTE), admits(other, "c", NOON + MINUTE)]).toEqual([true, false]);
    expect(table.locate(place("c"), NOON + MINUTE)).toBe(8);
  });

  it("of two groups of one request are never the same block", () => {
    const { table } = setUpTables(8, 1);
    table.locate(place("old"), NOON - 10 * MINUTE);
    const layers = [groupLayer({ rpm: 2 }, "a", 6), groupLayer({ rpm: 2 }, "b", 7)];
    const lease = admitLayers(table, layers, 1, () => NOON);
    if (isFailure(lease)) throw new Error("refused");
    expect(lease.holdings.map(({ block }) => block)).toEqual([8, 7]);
  });

  it("the block free for longest goes first", () => {
    const { table } = setUpTables(8, 2);
    for (const [index, name] of ["a", "b"].entries()) {
      expect(admits(table, name, NOON + index * MINUTE, { rpm: 1 })).toBe(true);
    }
    const oldest = table.locate(place("a"), NOON);
    expect(table.locate(place("c"), NOON + 5 * MINUTE)).toBe(oldest);
  });

  it("are as many as there are names, up to nearly the whole table", () => {
    const { table } = setUpTables(8, 1_024);
    const blocks = new Set<number>();
    for (let index = 0; index < 800; index += 1) {
      blocks.add(table.locate(Place.hashed(`name ${index}`, index % 4), NOON));
    }
    expect([blocks.size, table.overflows]).toEqual([800, 0]);
  });

  it("are a quarter of the table for one owner at most: those of others find room, whatever the one invents", () => {
    const { table, other } = setUpTables(8, 65_536);
    const invented = new Set<number>();
    for (let index = 0; index < 90_000; index += 1) {
      const layer = groupLayer({ rpd: 1_000_000 }, `invented ${index}`, 7);
      const lease = admitLayers(table, [layer], 1, () => NOON);
      if (isFailure(lease)) throw new Error("refused");
      invented.add((lease.holdings[0] as { block: number }).block);
    }
    expect(invented.size).toBe(65_536 / 4 + 1);
    expect(invented.has(7)).toBe(true);
    for (let index = 0; index < 1_000; index += 1) {
      const name = `fresh ${index}`;
      const layer = groupLayer({ rpd: 1 }, name, 6);
      const lease = admitLayers(other, [layer], 1, () => NOON);
      if (isFailure(lease)) throw new Error(`${name} was refused`);
      expect(lease.holdings[0]?.block).toBeGreaterThanOrEqual(8);
    }
    expect(other.overflows).toBe(0);
  });

  it("of an owner that has its share take the place of its own that are out of force", () => {
    const { table } = setUpTables(8, 256);
    const locate = (name: string, now: number) => table.locate(place(name), now);
    const filled = Array.from({ length: 200 }, (_, index) => locate(`old ${index}`, NOON));
    const own = new Set(filled.filter((block) => block !== 7));
    expect(own.size).toBe(64);
    const later = Array.from({ length: 32 }, (_, index) => locate(`new ${index}`, NOON + MINUTE));
    const found = later.filter((block) => block !== 7);
    expect(found.length).toBeGreaterThan(16);
    expect(found.every((block) => own.has(block))).toBe(true);
  });

  it("are nobody's when their owner is no more", () => {
    const { table } = setUpTables(8, 64);
    for (let index = 0; index < 200; index += 1) admits(table, `old ${index}`, NOON, { rpd: 1 } as never);
    const before = new Set(Array.from({ length: 32 }, (_, index) => table.locate(place(`next ${index}`), NOON)));
    expect([...before]).toEqual([7]);
    table.clearBlock(7);
    const after = Array.from({ length: 8 }, (_, index) => table.locate(place(`next ${index}`), NOON));
    expect(after.filter((block) => block !== 7).length).toBeGreaterThan(4);
  });

  it("never mix two names, whatever comes and goes", () => {
    const steps = fc.array(fc.record({ name: fc.nat(12), thread: fc.nat(1), wait: fc.nat(40_000) }), {
      maxLength: 100,
    });
    fc.assert(
      fc.property(steps, (list) => {
        const { table, other } = setUpTables(8, 4);
        const admitted = new Map<string, number>();
        let now = NOON;
        for (const { name, thread, wait } of list) {
          now += wait;
          const on = thread === 0 ? table : other;
          const layer = groupLayer({ rpm: 2 }, String(name));
          const lease = admitLayers(on, [layer], 1, () => now);
          if (isFailure(lease)) continue;
          const overflown = lease.holdings[0]?.block === 7;
          const key = `${overflown ? "overflow" : name} ${Math.floor(now / MINUTE)}`;
          admitted.set(key, (admitted.get(key) ?? 0) + 1);
        }
        for (const count of admitted.values()) expect(count).toBeLessThanOrEqual(2);
      }),
    );
  });
});
