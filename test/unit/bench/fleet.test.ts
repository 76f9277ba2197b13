/** The fleet rig's own judgement: it must see what it is there to see. */
import { describe, expect, it } from "vitest";
import { compare, type Received } from "../../../bench/fleet/account.js";
import { chances, few, type Outcome } from "../../../bench/fleet/outcome.js";
import { fleetSection, fleetSectionOf, outcomeTable, withFleetSection } from "../../../bench/fleet/report.js";
import type { Arrival } from "../../../bench/fleet/wanted.js";
import { countWindows, type LimitBar, windowProblems } from "../../../bench/fleet/windows.js";

describe("compare", () => {
  const received: Received[] = [{ user: "r1-0", requestId: "a", attempts: 2 }];
  const first = { id: "1", request_id: "a", attempt: 1, input_tokens: 0, output_tokens: 0 };
  const second = { id: "2", request_id: "a", attempt: 2, input_tokens: 10, output_tokens: 5 };
  const given = new Map([["r1-0", { calls: 2, input: 10, output: 5 }]]);

  it("passes one event for each attempt, also where the stream holds one twice", () => {
    const account = compare(received, [first, second, second], given);
    expect(account).toMatchObject({ problems: [], messages: 3, events: 2, inputTokens: 10, outputTokens: 5 });
  });

  it.each([
    ["a lost event", [second]],
    ["a doubled attempt", [first, second, { ...second, id: "3", input_tokens: 0, output_tokens: 0 }]],
    ["no event at all", []],
    ["tokens too few", [first, { ...second, output_tokens: 4 }]],
    ["tokens too many", [first, { ...second, input_tokens: 11 }]],
  ])("sees %s", (_, events) => {
    expect(compare(received, events, given).problems).not.toEqual([]);
  });

  it("does not ask for events of answers that nobody received", () => {
    expect(compare([], [first], given).problems).toEqual([]);
  });
});

describe("windowProblems", () => {
  const bar: LimitBar = { limit: 600, windowMs: 1_000, excess: 0, faults: [], least: [0.99, 0.9] };
  const windows = (...units: number[]) => units.map((count, index) => ({ start: index * 1_000, units: count }));

  it("holds windows without any fault against both sides of the limit", () => {
    expect(windowProblems(windows(594, 600), bar)).toEqual([]);
    expect(windowProblems(windows(593), bar)).toHaveLength(1);
    expect(windowProblems(windows(601), bar)).toHaveLength(1);
  });

  it("lets a window of a fault have few, and none too many", () => {
    const faulty = { ...bar, faults: [{ what: "node killed", from: 1_500, to: 2_500 }] };
    expect(windowProblems(windows(600, 0, 0, 540), faulty)).toEqual([]);
    expect(windowProblems(windows(600, 606, 606, 606), faulty)).toEqual([]);
    expect(windowProblems(windows(601, 607, 0, 539), faulty)).toHaveLength(3);
  });

  it("allows a request's excess where tokens are counted", () => {
    expect(windowProblems(windows(750), { ...bar, excess: 150 })).toEqual([]);
    expect(windowProblems(windows(751), { ...bar, excess: 150 })).toHaveLength(1);
  });
});

it("countWindows counts what came within the windows, by its unit", () => {
  const arrivals: Arrival[] = [
    [999, 7],
    [1_000, 7],
    [1_999.9, 3],
    [2_000, 1],
    [3_000, 1],
  ];
  const span = { from: 1_000, windowMs: 1_000, windows: 2 };
  expect(countWindows(arrivals, span, () => 1).map(({ units }) => units)).toEqual([2, 1]);
  expect(countWindows(arrivals, span, ([, tokens]) => tokens).map(({ units }) => units)).toEqual([10, 1]);
});

it("chances are the same for the same seed, and within 0 and 1", () => {
  const draw = (seed: number) => Array.from({ length: 100 }, chances(seed));
  expect(draw(7)).toEqual(draw(7));
  expect(draw(7)).not.toEqual(draw(8));
  expect(draw(7).every((value) => value >= 0 && value < 1)).toBe(true);
  expect(new Set(draw(7)).size).toBe(100);
});

describe("the report", () => {
  const outcome: Outcome = {
    scenario: "rpm",
    variant: "",
    bar: "594–600",
    short: true,
    figures: { steady: "600 600", other: "" },
    problems: [],
    seconds: 1,
  };
  const meta = {
    date: "2026-01-02T03:04:05Z",
    commit: "abc",
    uncommittedChanges: false,
    processor: "P",
    cores: 2,
    memoryBytes: 2 ** 30,
    node: "20",
  };
  const options = {
    short: true,
    balanced: true,
    requests: 1,
    windows: 1,
    changes: 1,
    propagationMs: 100,
    awayMs: 1,
    seed: 1,
  };
  const section = fleetSection({ meta, options, command: "npx tsx bench/fleet/run.ts", outcomes: [outcome] });

  it("tells pass, fail and short", () => {
    expect(outcomeTable([outcome])).toContain("| rpm | 594–600 | steady 600 600; other – | pass (short) |");
    expect(outcomeTable([{ ...outcome, short: false, problems: ["x"] }])).toContain("| FAIL |");
  });

  it("replaces its own section of the page and nothing else", () => {
    const page = withFleetSection("# Benchmarks\n\nmore\n", section);
    expect(page).toContain("# Benchmarks\n\nmore\n\n<!--");
    expect(withFleetSection(page, section)).toBe(page);
    expect(withFleetSection(`${page}tail\n`, "NEW")).toBe("# Benchmarks\n\nmore\n\nNEW\ntail\n");
    expect(fleetSectionOf(page)).toBe(section);
    expect(fleetSectionOf("# Benchmarks\n")).toBe("");
  });
});

it("few keeps the first problems and says how many there are", () => {
  expect(few(["a", "b"], 2)).toEqual(["a", "b"]);
  expect(few(["a", "b", "c"], 2)).toEqual(["a", "b", "… and 1 more"]);
});
