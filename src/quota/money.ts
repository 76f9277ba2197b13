/** Money in the counters: what a budget's layer is, and how its block is read. Amounts are micro-dollars. */
import type { ApiKeyResource } from "../config/resources.js";
import type { ResolvedModel } from "../config/snapshot.js";
import type { Place } from "./groups.js";

/** The period of a budget that a moment falls into. */
export interface BudgetPeriod {
  /** Grows with time; the same period has the same id on every thread. */
  readonly id: number;
  /** Milliseconds since the epoch; Infinity = it does not end. */
  readonly endsAt: number;
}

/** One budget that concerns a request. */
export interface MoneyLayer {
  /** For messages: `budget "NAME"`. */
  readonly label: string;
  readonly name: string;
  /** "key", "team", "user", "model" or "all". */
  readonly scope: string;
  /** Whose money it is: name of the key, team, user or model; "" = everybody's. */
  readonly owner: string;
  readonly place: Place;
  readonly limitMicros: number;
  readonly action: "block" | "warn";
  /** Fractions of the limit, ascending. */
  readonly warnAt: readonly number[];
  /** Called under the table's lock: must be arithmetic on what is remembered. */
  periodAt(nowMs: number): BudgetPeriod;
}

/** The budgets in force, as an admission asks them. */
export interface Budgets {
  /** The budgets that concern a request of this key for this model. */
  layersFor(key: ApiKeyResource | null, model: ResolvedModel | null): readonly MoneyLayer[];
  /** What so many tokens would cost at most, micro-dollars; null: the request concerns no single model. */
  estimateMicros(model: ResolvedModel | null, inputTokens: number, outputTokens: number): number;
}

/** A fraction of a budget that a settlement has just crossed, reported once a period over all threads. */
export interface Crossing {
  readonly layer: MoneyLayer;
  readonly fraction: number;
  readonly spentMicros: number;
}
