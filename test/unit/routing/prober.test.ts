import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { UNHEALTHY, WELL } from "../../../src/routing/health.js";
import { type CheckedModel, CheckSchedule, checkedModels, type Probe, Prober } from "../../../src/routing/prober.js";
import { CHECK, direct, Fleet, group, routing, target } from "./fleet.js";

const MINUTE = 60_000;

function modelsNamed(fleet: Fleet): CheckedModel[] {
  return checkedModels(fleet.resources, fleet.snapshot, fleet.shared.health);
}

function checkedFleet(count: number, check = CHECK): Fleet {
  return new Fleet(Array.from({ length: count }, (_, index) => direct(`m${index}`, { backgroundCheck: check })));
}

describe("what is checked", () => {
  it("is every model that says so, and of a pattern the targets that it covers", () => {
    const fleet = new Fleet([
      direct("a", { backgroundCheck: CHECK }),
      direct("b"),
      direct("gpt-*", { backgroundCheck: CHECK }),
      group(routing([target("gpt-x"), target("b")])),
    ]);
    expect(modelsNamed(fleet).map(({ name, model }) => [name, model.upstreamModel])).toEqual([
      ["gpt-x", "gpt-x"],
      ["a", "a"],
    ]);
  });
});

describe("the schedule", () => {
  it("has four checks under way at most, the longest overdue first", () => {
    const schedule = new CheckSchedule();
    schedule.adopt(modelsNamed(checkedFleet(10)), 0);
    const first = schedule.begin(MINUTE / 2);
    expect(first.map(({ name }) => name)).toEqual(["m0", "m1", "m2", "m3"]);
    expect(schedule.begin(MINUTE / 2)).toEqual([]);
    expect(schedule.nextAt()).toBe(Number.POSITIVE_INFINITY);
    schedule.finish("m2");
    expect(schedule.begin(MINUTE / 2).map(({ name }) => name)).toEqual(["m4"]);
  });

  it("spreads the first checks and keeps to each one's interval", () => {
    const schedule = new CheckSchedule();
    schedule.adopt(modelsNamed(checkedFleet(5)), 0);
    const times: Record<string, number[]> = {};
    for (let now = 0; now < 3 * MINUTE; now += 100) {
      for (const { name } of schedule.begin(now)) {
        times[name] = [...(times[name] ?? []), now];
        schedule.finish(name);
      }
    }
    expect(times).toEqual({
      m0: [0, 60_000, 120_000],
      m1: [2_000, 62_000, 122_000],
      m2: [4_000, 64_000, 124_000],
      m3: [6_000, 66_000, 126_000],
      m4: [8_000, 68_000, 128_000],
    });
  });

  it("does not check a model twice at once, nor make up for what it has missed", () => {
    const schedule = new CheckSchedule();
    schedule.adopt(modelsNamed(checkedFleet(1)), 0);
    expect(schedule.begin(0)).toHaveLength(1);
    expect(schedule.begin(5 * MINUTE)).toEqual([]);
    schedule.finish("m0");
    expect(schedule.begin(5 * MINUTE)).toHaveLength(1);
    schedule.finish("m0");
    expect(schedule.begin(5 * MINUTE + 1)).toEqual([]);
    expect(schedule.nextAt()).toBe(5.5 * MINUTE);
  });

  it("keeps its times over a reload, unless the interval is now shorter", () => {
    const schedule = new CheckSchedule();
    schedule.adopt(modelsNamed(checkedFleet(1)), 0);
    schedule.begin(0);
    schedule.finish("m0");
    schedule.adopt(modelsNamed(checkedFleet(1)), 1_000);
    expect(schedule.nextAt()).toBe(MINUTE);
    schedule.adopt(modelsNamed(checkedFleet(1, { ...CHECK, intervalSeconds: 10 })), 2_000);
    expect(schedule.nextAt()).toBe(12_000);
    schedule.adopt([], 3_000);
    expect(schedule.nextAt()).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("the prober", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  async function run(probe: Probe, ms: number, check = CHECK) {
    const fleet = checkedFleet(1, check);
    const prober = new Prober(fleet.shared.health, probe);
    prober.adopt(modelsNamed(fleet));
    await vi.advanceTimersByTimeAsync(ms);
    const standing = () => fleet.router.health.standing(fleet.slot("m0"), Date.now());
    return { fleet, prober, standing };
  }

  it("makes the call it is told to make and writes down how it went", async () => {
    const probe = vi.fn<Probe>(async () => ({ status: 500 }));
    const { prober, standing, fleet } = await run(probe, 10);
    expect(probe.mock.calls[0]?.[1]).toMatchObject({ prompt: "ping", maxTokens: 1, timeoutMs: 5_000 });
    expect(standing()).toBe(UNHEALTHY);
    probe.mockImplementation(async () => ({ status: 200 }));
    await vi.advanceTimersByTimeAsync(MINUTE);
    expect(probe).toHaveBeenCalledTimes(2);
    expect(standing()).toBe(WELL);
    expect(fleet.router.health.report(fleet.slot("m0"), Date.now()).check).toMatchObject({ passed: true, status: 200 });
    prober.stop();
    await vi.advanceTimersByTimeAsync(5 * MINUTE);
    expect(probe).toHaveBeenCalledTimes(2);
  });

  it("takes statuses that are to be ignored for no illness", async () => {
    const { prober, standing } = await run(async () => ({ status: 429 }), 10, { ...CHECK, ignoreStatuses: [429] });
    expect(standing()).toBe(WELL);
    prober.stop();
  });

  it("learns nothing where no call was made", async () => {
    const probe = vi.fn<Probe>(async () => ({ status: -1 }));
    const { prober, standing, fleet } = await run(probe, 10);
    expect(standing()).toBe(WELL);
    expect(fleet.router.health.report(fleet.slot("m0"), Date.now()).check).toBeNull();
    await vi.advanceTimersByTimeAsync(MINUTE);
    expect(probe).toHaveBeenCalledTimes(2);
    prober.stop();
  });

  it("takes a call that fails, throws or never ends for a failed check, and goes on", async () => {
    const calls: AbortSignal[] = [];
    const behaviours: Probe[] = [
      async () => Promise.reject(new Error("no route")),
      () => {
        throw new Error("thrown");
      },
      (_model, { signal }) => {
        calls.push(signal);
        return new Promise(() => {});
      },
      async () => ({ status: 200 }),
    ];
    const { prober, standing } = await run((...call) => (behaviours.shift() as Probe)(...call), 10);
    expect(standing()).toBe(UNHEALTHY);
    await vi.advanceTimersByTimeAsync(MINUTE);
    expect(standing()).toBe(UNHEALTHY);
    await vi.advanceTimersByTimeAsync(MINUTE + 5_000);
    expect(standing()).toBe(UNHEALTHY);
    expect(calls[0]?.aborted).toBe(true);
    await vi.advanceTimersByTimeAsync(MINUTE);
    expect(standing()).toBe(WELL);
    prober.stop();
  });

  it("leaves checks to the node whose they are, and steps in by rank when nothing is heard", async () => {
    const probe = vi.fn<Probe>(async () => ({ status: 200 }));
    const checked = vi.fn();
    let rank = 1;
    const fleet = checkedFleet(1);
    const prober = new Prober(fleet.shared.health, probe, () => ({
      checkRank: () => rank,
      checked,
      cooldownFrom: () => null,
    }));
    prober.adopt(modelsNamed(fleet));
    const hear = () =>
      fleet.shared.health.recordCheck(fleet.slot("m0"), { passed: true, status: 200, staleSeconds: 120 }, Date.now());
    for (let minute = 0; minute < 10; minute += 1) {
      await vi.advanceTimersByTimeAsync(MINUTE);
      hear();
    }
    expect(probe).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(2 * MINUTE);
    expect(probe).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(MINUTE);
    expect(probe).toHaveBeenCalledTimes(1);
    expect(checked).toHaveBeenCalledExactlyOnceWith("m0", { passed: true, status: 200, staleSeconds: 120 });
    rank = 0;
    await vi.advanceTimersByTimeAsync(3 * MINUTE);
    expect(probe).toHaveBeenCalledTimes(4);
    prober.stop();
  });
});
