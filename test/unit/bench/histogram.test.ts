import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Histogram } from "../../../bench/load/histogram.js";

describe("Histogram", () => {
  it("is within 0.8 % (or 0.1 µs) of the sorted samples at any quantile", () => {
    const property = fc.property(
      fc.array(fc.double({ min: 0.001, max: 200_000, noNaN: true }), { minLength: 1, maxLength: 300 }),
      fc.constantFrom(0.5, 0.9, 0.99, 1),
      (values, fraction) => {
        const histogram = new Histogram();
        for (const value of values) histogram.record(value);
        const sorted = [...values].sort((a, b) => a - b);
        const exact = sorted[Math.max(1, Math.ceil(fraction * sorted.length)) - 1] as number;
        const measured = histogram.quantile(fraction);
        expect(Math.abs(measured - exact)).toBeLessThanOrEqual(exact * 0.008 + 0.0001001);
      },
    );
    fc.assert(property);
  });

  it("keeps the exact largest value and survives odd ones", () => {
    const histogram = new Histogram();
    expect(histogram.summary()).toEqual({ count: 0, p50: 0, p90: 0, p99: 0, max: 0 });
    for (const value of [-1, 0, 1e9, 12.34567]) histogram.record(value);
    expect(histogram.summary().max).toBe(1e9);
    expect(histogram.summary().count).toBe(4);
  });
});
