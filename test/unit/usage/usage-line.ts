import type { UsageEvent } from "../../../src/usage/event.js";
import { JsonLine } from "../../../src/usage/json-line.js";
import { writeUsage } from "../../../src/usage/meter.js";

/** The event's journal line as text. */
export function usageLine(event: UsageEvent): string {
  const line = new JsonLine();
  writeUsage(line, event);
  return line.written().toString("utf8");
}
