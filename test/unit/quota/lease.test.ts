import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RateLimit } from "../../../src/config/resources.js";
import { isFailure } from "../../../src/errors.js";
import { admitRequest, type LimitLayer, releasePlace, settleLease } from "../../../src/quota/lease.js";
import { allocateQuotaMemory, QuotaTable } from "../../../src/quota/table.js";

const MINUTE = 60_000;
const NOON = 1_000_000 * MINUTE;

function setUp(limit: RateLimit, block = 0) {
  const memory = allocateQuotaMemory(4, 3);
  const layer: LimitLayer = { label: "API key", block, limit };
  return { memory, layer, table: new QuotaTable(memory, 0), other: new QuotaTable(memory, 1) };
}

const admits = (table: QuotaTable, layer: LimitLayer, now: number, tokens = 1): boolean =>
  !isFailure(admitRequest(table, [layer], tokens, () => now));

describe("a window", () => {
  it("admits its number and no more, and the next one the same again", () => {
    const { table, layer } = setUp({ rpm: 3 });
    const verdicts = [0, 1, 2, 3].map((at) => admits(table, layer, NOON + at));
    expect(verdicts).toEqual([true, true, true, false]);
    expect(admits(table, layer, NOON + MINUTE)).toBe(true);
  });

  it("is not begun again by a thread whose clock was read a moment before it began", () => {
    const { table, other, layer } = setUp({ rpm: 2 });
    expect([admits(table, layer, NOON), admits(table, layer, NOON)]).toEqual([true, true]);
    expect(admits(other, layer, NOON - 1)).toBe(false);
    expect(admits(table, layer, NOON)).toBe(false);
  });

  it("starts anew when the clock is set back by more than that: its count lies in a future that never was", () => {
    const { table, layer } = setUp({ rpm: 1 });
    expect(admits(table, layer, NOON + 60 * MINUTE)).toBe(true);
    expect(admits(table, layer, NOON)).toBe(true);
    expect(admits(table, layer, NOON)).toBe(false);
  });

  it("reads the clock when the lock is held, not before", () => {
    const { memory, table, layer } = setUp({ rpm: 1 });
    const lock = new Int32Array(memory.counters, 0, 1);
    let held = false;
    admitRequest(table, [layer], 1, () => {
      held = Atomics.load(lock, 0) !== 0;
      return NOON;
    });
    expect([held, Atomics.load(lock, 0)]).toEqual([true, 0]);
  });

  it("never admits more than its number, whatever small steps the threads' clocks make", () => {
    const asked = fc.array(fc.record({ thread: fc.nat(1), step: fc.integer({ min: -50, max: 50 }) }), {
      maxLength: 60,
    });
    fc.assert(
      fc.property(asked, (requests) => {
        const { table, other, layer } = setUp({ rpm: 5 });
        let admitted = 0;
        for (const { thread, step } of requests)
          if (admits(thread === 0 ? table : other, layer, NOON + step)) admitted += 1;
        // All lie around the beginning of one minute: two windows are concerned, each once.
        expect(admitted).toBeLessThanOrEqual(10);
      }),
    );
  });
});

describe("a lease", () => {
  it("gives its place and its tokens back", () => {
    const { table, layer } = setUp({ concurrency: 1, tpm: 100 });
    const lease = admitRequest(table, [layer], 80, () => NOON);
    if (isFailure(lease)) throw new Error("refused");
    expect(admits(table, layer, NOON)).toBe(false);
    settleLease(table, lease, 30);
    expect([table.inFlight(0), table.used(0, 4, NOON / MINUTE)]).toEqual([0, 30]);
  });

  it("gives nothing to the next owner of its block", () => {
    const { table, layer } = setUp({ concurrency: 2, tpm: 1_000 });
    const old = admitRequest(table, [layer], 400, () => NOON);
    if (isFailure(old)) throw new Error("refused");
    table.clearBlock(0);
    const next: LimitLayer = { label: "API key", block: 0, limit: { concurrency: 1, tpm: 100 } };
    expect(admits(table, next, NOON, 60)).toBe(true);
    settleLease(table, old, 0);
    expect([table.inFlight(0), table.used(0, 4, NOON / MINUTE)]).toEqual([1, 60]);
    expect(admits(table, next, NOON)).toBe(false);
  });
});

describe("a place under a concurrency limit", () => {
  it("is free as soon as the client has gone, once, while its tokens are still counted", () => {
    const { table, layer } = setUp({ concurrency: 2, tpm: 100 });
    const first = admitRequest(table, [layer], 40, () => NOON);
    const second = admitRequest(table, [layer], 40, () => NOON);
    if (isFailure(first) || isFailure(second)) throw new Error("both should have been admitted");
    expect(table.inFlight(layer.block)).toBe(2);
    releasePlace(table, first);
    releasePlace(table, first);
    expect(table.inFlight(layer.block)).toBe(1);
    expect(admits(table, layer, NOON, 1)).toBe(true);
    settleLease(table, first, 5);
    expect(table.inFlight(layer.block)).toBe(2);
    settleLease(table, second, 5);
    expect(table.inFlight(layer.block)).toBe(1);
  });
});
