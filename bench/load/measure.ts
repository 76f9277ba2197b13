/** Runs one scenario: targets side by side, repetitions interleaved. */
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { expectedAnswer, requestBody, SURFACE_PATHS, scriptOf } from "./answers.js";
import { canPin, endChild, pause, scriptArguments, startPinned } from "./children.js";
import type { LoadPlan, LoadResult } from "./plan.js";
import { processTree, residentBytesOf } from "./process-use.js";
import type { Measurement, MemoryMeasurement, RigParameters, ScenarioResult } from "./results.js";
import { pacedSteps, type Scenario } from "./scenarios.js";
import {
  CALLER_KEY,
  MIDDLE_CORE,
  OUTER_CORE,
  startTarget,
  startUpstream,
  type Target,
  type TargetName,
  type Upstream,
} from "./targets.js";
import { judge, rateOf } from "./verdict.js";

export interface Bench {
  readonly parameters: RigParameters;
  readonly targets: readonly TargetName[];
  /** Scratch folder of the whole run. */
  readonly folder: string;
  log(line: string): void;
}

const DRAIN_MS = 8000;
const WARM_UP_CONNECTIONS = 32;

/** Starts upstream and targets afresh, measures, ends them. Throws when one of them cannot start. */
export async function measureScenario(bench: Bench, scenario: Scenario): Promise<ScenarioResult> {
  const upstream = await startUpstream();
  const wanted = bench.targets.filter((name) => scenario.kind !== "memory" || name === "gateway");
  const targets: Target[] = [];
  try {
    for (const name of wanted) {
      targets.push(await startTarget(name, upstream, join(bench.folder, scenario.name, name), [scenario.model]));
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
      for (const target of targets) {
        const plan = planFor(bench, scenario, { connections, target, upstream });
        const load = await runLoader(plan);
        const measurement = measurementOf(target.name, repetition, connections, load);
        measurements.push(measurement);
        bench.log(progressLine(scenario, measurement));
      }
    }
  }
  return measurements;
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
  for (const target of targets.filter((each) => each.pids.length > 0)) {
    const plan = planFor(bench, scenario, { connections: WARM_UP_CONNECTIONS, target, upstream });
    const load = await runLoader({ ...plan, warmupMs: 0, rampMs: 0, windowMs: bench.parameters.quick ? 1500 : 5000 });
    const measurement = measurementOf(target.name, 0, scenario.connections || WARM_UP_CONNECTIONS, load);
    if (measurement.valid) continue;
    failed.push(measurement);
    bench.log(progressLine(scenario, measurement));
  }
  return failed;
}

interface Setting {
  readonly connections: number;
  readonly target: Target;
  readonly upstream: Upstream;
}

function planFor(bench: Bench, scenario: Scenario, setting: Setting): LoadPlan {
  const { parameters } = bench;
  const { connections, target, upstream } = setting;
  const script = scriptOf(scenario.model);
  const streamMs = script.deltas * script.gapMs;
  return {
    host: "127.0.0.1",
    port: target.port(script.kind !== "whole"),
    path: SURFACE_PATHS[scenario.surface],
    headers: { authorization: `Bearer ${CALLER_KEY}`, accept: "application/json" },
    body: requestBody(scenario.surface, scenario.model, scenario.padBytes),
    connections,
    // Paced streams start evenly spread over one stream's length.
    rampMs: streamMs,
    warmupMs: parameters.warmupSeconds * 1000 + streamMs,
    windowMs: parameters.seconds * 1000,
    drainMs: DRAIN_MS,
    stopAfter: 0,
    expect: expectedAnswer(scenario.surface, scenario.model),
    watch: [
      { role: "upstream", pids: [upstream.pid] },
      ...(target.pids.length > 0 ? [{ role: "middle" as const, pids: target.pids }] : []),
    ],
  };
}

/** One loader process for one run: no run inherits compiled code or garbage of another. */
async function runLoader(plan: LoadPlan): Promise<LoadResult> {
  const child = startPinned(OUTER_CORE, process.execPath, scriptArguments("loader.ts"), {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const limit = plan.warmupMs + plan.windowMs + plan.drainMs + 15_000;
  const timer = setTimeout(() => void endChild(child), limit);
  try {
    child.stdin?.end(JSON.stringify(plan));
    return JSON.parse(await wholeOutput(child)) as LoadResult;
  } finally {
    clearTimeout(timer);
  }
}

function wholeOutput(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    child.stdout?.on("data", (piece: Buffer) => pieces.push(piece));
    child.once("error", reject);
    child.once("close", (code, signal) => {
      if (code === 0) resolve(Buffer.concat(pieces).toString("utf8"));
      else reject(new Error(`the loader ended with ${code ?? signal}`));
    });
  });
}

function measurementOf(target: TargetName, repetition: number, connections: number, load: LoadResult): Measurement {
  const cpu = (role: string): number => load.processes.find((each) => each.role === role)?.cpuSeconds ?? 0;
  // Without a middle, whatever runs on its core disturbs nothing.
  const hasMiddle = load.processes.some((each) => each.role === "middle");
  const foreignOn = (core: number, own: number): number => {
    const use = load.cores[core];
    if (use === undefined || load.seconds === 0) return 0;
    return Math.max(0, use.user + use.system + use.interrupts - own / load.seconds);
  };
  return {
    target,
    repetition,
    connections,
    load,
    valid: load.failures === 0 && load.completed > 0,
    foreign: canPin()
      ? {
          middle: hasMiddle ? foreignOn(MIDDLE_CORE, cpu("middle")) : 0,
          outer: foreignOn(OUTER_CORE, cpu("upstream") + load.loaderCpuSeconds),
        }
      : null,
  };
}

function progressLine(scenario: Scenario, measurement: Measurement): string {
  const { target, repetition, connections, load, valid } = measurement;
  const gap = scenario.kind === "paced" ? `, longest gap ${load.gaps.max.toFixed(0)} ms` : "";
  const figures = `${rateOf(measurement).toFixed(0)}/s, p50 ${load.latency.p50.toFixed(3)} ms${gap}`;
  const marks = valid ? "" : `  INVALID: ${load.failures} failures, e.g. ${load.failureExamples[0] ?? "no answer"}`;
  return `  ${scenario.name} c=${connections} #${repetition} ${target.padEnd(8)} ${figures}${marks}`;
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
  const plan = planFor(bench, scenario, { connections: scenario.connections, target: gateway, upstream });
  const load = await runLoader({ ...plan, warmupMs: 0, windowMs: loadSeconds * 1000 });
  await pause(quietSeconds * 1000);
  const middle = load.processes.find((process) => process.role === "middle");
  const measurement = measurementOf("gateway", 1, scenario.connections, load);
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
