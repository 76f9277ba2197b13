import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DEFAULT_COOLDOWN } from "../../../src/config/traffic.js";
import { cooldownFor } from "../../../src/routing/cooldown.js";
import { allocateHealthMemory, COOLING_DOWN, HealthTable, UNHEALTHY, WELL } from "../../../src/routing/health.js";
import { NO_SLOT, SlotAllocator, slotNames, unpackSlot } from "../../../src/routing/slots.js";
import { direct, group, resourcesOf, routing, target } from "./fleet.js";

const NOON = Date.UTC(2030, 0, 1, 12);
const SLOTS = 4;

function setUp() {
  const memory = allocateHealthMemory(SLOTS, 2, NOON);
  const main = new HealthTable(memory, 2);
  const tables = [new HealthTable(memory, 0), new HealthTable(memory, 1)] as const;
  const allocator = new SlotAllocator(SLOTS, (index) => main.clearSlot(index));
  const load = (...names: string[]) => {
    const slots = allocator.assign(resourcesOf(names.map((name) => direct(name))));
    for (const table of [main, ...tables]) table.adopt(slots);
    return slots;
  };
  load("a", "b");
  return { main, table: tables[0], other: tables[1], load };
}

describe("a cooldown", () => {
  it("is seen by every thread and is over when it is over", () => {
    const { table, other, main } = setUp();
    table.coolDown(table.slotOf("a"), NOON + 30_000);
    for (const view of [table, other, main]) {
      expect(view.standing(view.slotOf("a"), NOON)).toBe(COOLING_DOWN);
      expect(view.standing(view.slotOf("a"), NOON + 29_999)).toBe(COOLING_DOWN);
      expect(view.standing(view.slotOf("a"), NOON + 30_000)).toBe(WELL);
      expect(view.standing(view.slotOf("b"), NOON)).toBe(WELL);
    }
    expect(other.report(other.slotOf("a"), NOON).cooldownUntil).toBe(NOON + 30_000);
    expect(other.report(other.slotOf("a"), NOON + 30_000).cooldownUntil).toBe(0);
  });

  it("is not cut short by a shorter one", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 600_000 }), { minLength: 1, maxLength: 8 }), (lengths) => {
        const { table, other } = setUp();
        const slot = table.slotOf("a");
        for (const [index, length] of lengths.entries()) (index % 2 ? other : table).coolDown(slot, NOON + length);
        const longest = Math.max(...lengths);
        expect(table.standing(slot, NOON + longest - 1)).toBe(COOLING_DOWN);
        expect(table.standing(slot, NOON + longest + 50)).toBe(WELL);
      }),
    );
  });

  it("lasts as long as the upstream asks, within bounds, else its default", () => {
    const cooldown = { ...DEFAULT_COOLDOWN, defaultSeconds: 20, maxSeconds: 60 };
    const lasting = (retryAfterMs: number, rules = cooldown) =>
      cooldownFor(rules, { kind: "status", status: 429, retryAfterMs });
    expect([lasting(0), lasting(1_500), lasting(90_000)]).toEqual([20_000, 1_500, 60_000]);
    expect(lasting(1_500, { ...cooldown, honorRetryAfter: false })).toBe(20_000);
    expect(lasting(1_500, { ...cooldown, enabled: false })).toBe(0);
  });

  it("begins on trigger statuses, on timeouts and on transport errors, each if it is meant to", () => {
    const begins = (kind: Parameters<typeof cooldownFor>[1]["kind"], status = 0, rules = DEFAULT_COOLDOWN) =>
      cooldownFor(rules, { kind, status, retryAfterMs: 0 }) > 0;
    const statuses = [400, 401, 404, 408, 422, 429, 500, 502, 503, 504, 529];
    expect(statuses.filter((status) => begins("status", status))).toEqual([408, 429, 500, 502, 503, 504, 529]);
    expect([begins("timeout"), begins("transport"), begins("broken")]).toEqual([true, true, true]);
    expect([begins("in_band"), begins("in_band", 529), begins("in_band", 400)]).toEqual([true, true, false]);
    expect([begins("credentials"), begins("unsendable")]).toEqual([false, false]);
    const calm = { ...DEFAULT_COOLDOWN, triggerOnTimeout: false, triggerOnTransport: false };
    expect([begins("timeout", 0, calm), begins("transport", 0, calm), begins("in_band", 0, calm)]).toEqual([
      false,
      false,
      false,
    ]);
  });
});

