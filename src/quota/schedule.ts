/** When a policy is suspended: windows on the wall clock of a timezone. */
import type { Schedule } from "../config/traffic.js";

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const MINUTES_PER_HOUR = 60;
/** 1970-01-01 was a Thursday. */
const FIRST_WEEKDAY = 4;
const WEEK = 7;

/** A moment on a timezone's calendar. */
interface LocalTime {
  /** Days since 1970-01-01, by the calendar. */
  readonly day: number;
  readonly minute: number;
}

/** The schedules of one policy. Asking is cheap: the calendar is looked at once a minute. */
export class Schedules {
  readonly #schedules: readonly { readonly schedule: Schedule; readonly clock: Intl.DateTimeFormat }[];
  #lookedAt = -1;
  #open = false;

  /** Throws RangeError on an unknown timezone, which the resource file's check would not have let pass. */
  constructor(schedules: readonly Schedule[]) {
    this.#schedules = schedules.map((schedule) => ({ schedule, clock: clockOf(schedule.timezone) }));
  }

  /** Is one of the windows open? */
  openAt(nowMs: number): boolean {
    const minute = Math.floor(nowMs / MINUTE_MS);
    if (minute !== this.#lookedAt) {
      this.#lookedAt = minute;
      this.#open = this.#schedules.some(({ schedule, clock }) => isOpen(schedule, localTime(clock, nowMs)));
    }
    return this.#open;
  }
}

/** A window whose end is not after its start ends on the next day; the day it begins on is the one that counts. */
function isOpen(schedule: Schedule, { day, minute }: LocalTime): boolean {
  const { startMinute, endMinute } = schedule;
  if (startMinute < endMinute) return minute >= startMinute && minute < endMinute && isDayOf(schedule, day);
  return (minute >= startMinute && isDayOf(schedule, day)) || (minute < endMinute && isDayOf(schedule, day - 1));
}

function isDayOf({ daysOfWeek, dates }: Schedule, day: number): boolean {
  if (daysOfWeek.length === 0 && dates.length === 0) return true;
  if (daysOfWeek.includes((((day + FIRST_WEEKDAY) % WEEK) + WEEK) % WEEK)) return true;
  return dates.length > 0 && dates.includes(new Date(day * DAY_MS).toISOString().slice(0, 10));
}

function localTime(clock: Intl.DateTimeFormat, nowMs: number): LocalTime {
  const told: Partial<Record<Intl.DateTimeFormatPartTypes, number>> = {};
  for (const { type, value } of clock.formatToParts(nowMs)) told[type] = Number(value);
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0 } = told;
  return { day: Date.UTC(year, month - 1, day) / DAY_MS, minute: hour * MINUTES_PER_HOUR + minute };
}

function clockOf(timeZone: string): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat("en-US", {
    timeZone,
    calendar: "gregory",
    numberingSystem: "latn",
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
  });
}
