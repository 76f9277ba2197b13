import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Budget } from "../../../src/config/traffic.js";
import { Places } from "../../../src/quota/blocks.js";
import { BudgetSet } from "../../../src/quota/budget.js";
import { balanceOf } from "../../../src/quota/lease.js";
import { allocateQuotaMemory, QuotaTable } from "../../../src/quota/table.js";
import { BudgetKeeper } from "../../../src/usage/budget-keeper.js";
import { enforceBound } from "../../../src/usage/retention.js";
import { segmentName } from "../../../src/usage/segments.js";
import { line, NOON } from "./journal-line.js";

const HOUR = 3_600_000;

let root = "";
let directory = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "keeper-"));
  directory = join(root, "journal");
  mkdirSync(directory);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function budget(id: string, change: Partial<Budget> = {}): Budget {
  return {
    id,
    name: id,
    scope: "key",
    scopeRef: null,
    limitUsd: 10,
    period: "day",
    timezone: "UTC",
    action: "block",
    warnAt: [0.5],
    ...change,
  };
}

function write(name: string, sequence: number, ...lines: string[]): string {
  const path = join(directory, segmentName(name, sequence));
  appendFileSync(path, lines.join(""));
  return path;
}

class Station {
  now = NOON;
  readonly told: string[] = [];
  readonly live = new Set<string>();
  readonly table = new QuotaTable(allocateQuotaMemory(16, 2, 64), 0);
  readonly keeper: BudgetKeeper;
  #budgets: readonly Budget[];
  #places: Places;

  constructor(...budgets: Budget[]) {
    this.#budgets = budgets;
    this.#places = this.#placesOf(budgets);
    const tell = (_fields: object, message: string) => void this.told.push(message);
    this.keeper = new BudgetKeeper({
      directory,
      path: join(root, "budgets.json"),
      table: this.table,
      live: () => this.live,
      log: { info: tell, warn: tell, error: tell },
      clock: () => this.now,
    });
  }

