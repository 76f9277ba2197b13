import { describe, expect, it } from "vitest";
import type { Schedule } from "../../../src/config/traffic.js";
import { Schedules } from "../../../src/quota/schedule.js";

function schedule(more: Partial<Schedule>): Schedule {
  return { daysOfWeek: [], dates: [], startMinute: 0, endMinute: 0, timezone: "UTC", ...more };
}

const hours = (from: number, to: number) => ({ startMinute: from * 60, endMinute: to * 60 });
const open = (more: Partial<Schedule>, time: string) => new Schedules([schedule(more)]).openAt(Date.parse(time));

describe("a schedule", () => {
  it("is open from its start to before its end", () => {
    const times = ["08:59:59", "09:00:00", "16:59:59", "17:00:00"];
    expect(times.map((time) => open(hours(9, 17), `2026-03-04T${time}Z`))).toEqual([false, true, true, false]);
  });

  it("whose end is not after its start goes on until the next day, which belongs to the day before", () => {
    const friday = { ...hours(22, 6), daysOfWeek: [5] };
    // 2026-03-06 is a Friday.
    expect(open(friday, "2026-03-06T21:59:00Z")).toBe(false);
    expect(open(friday, "2026-03-06T22:00:00Z")).toBe(true);
    expect(open(friday, "2026-03-07T05:59:00Z")).toBe(true);
    expect(open(friday, "2026-03-07T06:00:00Z")).toBe(false);
    expect(open(friday, "2026-03-06T05:00:00Z")).toBe(false);
    expect(open(friday, "2026-03-07T22:30:00Z")).toBe(false);
  });

  it("with equal ends lasts a day", () => {
    const sunday = { ...hours(8, 8), daysOfWeek: [0] };
    expect(
      ["2026-03-08T07:59:00Z", "2026-03-08T08:00:00Z", "2026-03-09T07:59:00Z", "2026-03-09T08:00:00Z"].map((time) =>
        open(sunday, time),
      ),
    ).toEqual([false, true, true, false]);
  });

  it("is open on its dates, and on its weekdays as well where it has both", () => {
    const dates = { ...hours(0, 24), dates: ["2026-12-25"] };
    expect([open(dates, "2026-12-25T12:00:00Z"), open(dates, "2026-12-26T12:00:00Z")]).toEqual([true, false]);
    // 2026-12-26 is a Saturday.
    expect(open({ ...dates, daysOfWeek: [6] }, "2026-12-26T12:00:00Z")).toBe(true);
  });

  it("follows the clock of its timezone, also where that changes", () => {
    const berlin = { ...hours(9, 10), timezone: "Europe/Berlin" };
    expect([open(berlin, "2026-03-27T08:30:00Z"), open(berlin, "2026-03-30T07:30:00Z")]).toEqual([true, true]);
    expect([open(berlin, "2026-03-27T07:30:00Z"), open(berlin, "2026-03-30T08:30:00Z")]).toEqual([false, false]);
    // The day that counts is the one of the timezone: Monday has begun in Tokyo.
    const tokyo = { ...hours(0, 1), daysOfWeek: [1], timezone: "Asia/Tokyo" };
    expect(open(tokyo, "2026-03-01T15:30:00Z")).toBe(true);
    // Half an hour off the hour.
    expect(open({ ...hours(12, 13), timezone: "Asia/Kolkata" }, "2026-03-01T06:30:00Z")).toBe(true);
  });

  it("on the night the clock goes forward is open for what there is of it", () => {
    // 02:00 to 03:00 does not exist in Berlin on 2026-03-29.
    const night = { ...hours(1, 4), timezone: "Europe/Berlin" };
    expect([open(night, "2026-03-29T00:59:00Z"), open(night, "2026-03-29T01:01:00Z")]).toEqual([true, true]);
    expect(open(night, "2026-03-29T02:00:00Z")).toBe(false);
  });
});

it("of several schedules one is enough, and each minute is looked at anew", () => {
  const schedules = new Schedules([schedule(hours(1, 2)), schedule(hours(3, 4))]);
  const at = (time: string) => schedules.openAt(Date.parse(`2026-03-04T${time}Z`));
  expect([at("01:59:59"), at("02:00:00"), at("03:00:00"), at("04:00:00")]).toEqual([true, false, true, false]);
});
