/** What a caller is told by a limit or a budget that has no room. */
import { type Failure, failure } from "../errors.js";
import type { Bound, LimitLayer } from "./layers.js";
import type { MoneyLayer } from "./money.js";
import { secondsToWindowEnd } from "./window.js";

/**
 * When another request ends is not known; sooner than this cannot be said in `retry-after`, and a client that is
 * told nothing comes back at once.
 */
export const CONCURRENCY_RETRY_SECONDS = 1;
/** Who is told to come back in a month has forgotten it; budgets can also be raised before. */
const LONGEST_RETRY_SECONDS = 86_400;
const MICROS = 1e6;

/** Where a budget stands at an admission. */
interface MoneyState {
  readonly spentMicros: number;
  readonly reservedMicros: number;
  readonly nowMs: number;
  /** Of the period. */
  readonly endsAt: number;
}

/** The refusal that takes longest to pass away, of all that a request would meet. */
export class Refusal {
  /** The layer that refuses, one of both; null and null = nothing does. */
  #limit: LimitLayer | null = null;
  #budget: MoneyLayer | null = null;
  /** Which limit of the layer, and what is the matter with it. */
  #matter = "";
  #seconds = 0;
  #spentMicros = 0;
  #reservedMicros = 0;
  #resetsAt = 0;

  /** A window of `layer` is used up. */
  window(layer: LimitLayer, bound: Bound, nowMs: number): void {
    this.#limited(layer, `${amountOf(bound)} is exhausted`, secondsToWindowEnd(nowMs, bound.windowMs));
  }

  /** What is left of `bound` is all that a request under way could reserve, and it may yet use more. */
  shortage(layer: LimitLayer, bound: Bound): void {
    this.#limited(layer, `${amountOf(bound)} is reserved by requests under way`, CONCURRENCY_RETRY_SECONDS);
  }

  /** As many requests as `layer` admits are under way. */
  places(layer: LimitLayer): void {
    this.#limited(layer, `${layer.concurrency} concurrent requests is reached`, CONCURRENCY_RETRY_SECONDS);
  }

  /** A budget is spent, or what is left of it is reserved by requests under way. */
  money(layer: MoneyLayer, state: MoneyState): void {
    const { spentMicros, reservedMicros, nowMs, endsAt } = state;
    const spent = spentMicros >= layer.limitMicros;
    const toEnd = Math.min(LONGEST_RETRY_SECONDS, Math.max(1, Math.ceil((endsAt - nowMs) / 1_000)));
    const seconds = spent ? toEnd : CONCURRENCY_RETRY_SECONDS;
    if (seconds <= this.#seconds) return;
    this.#seconds = seconds;
    this.#budget = layer;
    this.#limit = null;
    this.#spentMicros = spentMicros;
    this.#reservedMicros = reservedMicros;
    this.#resetsAt = endsAt;
  }

  failure(): Failure {
    if (this.#budget !== null) return this.#budgetFailure(this.#budget);
    if (this.#limit !== null) return this.#limitFailure(this.#limit);
    throw new Error("nothing has refused");
  }

  #matterOf({ limitMicros }: MoneyLayer): string {
    if (this.#spentMicros >= limitMicros) return "is exhausted";
    if (this.#spentMicros + this.#reservedMicros >= limitMicros) return "is reserved by requests under way";
    return "has nothing left for this node now, as others may be spending the rest";
  }

  #limited(layer: LimitLayer, matter: string, seconds: number): void {
    if (seconds <= this.#seconds) return;
    this.#seconds = seconds;
    this.#limit = layer;
    this.#budget = null;
    this.#matter = matter;
  }

  #limitFailure(layer: LimitLayer): Failure {
    const message = `The ${layer.label}'s limit of ${this.#matter}.`;
    const plain = failure("rate_limit_exceeded", message, null, this.#seconds);
    return { ...plain, policy: layer.policy, refusedBy: layer.kind };
  }

  #budgetFailure(layer: MoneyLayer): Failure {
    const resetsAt = Number.isFinite(this.#resetsAt) ? new Date(this.#resetsAt).toISOString() : null;
    const budget = {
      scope: layer.scope,
      limit_usd: layer.limitMicros / MICROS,
      spent_usd: this.#spentMicros / MICROS,
      resets_at: resetsAt,
    };
    const spent = this.#matterOf(layer);
    const end = resetsAt === null ? "It does not reset." : `It resets at ${resetsAt}.`;
    const amounts = `$${budget.limit_usd} (scope ${layer.scope}, $${budget.spent_usd} spent)`;
    const message = `The ${layer.label} of ${amounts} ${spent}. ${end}`;
    const plain = failure("budget_exceeded", message, null, this.#seconds);
    return { ...plain, budget, refusedBy: "budget" };
  }
}

function amountOf({ amount, unit, field }: Bound): string {
  return `${amount} ${unit} (${field})`;
}

/** Of refusals by several targets, the one that passes first: when to come back. */
export function soonest(first: Failure, second: Failure): Failure {
  return second.retryAfterSeconds < first.retryAfterSeconds ? second : first;
}
