import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PeriodClock } from "../../../src/quota/period.js";

const HOUR = 3_600_000;
const KINDS = ["day", "week", "month"] as const;
const ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "Africa/Cairo"];

function period(kind: "day" | "week" | "month" | "total", zone: string, time: string) {
  const { startsAt, endsAt } = new PeriodClock(kind, zone).at(Date.parse(time));
  return [new Date(startsAt).toISOString(), new Date(endsAt).toISOString()];
}

describe("PeriodClock", () => {
  test.each([
    ["day", "UTC", "2026-11-22T04:00:00Z", "2026-11-22T00:00:00.000Z", "2026-11-23T00:00:00.000Z"],
    ["day", "America/New_York", "2026-11-22T04:00:00Z", "2026-11-21T05:00:00.000Z", "2026-11-22T05:00:00.000Z"],
    ["week", "UTC", "2026-11-22T04:00:00Z", "2026-11-16T00:00:00.000Z", "2026-11-23T00:00:00.000Z"],
    ["week", "UTC", "2026-11-23T00:00:00Z", "2026-11-23T00:00:00.000Z", "2026-11-30T00:00:00.000Z"],
    ["month", "UTC", "2026-12-31T23:59:59Z", "2026-12-01T00:00:00.000Z", "2027-01-01T00:00:00.000Z"],
    ["month", "Asia/Tokyo", "2026-12-31T23:59:59Z", "2026-12-31T15:00:00.000Z", "2027-01-31T15:00:00.000Z"],
    ["month", "UTC", "2028-02-29T12:00:00Z", "2028-02-01T00:00:00.000Z", "2028-03-01T00:00:00.000Z"],
    // 29 March 2026 has 23 hours in Berlin, 25 October has 25.
    ["day", "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00.000Z", "2026-03-29T22:00:00.000Z"],
    ["day", "Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00.000Z", "2026-10-25T23:00:00.000Z"],
    ["week", "Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-18T22:00:00.000Z", "2026-10-25T23:00:00.000Z"],
    ["month", "Europe/Berlin", "2026-03-15T12:00:00Z", "2026-02-28T23:00:00.000Z", "2026-03-31T22:00:00.000Z"],
    // In Cairo clocks go from 23:59 to 01:00 on 24 April 2026: the day begins at one.
    ["day", "Africa/Cairo", "2026-04-24T12:00:00Z", "2026-04-23T22:00:00.000Z", "2026-04-24T21:00:00.000Z"],
    // Samoa had no 30 December 2011.
    ["day", "Pacific/Apia", "2011-12-30T12:00:00Z", "2011-12-30T10:00:00.000Z", "2011-12-31T10:00:00.000Z"],
  ] as const)("a %s in %s at %s", (kind, zone, time, ...ends) => {
    expect(period(kind, zone, time)).toEqual(ends);
  });

  test("a total does not end", () => {
    expect(new PeriodClock("total", "UTC").at(0)).toMatchObject({ id: 1, endsAt: Number.POSITIVE_INFINITY });
  });

  test("every moment is in its period, and periods follow each other without gap or overlap", () => {
    const moments = fc.integer({ min: Date.UTC(2000, 0, 1), max: Date.UTC(2040, 0, 1) });
    fc.assert(
      fc.property(fc.constantFrom(...KINDS), fc.constantFrom(...ZONES), moments, (kind, zone, moment) => {
        const clock = new PeriodClock(kind, zone);
        const now = clock.at(moment);
        expect(now.startsAt).toBeLessThanOrEqual(moment);
        expect(now.endsAt).toBeGreaterThan(moment);
        const next = clock.at(now.endsAt);
        const before = clock.at(now.startsAt - 1);
        expect([before.endsAt, next.startsAt]).toEqual([now.startsAt, now.endsAt]);
        expect(before.id).toBeLessThan(now.id);
        expect(next.id).toBeGreaterThan(now.id);
        // The same from another clock, whatever that one was asked before.
        expect(new PeriodClock(kind, zone).at(moment)).toEqual(now);
      }),
      { numRuns: 150 },
    );
  });

  test("asks the calendar once a period", () => {
    const clock = new PeriodClock("day", "Europe/Berlin");
    const noon = Date.parse("2026-11-22T11:00:00Z");
    const first = clock.at(noon);
    expect(clock.at(noon + 5 * HOUR)).toBe(first);
    expect(clock.at(noon + 24 * HOUR)).not.toBe(first);
    expect(clock.at(noon)).toEqual(first);
  });
});
