/** Dollars as events tell them: whole billionths, so that sums are exact in whatever order they are made. */

const NANOS_PER_MICRO = 1_000;
const NANOS = 1e9;

/** Micro-dollars as the dollars of an event. */
export function dollarsOf(micros: number): number {
  return Math.round(micros * NANOS_PER_MICRO) / NANOS;
}

/** The dollars of an event as whole billionths. */
export function nanosOf(dollars: number): number {
  return Math.round(dollars * NANOS);
}

/** Whole billionths as dollars. */
export function dollarsFromNanos(nanos: number): number {
  return nanos / NANOS;
}

/** Whole billionths as micro-dollars, which the counters of budgets hold. */
export function microsFromNanos(nanos: number): number {
  return nanos / NANOS_PER_MICRO;
}
