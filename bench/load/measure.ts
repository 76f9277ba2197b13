/** Runs one scenario: targets side by side, repetitions interleaved. */
import { join } from "node:path";
import { canPin, pause } from "./children.js";
import { type LoadSettings, type Loads, planFor, runLoader, runLoaders } from "./loaders.js";
import type { LoadResult } from "./plan.js";
import { processTree, residentBytesOf } from "./process-use.js";
import type { Measurement, MemoryMeasurement, RigParameters, ScenarioResult } from "./results.js";
import { GATEWAY_ONLY, modelsOf, pacedSteps, type Scenario, type Variant } from "./scenarios.js";
import {
  MIDDLE_CORE,
  OUTER_CORE,
  startTarget,
  startUpstream,
  type Target,
  type TargetName,
  type Upstream,
} from "./targets.js";
import { judge, labelOf, rateOf } from "./verdict.js";

export interface Bench {
  readonly parameters: RigParameters;
  readonly targets: readonly TargetName[];
  /** Scratch folder of the whole run. */
  readonly folder: string;
  log(line: string): void;
}

const WARM_UP_CONNECTIONS = 32;
/** On one core it takes a fresh gateway nine seconds to reach its rate: its compiler shares the core. */
const STEADY_SECONDS = 12;

/** Starts upstream and targets afresh, measures, ends them. Throws when one of them cannot start. */
export async function measureScenario(bench: Bench, scenario: Scenario): Promise<ScenarioResult> {
  const upstream = await startUpstream();
  const wanted = bench.targets.filter((name) => name === "gateway" || !GATEWAY_ONLY.has(scenario.kind));
  const targets: Target[] = [];
  try {
    for (const name of wanted) {
      targets.push(await startTarget(name, upstream, join(bench.folder, scenario.name, name), modelsOf(scenario)));
    }
    const gateway = targets.find((target) => target.name === "gateway");
    let measurements: Measurement[] = [];
    let memory: MemoryMeasurement | null = null;
    if (scenario.kind !== "memory") measurements = await measureRates(bench, scenario, upstream, targets);
    else if (gateway !== undefined) {
      const outcome = await measureMemory(bench, scenario, upstream, gateway);
      measurements = [outcome.measurement];
      memory = outcome.memory;
    }
    const { name, row, question, kind } = scenario;
    return {
      scenario: name,
      row,
      question,
      kind,
      measurements,
      memory,
      verdict: judge(scenario, measurements, memory),
    };
  } finally {
    for (const target of targets) await target.end();
    await upstream.end();
  }
}

async function measureRates(
  bench: Bench,
  scenario: Scenario,
  upstream: Upstream,
  targets: readonly Target[],
): Promise<Measurement[]> {
  const measurements = await warmUp(bench, scenario, upstream, targets);
  const steps = scenario.kind === "paced" ? pacedSteps(bench.parameters.quick) : [scenario.connections];
  for (const connections of steps) {
    for (let repetition = 1; repetition <= bench.parameters.repetitions; repetition++) {
      for (const { target, variant } of pairs(targets, scenario)) {
        const settings: LoadSettings = { parameters: bench.parameters, connections, target, upstream };
        const loads = await runLoaders(settings, variant);
        const measurement = measurementOf(
          { target: target.name, variant: variant.name, repetition, connections },
          loads,
        );
        measurements.push(measurement);
        bench.log(progressLine(scenario, measurement));
      }
    }
  }
  return measurements;
}

function pairs(targets: readonly Target[], scenario: Scenario): { target: Target; variant: Variant }[] {
  return targets.flatMap((target) => scenario.variants.map((variant) => ({ target, variant })));
}

/**
 * A load at c=32 before anything is recorded: at c=1 a just-in-time compiler would still be at work for most of a run.
 * Returns the runs that failed, as repetition 0: failures count whenever they happen.
 */
async function warmUp(
  bench: Bench,
  scenario: Scenario,
  upstream: Upstream,
  targets: readonly Target[],
): Promise<Measurement[]> {
  const failed: Measurement[] = [];
  for (const { target, variant } of pairs(targets, scenario)) {
    if (target.pids.length === 0) continue;
    const settings: LoadSettings = {
      parameters: { ...bench.parameters, warmupSeconds: 0, seconds: bench.parameters.quick ? 1.5 : STEADY_SECONDS },
      connections: WARM_UP_CONNECTIONS,
      target,
      upstream,
    };
    const loads = await runLoaders(settings, variant);
    const connections = scenario.connections || WARM_UP_CONNECTIONS;
    const measurement = measurementOf(
      { target: target.name, variant: variant.name, repetition: 0, connections },
      loads,
    );
    // An answer that is still computed when so short a load ends is none.
    if (loads.load.failures + (loads.beside?.failures ?? 0) === 0) continue;
    failed.push(measurement);
    bench.log(progressLine(scenario, measurement));
  }
  return failed;
}

