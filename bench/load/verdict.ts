/** Arithmetic on measurements: medians, ratios, bars. Pure. */
import type { MemoryMeasurement, Measurement, Verdict } from "./results.js";
import { type Bar, IDLE_MEGABYTES, LONGEST_GAP_MS, type Scenario } from "./scenarios.js";
import { TARGET_NAMES, type TargetName } from "./targets.js";

/** From this share of its core on, the middle is what limited the rate. */
export const SATURATED = 0.9;

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Other processes took more than this share of a core: the figures are worth less, and are marked. */
export const DISTURBED = 0.05;

/** Null for no values. */
export function spread(values: readonly number[]): Spread | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  const median = sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] as number)) / 2;
  return { median, min: sorted[0] as number, max: sorted[sorted.length - 1] as number };
}

export interface TargetSummary {
  readonly target: TargetName;
  readonly runs: number;
  readonly failures: number;
  /** Answers per second. */
  readonly rate: Spread;
  /** Milliseconds. */
  readonly p50: Spread;
  readonly p99: Spread;
  readonly firstByteP50: Spread;
  readonly longestGap: number;
  /** Answers per CPU second of the middle; null for direct. */
  readonly ratePerCpu: Spread | null;
  /** CPU seconds of the middle per second; null for direct. */
  readonly middleUse: Spread | null;
  /** Share of the core that loader and upstream have for themselves. */
  readonly outerUse: Spread;
  readonly largestForeign: number;
}

/** CPU seconds of the middle inside the window; null when there is none. */
export function middleCpu(measurement: Measurement): number | null {
  return measurement.load.processes.find((process) => process.role === "middle")?.cpuSeconds ?? null;
}

export function rateOf(measurement: Measurement): number {
  return measurement.load.seconds > 0 ? measurement.load.completed / measurement.load.seconds : 0;
}

/** One row a target, in the order direct, nginx, gateway, ceiling. Invalid runs count like the others, and are told. */
export function summarise(measurements: readonly Measurement[]): TargetSummary[] {
  const rows: TargetSummary[] = [];
  for (const target of TARGET_NAMES) {
    const runs = measurements.filter((each) => each.target === target);
    if (runs.length > 0) rows.push(summaryOf(target, runs));
  }
  return rows;
}

function summaryOf(target: TargetName, runs: readonly Measurement[]): TargetSummary {
  const of = (figure: (run: Measurement) => number): Spread => spread(runs.map(figure)) as Spread;
  const hasMiddle = runs.every((run) => (middleCpu(run) ?? 0) > 0);
  const outer = (run: Measurement): number => {
    const upstream = run.load.processes.find((process) => process.role === "upstream")?.cpuSeconds ?? 0;
    return (run.load.loaderCpuSeconds + upstream) / run.load.seconds;
  };
  return {
    target,
    runs: runs.length,
    failures: runs.reduce((total, run) => total + run.load.failures, 0),
    rate: of(rateOf),
    p50: of((run) => run.load.latency.p50),
    p99: of((run) => run.load.latency.p99),
    firstByteP50: of((run) => run.load.firstByte.p50),
    longestGap: Math.max(...runs.map((run) => run.load.gaps.max)),
    ratePerCpu: hasMiddle ? of((run) => run.load.completed / (middleCpu(run) ?? 1)) : null,
    middleUse: hasMiddle ? of((run) => (middleCpu(run) ?? 0) / run.load.seconds) : null,
    outerUse: of(outer),
    largestForeign: Math.max(...runs.map((run) => Math.max(run.foreign?.middle ?? 0, run.foreign?.outer ?? 0))),
  };
}

/** Judges a scenario's measurements against its bar, and tells when the machine had other work meanwhile. */
export function judge(scenario: Scenario, runs: readonly Measurement[], memory: MemoryMeasurement | null): Verdict {
  const verdict = judgeFigures(scenario, runs, memory);
  const foreign = runs.map(({ foreign }) => Math.max(foreign?.middle ?? 0, foreign?.outer ?? 0));
  const disturbed = foreign.filter((share) => share > DISTURBED).length;
  if (disturbed === 0) return verdict;
  const most = Math.round(Math.max(...foreign) * 100);
  const note = `disturbed: in ${disturbed} of ${runs.length} runs other processes took up to ${most} % of a core`;
  return { ...verdict, detail: `${verdict.detail}; ${note}` };
}

function judgeFigures(scenario: Scenario, runs: readonly Measurement[], memory: MemoryMeasurement | null): Verdict {
  const invalid = runs.filter((run) => !run.valid && run.target !== "ceiling").length;
  if (scenario.kind === "memory") return judgeMemory(scenario.bar, memory, invalid);
  if (scenario.kind === "paced") return judgePaced(scenario.bar, runs);
  const rows = new Map(summarise(runs).map((row) => [row.target, row]));
  const gateway = rows.get("gateway");
  const nginx = rows.get("nginx");
  const direct = rows.get("direct");
  if (gateway === undefined || nginx === undefined || direct === undefined) {
    return { ...scenario.bar, status: "not judged", figure: null, detail: "needs direct, nginx and gateway" };
  }
  const verdict = scenario.kind === "rate" ? judgeRate(scenario.bar, gateway, nginx) : judgeLatency(scenario.bar, runs);
  return invalid === 0
    ? verdict
    : { ...verdict, status: "invalid", detail: `${invalid} runs with failures; ${verdict.detail}` };
}

