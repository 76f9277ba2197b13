import { describe, expect, it } from "vitest";
import { isCounterAbsent, noteCounterRefusal } from "../../../src/pipeline/absent-counters.js";
import type { Target } from "../../../src/providers/target.js";

const target = (): Target => ({}) as Target;
const TEN_MINUTES = 600_000;

describe("a counter that is not there", () => {
  it.each([404, 405, 501])("is remembered for ten minutes after a %i, for that model of that target", (status) => {
    const asked = target();
    noteCounterRefusal(asked, "m", status, 1_000);
    expect(isCounterAbsent(asked, "m", 1_000 + TEN_MINUTES - 1)).toBe(true);
    expect(isCounterAbsent(asked, "other", 1_000)).toBe(false);
    expect(isCounterAbsent(target(), "m", 1_000)).toBe(false);
    expect(isCounterAbsent(asked, "m", 1_000 + TEN_MINUTES)).toBe(false);
  });

  it.each([400, 403, 429, 500])("is not what a %i says", (status) => {
    const asked = target();
    noteCounterRefusal(asked, "m", status, 0);
    expect(isCounterAbsent(asked, "m", 0)).toBe(false);
  });

  it("is forgotten, the oldest first, when more models were asked for than are remembered", () => {
    const asked = target();
    for (let number = 0; number < 300; number++) noteCounterRefusal(asked, `m${number}`, 404, number);
    expect(isCounterAbsent(asked, "m43", 300)).toBe(false);
    expect(isCounterAbsent(asked, "m44", 300)).toBe(true);
    expect(isCounterAbsent(asked, "m299", 300)).toBe(true);
  });
});
