/** What the other nodes say of a model, beside what this node has seen itself. */
import { describe, expect, it } from "vitest";
import { COOLING_DOWN, UNHEALTHY, WELL } from "../../../src/routing/health.js";
import type { OthersHealth } from "../../../src/routing/health-report.js";
import { type CheckedModel, CheckSchedule, checkedModels } from "../../../src/routing/prober.js";
import { CHECK, direct, Fleet, group, routing, target } from "./fleet.js";

const NOTHING: OthersHealth = { inFlight: 0, cooldownUntil: 0, latencyMs: -1, latencyAt: 0 };

function setUp(strategy: "least_busy" | "least_latency" | "failover" = "failover") {
  const fleet = new Fleet([direct("a"), direct("b"), group(routing([target("a"), target("b")], { strategy }))], 2);
  const now = Date.now();
  const { health } = fleet.shared;
  const tell = (name: string, others: Partial<OthersHealth>) =>
    health.recordOthers(fleet.slot(name), { ...NOTHING, ...others });
  const row = (name: string) => fleet.shared.status(now).find((each) => each.name === name);
  return { fleet, health, now, tell, row };
}

describe("requests in flight at other nodes", () => {
  it("count for least_busy, and beside the node's own for people", () => {
    const { fleet, tell, row } = setUp("least_busy");
    expect(fleet.first()).toBe("a");
    tell("a", { inFlight: 2 });
    expect(fleet.first()).toBe("b");
    fleet.router.health.changeInFlight(fleet.slot("b"), 1);
    fleet.routers[1]?.health.changeInFlight(fleet.slot("b"), 1);
    fleet.router.health.changeInFlight(fleet.slot("b"), 1);
    expect(fleet.first()).toBe("a");
    expect([row("a")?.in_flight, row("a")?.fleet_in_flight]).toEqual([0, 2]);
    expect([row("b")?.in_flight, row("b")?.fleet_in_flight]).toEqual([3, 3]);
    tell("a", {});
    expect(row("a")?.fleet_in_flight).toBe(0);
  });

  it("are not what this node tells as its own", () => {
    const { fleet, health, now, tell } = setUp();
    fleet.router.health.changeInFlight(fleet.slot("a"), 1);
    tell("a", { inFlight: 7, cooldownUntil: now + 60_000, latencyMs: 5, latencyAt: now });
    expect(health.own(fleet.slot("a"), now)).toEqual({
      inFlight: 1,
      cooldownUntil: 0,
      lastStatus: 0,
      latencyMs: -1,
      latencyAt: 0,
      successes: 0,
      successAt: 0,
    });
  });
});

describe("a cooldown of another node", () => {
  it("keeps the model away like the node's own; the longer one counts, and its node is named", () => {
    const { fleet, health, now, tell, row } = setUp();
    tell("a", { cooldownUntil: now + 10_000 });
    expect(fleet.names()).toEqual(["b"]);
    const slot = fleet.slot("a");
    expect(health.standing(slot, now + 9_999)).toBe(COOLING_DOWN);
    expect(health.standing(slot, now + 10_050)).toBe(WELL);
    fleet.shared.otherNodes = {
      checkRank: () => 0,
      checked: () => {},
      cooldownFrom: () => ({ node: "east", status: 503 }),
    };
    expect(row("a")).toMatchObject({ state: "cooling_down", cooldown_from: "east", last_status: 503 });
    fleet.router.health.reportFailure(slot, "status", 500);
    fleet.router.health.coolDown(slot, now + 60_000);
    expect(row("a")).toMatchObject({ state: "cooling_down", cooldown_from: "self", last_status: 500 });
    tell("a", {});
    expect(fleet.names()).toEqual(["b"]);
    expect(row("b")).toMatchObject({ cooldown_from: null });
  });

  it("changes nothing of the number that tells of new ones of the node's own", () => {
    const { fleet, health, now, tell } = setUp();
    const before = health.cooldowns;
    tell("a", { cooldownUntil: now + 10_000 });
    expect(health.cooldowns).toBe(before);
    fleet.router.health.coolDown(fleet.slot("a"), now + 5_000);
    expect(health.cooldowns).not.toBe(before);
  });
});

describe("latencies of other nodes", () => {
  it("stand in for what the node has not measured", () => {
    const { fleet, health, now, tell } = setUp("least_latency");
    tell("a", { latencyMs: 200, latencyAt: now });
    tell("b", { latencyMs: 20, latencyAt: now });
    expect(fleet.names()).toEqual(["b", "a"]);
    expect(health.latencyMs(fleet.slot("b"), now)).toBe(20);
    expect(health.latencyMs(fleet.slot("b"), now + 300_100)).toBe(-1);
  });

  it("beside the node's own, the younger one weighs more", () => {
    const { fleet, health, now, tell } = setUp();
    const slot = fleet.slot("a");
    fleet.router.health.reportSuccess(slot, 200, 100, now);
    tell("a", { latencyMs: 200, latencyAt: now });
    expect(health.latencyMs(slot, now)).toBeCloseTo(150, 0);
    tell("a", { latencyMs: 200, latencyAt: now - 90_000 });
    const early = health.latencyMs(slot, now);
    expect(early).toBeGreaterThan(100);
    expect(early).toBeLessThan(115);
    expect(health.latencyMs(slot, now + 250_000)).toBeLessThan(110);
  });
});

describe("background checks of other nodes", () => {
  it("a success elsewhere ends what a failed check says, if it came after it", () => {
    const { fleet, health, now } = setUp();
    const slot = fleet.slot("a");
    health.recordCheck(slot, { passed: false, status: 503, staleSeconds: 60 }, now - 5_000);
    expect(health.standing(slot, now)).toBe(UNHEALTHY);
    health.recordOthersSuccess(slot, now - 6_000);
    expect(health.standing(slot, now)).toBe(UNHEALTHY);
    health.recordOthersSuccess(slot, now - 4_000);
    expect(health.standing(slot, now)).toBe(WELL);
    expect(health.report(slot, now).check).toMatchObject({ passed: false, status: 503, stale: false });
  });

  it("are left to them, beat by beat, until the schedule is told otherwise", () => {
    const fleet = new Fleet([direct("a", { backgroundCheck: CHECK }), direct("b", { backgroundCheck: CHECK })]);
    const schedule = new CheckSchedule();
    schedule.adopt(checkedModels(fleet.resources, fleet.snapshot, fleet.shared.health), 0);
    const asked: [string, number][] = [];
    let ours: string[] = ["b"];
    const isOurs = ({ name }: CheckedModel, knownMs: number) => {
      asked.push([name, knownMs]);
      return ours.includes(name);
    };
    expect(schedule.begin(6_000, isOurs).map(({ name }) => name)).toEqual(["b"]);
    schedule.finish("b");
    expect(schedule.begin(7_000, isOurs)).toEqual([]);
    expect(asked).toEqual([
      ["a", 6_000],
      ["b", 6_000],
    ]);
    ours = ["a", "b"];
    expect(schedule.begin(66_000, isOurs).map(({ name }) => name)).toEqual(["a", "b"]);
  });
});
