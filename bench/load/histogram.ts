import type { Quantiles } from "./plan.js";

const SUB_BUCKETS = 256;
const HALF = SUB_BUCKETS / 2;
const UNITS_PER_MS = 10_000;
const LARGEST = 2 ** 31 - 1;

/**
 * Log-linear histogram of durations: 0.1 µs units, relative error below 0.8 %, up to 214 s, fixed memory.
 * Recording costs a few nanoseconds, so that the rig's own core is spent on requests.
 */
export class Histogram {
  private readonly counts = new Uint32Array(SUB_BUCKETS + 24 * HALF);
  private count = 0;
  private largest = 0;

  /** Values below zero count as zero, values above 214 s as 214 s. */
  record(milliseconds: number): void {
    if (milliseconds > this.largest) this.largest = milliseconds;
    this.count++;
    const scaled = milliseconds * UNITS_PER_MS;
    const units = scaled >= LARGEST ? LARGEST : scaled > 0 ? scaled | 0 : 0;
    const slot = slotOf(units);
    this.counts[slot] = (this.counts[slot] as number) + 1;
  }

  /** Smallest recorded duration (upper edge of its slot, ms) that `fraction` of all values do not exceed; 0 if empty. */
  quantile(fraction: number): number {
    if (this.count === 0) return 0;
    const wanted = Math.max(1, Math.ceil(fraction * this.count));
    let seen = 0;
    for (let slot = 0; slot < this.counts.length; slot++) {
      seen += this.counts[slot] as number;
      if (seen >= wanted) return Math.min(upperEdge(slot) / UNITS_PER_MS, this.largest);
    }
    return this.largest;
  }

  summary(): Quantiles {
    return {
      count: this.count,
      p50: this.quantile(0.5),
      p90: this.quantile(0.9),
      p99: this.quantile(0.99),
      max: this.largest,
    };
  }
}

function slotOf(units: number): number {
  if (units < SUB_BUCKETS) return units;
  const shift = 24 - Math.clz32(units);
  return SUB_BUCKETS + (shift - 1) * HALF + ((units >>> shift) - HALF);
}

function upperEdge(slot: number): number {
  if (slot < SUB_BUCKETS) return slot + 1;
  const shift = Math.floor((slot - SUB_BUCKETS) / HALF) + 1;
  const mantissa = ((slot - SUB_BUCKETS) % HALF) + HALF;
  return (mantissa + 1) * 2 ** shift;
}
