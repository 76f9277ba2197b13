/** What has been spent of each budget in its present period, added up from usage events. */
import { type BudgetCounters, type BudgetSet, counterName, type Spender } from "../quota/budget.js";
import type { Checkpoint } from "./checkpoint.js";
import { nanosOf } from "./dollars.js";

/** What one line of the journal says about money. */
export interface Expense {
  readonly spender: Spender;
  /** When the attempt began, milliseconds since the epoch. */
  readonly at: number;
  /** Billionths of a dollar. */
  readonly nanos: number;
}

/** Where the fields stand in a line, in this order. No text of an event can hold one of these: its quotes are escaped. */
const TIME = '"time":"';
const KEY = '"api_key":"';
const TEAM = '"team_id":';
const USER = '"user_id":';
const MODEL = '},"model":"';
const COST = '"cost_usd":';
const DURATION = '"duration_ms":';
const QUOTE = 0x22;
const BACKSLASH = "\\";

/**
 * The expense that a line of the journal tells of; null = none, or no event. Lines of our own writing are read where
 * the fields must stand, which takes far less time; others as what they are.
 */
export function expenseOf(line: string): Expense | null {
  if (!line.startsWith('{"v":1,') || !line.endsWith("}")) return parsed(line);
  const time = behind(line, TIME, 0);
  const key = time < 0 ? -1 : behind(line, KEY, time);
  const who = key < 0 ? null : whoAt(line, key);
  if (who === null) return parsed(line);
  const cost = COST_JUMP.behind(line, key + who.text.length);
  const duration = cost < 0 ? -1 : DURATION_JUMP.behind(line, cost);
  if (duration < 0) return parsed(line);
  const nanos = nanosOf(numberAt(line, cost));
  if (nanos === 0) return null;
  const at = timeOf(textAt(line, time)) - numberAt(line, duration);
  return nanos > 0 && Number.isFinite(at) ? { spender: who.spender, at, nanos } : parsed(line);
}

/** The position just behind the mark; -1 = it is not there. */
function behind(line: string, mark: string, from: number): number {
  const found = line.indexOf(mark, from);
  return found < 0 ? -1 : found + mark.length;
}

/**
 * Finds a mark where it probably stands: as far behind as in the last line, less what it may be nearer. Most lines are
 * alike. A label of its name before it may be found instead; no label is a number, so the line is parsed then.
 */
class Jump {
  readonly #mark: string;
  #distance = 0;

  constructor(mark: string) {
    this.#mark = mark;
  }