function measurementOf(
  which: Pick<Measurement, "target" | "variant" | "repetition" | "connections">,
  { load, beside }: Loads,
): Measurement {
  const cpu = (role: string): number => load.processes.find((each) => each.role === role)?.cpuSeconds ?? 0;
  // Without a middle, whatever runs on its core disturbs nothing.
  const hasMiddle = load.processes.some((each) => each.role === "middle");
  const foreignOn = (core: number, own: number): number => {
    const use = load.cores[core];
    if (use === undefined || load.seconds === 0) return 0;
    return Math.max(0, use.user + use.system + use.interrupts - own / load.seconds);
  };
  const good = (result: LoadResult): boolean => result.failures === 0 && result.completed > 0;
  return {
    ...which,
    load,
    beside,
    valid: good(load) && (beside === null || good(beside)),
    foreign: canPin()
      ? {
          middle: hasMiddle ? foreignOn(MIDDLE_CORE, cpu("middle")) : 0,
          outer: foreignOn(OUTER_CORE, cpu("upstream") + cpu("beside") + load.loaderCpuSeconds),
        }
      : null,
  };
}

function progressLine(scenario: Scenario, measurement: Measurement): string {
  const { repetition, connections, load, beside, valid } = measurement;
  const gap = scenario.kind === "paced" ? `, longest gap ${load.gaps.max.toFixed(0)} ms` : "";
  const large = beside === null ? "" : `, p99 ${load.latency.p99.toFixed(2)} ms beside ${besideRate(measurement)}`;
  const figures = `${rateOf(measurement).toFixed(0)}/s, p50 ${load.latency.p50.toFixed(3)} ms${gap}${large}`;
  const failures = load.failures + (beside?.failures ?? 0);
  const example = load.failureExamples[0] ?? beside?.failureExamples[0] ?? "no answer";
  const marks = valid ? "" : `  INVALID: ${failures} failures, e.g. ${example}`;
  return `  ${scenario.name} c=${connections} #${repetition} ${labelOf(measurement).padEnd(8)} ${figures}${marks}`;
}

function besideRate({ beside }: Measurement): string {
  return beside === null || beside.seconds === 0 ? "nothing" : `${(beside.completed / beside.seconds).toFixed(1)}/s`;
}

async function measureMemory(
  bench: Bench,
  scenario: Scenario,
  upstream: Upstream,
  gateway: Target,
): Promise<{ measurement: Measurement; memory: MemoryMeasurement }> {
  const { quick } = bench.parameters;
  const loadSeconds = quick ? 5 : 60;
  const quietSeconds = quick ? 5 : 60;
  const resident = (): number => {
    const pids = gateway.pids.flatMap((pid) => processTree(pid));
    return pids.reduce((total, pid) => total + residentBytesOf(pid).now, 0);
  };
  await pause(quick ? 2000 : 10_000);
  const idleBytes = resident();
  bench.log(
    `  ${scenario.name} idle ${Math.round(idleBytes / 1e6)} MB; ${loadSeconds} s of load, ${quietSeconds} s of quiet`,
  );
  const settings: LoadSettings = {
    parameters: { ...bench.parameters, warmupSeconds: 0, seconds: loadSeconds },
    connections: scenario.connections,
    target: gateway,
    upstream,
  };
  const [variant] = scenario.variants;
  if (variant === undefined) throw new Error(`${scenario.name} asks nothing`);
  const load = await runLoader(planFor(settings, variant.ask));
  await pause(quietSeconds * 1000);
  const middle = load.processes.find((process) => process.role === "middle");
  const which = { target: "gateway", variant: variant.name, repetition: 1, connections: scenario.connections } as const;
  const measurement = measurementOf(which, { load, beside: null });
  bench.log(progressLine(scenario, measurement));
  const memory: MemoryMeasurement = {
    idleBytes,
    underLoadBytes: middle?.residentBytes ?? 0,
    peakBytes: middle?.peakResidentBytes ?? 0,
    afterBytes: resident(),
    loadSeconds,
    quietSeconds,
  };
  return { measurement, memory };
}
