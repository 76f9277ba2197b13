/**
 * The periods of budgets on the calendar of a timezone. The calendar is asked once a period; within it a
 * question is two comparisons.
 */
import type { Budget } from "../config/traffic.js";

/** From `startsAt` on, before `endsAt`; milliseconds since the epoch. */
export interface Period {
  /** Its beginning: grows with time, also when a budget's kind of period changes. At least 1. */
  readonly id: number;
  readonly startsAt: number;
  /** Infinity = it does not end. */
  readonly endsAt: number;
}

const DAY_MS = 86_400_000;
/** No place on earth is further from UTC than this. */
const WIDEST_OFFSET_MS = 16 * 3_600_000;
/** 1970-01-05 was a Monday. */
const FIRST_MONDAY = 4;
const WEEK_DAYS = 7;

const ALWAYS: Period = Object.freeze({ id: 1, startsAt: Number.NEGATIVE_INFINITY, endsAt: Number.POSITIVE_INFINITY });

/** Tells the period of any moment; remembers the last one. */
export class PeriodClock {
  readonly #kind: Budget["period"];
  readonly #calendar: Calendar | null;
  #last: Period;

  /** Throws RangeError on an unknown timezone, which the resource file's check would not have let pass. */
  constructor(kind: Budget["period"], timezone: string) {
    this.#kind = kind;
    this.#calendar = kind === "total" ? null : new Calendar(timezone);
    this.#last = kind === "total" ? ALWAYS : { id: 1, startsAt: 1, endsAt: 0 };
  }

  at(nowMs: number): Period {
    const last = this.#last;
    if (nowMs >= last.startsAt && nowMs < last.endsAt) return last;
    const found = this.#find(nowMs);
    this.#last = found;
    return found;
  }

  #find(nowMs: number): Period {
    const calendar = this.#calendar;
    if (calendar === null) return ALWAYS;
    let first = firstDayOf(this.#kind, calendar.dayOf(nowMs));
    let startsAt = calendar.beginOf(first);
    // Where clocks are set back over midnight, the date repeats: the period that has begun goes on.
    while (startsAt > nowMs) {
      first = firstDayOf(this.#kind, first - 1);
      startsAt = calendar.beginOf(first);
    }
    let endsAt = calendar.beginOf(dayAfter(this.#kind, first));
    while (endsAt <= nowMs) {
      first = dayAfter(this.#kind, first);
      startsAt = endsAt;
      endsAt = calendar.beginOf(dayAfter(this.#kind, first));
    }
    return { id: Math.max(1, startsAt), startsAt, endsAt };
  }
}

/** Days are counted from 1970-01-01 on, by the date that the place's calendars show. */
class Calendar {
  readonly #format: Intl.DateTimeFormat;

  constructor(timeZone: string) {
    const date = { year: "numeric", month: "numeric", day: "numeric" } as const;
    this.#format = new Intl.DateTimeFormat("en-US", {
      timeZone,
      calendar: "gregory",
      numberingSystem: "latn",
      ...date,
    });
  }

  dayOf(ms: number): number {
    let [year, month, day] = [1970, 1, 1];
    for (const part of this.#format.formatToParts(ms)) {
      if (part.type === "year") year = Number(part.value);
      else if (part.type === "month") month = Number(part.value);
      else if (part.type === "day") day = Number(part.value);
    }
    return Date.UTC(year, month - 1, day) / DAY_MS;
  }

  /**
   * The first moment at which this day, or a later one, is the date. Found by halving: that needs no table of
   * offsets, and holds where midnight does not exist or the whole day does not.
   */
  beginOf(day: number): number {
    let before = day * DAY_MS - WIDEST_OFFSET_MS;
    let after = day * DAY_MS + WIDEST_OFFSET_MS;
    while (after - before > 1) {
      const middle = Math.floor((before + after) / 2);
      if (this.dayOf(middle) >= day) after = middle;
      else before = middle;
    }
    return after;
  }
}

/** The first day of the period that a day belongs to. Weeks begin on Monday. */
function firstDayOf(kind: Budget["period"], day: number): number {
  if (kind === "week") return day - ((((day - FIRST_MONDAY) % WEEK_DAYS) + WEEK_DAYS) % WEEK_DAYS);
  if (kind !== "month") return day;
  const date = new Date(day * DAY_MS);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1) / DAY_MS;
}

/** The first day of the period after the one that begins on `first`. */
function dayAfter(kind: Budget["period"], first: number): number {
  if (kind === "week") return first + WEEK_DAYS;
  if (kind !== "month") return first + 1;
  const date = new Date(first * DAY_MS);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1) / DAY_MS;
}