  async start(): Promise<this> {
    await this.keeper.start(this.#budgets, this.#places);
    return this;
  }

  adopt(...budgets: Budget[]): Promise<void> {
    this.#budgets = budgets;
    this.#places = this.#placesOf(budgets);
    return this.keeper.adopt(budgets, this.#places);
  }

  /** Dollars in the counter that admissions look at. */
  spent(id: string, owner = "ann"): number {
    const set = new BudgetSet(this.#budgets, this.#places);
    const counters = set.counters.find((each) => each.budget.id === id);
    if (counters === undefined) throw new Error(`no budget ${id}`);
    return balanceOf(this.table, counters.layerOf(owner), () => this.now).spentMicros / 1e6;
  }

  /** Dollars added up from the journal. */
  total(id: string, owner = "ann"): number {
    for (const total of this.keeper.totals()) {
      if (total.counters.budget.id === id && total.owner === owner) return total.nanos / 1e9;
    }
    return 0;
  }

  #placesOf(budgets: readonly Budget[]): Places {
    return new Places(Object.fromEntries(budgets.map(({ id }, block) => [`budget:${id}`, block])));
  }
}

describe("a start", () => {
  test("puts what the journal says of the present period into the counters", async () => {
    write("a", 1, line(1), line(2, { api_key: "eve" }), line(4, { at: NOON - 13 * HOUR }), line(0));
    write("b", 1, line(0.000_000_001));
    const station = await new Station(budget("each"), budget("eve", { scopeRef: "eve" })).start();
    expect(station.spent("each")).toBeCloseTo(1.000_000_001, 9);
    expect(station.spent("each", "eve")).toBe(2);
    expect(station.spent("eve", "eve")).toBe(2);
    await station.keeper.stop();
  });

  test("an attempt belongs to the period that it began in", async () => {
    const midnight = Date.UTC(2026, 10, 22);
    write("a", 1, line(1, { at: midnight - 5 }), line(2, { at: midnight }));
    const station = await new Station(budget("each"), budget("ever", { period: "total" })).start();
    expect([station.spent("each"), station.spent("ever")]).toEqual([2, 3]);
    await station.keeper.stop();
  });

  test("goes on from the checkpoint, and does not need what it has passed", async () => {
    const path = write("a", 1, line(1), line(2));
    const first = await new Station(budget("each")).start();
    await first.keeper.stop();
    rmSync(path);
    write("a", 2, line(4));
    const second = await new Station(budget("each", { limitUsd: 99 })).start();
    expect(second.spent("each")).toBe(7);
    await second.keeper.stop();
  });

  test("without a stop before it: the journal says what the checkpoint does not", async () => {
    write("a", 1, line(1));
    const first = await new Station(budget("each")).start();
    first.live.add("b");
    write("b", 1, line(2));
    await first.keeper.poll();
    expect(first.total("each")).toBe(3);
    // Killed here: what was polled is in no checkpoint.
    write("b", 1, line(4), line(8).slice(0, 40));
    const second = await new Station(budget("each")).start();
    expect([second.spent("each"), second.total("each")]).toEqual([7, 7]);
    await Promise.all([first.keeper.stop(), second.keeper.stop()]);
  });

  test("a checkpoint that cannot be read is made anew from the journal, and that is told", async () => {
    write("a", 1, line(1), line(2));
    for (const broken of ["{", '{"version":1}', '{"version":2,"budgets":[],"positions":{},"totals":{}}']) {
      writeFileSync(join(root, "budgets.json"), broken);
      const station = await new Station(budget("each")).start();
      expect(station.spent("each")).toBe(3);
      expect(station.told).toEqual(["budgets are added up anew from the journal, as far as it reaches"]);
      await station.keeper.stop();
    }
  });

  test("a budget that was not there last time is added up from the whole journal", async () => {
    write("a", 1, line(1));
    const first = await new Station(budget("each")).start();
    await first.keeper.stop();
    write("a", 2, line(2));
    const second = await new Station(budget("each"), budget("all", { scope: "all" })).start();
    expect([second.spent("each"), second.spent("all", "")]).toEqual([3, 3]);
    // So is one whose period is another.
    await second.keeper.stop();
    const third = await new Station(budget("each", { period: "month" })).start();
    expect(third.spent("each")).toBe(3);
    await third.keeper.stop();
  });

  test("a kept total of a period that is over counts no more", async () => {
    write("a", 1, line(1));
    const first = await new Station(budget("each"), budget("month", { period: "month" })).start();
    await first.keeper.stop();
    const second = new Station(budget("each"), budget("month", { period: "month" }));
    second.now += 24 * HOUR;
    await second.start();
    expect([second.spent("each"), second.spent("month")]).toEqual([0, 1]);
    await second.keeper.stop();
  });

  test("reads no file that was last written before the periods in question", async () => {
    const path = write("old", 1, line(1, { at: NOON - 48 * HOUR }));
    utimesSync(path, NOON / 1_000 - 40 * 3_600, NOON / 1_000 - 40 * 3_600);
    const station = await new Station(budget("each")).start();
    expect(station.spent("each")).toBe(0);
    expect(station.keeper.wants(segmentName("old", 1))).toBe(false);
    await station.keeper.stop();
  });
});

describe("while it runs", () => {
  test("adds up what comes, but leaves the counters to those who count there", async () => {
    const station = await new Station(budget("each")).start();
    station.live.add("w");
    write("w", 1, line(1, { at: NOON + 1 }));
    await station.keeper.poll();
    expect([station.total("each"), station.spent("each")]).toEqual([1, 0]);
    // Admitted before the start of this process, and over only now: nobody else has counted it.
    write("w", 1, line(2, { at: NOON - 1 }));
    await station.keeper.poll();
    expect([station.total("each"), station.spent("each")]).toEqual([3, 2]);
    await station.keeper.stop();
  });

  test("a new period begins with nothing", async () => {
    write("a", 1, line(1));
    const station = await new Station(budget("each")).start();
    station.now += 24 * HOUR;
    expect(station.total("each")).toBe(0);
    station.live.add("w");
    const path = write("w", 1, line(2, { at: station.now - 24 * HOUR }), line(4, { at: station.now - 1 }));
    utimesSync(path, station.now / 1_000, station.now / 1_000);
    await station.keeper.poll();
    expect(station.total("each")).toBe(4);
    await station.keeper.stop();
  });

  test("a budget that a reload brings begins with what came before, one that stays goes on", async () => {
    write("a", 1, line(1));
    const station = await new Station(budget("each")).start();
    station.live.add("w");
    write("w", 1, line(2, { at: NOON + 10 }));
    await station.keeper.poll();
    station.now += 1_000;
    await station.adopt(budget("each"), budget("all", { scope: "all" }));
    expect([station.spent("all", ""), station.total("all", "")]).toEqual([3, 3]);
    expect([station.spent("each"), station.total("each")]).toEqual([1, 3]);
    // Under way when the reload came, so that nobody has counted it for the new one.
    write("w", 1, line(4, { at: NOON + 20 }), line(8, { at: NOON + 2_000 }));
    station.now += 5_000;
    await station.keeper.poll();
    expect([station.spent("all", ""), station.total("all", "")]).toEqual([7, 15]);
    expect([station.spent("each"), station.total("each")]).toEqual([1, 15]);
    await station.keeper.stop();
  });

  test("the first budget of all, by a reload, finds what is on file", async () => {
    const station = await new Station().start();
    station.live.add("w");
    write("w", 1, line(1), line(2));
    await station.keeper.poll();
    expect(station.keeper.wants(segmentName("w", 1))).toBe(false);
    await station.adopt(budget("each"));
    expect(station.spent("each")).toBe(3);
    await station.adopt();
    await station.adopt(budget("each"));
    expect(station.total("each")).toBe(3);
    await station.keeper.stop();
  });

  test("keeps the files that no checkpoint has passed from retention, up to twice the bound", async () => {
    const station = await new Station(budget("each")).start();
    station.live.add("w");
    const first = write("w", 1, line(1, { at: NOON + 1 }));
    write("w", 2, line(1, { at: NOON + 1 }));
    const { size } = statSync(first);
    const wanted = (name: string) => station.keeper.wants(name);
    const options = { live: station.live, wanted };
    expect(enforceBound(directory, size, options)).toEqual([]);
    await station.keeper.poll();
    expect(enforceBound(directory, size, options)).toEqual([]);
    station.now += 10_000;
    await station.keeper.poll();
    expect(readFileSync(join(root, "budgets.json"), "utf8")).toContain("budget");
    expect(enforceBound(directory, size, options)).toEqual([segmentName("w", 1)]);
    write("w", 3, line(1));
    expect(enforceBound(directory, size * 0.5, options)).toEqual([segmentName("w", 2)]);
    await station.keeper.stop();
  });

  test("a checkpoint that cannot be written is told of once, and again when it can", async () => {
    const station = await new Station(budget("each")).start();
    const path = join(root, "budgets.json.new");
    mkdirSync(path);
    station.live.add("w");
    for (let round = 0; round < 3; round += 1) {
      write("w", 1, line(1, { at: NOON + 1 }));
      station.now += 100_000;
      await station.keeper.poll();
    }
    expect(station.told).toEqual(["budgets cannot be kept on file"]);
    rmSync(path, { recursive: true });
    station.now += 100_000;
    await station.keeper.poll();
    expect(station.told.slice(1)).toEqual(["budgets are kept on file again"]);
    await station.keeper.stop();
  });

  test("whatever the moments of poll, kill and start: the counter is the journal's sum", async () => {
    const steps = fc.array(
      fc.oneof(
        fc.record({ kind: fc.constant("event" as const), nanos: fc.integer({ min: 0, max: 5_000_000 }) }),
        fc.constantFrom({ kind: "poll" as const }, { kind: "kill" as const }, { kind: "restart" as const }),
      ),
      { maxLength: 30 },
    );
    await fc.assert(
      fc.asyncProperty(steps, async (list) => {
        rmSync(directory, { recursive: true, force: true });
        rmSync(join(root, "budgets.json"), { force: true });
        mkdirSync(directory);
        let sum = 0;
        let writer = 1;
        let station = await new Station(budget("ever", { period: "total" })).start();
        const next = async () => {
          station = await new Station(budget("ever", { period: "total" })).start();
          writer += 1;
          station.live.add(`w${writer}`);
          expect(Math.round(station.spent("ever") * 1e9)).toBe(sum);
        };
        station.live.add("w1");
        for (const step of list) {
          if (step.kind === "event") {
            sum += step.nanos;
            write(`w${writer}`, 1, line(step.nanos / 1e9, { at: NOON + 1 }));
          } else if (step.kind === "poll") {
            station.now += 3_000;
            await station.keeper.poll();
          } else {
            // A killed one never writes again; its timer would.
            if (step.kind === "restart") await station.keeper.stop();
            await next();
          }
        }
        await next();
        await station.keeper.stop();
      }),
      { numRuns: 30 },
    );
  });
});
