import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { apply } from "../../../src/cli/apply.js";
import { cache } from "../../../src/cli/cache.js";
import { diff } from "../../../src/cli/diff.js";
import { exportResources } from "../../../src/cli/export.js";
import { get } from "../../../src/cli/get.js";
import { keys } from "../../../src/cli/keys.js";
import { run } from "./command-line.js";

const page = readFileSync(new URL("../../../docs/cli.md", import.meta.url), "utf8");

/** The flags that the tables of a section name. */
function toldFlags(heading: string): string[] {
  const section = page.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? "";
  const rows = section.split("\n").filter((line) => line.startsWith("| `-"));
  return rows.flatMap((row) => (row.split("|")[1] ?? "").match(/(?<=`)--?[a-z-]+/g) ?? []);
}

it.each([
  ["get", get],
  ["export", exportResources],
  ["diff", diff],
  ["apply", apply],
  ["keys", keys],
  ["cache", cache],
] as const)("docs/cli.md has all flags of %s, and no other", async (name, command) => {
  const { stdout } = await run(command, ["--help"]);
  const told = new Set([...toldFlags(name), ...toldFlags("Asking a running gateway")]);
  expect([...told].sort()).toEqual([...new Set(stdout.match(/(?<![\w-])--?[a-z][a-z-]*/g))].sort());
});
