import { expect, test } from "vitest";
import { PairMemory } from "../../../src/config/pair-memory.js";

test("tells pairs apart, and keeps what was set last", () => {
  const memory = new PairMemory<number>(10);
  memory.set("a", "b", 1);
  memory.set("b", "a", 2);
  memory.set("ab", "", 3);
  memory.set("a", "b", 4);
  expect([memory.get("a", "b"), memory.get("b", "a"), memory.get("ab", ""), memory.get("", "ab")]).toEqual([
    4,
    2,
    3,
    undefined,
  ]);
});

test("forgets all rather than growing, by number of pairs and not of first names", () => {
  const memory = new PairMemory<number>(3);
  for (let index = 0; index < 3; index += 1) memory.set("a", String(index), index);
  memory.set("a", "2", 5);
  expect(memory.get("a", "0")).toBe(0);
  memory.set("a", "3", 3);
  expect([memory.get("a", "0"), memory.get("a", "3")]).toEqual([undefined, 3]);
});