  behind(line: string, from: number): number {
    let found = behind(line, this.#mark, from + this.#distance);
    if (found < 0 && this.#distance > 0) found = behind(line, this.#mark, from);
    if (found >= 0) this.#distance = Math.max(0, found - from - this.#mark.length - SLACK);
    return found;
  }
}

const SLACK = 24;
const COST_JUMP = new Jump(COST);
const DURATION_JUMP = new Jump(DURATION);

/** Who spent, and the text that says so, from the key's name to the model's. */
interface Who {
  readonly text: string;
  readonly spender: Spender;
}

/** As the last line said it: most lines are of few. */
let lastWho: Who | null = null;

/** null: it must be read by a parser. */
function whoAt(line: string, key: number): Who | null {
  if (lastWho !== null && line.startsWith(lastWho.text, key)) return lastWho;
  const team = behind(line, TEAM, key);
  const user = team < 0 ? -1 : behind(line, USER, team);
  const model = user < 0 ? -1 : behind(line, MODEL, user);
  if (model < 0 || line.slice(key, user).includes(BACKSLASH)) return null;
  const spender = {
    key: textOr(textAt(line, key)),
    team: nullableAt(line, team),
    user: nullableAt(line, user),
    model: textOr(textAt(line, model)),
  };
  if (spender.model?.includes(BACKSLASH) === true || spender.user?.includes(BACKSLASH) === true) return null;
  lastWho = { text: line.slice(key, line.indexOf('"', model) + 1), spender };
  return lastWho;
}

function numberAt(line: string, start: number): number {
  return Number(line.slice(start, line.indexOf(",", start)));
}

/** Up to the minute, and its milliseconds since the epoch: reading a date costs more than the rest of a line. */
let minuteText = "";
let minuteMs = Number.NaN;
const MINUTE_LENGTH = "2026-01-31T12:00".length;
const SECONDS = /^:[0-5]\d\.\d{3}Z$/;

/** As Date.parse reads it. */
function timeOf(text: string): number {
  const minute = text.slice(0, MINUTE_LENGTH);
  const rest = text.slice(MINUTE_LENGTH);
  if (!SECONDS.test(rest)) return Date.parse(text);
  if (minute !== minuteText) {
    minuteMs = Date.parse(`${minute}:00.000Z`);
    minuteText = minute;
  }
  return minuteMs + Number(rest.slice(1, 3)) * 1_000 + Number(rest.slice(4, 7));
}

/** The text that begins here, up to the next quote. */
function textAt(line: string, start: number): string {
  return line.slice(start, line.indexOf('"', start));
}

function nullableAt(line: string, start: number): string | null {
  return line.charCodeAt(start) === QUOTE ? textOr(textAt(line, start + 1)) : null;
}

function parsed(line: string): Expense | null {
  let event: Record<string, unknown> | null;
  try {
    event = JSON.parse(line) as Record<string, unknown> | null;
  } catch {
    return null;
  }
  if (event === null) return null;
  const { v, cost_usd: cost, time, duration_ms: duration, api_key: key, model } = event;
  if (v !== 1 || typeof cost !== "number" || !(cost > 0) || typeof time !== "string") return null;
  const at = Date.parse(time) - (typeof duration === "number" ? duration : 0);
  if (!Number.isFinite(at)) return null;
  const spender = { key: textOr(key), team: textOr(event.team_id), user: textOr(event.user_id), model: textOr(model) };
  return { spender, at, nanos: nanosOf(cost) };
}

/** "" is what an event says where there is none. */
function textOr(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

/** One counter's total in one period. */
export interface Total {
  readonly counters: BudgetCounters;
  readonly owner: string;
  /** The period's id. */
  period: number;
  nanos: number;
  /** The part of `nanos` that the counter in memory does not know of yet. */
  owed: number;
}

/** What is added. */
export interface Addition {
  /** Identities of the budgets that it is for; null = for all. */
  readonly only: ReadonlySet<string> | null;
  /** Did the counters in memory exist when it was spent? Then they know of what began after they did. */
  readonly counted: boolean;
}

/** What each budget's counter in memory counts by itself: requests that began at this time or later. */
export type CountedSince = ReadonlyMap<string, number>;

/** Totals of the budgets in force. */
export class Spending {
  readonly set: BudgetSet;
  readonly countedSince: CountedSince;
  /** Totals that are others than before; to be cleared by who looks. */
  readonly changed = new Set<Total>();
  readonly #totals = new Map<BudgetCounters, Map<string, Total>>();
  readonly #owed = new Set<Total>();

  /** `countedSince`: by the identity of the budgets. */
  constructor(set: BudgetSet, countedSince: CountedSince) {
    this.set = set;
    this.countedSince = countedSince;
  }

  get isEmpty(): boolean {
    return this.set.counters.length === 0;
  }

  /** The earliest beginning of a period that runs at `nowMs`: what came before it matters to nobody. */
  since(nowMs: number): number {
    let since = Number.POSITIVE_INFINITY;
    for (const { clock } of this.set.counters) since = Math.min(since, clock.at(nowMs).startsAt);
    return since;
  }

  /** Adds an expense to the budgets that it concerns, where it fell into the period of `nowMs`. */
  add(expense: Expense, nowMs: number, { only, counted }: Addition): void {
    for (const { counters, owner } of this.set.concerning(expense.spender)) {
      const period = counters.clock.at(nowMs);
      if (expense.at < period.startsAt) continue;
      const { identity } = counters;
      if (only !== null && !only.has(identity)) continue;
      const total = this.#totalOf(counters, owner, period.id);
      total.nanos += expense.nanos;
      this.changed.add(total);
      if (!counted || expense.at < (this.countedSince.get(identity) ?? 0)) this.#owe(total, expense.nanos);
    }
  }

  /** Takes totals that were kept; those of another period, or of a budget that is not among these, are dropped. */
  restore(kept: Checkpoint["totals"], nowMs: number): void {
    for (const [name, [period, nanos]] of Object.entries(kept)) {
      const found = this.set.find(name);
      if (found === null || found.counters.clock.at(nowMs).id !== period) continue;
      this.#addPast(this.#totalOf(found.counters, found.owner, period), nanos);
    }
  }

  /** Brings a total up to what it once was; false: it has that already, or nobody asks for it. */
  raise(name: string, { period, nanos }: Pick<Total, "period" | "nanos">, nowMs: number): boolean {
    const found = this.set.find(name);
    if (found === null || found.counters.clock.at(nowMs).id !== period) return false;
    const total = this.#totalOf(found.counters, found.owner, period);
    const missing = nanos - total.nanos;
    if (missing > 0) this.#addPast(total, missing);
    return missing > 0;
  }

  /** Takes over the totals of the set that was in force before, of the budgets that are in both. */
  adopt(before: Spending): void {
    for (const { counters, owner, period, nanos, owed } of before.#all()) {
      const mine = this.set.byIdentity.get(counters.identity);
      if (mine === undefined) continue;
      const total = this.#totalOf(mine, owner, period);
      total.nanos = nanos;
      this.changed.add(total);
      if (owed > 0) this.#owe(total, owed);
    }
  }

  /** The totals by the names that they are known by; those of periods that are over are left out. */
  *entries(nowMs: number): Generator<readonly [string, Total]> {
    for (const total of this.#all()) {
      const { counters, owner, period } = total;
      if (counters.clock.at(nowMs).id === period) yield [counterName(counters.budget, owner), total];
    }
  }

  /** Is there a total of this counter in the period that runs? */
  has({ counters, owner }: Pick<Total, "counters" | "owner">, nowMs: number): boolean {
    return this.#totals.get(counters)?.get(owner)?.period === counters.clock.at(nowMs).id;
  }

  /** Hands out what the counters in memory do not know of yet; it is taken as told to them. */
  settleOwed(tell: (total: Total, nanos: number) => void): void {
    for (const total of this.#owed) {
      if (total.owed > 0) tell(total, total.owed);
      total.owed = 0;
    }
    this.#owed.clear();
  }

  #addPast(total: Total, nanos: number): void {
    total.nanos += nanos;
    this.changed.add(total);
    this.#owe(total, nanos);
  }

  #owe(total: Total, nanos: number): void {
    total.owed += nanos;
    this.#owed.add(total);
  }

  *#all(): Generator<Total> {
    for (const totals of this.#totals.values()) yield* totals.values();
  }

  #totalOf(counters: BudgetCounters, owner: string, period: number): Total {
    let totals = this.#totals.get(counters);
    if (totals === undefined) {
      totals = new Map();
      this.#totals.set(counters, totals);
    }
    let total = totals.get(owner);
    if (total === undefined) {
      total = { counters, owner, period, nanos: 0, owed: 0 };
      totals.set(owner, total);
    } else if (total.period !== period) {
      total.period = period;
      total.nanos = 0;
      total.owed = 0;
    }
    return total;
  }
}
