import { describe, expect, it } from "vitest";
import type { LoadResult } from "../../../bench/load/plan.js";
import { barsTable, benchmarksPage, GENERATED_MARKER, scenarioTable } from "../../../bench/load/report.js";
import type { Measurement, Meta, RigResult, ScenarioResult } from "../../../bench/load/results.js";
import {
  modelsOf,
  SAME_DIALECT,
  SCENARIOS,
  type Scenario,
  TRANSLATED,
  WITH_LARGE,
  WITHOUT_LARGE,
} from "../../../bench/load/scenarios.js";
import { CALLER_KEY, gatewayResources, nginxConfiguration, type TargetName } from "../../../bench/load/targets.js";
import { judge, spread, summarise } from "../../../bench/load/verdict.js";

interface Figures {
  rate?: number;
  cpu?: number;
  p50?: number;
  gap?: number;
  failures?: number;
  connections?: number;
  repetition?: number;
  variant?: string;
  beside?: LoadResult;
}

function run(target: TargetName, figures: Figures): Measurement {
  const {
    rate = 1000,
    cpu = 1,
    p50 = 1,
    gap = 0,
    failures = 0,
    connections = 32,
    repetition = 1,
    variant = "",
  } = figures;
  const quantiles = { count: rate, p50, p90: p50, p99: p50, max: p50 };
  const memory = { residentBytes: 1, peakResidentBytes: 1 };
  const middle = target === "direct" ? [] : [{ role: "middle" as const, cpuSeconds: cpu, ...memory }];
  const load: LoadResult = {
    seconds: 1,
    completed: rate,
    events: 0,
    latency: quantiles,
    firstByte: quantiles,
    gaps: { ...quantiles, max: gap },
    failures,
    failureExamples: [],
    reconnects: 0,
    loaderCpuSeconds: 0.3,
    processes: [{ role: "upstream", cpuSeconds: 0.2, ...memory }, ...middle],
    cores: [],
  };
  const beside = figures.beside ?? null;
  const valid = failures === 0 && rate > 0 && (beside === null || beside.failures === 0);
  return { target, variant, repetition, connections, load, beside, valid, foreign: null };
}

function scenario(name: string): Scenario {
  return SCENARIOS.find((each) => each.name === name) as Scenario;
}

