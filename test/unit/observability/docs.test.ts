import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { METRICS } from "../../../src/observability/declarations.js";
import { accessLine } from "./access-line.js";
import { sampleAccess } from "./sample-access.js";

const text = readFileSync(new URL("../../../docs/observability.md", import.meta.url), "utf8");
const section = (heading: string): string => text.split(/^## /m).find((part) => part.startsWith(heading)) ?? "";

test("docs/observability.md lists every metric as it is declared", () => {
  const rows = section("Metrics")
    .split("\n")
    .filter((line) => line.startsWith("| `"));
  const declared = Object.entries(METRICS).map(([name, { type, unit, labels, help }]) => {
    const names = labels.map((label) => `\`${label}\``).join(", ") || "–";
    return `| \`${name}\` | ${type} | ${unit} | ${names} | ${help} |`;
  });
  expect(rows).toEqual(declared);
});

test("docs/observability.md lists the access log's fields, with their types, in order", () => {
  const rows = [...section("The access log").matchAll(/^\| `(\w+)` \| ([^|]+?) \|/gm)];
  const fields = JSON.parse(accessLine(sampleAccess())) as Record<string, unknown>;
  expect(rows.map(([, name]) => name)).toEqual(Object.keys(fields));
  for (const [, name, type] of rows) expect((type as string).split(" or ")).toContain(typeof fields[name as string]);
});
