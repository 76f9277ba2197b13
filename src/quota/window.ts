/** The arithmetic of rate-limit windows. Pure: time comes in as milliseconds since the epoch. */
import type { RateLimit } from "../config/resources.js";

/** One counted dimension of a limit. The order is the order of its counters in a block of the table. */
export const DIMENSIONS = [
  { field: "rps", unit: "requests", windowMs: 1_000 },
  { field: "rpm", unit: "requests", windowMs: 60_000 },
  { field: "rph", unit: "requests", windowMs: 3_600_000 },
  { field: "rpd", unit: "requests", windowMs: 86_400_000 },
  { field: "tps", unit: "tokens", windowMs: 1_000 },
  { field: "tpm", unit: "tokens", windowMs: 60_000 },
  { field: "tph", unit: "tokens", windowMs: 3_600_000 },
  { field: "tpd", unit: "tokens", windowMs: 86_400_000 },
] as const satisfies readonly { field: keyof RateLimit; unit: "requests" | "tokens"; windowMs: number }[];

/** Number of the wall-clock window that `nowMs` falls into; windows are aligned to the epoch (UTC). */
export function windowOf(nowMs: number, windowMs: number): number {
  return Math.floor(nowMs / windowMs);
}

/** Whole seconds until the window of `nowMs` ends, at least 1: the value of `retry-after`. */
export function secondsToWindowEnd(nowMs: number, windowMs: number): number {
  return Math.max(1, Math.ceil((windowMs - (nowMs % windowMs)) / 1_000));
}

/** Rough prompt size before anything has been counted: about four bytes of JSON a token. */
export function guessPromptTokens(bodyBytes: number): number {
  return Math.ceil(bodyBytes / 4);
}
