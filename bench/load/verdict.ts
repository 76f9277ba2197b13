/** Arithmetic on measurements: medians, ratios, bars. Pure. */
import type { MemoryMeasurement, Measurement, Verdict } from "./results.js";
import {
  type Bar,
  IDLE_MEGABYTES,
  LONGEST_GAP_MS,
  SAME_DIALECT,
  type Scenario,
  TRANSLATED,
  WITH_LARGE,
  WITHOUT_LARGE,
} from "./scenarios.js";
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
  readonly variant: string;
  /** Target and variant, for people. */
  readonly label: string;
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
  /** Of the second loader; null when there is none. Answers per second, and ms. */
  readonly beside: { readonly rate: Spread; readonly p50: Spread } | null;
}

/** CPU seconds of the middle inside the window; null when there is none. */
export function middleCpu(measurement: Measurement): number | null {
  return measurement.load.processes.find((process) => process.role === "middle")?.cpuSeconds ?? null;
}

export function rateOf(measurement: Measurement): number {
  return measurement.load.seconds > 0 ? measurement.load.completed / measurement.load.seconds : 0;
}

/** Target and variant, as the tables name them. */
export function labelOf({ target, variant }: Pick<Measurement, "target" | "variant">): string {
  return variant ? `${target}, ${variant}` : target;
}

/**
 * One row a target and variant: targets in the order direct, nginx, gateway, ceiling, variants as measured. Invalid
 * runs count like the others, and are told.
 */
export function summarise(measurements: readonly Measurement[]): TargetSummary[] {
  const rows: TargetSummary[] = [];
  for (const target of TARGET_NAMES) {
    const ofTarget = measurements.filter((each) => each.target === target);
    for (const variant of new Set(ofTarget.map((each) => each.variant))) {
      rows.push(
        summaryOf(
          target,
          ofTarget.filter((each) => each.variant === variant),
        ),
      );
    }
  }
  return rows;
}

