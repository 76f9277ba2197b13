/**
 * What the other nodes of a fleet have spent of each budget, and how much of this node's own spending they know of; puts
 * both into the counters in memory. It lives on the main thread. Nothing of it gets into this node's own account.
 */
import type { BudgetCounters, BudgetSet } from "../quota/budget.js";
import { learnSpent } from "../quota/money-share.js";
import type { Crossing, MoneyLayer } from "../quota/money.js";
import type { QuotaTable } from "../quota/table.js";
import { microsFromNanos } from "./dollars.js";

/** Sums remembered, each of one node and one counter; past it others' spending is not counted here. */
const MOST_SUMS = 300_000;
/** How long the thread is kept from its other work at a stretch. */
const STRETCH_MS = 5;

/** What was spent in a period. */
export interface Sum {
  /** The period's id. */
  readonly period: number;
  /** Billionths of a dollar. */
  readonly nanos: number;
}

interface Counter {
  readonly name: string;
  /** By the other nodes' ids. */
  readonly sums: Map<string, Sum>;
  /** Of this node's spending, what all others know of. */
  settled: Sum | null;
  /** null: no budget in force. */
  budget: BudgetCounters | null;
  layer: MoneyLayer | null;
}

export interface FleetSpendingOptions {
  readonly table: QuotaTable;
  /** The budgets in force now. */
  readonly budgets: () => BudgetSet;
  /** What the fleet has spent has reached fractions of a budget; told once here, but of every node. */
  readonly onCrossing: (name: string, period: number, crossings: readonly Crossing[]) => void;
  readonly clock?: () => number;
}

export class FleetSpending {
  readonly #options: FleetSpendingOptions;
  readonly #clock: () => number;
  readonly #counters = new Map<string, Counter>();
  readonly #due = new Set<Counter>();
  #set: BudgetSet | null = null;
  #size = 0;
  #dropped = 0;

  constructor(options: FleetSpendingOptions) {
    this.#options = options;
    this.#clock = options.clock ?? Date.now;
  }

  /** Sums of other nodes. */
  get size(): number {
    return this.#size;
  }

  /** Sums that found no room. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Another node says what it has spent. Within a period a sum only grows, so an older word changes nothing. */
  hear(name: string, node: string, sum: Sum): void {
    const known = this.#counters.get(name)?.sums.get(node);
    if (known !== undefined && !isNewer(sum, known)) return;
    if (known === undefined) {
      if (this.#size >= MOST_SUMS) {
        this.#dropped += 1;
        return;
      }
      this.#size += 1;
    }
    const counter = this.#counterOf(name);
    counter.sums.set(node, sum);
    this.#due.add(counter);
  }

  /** All others know of so much of this node's spending. */
  settle(name: string, sum: Sum): void {
    const counter = this.#counterOf(name);
    counter.settled = sum;
    this.#due.add(counter);
  }

  /** This node has spent something: it is to be looked whether that is worth a warning. */
  touch(name: string): void {
    this.#due.add(this.#counterOf(name));
  }

  /** Billionths of a dollar that others have spent in the period that runs now. */
  othersOf(name: string): number {
    const counter = this.#counters.get(name);
    if (counter === undefined) return 0;
    this.#resolve(counter);
    return counter.budget === null ? 0 : othersIn(counter, counter.budget.clock.at(this.#clock()).id);
  }

  /** Every sum of other nodes that counts now. */
  *sums(): Generator<readonly [name: string, node: string, sum: Sum]> {
    for (const counter of this.#counters.values()) {
      this.#resolve(counter);
      const period = counter.budget?.clock.at(this.#clock()).id;
      for (const [node, sum] of counter.sums) if (sum.period === period) yield [counter.name, node, sum];
    }
  }

  /** Counters of budgets in force, and what others have spent of them now. */
  *totals(): Generator<{ readonly counters: BudgetCounters; readonly owner: string; readonly nanos: number }> {
    for (const { name, sums, budget, layer } of this.#counters.values()) {
      if (budget === null || layer === null || sums.size === 0) continue;
      const nanos = this.othersOf(name);
      if (nanos > 0) yield { counters: budget, owner: layer.owner, nanos };
    }
  }

  /** Puts what is new into the counters in memory. */
  async apply(): Promise<void> {
    const set = this.#options.budgets();
    if (set !== this.#set) {
      this.#set = set;
      for (const counter of this.#counters.values()) {
        counter.layer = null;
        this.#due.add(counter);
      }
    }
    let rest = performance.now() + STRETCH_MS;
    for (const counter of [...this.#due]) {
      if (this.#apply(counter)) this.#due.delete(counter);
      if (performance.now() < rest) continue;
      await new Promise<void>((done) => setImmediate(done));
      rest = performance.now() + STRETCH_MS;
    }
  }

  /** False: something is for a period that has not begun here. */
  #apply(counter: Counter): boolean {
    this.#resolve(counter);
    const { name, budget, layer, sums, settled } = counter;
    if (budget === null || layer === null) return true;
    const { id: period } = budget.clock.at(this.#clock());
    let early = false;
    for (const [node, sum] of sums) {
      if (sum.period > period) early = true;
      else if (sum.period < period) {
        sums.delete(node);
        this.#size -= 1;
      }
    }
    const others = othersIn(counter, period);
    const own = settled?.period === period ? settled.nanos : 0;
    const known = { period, others: microsFromNanos(others), settled: microsFromNanos(own) };
    const crossings = learnSpent(this.#options.table, layer, known, this.#clock);
    if (crossings.length > 0) this.#options.onCrossing(name, period, crossings);
    if (sums.size === 0 && own === 0) this.#counters.delete(name);
    return !early;
  }

  #counterOf(name: string): Counter {
    let counter = this.#counters.get(name);
    if (counter === undefined) {
      counter = { name, sums: new Map(), settled: null, budget: null, layer: null };
      this.#counters.set(name, counter);
    }
    return counter;
  }

  /** Finds its budget among those in force. */
  #resolve(counter: Counter): void {
    if (counter.layer !== null) return;
    const found = this.#options.budgets().find(counter.name);
    counter.budget = found?.counters ?? null;
    counter.layer = found === null ? null : found.counters.layerOf(found.owner);
  }
}

function isNewer(sum: Sum, known: Sum): boolean {
  return sum.period > known.period || (sum.period === known.period && sum.nanos > known.nanos);
}

function othersIn({ sums }: Counter, period: number): number {
  let nanos = 0;
  for (const sum of sums.values()) if (sum.period === period) nanos += sum.nanos;
  return nanos;
}
