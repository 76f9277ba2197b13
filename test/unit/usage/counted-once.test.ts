import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CountedOnce } from "../../../src/usage/counted-once.js";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "weir-once-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test("the first is told so, on whichever thread and after whichever restart", () => {
  const place = join(directory, "counted");
  const [one, other] = [new CountedOnce(place), new CountedOnce(place)];
  expect([one.first("a"), one.first("a"), other.first("a"), other.first("b"), one.first("b")]).toEqual([
    true,
    false,
    false,
    true,
    false,
  ]);
  expect(new CountedOnce(place).first("a")).toBe(false);
  expect(readdirSync(place)).toHaveLength(2);
});

test("what cannot be written is counted", () => {
  const file = join(directory, "file");
  writeFileSync(file, "");
  expect(new CountedOnce(file).first("a")).toBe(true);
});

test("what is half a year old is forgotten", async () => {
  const once = new CountedOnce(directory);
  for (const thing of ["old", "new"]) once.first(thing);
  const [first = ""] = readdirSync(directory);
  const day = 86_400_000;
  utimesSync(join(directory, first), new Date(Date.now() - 200 * day), new Date(Date.now() - 200 * day));
  await once.sweep(Date.now());
  expect(readdirSync(directory)).toHaveLength(1);
});
