/** What was admitted in each window of a limit, and whether that is what the limit says. Pure. */
import type { Arrival } from "./wanted.js";

export interface WindowCount {
  /** ms since 1970. */
  readonly start: number;
  readonly units: number;
}

/** From when to when something was broken, and what was noticed late: ms since 1970. */
export interface FaultTime {
  readonly what: string;
  readonly from: number;
  readonly to: number;
}

export interface LimitBar {
  readonly limit: number;
  readonly windowMs: number;
  /** Units by which requests that began with room left may go beyond. */
  readonly excess: number;
  readonly faults: readonly FaultTime[];
  /** Least share of the limit in a window without a fault, before the first fault; and after it. */
  readonly least: readonly [number, number];
}

/** Share of the limit that may be admitted beyond it once something has been broken. */
const OVER = 0.01;

/** So many windows of the clock from `from` on; `unit` says what an arrival counts. */
export function countWindows(
  arrivals: readonly Arrival[],
  { from, windowMs, windows }: { readonly from: number; readonly windowMs: number; readonly windows: number },
  unit: (arrival: Arrival) => number,
): WindowCount[] {
  const counts = Array.from({ length: windows }, (_, index) => ({ start: from + index * windowMs, units: 0 }));
  for (const arrival of arrivals) {
    const count = counts[Math.floor((arrival[0] - from) / windowMs)];
    if (count !== undefined) count.units += unit(arrival);
  }
  return counts;
}

/** The fault that touches a window, if one does. */
export function faultIn(window: WindowCount, { windowMs, faults }: LimitBar): FaultTime | null {
  return faults.find(({ from, to }) => from < window.start + windowMs && to > window.start) ?? null;
}

/** Every window that has more or less than it may. */
export function windowProblems(windows: readonly WindowCount[], bar: LimitBar): string[] {
  const { limit, excess, least } = bar;
  const firstFault = Math.min(...bar.faults.map(({ from }) => from));
  return windows.flatMap((window, index) => {
    const { start, units } = window;
    const fault = faultIn(window, bar);
    const isBefore = start + bar.windowMs <= firstFault;
    const most = (isBefore ? limit : limit * (1 + OVER)) + excess;
    const fewest = fault === null ? limit * (isBefore ? least[0] : least[1]) : 0;
    if (units <= most && units >= fewest) return [];
    const place = fault === null ? "no fault" : `fault: ${fault.what}`;
    return [`window ${index + 1} (${place}): ${units} admitted, must be ${Math.round(fewest)} to ${Math.round(most)}`];
  });
}
