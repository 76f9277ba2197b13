import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { USAGE_FIELDS } from "../../../src/usage/meter.js";
import { usageLine } from "./usage-line.js";
import { parseEvent } from "../../../src/usage/reader.js";
import { COLUMN_NAMES } from "../../../src/usage/summary.js";

const text = readFileSync(new URL("../../../docs/usage-events.md", import.meta.url), "utf8");

test("docs/usage-events.md lists the event's fields, with their types, in order", () => {
  const rows = [...text.matchAll(/^\| `(\w+)` \| ([^|]+?) \|/gm)].map(([, name, type]) => [name, type]);
  expect(rows).toEqual(Object.entries(USAGE_FIELDS));
});

test("the example of docs/usage-events.md is an event as the gateway writes it", () => {
  const line = /```json\n(.*)\n```/.exec(text)?.[1] ?? "";
  const event = parseEvent(line);
  if (event === null) throw new Error("the example is not a usage event");
  expect(usageLine(event)).toBe(line);
});

test("docs/usage-events.md names the columns of `weir usage sum`", () => {
  const named = /`--by` takes any of: ([^.]+)\./.exec(text)?.[1] ?? "";
  expect([...named.matchAll(/`(\w+)`/g)].map(([, name]) => name)).toEqual(COLUMN_NAMES);
});
