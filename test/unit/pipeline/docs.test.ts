import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { headerNames } from "../../../src/pipeline/node.js";
import { tableRows } from "../../architecture/prose.js";

const text = readFileSync(new URL("../../../docs/operations.md", import.meta.url), "utf8");

test("docs/operations.md lists every response header of the gateway's own", () => {
  const { prefix, ...names } = headerNames("x-weir-");
  const told = tableRows(text, "response header").map(([name]) => name ?? "");
  expect(told.filter((name) => name.startsWith(prefix)).sort()).toEqual(Object.values(names).sort());
});
