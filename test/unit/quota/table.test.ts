import { describe, expect, it } from "vitest";
import { allocateQuotaMemory, QuotaTable } from "../../../src/quota/table.js";

const memory = () => allocateQuotaMemory(4, 3);
const holder = (shared: ReturnType<typeof memory>) => new Int32Array(shared.counters, 0, 1)[0];

describe("a thread that dies", () => {
  it("takes its own places with it, and no other's", () => {
    const shared = memory();
    const [one, two] = [new QuotaTable(shared, 0), new QuotaTable(shared, 1)];
    one.changeInFlight(2, 3);
    two.changeInFlight(2, 4);
    new QuotaTable(shared, 0).bury();
    expect(two.inFlight(2)).toBe(4);
  });

  it("leaves the lock free when it died with it", () => {
    const shared = memory();
    new QuotaTable(shared, 1).lock();
    new QuotaTable(shared, 1).bury();
    expect(holder(shared)).toBe(0);
  });

  it("leaves the lock to whoever else has it", () => {
    const shared = memory();
    new QuotaTable(shared, 2).lock();
    new QuotaTable(shared, 1).bury();
    expect(holder(shared)).not.toBe(0);
  });
});

describe("a block", () => {
  it("has another generation and no counts after it has been cleared, and the lock is free", () => {
    const shared = memory();
    const table = new QuotaTable(shared, 0);
    table.add(1, 0, 7, 5);
    table.changeInFlight(1, 2);
    const before = table.generation(1);
    table.clearBlock(1);
    expect([table.used(1, 0, 7), table.inFlight(1), table.generation(1), holder(shared)]).toEqual([
      0,
      0,
      before + 1,
      0,
    ]);
    expect(table.generation(0)).toBe(0);
  });
});
