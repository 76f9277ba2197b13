import { describe, expect, it } from "vitest";
import { direct, Fleet, group, routing, target } from "./fleet.js";

describe("the status of the models", () => {
  const fleet = new Fleet(
    [
      direct("a"),
      direct("gpt-*"),
      group(routing([target("a"), target("gpt-x")])),
      group(routing([target("gpt-x")]), { name: "lonely" }),
    ],
    2,
  );
  const now = Date.now();
  const row = (name: string) => fleet.shared.status(now).find((status) => status.name === name);

  it("has a row for each model in the file's order, then one for each target that only a pattern covers", () => {
    const rows = fleet.shared.status(now);
    expect(rows.map(({ name, kind, provider, targets }) => [name, kind, provider, targets])).toEqual([
      ["a", "direct", "openai", []],
      ["gpt-*", "direct", "openai", []],
      ["group", "routing", null, ["a", "gpt-x"]],
      ["lonely", "routing", null, ["gpt-x"]],
      ["gpt-x", "direct", "openai", []],
    ]);
    expect(new Set(rows.map(({ state }) => state))).toEqual(new Set(["unknown"]));
  });

  it("tells what every thread has reported", () => {
    const [left, right] = fleet.routers;
    left?.health.reportSuccess(fleet.slot("a"), 200, 12.34, now);
    right?.health.changeInFlight(fleet.slot("a"), 1);
    left?.health.reportFailure(fleet.slot("gpt-x"), "status", 503);
    left?.health.coolDown(fleet.slot("gpt-x"), now + 30_000);
    expect(row("a")).toMatchObject({
      state: "healthy",
      last_status: 200,
      last_failure: null,
      latency_ms: 12.3,
      in_flight: 1,
      successes: 1,
      failures: 0,
      cooldown_until: null,
      checks: null,
    });
    expect(row("gpt-x")).toMatchObject({
      state: "cooling_down",
      last_status: 503,
      last_failure: "status",
      failures: 1,
    });
    expect(Math.abs(Date.parse(row("gpt-x")?.cooldown_until ?? "") - now - 30_000)).toBeLessThanOrEqual(50);
    expect([row("group")?.state, row("lonely")?.state]).toEqual(["healthy", "cooling_down"]);
  });

  it("tells of checks, and that a model which fails them is not well", () => {
    fleet.shared.health.recordCheck(fleet.slot("gpt-x"), { passed: false, status: 0, staleSeconds: 60 }, now);
    expect(row("gpt-x")).toMatchObject({ state: "unhealthy", checks: { passed: false, status: null, stale: false } });
    expect(row("lonely")?.state).toBe("unhealthy");
  });

  it("forgets what a dead thread had in flight", () => {
    fleet.shared.bury(1);
    expect(row("a")?.in_flight).toBe(0);
  });
});
