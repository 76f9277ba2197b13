import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { OwnSum } from "../../../src/cluster/budget-own.js";
import { type FleetState, moneyShares } from "../../../src/cluster/budget-shares.js";
import { nodeId } from "../../../src/cluster/node-id.js";
import { Places } from "../../../src/quota/blocks.js";
import { BudgetSet, counterName } from "../../../src/quota/budget.js";
import { balanceOf } from "../../../src/quota/lease.js";
import { allocateQuotaMemory, QuotaTable } from "../../../src/quota/table.js";
import { FleetSpending } from "../../../src/usage/fleet-spending.js";
import { NOON } from "../usage/journal-line.js";
import { budget } from "./budget-fleet.js";

const DAY = 86_400_000;

describe("the shares of a node", () => {
  const state = (change: Partial<FleetState>): FleetState => ({
    members: 3,
    openForMs: -1,
    startedForMs: 60_000,
    lostAt: 0,
    now: NOON,
    ...change,
  });

  it.each(["fair_share", "open", "closed"] as const)(
    "are one of those who are there, while it hears them: %s",
    (mode) => {
      expect(moneyShares(mode, state({ openForMs: 5_000 }))).toEqual({ shares: 3, closedSince: 0 });
      expect(moneyShares(mode, state({ openForMs: 10 }))).toEqual({ shares: 8, closedSince: 0 });
      expect(moneyShares(mode, state({ openForMs: 10, members: 20 }))).toEqual({ shares: 20, closedSince: 0 });
    },
  );

  it("are what on_partition says when it does not", () => {
    const lost = state({ lostAt: NOON - 10_000 });
    expect(moneyShares("fair_share", lost)).toEqual({ shares: 3, closedSince: 0 });
    expect(moneyShares("open", lost)).toEqual({ shares: 1, closedSince: 0 });
    expect(moneyShares("open", state({ lostAt: NOON - 100 }))).toEqual({ shares: 3, closedSince: 0 });
    expect(moneyShares("closed", lost)).toEqual({ shares: 3, closedSince: NOON - 10_000 });
  });

  it("are few before it has ever heard", () => {
    const fresh = state({ startedForMs: 100, members: 1 });
    expect([moneyShares("fair_share", fresh).shares, moneyShares("open", fresh).shares]).toEqual([8, 8]);
    const later = state({ members: 1 });
    expect([moneyShares("fair_share", later).shares, moneyShares("open", later).shares]).toEqual([1, 1]);
    expect(moneyShares("closed", later).shares).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("the id of a node", () => {
  let folder = "";
  const told: string[] = [];
  const tell = (_fields: object, message: string) => void told.push(message);
  const log = { info: tell, warn: tell, error: tell };
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "node-id-"));
    told.length = 0;
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it("stands in a file that only its owner reads, and stays", () => {
    const id = nodeId(folder, log);
    expect(readFileSync(join(folder, "node-id"), "utf8").trim()).toBe(id);
    expect(statSync(join(folder, "node-id")).mode & 0o777).toBe(0o600);
    expect([nodeId(folder, log), told]).toEqual([id, []]);
  });

  it("is made anew where the file says nothing", () => {
    writeFileSync(join(folder, "node-id"), "");
    const id = nodeId(folder, log);
    expect(told).toHaveLength(1);
    expect(nodeId(folder, log)).toBe(id);
  });

  it("is one for this start where it cannot be kept", () => {
    const file = join(folder, "file");
    writeFileSync(file, "");
    expect(nodeId(file, log)).not.toBe(nodeId(file, log));
    expect(told).toHaveLength(2);
  });
});

describe("a node's own sum", () => {
  const set = new BudgetSet([budget()], new Places({ "budget:b": 0 }));
  const [counters] = set.counters;
  if (counters === undefined) throw new Error("no budget");
  const total = (nanos: number, period = 1) => ({ counters, owner: "ann", period, nanos, owed: 0 });

  it("is settled when it has been stored for a while, one after the other", () => {
    const own = new OwnSum("x", 1);
    own.note(total(5e9), 0);
    own.took(1, 5e9, 0);
    own.note(total(7e9), 0);
    own.took(1, 7e9, 300);
    expect([own.settle(749), own.settle(750), own.settle(1_000), own.settle(1_050), own.isSettling]).toEqual([
      null,
      5e9,
      null,
      7e9,
      false,
    ]);
  });

  it("begins anew with a later period, and hears nothing of an older one", () => {
    const own = new OwnSum("x", 1);
    own.note(total(5e9), 0);
    own.enter(2);
    own.took(1, 5e9, 0);
    expect([own.nanos, own.stored, own.isSettling]).toEqual([0, 0, false]);
    own.enter(1);
    expect(own.period).toBe(2);
  });

  it("is due soon where it matters", () => {
    const own = new OwnSum("x", 1);
    own.note(total(1), 0);
    expect(own.isDue(0)).toBe(true);
    own.sent(0);
    expect(own.isDue(5_000)).toBe(false);
    own.isSending = false;
    expect([own.isDue(1_999), own.isDue(2_000)]).toEqual([false, true]);
    own.note(total(1), 5e9);
    expect([own.isDue(249), own.isDue(250)]).toEqual([false, true]);
    own.note(total(0.1e9), 0);
    expect(own.isDue(250)).toBe(true);
  });
});

describe("what others have spent", () => {
  it("of a period that has not begun here counts when it has", async () => {
    let now = NOON;
    const table = new QuotaTable(allocateQuotaMemory(16, 2, 64), 1);
    table.shareMoney({ shares: 2, closedSince: 0 });
    const set = new BudgetSet([budget()], new Places({ "budget:b": 0 }));
    const [counters] = set.counters;
    const layer = counters?.layerOf("ann");
    if (counters === undefined || layer === undefined) throw new Error("no budget");
    const spending = new FleetSpending({ table, budgets: () => set, onCrossing: () => {}, clock: () => now });
    const name = counterName(budget(), "ann");
    const { id } = counters.clock.at(NOON);
    const spent = () => balanceOf(table, layer, () => now).spentMicros / 1e6;
    spending.hear(name, "x", { period: id, nanos: 1e9 });
    spending.hear(name, "y", { period: id + DAY, nanos: 2e9 });
    await spending.apply();
    expect([spent(), spending.othersOf(name), spending.size]).toEqual([1, 1e9, 2]);
    now += DAY;
    await spending.apply();
    expect([spent(), spending.othersOf(name), spending.size]).toEqual([2, 2e9, 1]);
    expect([...spending.sums()]).toEqual([[name, "y", { period: id + DAY, nanos: 2e9 }]]);
  });
});