describe("a background check that failed", () => {
  const failed = { passed: false, status: 503, staleSeconds: 60 };

  it("counts until it is stale, passes, or an attempt has succeeded", () => {
    const { table, other } = setUp();
    const slot = table.slotOf("a");
    table.recordCheck(slot, failed, NOON);
    expect(other.standing(slot, NOON + 60_000)).toBe(UNHEALTHY);
    expect(other.standing(slot, NOON + 60_051)).toBe(WELL);
    other.reportSuccess(slot, 200, 10, NOON + 1_000);
    expect(table.standing(slot, NOON + 2_000)).toBe(WELL);
    table.recordCheck(slot, failed, NOON + 3_000);
    expect(table.standing(slot, NOON + 4_000)).toBe(UNHEALTHY);
    table.recordCheck(slot, { ...failed, passed: true, status: 200 }, NOON + 5_000);
    expect(table.standing(slot, NOON + 5_000)).toBe(WELL);
  });

  it("is told, and so is that nothing is known", () => {
    const { table } = setUp();
    const slot = table.slotOf("a");
    expect(table.report(slot, NOON)).toMatchObject({ unknown: true, check: null, lastStatus: 0, lastFailure: "" });
    table.recordCheck(slot, failed, NOON);
    expect(table.report(slot, NOON)).toMatchObject({
      unknown: false,
      check: { passed: false, status: 503, at: NOON, stale: false },
    });
    expect(table.report(slot, NOON + 120_000)).toMatchObject({ unknown: true, check: { stale: true } });
    table.reportFailure(slot, "timeout", 0);
    expect(table.report(slot, NOON + 120_000)).toMatchObject({ unknown: false, lastFailure: "timeout", failures: 1 });
  });
});

describe("latency", () => {
  it("is an average in which later samples weigh more the longer nobody has measured", () => {
    const { table, other } = setUp();
    const slot = table.slotOf("a");
    expect(table.latencyMs(slot, NOON)).toBe(-1);
    table.reportSuccess(slot, 200, 100, NOON);
    expect(other.latencyMs(slot, NOON)).toBe(100);
    other.reportSuccess(slot, 200, 200, NOON);
    expect(table.latencyMs(slot, NOON)).toBeCloseTo(110, 0);
    other.reportSuccess(slot, 200, 300, NOON + 60_000);
    expect(table.latencyMs(slot, NOON + 60_000)).toBeGreaterThan(295);
    other.reportSuccess(slot, 200, -1, NOON + 60_000);
    expect(table.latencyMs(slot, NOON + 60_000)).toBeGreaterThan(295);
  });

  it("says nothing when nobody has measured for long", () => {
    const { table } = setUp();
    const slot = table.slotOf("a");
    table.reportSuccess(slot, 200, 0, NOON);
    expect(table.latencyMs(slot, NOON + 299_000)).toBeGreaterThan(0);
    expect(table.latencyMs(slot, NOON + 301_000)).toBe(-1);
  });
});

describe("requests in flight", () => {
  it("are counted over the threads; those of a dead one are over", () => {
    const { table, other, main } = setUp();
    const slot = table.slotOf("a");
    table.changeInFlight(slot, 1);
    other.changeInFlight(slot, 1);
    other.changeInFlight(slot, 1);
    expect(main.inFlight(slot)).toBe(3);
    other.clearRow();
    expect(main.inFlight(slot)).toBe(1);
    table.changeInFlight(slot, -1);
    table.changeInFlight(slot, -1);
    expect(main.inFlight(slot)).toBe(0);
  });
});

describe("slots", () => {
  it("stay with their names over reloads", () => {
    const { load } = setUp();
    const before = load("a", "b");
    expect(load("b", "c", "a")).toMatchObject(before);
  });

  it("tell nothing of an earlier owner to the next one, and take nothing from it", () => {
    const { table, load } = setUp();
    const former = table.slotOf("a");
    table.coolDown(former, NOON + 60_000);
    table.changeInFlight(former, 1);
    load("b", "c", "d");
    load("b", "c", "d", "e");
    const successor = table.slotOf("e");
    expect(successor.index).toBe(former.index);
    expect([table.standing(successor, NOON), table.inFlight(successor)]).toEqual([WELL, 0]);
    table.coolDown(former, NOON + 60_000);
    table.reportFailure(former, "status", 500);
    table.changeInFlight(former, -1);
    expect(table.standing(successor, NOON)).toBe(WELL);
    expect(table.report(successor, NOON).unknown).toBe(true);
    expect(table.standing(former, NOON)).toBe(WELL);
  });

  it("go to targets first; what has none is well and nobody hears of it", () => {
    const { table, load } = setUp();
    load("a", "b", "c", "d", "e");
    expect(table.slotOf("e")).toBe(NO_SLOT);
    table.coolDown(NO_SLOT, NOON + 60_000);
    table.changeInFlight(NO_SLOT, 1);
    expect([table.standing(NO_SLOT, NOON), table.inFlight(NO_SLOT), table.latencyMs(NO_SLOT, NOON)]).toEqual([
      WELL,
      0,
      -1,
    ]);
    const models = [direct("x"), direct("gpt-*"), group(routing([target("gpt-1"), target("y")])), direct("y")];
    expect([...slotNames(resourcesOf(models))]).toEqual(["gpt-1", "y", "x", "gpt-*"]);
  });

  it("are a record and a generation in one number", () => {
    expect(unpackSlot(3 * SLOTS + 2, SLOTS)).toEqual({ index: 2, generation: 3 });
  });
});
