import { describe, expect, it } from "vitest";
import { allocateOutputs, OutputSizes } from "../../../src/quota/outputs.js";

function setUp() {
  const memory = allocateOutputs();
  return { sizes: new OutputSizes(memory), other: new OutputSizes(memory) };
}

describe("the usual length of a model's answers", () => {
  it("is unknown until enough have been seen, by any thread", () => {
    const { sizes, other } = setUp();
    const slot = sizes.slotOf("m");
    expect(other.slotOf("m")).toBe(slot);
    for (let index = 0; index < 19; index += 1) (index % 2 === 0 ? sizes : other).record(slot, 100);
    expect(sizes.likely(slot)).toBe(-1);
    other.record(slot, 100);
    // The bounds are half powers of two.
    expect(sizes.likely(slot)).toBe(128);
    expect(sizes.likely(sizes.slotOf("another"))).toBe(-1);
  });

  it("is one that nine of ten answers do not exceed", () => {
    const { sizes } = setUp();
    for (let index = 1; index <= 480; index += 1) sizes.record(0, index % 10 === 0 ? 5_000 : 60);
    expect(sizes.likely(0)).toBe(64);
    for (let index = 0; index < 24; index += 1) sizes.record(0, 5_000);
    expect(sizes.likely(0)).toBe(5_793);
  });

  it("follows a change within a few hundred answers", () => {
    const { sizes } = setUp();
    for (let index = 0; index < 5_000; index += 1) sizes.record(0, 2_000);
    expect(sizes.likely(0)).toBe(2_048);
    let answers = 0;
    for (; sizes.likely(0) > 100 && answers < 5_000; answers += 1) sizes.record(0, 10);
    expect(answers).toBeLessThan(1_500);
  });

  it("takes every count, also none and more than any model gives", () => {
    const { sizes } = setUp();
    for (const tokens of [0, 1, 2, 1e9]) for (let index = 0; index < 10; index += 1) sizes.record(0, tokens);
    expect(sizes.likely(0)).toBe(185_364);
  });
});