/**
 * The lower of two ratios is judged. Where the outer core holds nginx back, the raw ratio flatters the gateway;
 * where nginx idles between requests, its rate per CPU second is lower than at full load, and that ratio does.
 */
function judgeRate(bar: Bar, gateway: TargetSummary, nginx: TargetSummary): Verdict {
  const raw = gateway.rate.median / nginx.rate.median;
  const perCpu =
    gateway.ratePerCpu !== null && nginx.ratePerCpu !== null
      ? gateway.ratePerCpu.median / nginx.ratePerCpu.median
      : null;
  const figure = perCpu === null ? raw : Math.min(raw, perCpu);
  const use = (row: TargetSummary): string => {
    const share = row.middleUse?.median ?? 0;
    return `${Math.round(share * 100)} % of its core${share >= SATURATED ? "" : ", not saturated"}`;
  };
  const detail = `rate ratio ${format(raw)} raw, ${perCpu === null ? "?" : format(perCpu)} per CPU second (the lower is judged); gateway at ${use(gateway)}; nginx at ${use(nginx)}`;
  return verdictOf(bar, figure, detail);
}

/** Both added latencies are taken within one repetition, so that a slow minute of the machine falls on both. */
function judgeLatency(bar: Bar, runs: readonly Measurement[]): Verdict {
  const p50 = (target: TargetName, repetition: number): number | undefined =>
    runs.find((run) => run.target === target && run.repetition === repetition)?.load.latency.p50;
  const ratios: number[] = [];
  const addedByGateway: number[] = [];
  const addedByNginx: number[] = [];
  for (const repetition of new Set(runs.map((run) => run.repetition))) {
    const direct = p50("direct", repetition);
    const nginx = p50("nginx", repetition);
    const gateway = p50("gateway", repetition);
    if (direct === undefined || nginx === undefined || gateway === undefined || nginx <= direct) continue;
    addedByGateway.push(gateway - direct);
    addedByNginx.push(nginx - direct);
    ratios.push((gateway - direct) / (nginx - direct));
  }
  const ratio = spread(ratios);
  if (ratio === null) return { ...bar, status: "not judged", figure: null, detail: "nginx adds nothing measurable" };
  const micro = (values: readonly number[]): string => `${Math.round((spread(values) as Spread).median * 1000)} µs`;
  const detail = `gateway adds ${micro(addedByGateway)}, nginx ${micro(addedByNginx)} (ratio ${format(ratio.min)}–${format(ratio.max)})`;
  return verdictOf(bar, ratio.median, detail);
}

/** The largest step that the gateway served without a failure or a long gap, all smaller steps included. */
function judgePaced(bar: Bar, runs: readonly Measurement[]): Verdict {
  if (!runs.some((run) => run.target === "gateway")) {
    return { ...bar, status: "not judged", figure: null, detail: "needs the gateway" };
  }
  const reached = (target: TargetName): number => {
    const of = runs.filter((run) => run.target === target);
    let largest = 0;
    for (const step of [...new Set(of.map((run) => run.connections))].sort((a, b) => a - b)) {
      const good = of
        .filter((run) => run.connections === step)
        .every((run) => run.valid && run.load.gaps.max <= LONGEST_GAP_MS);
      if (!good) break;
      largest = step;
    }
    return largest;
  };
  const detail = `gateway ${reached("gateway")} at once, nginx ${reached("nginx")}, the rig by itself ${reached("direct")}`;
  return verdictOf(bar, reached("gateway"), detail);
}

function judgeMemory(bar: Bar, memory: MemoryMeasurement | null, invalid: number): Verdict {
  if (memory === null) return { ...bar, status: "not judged", figure: null, detail: "needs the gateway" };
  const idle = memory.idleBytes / 1e6;
  const growth = memory.afterBytes / memory.idleBytes;
  const detail = `idle ${Math.round(idle)} MB (bar ${IDLE_MEGABYTES.must}, aim ${IDLE_MEGABYTES.aim}), peak ${Math.round(memory.peakBytes / 1e6)} MB, ${memory.quietSeconds} s after ${memory.loadSeconds} s of load ${Math.round(memory.afterBytes / 1e6)} MB`;
  const byGrowth = verdictOf(bar, growth, detail);
  const byIdle = verdictOf(IDLE_MEGABYTES, idle, detail);
  const worse =
    byIdle.status === "below" || (byIdle.status === "must" && byGrowth.status === "aim") ? byIdle : byGrowth;
  return { ...byGrowth, status: invalid > 0 ? "invalid" : worse.status };
}

function verdictOf(bar: Bar, figure: number, detail: string): Verdict {
  const reaches = (limit: number): boolean => (bar.larger ? figure >= limit : figure <= limit);
  const status = reaches(bar.aim) ? "aim" : reaches(bar.must) ? "must" : "below";
  return { must: bar.must, aim: bar.aim, status, figure, detail };
}

/** Two decimals, or none from 100 on. */
export function format(value: number): string {
  return value >= 100 ? String(Math.round(value)) : value.toFixed(2);
}
