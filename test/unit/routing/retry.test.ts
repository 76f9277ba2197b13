import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type AttemptProblem, backoffMs, judge, retryAfterOf, type WhatIsLeft } from "../../../src/routing/retry.js";
import { routing, target } from "./fleet.js";

const RULES = routing([target("a"), target("b")]);
const LAST: WhatIsLeft = { retries: 2, retriesSet: false, targets: 0 };
const FIRST: WhatIsLeft = { retries: 0, retriesSet: false, targets: 1 };
const BOTH: WhatIsLeft = { retries: 1, retriesSet: true, targets: 1 };
const DONE: WhatIsLeft = { retries: 0, retriesSet: true, targets: 0 };

const status = (code: number): AttemptProblem => ({ kind: "status", status: code });
const all = (problem: AttemptProblem, rules: typeof RULES | null = RULES) =>
  [FIRST, LAST, BOTH, DONE].map((left) => judge(problem, rules, left));

describe("a failed attempt", () => {
  it("that another could repair is tried again, on the same target while it has retries, then on the next", () => {
    const problems: AttemptProblem[] = [
      { kind: "transport", status: 0 },
      { kind: "broken", status: 200 },
      { kind: "in_band", status: 0 },
      ...[301, 307, 500, 502, 503, 504, 529].map(status),
    ];
    for (const problem of problems) expect(all(problem)).toEqual(["next", "retry_same", "retry_same", "end"]);
  });

  it("that timed out goes to the same target only where retries are set", () => {
    expect(all({ kind: "timeout", status: 0 })).toEqual(["next", "end", "retry_same", "end"]);
    expect(all(status(408))).toEqual(["next", "end", "retry_same", "end"]);
  });

  it("with a status that is the caller's fault ends the request", () => {
    for (const code of [400, 404, 405, 409, 413, 422]) expect(all(status(code))).toEqual(["end", "end", "end", "end"]);
  });

  it("for bad credentials or configuration never goes to the same target", () => {
    const problems: AttemptProblem[] = [
      { kind: "credentials", status: 0 },
      { kind: "unsendable", status: 0 },
      { kind: "limited", status: 429 },
      ...[401, 402, 403, 407].map(status),
    ];
    for (const problem of problems) expect(all(problem)).toEqual(["next", "end", "next", "end"]);
  });

  it("with 429 goes on only where the group says so", () => {
    expect(all(status(429))).toEqual(["end", "end", "end", "end"]);
    expect(all(status(429), null)).toEqual(["end", "end", "end", "end"]);
    expect(all(status(429), { ...RULES, retryOn429: true })).toEqual(["next", "retry_same", "retry_same", "end"]);
    expect(all(status(429), { ...RULES, fallbackOnStatuses: [429] })).toEqual([
      "next",
      "retry_same",
      "retry_same",
      "end",
    ]);
  });

  it("with a status that the group falls back on goes on", () => {
    expect(all(status(404), { ...RULES, fallbackOnStatuses: [404] })).toEqual([
      "next",
      "retry_same",
      "retry_same",
      "end",
    ]);
  });
});

describe("the pause before a retry", () => {
  it("doubles from 250 ms to 2 s, plus up to 250 ms", () => {
    expect([1, 2, 3, 4, 5, 9].map((retry) => backoffMs(retry, 0, 0))).toEqual([250, 500, 1_000, 2_000, 2_000, 2_000]);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10 }), fc.double({ min: 0, max: 1, noNaN: true }), (retry, random) => {
        const base = backoffMs(retry, 0, 0);
        expect(backoffMs(retry, 0, random)).toBeGreaterThanOrEqual(base);
        expect(backoffMs(retry, 0, random)).toBeLessThanOrEqual(base + 250);
      }),
    );
  });

  it("is what the upstream asks for, from 1 ms to 5 s", () => {
    expect([1, 700, 5_000].map((asked) => backoffMs(3, asked, 0.5))).toEqual([1, 700, 5_000]);
    expect([0, 5_001, 60_000].map((asked) => backoffMs(1, asked, 0))).toEqual([250, 250, 250]);
  });
});

describe("retry-after", () => {
  const now = Date.UTC(2030, 0, 1, 12);

  it("is read as seconds, as a date, and in its finer form first", () => {
    expect(retryAfterOf("2", "", now)).toBe(2_000);
    expect(retryAfterOf(" 1.5 ", "", now)).toBe(1_500);
    expect(retryAfterOf("2", "40", now)).toBe(40);
    expect(retryAfterOf("2", "40.2", now)).toBe(41);
    expect(retryAfterOf("Tue, 01 Jan 2030 12:00:30 GMT", "", now)).toBe(30_000);
    expect(retryAfterOf("Tuesday, 01-Jan-30 12:00:05 GMT", "", now)).toBe(5_000);
  });

  it("is none where it says nothing, nonsense or the past", () => {
    for (const text of [
      "",
      "0",
      "-1",
      "soon",
      "1e3",
      "2 s",
      "Tue, 01 Jan 2030 11:00:00 GMT",
      "Tue, 99 Foo 2030 12:00:30 GMT",
    ]) {
      expect(retryAfterOf(text, "", now), text).toBe(0);
    }
    expect(retryAfterOf("3", "soon", now)).toBe(3_000);
  });
});