function summaryOf(target: TargetName, runs: readonly Measurement[]): TargetSummary {
  const of = (figure: (run: Measurement) => number): Spread => spread(runs.map(figure)) as Spread;
  const hasMiddle = runs.every((run) => (middleCpu(run) ?? 0) > 0);
  const outer = (run: Measurement): number => {
    const others = run.load.processes.filter((process) => process.role !== "middle");
    return others.reduce((total, each) => total + each.cpuSeconds, run.load.loaderCpuSeconds) / run.load.seconds;
  };
  const variant = runs[0]?.variant ?? "";
  const besides = runs.flatMap((run) => (run.beside === null ? [] : [run.beside]));
  const besideRate = spread(besides.map((beside) => (beside.seconds > 0 ? beside.completed / beside.seconds : 0)));
  const besideP50 = spread(besides.map((beside) => beside.latency.p50));
  return {
    target,
    variant,
    label: labelOf({ target, variant }),
    runs: runs.length,
    failures: runs.reduce((total, run) => total + run.load.failures + (run.beside?.failures ?? 0), 0),
    rate: of(rateOf),
    p50: of((run) => run.load.latency.p50),
    p99: of((run) => run.load.latency.p99),
    firstByteP50: of((run) => run.load.firstByte.p50),
    longestGap: Math.max(...runs.map((run) => run.load.gaps.max)),
    ratePerCpu: hasMiddle ? of((run) => run.load.completed / (middleCpu(run) ?? 1)) : null,
    middleUse: hasMiddle ? of((run) => (middleCpu(run) ?? 0) / run.load.seconds) : null,
    outerUse: of(outer),
    largestForeign: Math.max(...runs.map((run) => Math.max(run.foreign?.middle ?? 0, run.foreign?.outer ?? 0))),
    beside: besideRate === null || besideP50 === null ? null : { rate: besideRate, p50: besideP50 },
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
  const verdict = judgeCompared(scenario, runs);
  return invalid === 0
    ? verdict
    : { ...verdict, status: "invalid", detail: `${invalid} runs with failures; ${verdict.detail}` };
}

function judgeCompared({ kind, bar }: Scenario, runs: readonly Measurement[]): Verdict {
  const rows = summarise(runs);
  const find = (target: TargetName, variant = "") =>
    rows.find((row) => row.target === target && row.variant === variant);
  if (kind === "large-bodies") return judgeLargeBodies(bar, runs, find("gateway", WITH_LARGE));
  if (kind === "translated") {
    const translated = find("gateway", TRANSLATED);
    const sameDialect = find("gateway", SAME_DIALECT);
    if (translated === undefined || sameDialect === undefined) return notJudged(bar, "needs the gateway");
    return judgeRate(bar, { row: translated, name: TRANSLATED }, { row: sameDialect, name: SAME_DIALECT });
  }
  const gateway = find("gateway");
  const nginx = find("nginx");
  if (gateway === undefined || nginx === undefined || find("direct") === undefined) {
    return notJudged(bar, "needs direct, nginx and gateway");
  }
  return kind === "rate"
    ? judgeRate(bar, { row: gateway, name: "gateway" }, { row: nginx, name: "nginx" })
    : judgeLatency(bar, runs);
}

function notJudged({ must, aim }: Bar, detail: string): Verdict {
  return { must, aim, status: "not judged", figure: null, detail };
}

interface Named {
  readonly row: TargetSummary;
  readonly name: string;
}

/**
 * The lower of two ratios is judged. Where the outer core holds nginx back, the raw ratio flatters the gateway;
 * where nginx idles between requests, its rate per CPU second is lower than at full load, and that ratio does.
 */
function judgeRate(bar: Bar, judged: Named, floor: Named): Verdict {
  const raw = judged.row.rate.median / floor.row.rate.median;
  const perCpu =
    judged.row.ratePerCpu !== null && floor.row.ratePerCpu !== null
      ? judged.row.ratePerCpu.median / floor.row.ratePerCpu.median
      : null;
  const figure = perCpu === null ? raw : Math.min(raw, perCpu);
  const use = ({ row, name }: Named): string => {
    const share = row.middleUse?.median ?? 0;
    return `${name} at ${Math.round(share * 100)} % of its core${share >= SATURATED ? "" : ", not saturated"}`;
  };
  const detail = `rate ratio ${format(raw)} raw, ${perCpu === null ? "?" : format(perCpu)} per CPU second (the lower is judged); ${use(judged)}; ${use(floor)}`;
  return verdictOf(bar, figure, detail);
}

/** The ratio is formed within one repetition, as the latency's is. */
function judgeLargeBodies(bar: Bar, runs: readonly Measurement[], withLarge: TargetSummary | undefined): Verdict {
  const p99 = (variant: string, repetition: number): number =>
    runs.find((run) => run.variant === variant && run.repetition === repetition)?.load.latency.p99 ?? 0;
  const ratios: number[] = [];
  // Repetition 0 holds failed runs of the warm-up.
  for (const repetition of new Set(runs.map((run) => run.repetition).filter((each) => each > 0))) {
    const alone = p99(WITHOUT_LARGE, repetition);
    const beside = p99(WITH_LARGE, repetition);
    if (alone > 0 && beside > 0) ratios.push(beside / alone);
  }
  const ratio = spread(ratios);
  if (ratio === null || !withLarge?.beside) return notJudged(bar, "needs the gateway, with and without 1 MB bodies");
  const { rate, p50 } = withLarge.beside;
  const detail = `${rate.median.toFixed(1)} bodies of 1 MB translated per second (p50 ${p50.median.toFixed(0)} ms) beside ${Math.round(withLarge.rate.median)} small answers per second (ratio ${format(ratio.min)}–${format(ratio.max)})`;
  return verdictOf(bar, ratio.median, detail);
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
  if (ratio === null) return notJudged(bar, "nginx adds nothing measurable");
  const micro = (values: readonly number[]): string => `${Math.round((spread(values) as Spread).median * 1000)} µs`;
  const detail = `gateway adds ${micro(addedByGateway)}, nginx ${micro(addedByNginx)} (ratio ${format(ratio.min)}–${format(ratio.max)})`;
  return verdictOf(bar, ratio.median, detail);
}

/** The largest step that the gateway served without a failure or a long gap, all smaller steps included. */
function judgePaced(bar: Bar, runs: readonly Measurement[]): Verdict {
  if (!runs.some((run) => run.target === "gateway")) {
    return notJudged(bar, "needs the gateway");
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
  if (memory === null) return notJudged(bar, "needs the gateway");
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
