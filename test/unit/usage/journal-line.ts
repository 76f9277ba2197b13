/** Lines of a journal that cost something. */
import type { UsageEvent } from "../../../src/usage/event.js";
import { usageLine } from "./usage-line.js";
import { sampleEvent } from "./sample-event.js";

export const NOON = Date.UTC(2026, 10, 22, 12);
const HOUR = 3_600_000;

/** A line of the journal: an attempt that ended at `time` after 10 ms. */
export function line(cost: number, change: Partial<UsageEvent> & { readonly at?: number } = {}): string {
  const { at = NOON - HOUR, ...fields } = change;
  const time = new Date(at + 10).toISOString();
  return `${usageLine(sampleEvent({ time, duration_ms: 10, cost_usd: cost, api_key: "ann", ...fields }))}\n`;
}
