/** What a fleet counts together: one limited thing, one dimension of its limit, one window. */
import { CONCURRENCY } from "../quota/grants.js";
import { DIMENSIONS, windowOf } from "../quota/window.js";

export interface BucketId {
  /** The same on all nodes. */
  readonly bucket: string;
  /** Index of DIMENSIONS, or CONCURRENCY. */
  readonly dimension: number;
  /** Number of the window; 0 for CONCURRENCY. */
  readonly window: number;
}

/** Clocks of nodes differ, and what is told comes late: a window that is over is remembered for so long. */
const LATE_MS = 5_000;

export function keyOf({ bucket, dimension, window }: BucketId): string {
  return `${dimension}.${window}.${bucket}`;
}

/** Milliseconds since the epoch; requests at once have no end. */
export function endOf({ dimension, window }: BucketId): number {
  const counted = DIMENSIONS[dimension];
  return counted === undefined ? Number.POSITIVE_INFINITY : (window + 1) * counted.windowMs;
}

/** Is it worth remembering? Not what is long over, nor what begins later than clocks of one fleet differ. */
export function isInForce(id: BucketId, nowMs: number): boolean {
  const counted = DIMENSIONS[id.dimension];
  if (counted === undefined) return id.dimension === CONCURRENCY && id.window === 0;
  if (endOf(id) + LATE_MS < nowMs) return false;
  return id.window <= windowOf(nowMs + LATE_MS, counted.windowMs) + 1;
}
