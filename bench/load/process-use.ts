/** CPU time and memory of processes and cores, read from /proc; zeros where there is no /proc. */
import { readdirSync, readFileSync } from "node:fs";
import type { CoreUse, LoadResult, ProcessUse, WatchedProcess } from "./plan.js";

/** Linux reports process times in hundredths of a second on every machine that Node.js runs on. */
const TICKS_PER_SECOND = 100;

export interface UseSnapshot {
  /** ms, monotonic. */
  readonly at: number;
  readonly loaderCpuSeconds: number;
  /** CPU seconds by role, in the order of the watch list. */
  readonly cpuSeconds: readonly number[];
  readonly cores: readonly (readonly number[])[];
}

export type Consumption = Pick<LoadResult, "seconds" | "loaderCpuSeconds" | "processes" | "cores">;

export function takeSnapshot(watch: readonly WatchedProcess[]): UseSnapshot {
  const own = process.cpuUsage();
  return {
    at: performance.now(),
    loaderCpuSeconds: (own.user + own.system) / 1e6,
    cpuSeconds: watch.map(({ pids }) => sum(pids.map(cpuSecondsOf))),
    cores: coreTimes(readText("/proc/stat")),
  };
}

export function consumptionBetween(from: UseSnapshot, to: UseSnapshot, watch: readonly WatchedProcess[]): Consumption {
  const processes = watch.map(({ role, pids }, index): ProcessUse => {
    const memory = pids.map(residentBytesOf);
    return {
      role,
      cpuSeconds: (to.cpuSeconds[index] ?? 0) - (from.cpuSeconds[index] ?? 0),
      residentBytes: sum(memory.map((each) => each.now)),
      peakResidentBytes: sum(memory.map((each) => each.peak)),
    };
  });
  return {
    seconds: (to.at - from.at) / 1000,
    loaderCpuSeconds: to.loaderCpuSeconds - from.loaderCpuSeconds,
    processes,
    cores: to.cores.map((times, index) => coreUse(from.cores[index] ?? times, times)),
  };
}

/** User and system time of all threads of a process since its start, in seconds; 0 when it is gone. */
export function cpuSecondsOf(pid: number): number {
  const text = readText(`/proc/${pid}/stat`);
  // The command's name is in parentheses and may hold spaces; fields are counted after it.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / TICKS_PER_SECOND;
}

/** Resident memory of a process, bytes, now and at its peak; 0 when it is gone. */
export function residentBytesOf(pid: number): { now: number; peak: number } {
  const status = readText(`/proc/${pid}/status`);
  const kilobytes = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status)?.[1] ?? 0);
  return { now: kilobytes("VmRSS") * 1024, peak: kilobytes("VmHWM") * 1024 };
}

/** A process and all its descendants. */
export function processTree(pid: number): number[] {
  const tree = [pid];
  for (const task of listDirectory(`/proc/${pid}/task`)) {
    const children = readText(`/proc/${pid}/task/${task}/children`).trim();
    if (children !== "") for (const child of children.split(" ")) tree.push(...processTree(Number(child)));
  }
  return tree;
}

/** Per core: user, nice, system, idle, iowait, irq, softirq, steal in ticks. */
function coreTimes(text: string): number[][] {
  return text
    .split("\n")
    .filter((line) => /^cpu\d/.test(line))
    .map((line) => line.trim().split(/\s+/).slice(1, 9).map(Number));
}

function coreUse(from: readonly number[], to: readonly number[]): CoreUse {
  const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, soft = 0, steal = 0] = to.map(
    (value, index) => value - (from[index] ?? 0),
  );
  const total = Math.max(1, user + nice + system + idle + wait + irq + soft + steal);
  return {
    user: (user + nice) / total,
    system: system / total,
    interrupts: (irq + soft) / total,
    steal: steal / total,
    idle: (idle + wait) / total,
  };
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function listDirectory(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
