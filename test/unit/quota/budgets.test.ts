import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Failure, isFailure } from "../../../src/errors.js";
import { Place } from "../../../src/quota/groups.js";
import { firstShares, learnSpent } from "../../../src/quota/money-share.js";
import { admitRequest, balanceOf, type Lease, restoreSpent, settleLease, voidLease } from "../../../src/quota/lease.js";
import type { MoneyLayer } from "../../../src/quota/money.js";
import { QuotaTable } from "../../../src/quota/table.js";
import { budget, DAY, dimensionOf, keyLayer, MINUTE, NOON, setUpTables } from "./quota-setup.js";

function ask(table: QuotaTable, money: MoneyLayer, micros: number, now = NOON): Lease | Failure {
  return admitRequest(table, { layers: [], money: [money], tokens: 0, micros }, () => now);
}

function admitted(result: Lease | Failure): Lease {
  if (isFailure(result)) throw new Error(result.message);
  return result;
}

describe("a budget", () => {
  it("admits while something is left, reserves the estimate, and is settled with the truth", () => {
    const { table, other } = setUpTables();
    const money = budget(1_000);
    const first = admitted(ask(table, money, 700));
    const second = admitted(ask(other, money, 700));
    expect(balanceOf(table, money, () => NOON)).toEqual({ spentMicros: 0, reservedMicros: 1_400 });
    expect(isFailure(ask(table, money, 1))).toBe(true);
    settleLease(table, first, { tokens: 0, micros: 250 });
    expect(isFailure(ask(table, money, 1))).toBe(false);
    settleLease(other, second, { tokens: 0, micros: 720 });
    expect(balanceOf(table, money, () => NOON)).toEqual({ spentMicros: 970, reservedMicros: 1 });
  });

  it("that is spent refuses with its scope, amounts and end, and says when to come back", () => {
    const { table } = setUpTables();
    const money = budget(2_500_000);
    settleLease(table, admitted(ask(table, money, 1)), { tokens: 0, micros: 2_600_000 });
    const refused = ask(table, money, 1, NOON + 1_500) as Failure;
    expect(refused).toMatchObject({
      code: "budget_exceeded",
      refusedBy: "budget",
      retryAfterSeconds: DAY / 2 / 1_000 - 1,
      budget: { scope: "key", limit_usd: 2.5, spent_usd: 2.6, resets_at: "2024-10-05T00:00:00.000Z" },
    });
    expect(refused.message).toBe(
      'The budget "B" of $2.5 (scope key, $2.6 spent) is exhausted. It resets at 2024-10-05T00:00:00.000Z.',
    );
  });

  it("that never ends says so, and has callers come back in a day", () => {
    const { table } = setUpTables();
    const money = budget(0, { periodAt: () => ({ id: 0, endsAt: Number.POSITIVE_INFINITY }) });
    const refused = ask(table, money, 1) as Failure;
    expect(refused).toMatchObject({ retryAfterSeconds: 86_400, budget: { resets_at: null } });
    expect(refused.message).toContain("does not reset");
  });

  it("that is only reserved has callers come back at once", () => {
    const { table } = setUpTables();
    const money = budget(10);
    admitted(ask(table, money, 10));
    expect(ask(table, money, 1)).toMatchObject({ retryAfterSeconds: 1, budget: { spent_usd: 0 } });
  });

  it("with action warn never refuses", () => {
    const { table } = setUpTables();
    const money = budget(10, { action: "warn" });
    settleLease(table, admitted(ask(table, money, 5)), { tokens: 0, micros: 50 });
    expect(isFailure(ask(table, money, 5))).toBe(false);
  });

  it("begins anew with its period, and what an earlier one is owed does not come in", () => {
    const { table, other } = setUpTables();
    const money = budget(100);
    const late = admitted(ask(table, money, 100));
    expect(isFailure(ask(other, money, 1, NOON + DAY))).toBe(false);
    settleLease(table, late, { tokens: 0, micros: 90 });
    expect(balanceOf(table, money, () => NOON + DAY)).toEqual({ spentMicros: 0, reservedMicros: 1 });
  });

  it("settles in the old period as long as nobody has begun the new one", () => {
    const { table } = setUpTables();
    const money = budget(100);
    settleLease(table, admitted(ask(table, money, 40)), { tokens: 0, micros: 30 });
    expect(table.spent(6)).toBe(30);
    // A clock that is set back a little does not begin the old period again.
    admitted(ask(table, money, 10, NOON + DAY));
    admitted(ask(table, money, 10, NOON));
    expect(table.reserved(6, table.period(6))).toBe(20);
  });

  it("gives back what a dead thread had reserved", () => {
    const { memory, table, other } = setUpTables();
    const money = budget(100);
    admitted(ask(table, money, 100));
    expect(isFailure(ask(other, money, 1))).toBe(true);
    new QuotaTable(memory, 0).bury();
    expect(isFailure(ask(other, money, 1))).toBe(false);
  });

  it("and limits are one admission: whichever refuses, nothing is held of the others", () => {
    const { table } = setUpTables();
    const layers = [keyLayer({ rpm: 10, concurrency: 5 })];
    const both = (micros: number) =>
      admitRequest(table, { layers, money: [budget(100)], tokens: 0, micros }, () => NOON);
    admitted(both(100));
    expect(isFailure(both(1))).toBe(true);
    expect([table.used(0, dimensionOf("rpm"), NOON / MINUTE), table.inFlight(0)]).toEqual([1, 1]);
  });

  it("counts what was spent before a restart, in the period it was spent in", () => {
    const { table } = setUpTables();
    const money = budget(100, { warnAt: [0.5, 0.9] });
    restoreSpent(table, money, { period: Math.floor(NOON / DAY) - 1, micros: 1_000 }, () => NOON);
    expect(balanceOf(table, money, () => NOON).spentMicros).toBe(0);
    restoreSpent(table, money, { period: Math.floor(NOON / DAY), micros: 60 }, () => NOON);
    const crossings = settleLease(table, admitted(ask(table, money, 1)), { tokens: 0, micros: 35 });
    expect(crossings.map(({ fraction, spentMicros }) => [fraction, spentMicros])).toEqual([[0.9, 95]]);
  });
});

