import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hash32 } from "../../../src/routing/hash.js";
import { HashRing, type RingMember } from "../../../src/routing/hash-ring.js";

const members = fc.uniqueArray(
  fc.record({ name: fc.string({ minLength: 1, maxLength: 8 }), weight: fc.integer({ min: 1, max: 8 }) }),
  { minLength: 2, maxLength: 6, selector: ({ name }) => name },
);
const keys = fc.array(fc.string(), { minLength: 50, maxLength: 50 });

function order(ring: HashRing, all: readonly RingMember[], key: string): string[] {
  return ring
    .order(
      key,
      all.map(() => true),
      all.length,
    )
    .map((index) => (all[index] as RingMember).name);
}

describe("a ring", () => {
  it("moves only the keys of a removed member, to where they would have gone next", () => {
    fc.assert(
      fc.property(members, fc.nat(), keys, (all, pick, some) => {
        const removed = all[pick % all.length] as RingMember;
        const rest = all.filter((member) => member !== removed);
        const [before, after] = [new HashRing(all), new HashRing(rest)];
        for (const key of some) {
          const expected = order(before, all, key).filter((name) => name !== removed.name);
          expect(order(after, rest, key)).toEqual(expected);
        }
      }),
      { numRuns: 50 },
    );
  });

  it("does not depend on the order in which its members are written", () => {
    fc.assert(
      fc.property(members, keys, (all, some) => {
        const reversed = [...all].reverse();
        const [ring, other] = [new HashRing(all), new HashRing(reversed)];
        for (const key of some) expect(order(other, reversed, key)).toEqual(order(ring, all, key));
      }),
      { numRuns: 20 },
    );
  });

  it("gives each member keys by its weight", () => {
    const all = [
      { name: "a", weight: 70 },
      { name: "b", weight: 30 },
      { name: "c", weight: 0 },
    ];
    const ring = new HashRing(all);
    const firsts = Array.from({ length: 10_000 }, (_, index) => order(ring, all, `user-${index}`));
    const share = firsts.filter(([first]) => first === "a").length / firsts.length;
    expect(share).toBeGreaterThan(0.66);
    expect(share).toBeLessThan(0.74);
    expect(firsts.every((names) => names[2] === "c")).toBe(true);
  });

  it("passes by the members that are not open, and stops when it has met enough", () => {
    const all = ["a", "b", "c", "d"].map((name) => ({ name, weight: 1 }));
    const ring = new HashRing(all);
    for (let index = 0; index < 100; index += 1) {
      const whole = ring.order(`k${index}`, [true, true, true, true], 4);
      expect(ring.order(`k${index}`, [true, false, true, true], 2)).toEqual(
        whole.filter((member) => member !== 1).slice(0, 2),
      );
    }
    expect(ring.order("k", [false, false, false, false], 4)).toEqual([]);
  });

  it("stays small and fair when weights are large", () => {
    const all = [
      { name: "a", weight: 2_000_000 },
      { name: "b", weight: 1_000_000 },
    ];
    const ring = new HashRing(all);
    const firsts = Array.from({ length: 3_000 }, (_, index) => order(ring, all, `user-${index}`)[0]);
    const share = firsts.filter((first) => first === "a").length / firsts.length;
    expect(share).toBeGreaterThan(0.6);
    expect(share).toBeLessThan(0.74);
  });

  it("takes a member that stands in it twice for two", () => {
    const twice = [
      { name: "a", weight: 1 },
      { name: "a", weight: 1 },
    ];
    const ring = new HashRing(twice);
    const firsts = new Set(Array.from({ length: 50 }, (_, index) => ring.order(`k${index}`, [true, true], 1)[0]));
    expect(firsts.size).toBe(2);
  });
});

describe("the hash", () => {
  it("is MurmurHash3 over little-endian code units", () => {
    // Reference values of the published algorithm for these bytes with seed 0.
    expect(hash32("")).toBe(0);
    expect(hash32("\u0000\u0000")).toBe(0x2362f9de);
    expect(hash32("\u4321\u8765")).toBe(0xf55b516b);
  });
});
