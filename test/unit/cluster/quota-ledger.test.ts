import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { BucketId } from "../../../src/cluster/quota-bucket.js";
import { type Entry, type EntryData, Ledger } from "../../../src/cluster/quota-ledger.js";
import { CONCURRENCY } from "../../../src/quota/grants.js";

const NOW = 600_000;
const BUCKET: BucketId = { bucket: "api_key:a", dimension: 1, window: 10 };

function ledgerOf(self: string, now: () => number = () => NOW, isHere: (instance: string) => boolean = () => true) {
  return new Ledger({ self, isHere, clock: now });
}

function opened(ledger: Ledger, id = BUCKET, limit = 100): Entry {
  const entry = ledger.open(id, limit);
  if (entry === null) throw new Error("not in force");
  return entry;
}

const rows = fc.array(
  fc.record({
    holder: fc.constantFrom("a", "b", "c"),
    returned: fc.nat({ max: 20 }),
    granted: fc.array(fc.tuple(fc.constantFrom("a", "b", "c"), fc.nat({ max: 50 })), { maxLength: 3 }),
  }),
  { maxLength: 4 },
);
const copies = fc.array(rows, { minLength: 1, maxLength: 5 });

function merged(all: readonly EntryData["rows"][]): object {
  const ledger = ledgerOf("a");
  for (const some of all) ledger.merge({ ...BUCKET, limit: 100, rows: some });
  const entry = opened(ledger);
  return Object.fromEntries(["a", "b", "c"].map((holder) => [holder, ledger.net(entry, holder)]));
}

describe("Ledger", () => {
  it("knows the same after any order of the same copies, however often they come", () => {
    fc.assert(
      fc.property(copies, fc.infiniteStream(fc.nat()), (all, order) => {
        const shuffled = [...all, ...all.slice(0, 2)]
          .map((some) => ({ some, at: order.next().value ?? 0 }))
          .sort((one, other) => one.at - other.at)
          .map(({ some }) => some);
        expect(merged(shuffled)).toEqual(merged(all));
      }),
    );
  });

  it("counts a grant once, by whatever ways it is heard of", () => {
    const [owner, holder, other] = [ledgerOf("owner"), ledgerOf("holder"), ledgerOf("other")];
    const entry = opened(owner);
    owner.grant(entry, "holder", 30);
    holder.merge(owner.data(entry, "holder"));
    holder.giveBack(opened(holder), 10);
    holder.grant(opened(holder), "holder", 5);
    for (const told of [...owner.changes(), ...holder.changes(), ...holder.changes(), owner.data(entry)]) {
      other.merge(told);
      other.merge(told);
    }
    expect(other.net(opened(other), "holder")).toBe(25);
    expect(other.rest(opened(other))).toBe(75);
  });

  it("tells only what it has written itself, and tells it once", () => {
    const ledger = ledgerOf("a");
    const entry = opened(ledger);
    ledger.merge({ ...BUCKET, limit: 100, rows: [{ holder: "b", returned: 0, granted: [["c", 7]] }] });
    expect(ledger.changes()).toEqual([]);
    expect(ledger.isUrgent).toBe(false);
    ledger.grant(entry, "a", 3);
    expect(ledger.isUrgent).toBe(true);
    expect(ledger.changes()).toEqual([
      { ...BUCKET, limit: 100, rows: [{ holder: "a", returned: 0, granted: [["a", 3]] }] },
    ]);
    expect(ledger.changes()).toEqual([]);
    ledger.tellAgain();
    expect(ledger.changes()).toHaveLength(1);
  });

  it("counts requests at once of those that live only, and units of windows of all", () => {
    const alive = new Set(["a", "b"]);
    const ledger = ledgerOf(
      "a",
      () => NOW,
      (instance) => alive.has(instance),
    );
    const places = opened(ledger, { bucket: "api_key:a", dimension: CONCURRENCY, window: 0 });
    const units = opened(ledger);
    for (const entry of [places, units]) {
      ledger.grant(entry, "a", 10);
      ledger.grant(entry, "b", 10);
    }
    alive.delete("b");
    expect(ledger.rest(places)).toBe(90);
    expect(ledger.rest(units)).toBe(80);
  });

  it("has room for the next holder of requests at once, however many have come and gone", () => {
    let alive = "";
    const ledger = ledgerOf(
      "a",
      () => NOW,
      (instance) => instance === alive,
    );
    const places = opened(ledger, { bucket: "api_key:a", dimension: CONCURRENCY, window: 0 });
    for (let at = 0; at < 3_000; at += 1) {
      alive = `node-${at}`;
      ledger.grant(places, alive, 10);
    }
    expect(ledger.net(places, alive)).toBe(10);
    expect(places.rows.length).toBeLessThan(100);
  });

  it("knows what stands in this node's memory of what it had forgotten", () => {
    const held = new Map([["api_key:1", 30]]);
    const ledger = new Ledger({
      self: "a",
      isHere: () => true,
      clock: () => NOW,
      held: ({ bucket }) => held.get(bucket) ?? 0,
      most: 2,
    });
    for (const at of [1, 2, 3]) opened(ledger, { ...BUCKET, bucket: `api_key:${at}` });
    expect(ledger.find({ ...BUCKET, bucket: "api_key:2" })).toBeNull();
    expect(ledger.find({ ...BUCKET, bucket: "api_key:1" })?.applied).toBe(30);
    expect(ledger.size).toBe(2);
  });

  it("forgets windows that are over, and opens none far from now", () => {
    let now = NOW;
    const ledger = ledgerOf("a", () => now);
    opened(ledger);
    opened(ledger, { ...BUCKET, window: 11 });
    expect(ledger.open({ ...BUCKET, window: 9 }, 100)).not.toBeNull();
    expect(ledger.open({ ...BUCKET, window: 8 }, 100)).toBeNull();
    expect(ledger.open({ ...BUCKET, window: 12 }, 100)).toBeNull();
    expect(ledger.open({ ...BUCKET, dimension: 20, window: 0 }, 100)).toBeNull();
    now += 66_000;
    ledger.expire();
    expect(ledger.size).toBe(1);
    expect(ledger.find({ ...BUCKET, window: 11 })).not.toBeNull();
  });
});