describe("a fraction of a budget", () => {
  it("is told of once a period, to one of all threads, and again in the next", () => {
    const { table, other } = setUpTables();
    const money = budget(100, { warnAt: [0.5, 0.8, 1] });
    const spend = (on: QuotaTable, micros: number, now = NOON) =>
      settleLease(on, admitted(ask(on, money, 1, now)), { tokens: 0, micros }).map(({ fraction }) => fraction);
    expect(spend(table, 49)).toEqual([]);
    expect(spend(other, 1)).toEqual([0.5]);
    expect(spend(table, 1)).toEqual([]);
    expect(spend(other, 49)).toEqual([0.8, 1]);
    expect(spend(table, 50, NOON + DAY)).toEqual([0.5]);
  });
});

it("what is spent is the sum of all settlements, whatever was reserved and void", () => {
  const history = fc.array(
    fc.record({ estimate: fc.nat(500), truth: fc.nat(500), thread: fc.nat(1), isVoid: fc.boolean() }),
    { maxLength: 50 },
  );
  fc.assert(
    fc.property(history, (steps) => {
      const { table, other } = setUpTables();
      const money = budget(100_000, { place: Place.hashed("budget:b:key", 6) });
      const open = steps.map(({ estimate, thread }) => {
        const on = thread === 0 ? table : other;
        return { on, lease: admitted(ask(on, money, estimate)) };
      });
      let sum = 0;
      for (const [index, { on, lease }] of open.entries()) {
        const { isVoid, truth } = steps[index] as (typeof steps)[number];
        if (isVoid) voidLease(on, lease);
        else settleLease(on, lease, { tokens: 0, micros: truth });
        if (!isVoid) sum += truth;
      }
      expect(balanceOf(other, money, () => NOON)).toEqual({ spentMicros: sum, reservedMicros: 0 });
    }),
  );
});