describe("spread", () => {
  it("takes the middle, or the mean of both middles", () => {
    expect(spread([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3 });
    expect(spread([4, 1, 2, 3])?.median).toBe(2.5);
    expect(spread([])).toBeNull();
  });
});

describe("judge, rates", () => {
  const direct = run("direct", {});

  it("judges the lower of the raw ratio and the ratio per CPU second", () => {
    // The outer core holds nginx back at half of its own core: the raw ratio alone would pass.
    const flattered = [direct, run("nginx", { rate: 1000, cpu: 0.5 }), run("gateway", { rate: 400, cpu: 1 })];
    const verdict = judge(scenario("chat-whole"), flattered, null);
    expect(verdict.figure).toBeCloseTo(0.2);
    expect(verdict.status).toBe("below");
    expect(verdict.detail).toMatch(/0\.40 raw, 0\.20 per CPU second.*50 % of its core, not saturated/);
    const idleGateway = [direct, run("nginx", { rate: 1000, cpu: 1 }), run("gateway", { rate: 350, cpu: 0.5 })];
    expect(judge(scenario("chat-whole"), idleGateway, null).figure).toBeCloseTo(0.35);
  });

  it("says whether the bar or the aim is reached", () => {
    const at = (rate: number) =>
      judge(scenario("chat-whole"), [direct, run("nginx", {}), run("gateway", { rate })], null).status;
    expect([at(299), at(300), at(450)]).toEqual(["below", "must", "aim"]);
  });

  it("never passes a run with failures, and keeps its figure", () => {
    for (const failing of ["direct", "nginx", "gateway"] as const) {
      const runs = (["direct", "nginx", "gateway"] as const).map((name) =>
        run(name, { failures: name === failing ? 1 : 0 }),
      );
      const verdict = judge(scenario("chat-whole"), runs, null);
      expect(verdict.status).toBe("invalid");
      expect(verdict.figure).toBeCloseTo(1);
    }
  });

  it("does not judge without the floors", () => {
    expect(judge(scenario("chat-whole"), [direct, run("gateway", {})], null).status).toBe("not judged");
  });
});

describe("judge, latency", () => {
  it("compares what gateway and nginx add within one repetition", () => {
    const runs = [1, 2].flatMap((repetition) => {
      const slow = repetition === 2 ? 10 : 1;
      return [
        run("direct", { repetition, p50: 0.1 * slow }),
        run("nginx", { repetition, p50: 0.2 * slow }),
        run("gateway", { repetition, p50: 0.3 * slow }),
      ];
    });
    const verdict = judge(scenario("chat-latency"), runs, null);
    expect(verdict.figure).toBeCloseTo(2);
    expect(verdict.status).toBe("must");
  });
});

describe("judge, translated", () => {
  const streams = [`${SAME_DIALECT}, stream of 50`, `${TRANSLATED}, stream of 50`];
  const at = (rate: number, cpu: number): Measurement[] => [
    run("gateway", { variant: SAME_DIALECT, rate: 1000, cpu: 1 }),
    run("gateway", { variant: TRANSLATED, rate, cpu }),
    // Streams are shown, not judged.
    ...streams.map((variant, index) => run("gateway", { variant, rate: index === 0 ? 1000 : 10 })),
  ];

  it("judges the lower ratio of whole answers", () => {
    expect(judge(scenario("translated-chat"), at(800, 1), null)).toMatchObject({ figure: 0.8, status: "aim" });
    expect(judge(scenario("translated-chat"), at(450, 0.5), null)).toMatchObject({ figure: 0.45, status: "below" });
    const verdict = judge(scenario("translated-chat"), at(600, 1.1), null);
    expect(verdict).toMatchObject({ status: "must" });
    expect(verdict.detail).toMatch(/0\.60 raw, 0\.55 per CPU second/);
  });

  it("is not passed by a run with failures, streams included, nor judged without the gateway", () => {
    const failing = [...at(800, 1), run("gateway", { variant: streams[1] as string, failures: 1 })];
    expect(judge(scenario("translated-chat"), failing, null).status).toBe("invalid");
    expect(judge(scenario("translated-chat"), [], null).status).toBe("not judged");
  });

  it("shows a row a variant", () => {
    expect(summarise(at(800, 1)).map((row) => row.label)).toEqual(
      [SAME_DIALECT, TRANSLATED, ...streams].map((name) => `gateway, ${name}`),
    );
  });
});

describe("judge, large bodies", () => {
  const large = (failures = 0): LoadResult => run("gateway", { rate: 25, p50: 40, failures }).load;
  const pair = (repetition: number, alone: number, beside: number, failures = 0): Measurement[] => [
    run("gateway", { variant: WITHOUT_LARGE, repetition, p50: alone }),
    run("gateway", { variant: WITH_LARGE, repetition, p50: beside, beside: large(failures) }),
  ];

  it("compares the p99 within one repetition and tells how many large bodies there were", () => {
    const runs = [...pair(1, 1, 1.5), ...pair(2, 10, 15), ...pair(3, 1, 9)];
    const verdict = judge(scenario("large-bodies"), runs, null);
    expect(verdict).toMatchObject({ figure: 1.5, status: "must" });
    expect(verdict.detail).toMatch(/^25\.0 bodies of 1 MB translated per second \(p50 40 ms\).*1\.50–9\.00/);
    expect(judge(scenario("large-bodies"), pair(1, 1, 2.1), null).status).toBe("below");
  });

  it("counts failures of the second loader", () => {
    const runs = pair(1, 1, 1, 3);
    expect(judge(scenario("large-bodies"), runs, null).status).toBe("invalid");
    expect(summarise(runs).map((row) => row.failures)).toEqual([0, 3]);
  });

  it("does not judge without the large bodies", () => {
    expect(judge(scenario("large-bodies"), pair(1, 1, 1).slice(0, 1), null).status).toBe("not judged");
  });

  it("shows the rate of the large bodies in the table", () => {
    const measurements = pair(1, 1, 1.5);
    const { name, row, question, kind } = scenario("large-bodies");
    const verdict = judge(scenario("large-bodies"), measurements, null);
    const table = scenarioTable({ scenario: name, row, question, kind, measurements, memory: null, verdict });
    expect(table).toMatch(/1 MB bodies translated\/s/);
    expect(table).toMatch(/gateway, small beside 1 MB .*25\.0 \(25\.0–25\.0\)/);
  });
});

describe("judge, paced streams", () => {
  const steps = (gaps: readonly number[]): Measurement[] =>
    gaps.map((gap, index) => run("gateway", { gap, connections: (index + 1) * 500 }));

  it("counts up to the first step with a long gap or a failure", () => {
    expect(judge(scenario("paced-streams"), steps([50, 60, 150]), null)).toMatchObject({
      figure: 1500,
      status: "must",
    });
    expect(judge(scenario("paced-streams"), steps([50, 201, 60]), null)).toMatchObject({
      figure: 500,
      status: "below",
    });
    const failing = [...steps([50]), run("gateway", { failures: 1, connections: 1000 }), ...steps([1, 1, 1]).slice(2)];
    expect(judge(scenario("paced-streams"), failing, null).figure).toBe(500);
  });
});

describe("judge, memory", () => {
  const memory = { underLoadBytes: 3e8, peakBytes: 3e8, loadSeconds: 60, quietSeconds: 60 };

  it("holds both bars", () => {
    const at = (idleBytes: number, afterBytes: number) =>
      judge(scenario("memory"), [], { ...memory, idleBytes, afterBytes }).status;
    expect(at(9e7, 1e8)).toBe("aim");
    expect(at(1.4e8, 1.5e8)).toBe("must");
    expect(at(1.6e8, 1.6e8)).toBe("below");
    expect(at(9e7, 1.5e8)).toBe("below");
  });
});

describe("report", () => {
  const measurements = [run("direct", {}), run("nginx", { failures: 2 }), run("gateway", { rate: 500 })];
  const { name, row, question, kind } = scenario("chat-whole");
  const verdict = judge(scenario("chat-whole"), measurements, null);
  const result: ScenarioResult = { scenario: name, row, question, kind, measurements, memory: null, verdict };
  const meta: Meta = {
    date: "2025-01-02T03:04:05.000Z",
    commit: "abc",
    uncommittedChanges: false,
    processor: "P",
    cores: 2,
    memoryBytes: 2 ** 33,
    kernel: "6",
    node: "20",
    packages: {},
    nginx: null,
    loadAverageBefore: [0, 0, 0],
    pinned: false,
    parameters: { scenarios: [name], targets: ["direct"], repetitions: 4, seconds: 5, warmupSeconds: 2, quick: false },
    missing: { nginx: "nginx is not installed" },
  };
  const rig: RigResult = { meta, scenarios: [result] };

  it("marks failures and shows every row of the speed table", () => {
    expect(scenarioTable(result)).toMatch(/INVALID/);
    const bars = barsTable(rig).split("\n").slice(2);
    expect(bars.map((line) => Number(line.split("|")[1]))).toEqual([1, 1, 2, 3, 4, 5, 6, 7]);
    expect(summarise(measurements).map((each) => each.failures)).toEqual([0, 2, 0]);
  });

  it("writes a page that says where it comes from and what is missing", () => {
    const page = benchmarksPage(rig);
    expect(page).toContain(GENERATED_MARKER);
    expect(page).toContain("npx tsx bench/load/run.ts --scenarios chat-whole --repetitions 4 --seconds 5 --docs");
    expect(page).toMatch(/NOT pinned/);
    expect(page).toMatch(/nginx\*\* was left out: nginx is not installed/);
  });
});

describe("scenarios", () => {
  it("name every model that they ask for", () => {
    expect(modelsOf(scenario("translated-chat"))).toEqual(["whole", "burst-50"]);
    expect(modelsOf(scenario("large-bodies"))).toEqual(["whole"]);
  });
});

describe("configurations", () => {
  it("gives the gateway the hash of the caller's key, and limits", () => {
    const [key] = JSON.parse(gatewayResources(1234, ["whole"])).api_keys;
    expect(key.key_hash).toMatch(/^[0-9a-f]{64}$/);
    expect(JSON.stringify(key)).not.toContain(CALLER_KEY);
    expect(key.rate_limit).toEqual({ rpm: 100_000_000, tpm: 100_000_000_000 });
  });

  it("streams unbuffered through nginx, over kept-alive connections", () => {
    const text = nginxConfiguration("/scratch", 1, 2, 3);
    expect(text).toMatch(/127\.0\.0\.1:3[^}]*proxy_buffering off/);
    expect(text).toMatch(/proxy_http_version 1\.1/);
  });
});
