import fc from "fast-check";
import { expect, test } from "vitest";
import { countedSlices, countSliced, sliceEnd } from "../../../src/runtime/token-count.js";

function slices(text: string): string[] {
  const found: string[] = [];
  for (let start = 0; start < text.length; ) {
    const end = sliceEnd(text, start, text.length);
    found.push(text.slice(start, end));
    start = end;
  }
  return found;
}

test("slices make up the text, end, and cut no character in two", () => {
  const unit = fc.constantFrom("a", " ", "1", "!", "你", "\u{1f600}", "word ", "\n");
  const texts = fc
    .array(fc.tuple(unit, fc.nat(2000)), { maxLength: 6 })
    .map((runs) => runs.map(([part, times]) => part.repeat(times)).join(""));
  fc.assert(
    fc.property(texts, (text) => {
      const found = slices(text);
      expect(found.join("")).toBe(text);
      for (const slice of found) expect(slice).not.toMatch(/\p{Surrogate}/u);
    }),
    { numRuns: 50 },
  );
});

test("runs are cut short, text with boundaries is not", () => {
  expect(Math.max(...slices("a".repeat(10_000)).map((slice) => slice.length))).toBe(256);
  expect(slices("some words ".repeat(2000))).toHaveLength(1);
  expect(slices("some words ".repeat(20_000)).length).toBeLessThan(10);
});

test("what is beyond a megabyte, or the time, counts in proportion", () => {
  const perCharacter = (slice: string) => slice.length;
  expect(countSliced("", perCharacter, () => 0)).toBe(0);
  expect(countSliced("ab ".repeat(1_000_000), perCharacter, () => 0)).toBe(3_000_000);
  let clock = 0;
  let calls = 0;
  const slow = (slice: string) => {
    calls += 1;
    clock += 400;
    return slice.length / 2;
  };
  expect(countSliced("ab ".repeat(300_000), slow, () => clock)).toBeCloseTo(450_000, -1);
  expect(calls).toBe(2);
});

test("a count says whether it reached the text's end", () => {
  const perCharacter = (slice: string) => slice.length;
  expect(countedSlices("ab ".repeat(1000), perCharacter, () => 0)).toEqual({ tokens: 3000, whole: true });
  expect(countedSlices("", perCharacter, () => 0)).toEqual({ tokens: 0, whole: true });
  expect(countedSlices("ab ".repeat(1_000_000), perCharacter, () => 0)).toEqual({ tokens: 3_000_000, whole: false });
});