describe("a fleet's budget", () => {
  const spendingOf = (others: number, settled = 0, now = NOON) => ({ period: Math.floor(now / DAY), others, settled });

  function fleetOf(shares: number, closedSince = 0) {
    const tables = setUpTables();
    tables.table.shareMoney({ shares, closedSince });
    return tables;
  }

  it("counts what others have spent, and tells who is refused of all of it", () => {
    const { table } = fleetOf(2);
    const money = budget(1_000);
    learnSpent(table, money, spendingOf(400), () => NOON);
    learnSpent(table, money, spendingOf(1_000), () => NOON);
    const refused = ask(table, money, 1) as Failure;
    expect(refused).toMatchObject({ retryAfterSeconds: DAY / 2 / 1_000, budget: { spent_usd: 0.001 } });
    expect(refused.message).toContain("is exhausted");
  });

  it("is divided: a node may have its share of what is left, in whichever thread", () => {
    const { table, other } = fleetOf(4);
    const money = budget(1_000);
    learnSpent(table, money, spendingOf(200), () => NOON);
    settleLease(table, admitted(ask(table, money, 100)), { tokens: 0, micros: 150 });
    admitted(ask(other, money, 50));
    const refused = ask(table, money, 1) as Failure;
    expect(refused).toMatchObject({ code: "budget_exceeded", retryAfterSeconds: 1, budget: { spent_usd: 0.00035 } });
    expect(refused.message).toContain("has nothing left for this node now");
    // 150 are known to all now: of 650 left a quarter, of which 50 are reserved.
    learnSpent(table, money, spendingOf(200, 150), () => NOON);
    admitted(ask(table, money, 112));
    expect(isFailure(ask(table, money, 1))).toBe(false);
    expect(isFailure(ask(table, money, 1))).toBe(true);
  });

  it("is divided too where nothing is known of it, and where a reservation takes what is left", () => {
    const { table } = fleetOf(4);
    const money = budget(1_000);
    admitted(ask(table, money, 249));
    admitted(ask(table, money, 900));
    expect((ask(table, money, 1) as Failure).message).toContain("reserved by requests under way");
  });

  it("that warns is refused to nobody", () => {
    const { table } = fleetOf(Number.POSITIVE_INFINITY);
    expect(isFailure(ask(table, budget(10, { action: "warn" }), 50))).toBe(false);
    expect(isFailure(ask(table, budget(10, { place: Place.named(5) }), 1))).toBe(true);
  });

  it("has nothing for a period that begins while the node is cut off, where it is to have nothing", () => {
    const { table } = fleetOf(2, NOON);
    const byTime = { periodAt: (now: number) => ({ id: Math.floor(now / DAY) * DAY, endsAt: now + DAY }) };
    const money = budget(1_000, byTime);
    admitted(ask(table, money, 1));
    expect(isFailure(ask(table, money, 1, NOON + DAY))).toBe(true);
    expect(isFailure(ask(table, budget(1_000, { ...byTime, action: "warn" }), 1, NOON + DAY))).toBe(false);
  });

  it("gives a node that has started again what it could spend before", () => {
    const { table } = fleetOf(2);
    const money = budget(1_000);
    restoreSpent(table, money, { period: Math.floor(NOON / DAY), micros: 700 }, () => NOON);
    expect(isFailure(ask(table, money, 149))).toBe(false);
    expect(isFailure(ask(table, money, 1))).toBe(false);
    expect(isFailure(ask(table, money, 1))).toBe(true);
  });

  it("tells of fractions where it is learnt what was spent, not at a settlement", () => {
    const { table } = fleetOf(1);
    const money = budget(1_000, { warnAt: [0.5, 0.9] });
    expect(settleLease(table, admitted(ask(table, money, 1)), { tokens: 0, micros: 600 })).toEqual([]);
    const learnt = learnSpent(table, money, spendingOf(100), () => NOON);
    expect(learnt.map(({ fraction, spentMicros }) => [fraction, spentMicros])).toEqual([[0.5, 700]]);
    expect(learnSpent(table, money, spendingOf(100), () => NOON)).toEqual([]);
    expect(learnSpent(table, money, spendingOf(300), () => NOON)).toHaveLength(1);
  });

  it("takes nothing of another period, and nothing where many count together", () => {
    const { table } = fleetOf(2);
    const money = budget(1_000);
    learnSpent(table, money, spendingOf(500, 0, NOON - DAY), () => NOON);
    expect(balanceOf(table, money, () => NOON).spentMicros).toBe(0);
    const { table: full } = { table: setUpTables(8, 0).table };
    const crowded = budget(1_000, { place: Place.hashed("x", 6) });
    full.shareMoney({ shares: 2, closedSince: 0 });
    learnSpent(full, crowded, spendingOf(500), () => NOON);
    expect(balanceOf(full, crowded, () => NOON).spentMicros).toBe(0);
  });

  it("begins with a part, or with nothing", () => {
    expect(firstShares("fair_share").shares).toBe(8);
    expect(firstShares("open").shares).toBe(8);
    expect(firstShares("closed").shares).toBe(Number.POSITIVE_INFINITY);
  });
});
