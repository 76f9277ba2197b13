/** The budgets in force: which of them concern a request, and where each counts. */
import type { ApiKeyResource } from "../config/resources.js";
import type { ResolvedModel } from "../config/snapshot.js";
import type { Budget } from "../config/traffic.js";
import type { PlaceFinder } from "./groups.js";
import type { BudgetPeriod, Budgets, MoneyLayer } from "./money.js";
import { PeriodClock } from "./period.js";

const MICROS = 1e6;
/** Names of models come from callers: what is remembered of them is bounded in number and in length. */
const MAX_REMEMBERED = 16_384;
const MAX_NAME = 256;
const NO_LAYERS: readonly MoneyLayer[] = Object.freeze([]);

/**
 * What a budget asks of a request, or of the usage event that it left. null = there is none. Requests of no key are
 * the gateway's own, and concern no budget.
 */
export interface Spender {
  readonly key: string | null;
  readonly team: string | null;
  readonly user: string | null;
  /** As the caller named it. */
  readonly model: string | null;
}

/** The configured name that a model's name fits: callers could invent any number of those that fit a pattern. */
export type EntryOf = (name: string) => string;

const AS_NAMED: EntryOf = (name) => name;

/**
 * What a counter is known by, on every thread and over restarts. A budget whose scope, period or timezone changes
 * counts anew; one whose limit changes goes on.
 */
export function counterName(budget: Budget, owner: string): string {
  return JSON.stringify(["budget", budget.id, budget.scope, budget.period, budget.timezone, owner]);
}

/** The identity and the owner that a counter's name is made of; two times "" for what is no such name. */
export function counterNamed(name: string): readonly [identity: string, owner: string] {
  try {
    const parts: unknown = JSON.parse(name);
    const owner: unknown = Array.isArray(parts) ? parts.at(-1) : null;
    if (Array.isArray(parts) && typeof owner === "string") return [JSON.stringify([...parts.slice(0, -1), ""]), owner];
  } catch {
    // Not ours.
  }
  return ["", ""];
}

class BudgetLayer implements MoneyLayer {
  readonly label: string;
  readonly name: string;
  readonly scope: string;
  readonly owner: string;
  readonly place: MoneyLayer["place"];
  readonly limitMicros: number;
  readonly action: Budget["action"];
  readonly warnAt: readonly number[];
  readonly #clock: PeriodClock;

  constructor({ budget, clock }: BudgetCounters, owner: string, place: MoneyLayer["place"]) {
    this.label = `budget "${budget.name}"`;
    this.name = budget.name;
    this.scope = budget.scope;
    this.owner = owner;
    this.place = place;
    this.limitMicros = budget.limitUsd * MICROS;
    this.action = budget.action;
    this.warnAt = budget.warnAt;
    this.#clock = clock;
  }

  periodAt(nowMs: number): BudgetPeriod {
    return this.#clock.at(nowMs);
  }
}

/** A request's probable cost, micro-dollars. */
export type Estimate = (model: ResolvedModel | null, inputTokens: number, outputTokens: number) => number;

/** One budget with its calendar; its counters' layers are made as their owners appear. */
export class BudgetCounters {
  readonly budget: Budget;
  readonly clock: PeriodClock;
  /** What the budget is known by, whosever counter it is. */
  readonly identity: string;
  readonly #places: PlaceFinder;

  constructor(budget: Budget, clock: PeriodClock, places: PlaceFinder) {
    this.budget = budget;
    this.clock = clock;
    this.identity = counterName(budget, "");
    this.#places = places;
  }

  layerOf(owner: string): MoneyLayer {
    const place = this.#places.find(counterName(this.budget, owner), `budget:${this.budget.id}`);
    return new BudgetLayer(this, owner, place);
  }
}

/** A budget that concerns somebody, and whose counter of it that is. */
export interface Concerned {
  readonly counters: BudgetCounters;
  readonly owner: string;
}

/** All budgets, found by whom they concern: there may be one at each of many thousand keys. */
export class BudgetSet {
  readonly counters: readonly BudgetCounters[];
  readonly byIdentity: ReadonlyMap<string, BudgetCounters>;
  /** Those that concern one key, team, user or model, by scope and name; the others by scope alone. */
  readonly #byRef = new Map<string, BudgetCounters[]>();
  readonly #entryOf: EntryOf;
  readonly #hasModels: boolean;
  /** Whoever was asked about last is often asked about again. */
  #last: { readonly spender: Spender; readonly concerned: readonly Concerned[] } | null = null;

  /** Throws when `places` knows no block of one of the budgets. */
  constructor(budgets: readonly Budget[], places: PlaceFinder, entryOf: EntryOf = AS_NAMED) {
    this.#entryOf = entryOf;
    this.#hasModels = budgets.some(({ scope }) => scope === "model");
    const clocks = new Map<string, PeriodClock>();
    this.counters = budgets.map((budget) => {
      const calendar = `${budget.period} ${budget.timezone}`;
      let clock = clocks.get(calendar);
      if (clock === undefined) {
        clock = new PeriodClock(budget.period, budget.timezone);
        clocks.set(calendar, clock);
      }
      const counters = new BudgetCounters(budget, clock, places);
      const ref = refOf(budget.scope, budget.scopeRef);
      const known = this.#byRef.get(ref);
      if (known === undefined) this.#byRef.set(ref, [counters]);
      else known.push(counters);
      return counters;
    });
    this.byIdentity = new Map(this.counters.map((counters) => [counters.identity, counters]));
  }

  /** Whose counter has this name; null = none of these budgets has. */
  find(name: string): { readonly counters: BudgetCounters; readonly owner: string } | null {
    const [identity, owner] = counterNamed(name);
    const counters = this.byIdentity.get(identity);
    return counters === undefined ? null : { counters, owner };
  }

  /** Every budget that concerns this spender, and whose counter of it. */
  concerning(spender: Spender): readonly Concerned[] {
    if (this.#last?.spender !== spender) this.#last = { spender, concerned: this.#find(spender) };
    return this.#last.concerned;
  }

  #find(spender: Spender): readonly Concerned[] {
    const found: Concerned[] = [];
    if (spender.key === null) return found;
    for (const scope of SCOPES) {
      const owner = scope === "all" ? "" : spender[scope];
      if (owner === null) continue;
      if (scope === "model") {
        this.#findModel(owner, found);
        continue;
      }
      this.#add(found, refOf(scope, null), owner);
      if (scope !== "all") this.#add(found, refOf(scope, owner), owner);
    }
    return found;
  }

  /** Each configured model has one of its own; a name that stands in a budget, or a pattern, has that one too. */
  #findModel(name: string, found: Concerned[]): void {
    if (!this.#hasModels) return;
    const entry = name === "" ? name : this.#entryOf(name);
    this.#add(found, refOf("model", null), entry);
    this.#add(found, refOf("model", name), name);
    if (entry !== name) this.#add(found, refOf("model", entry), entry);
  }

  #add(found: Concerned[], ref: string, owner: string): void {
    for (const counters of this.#byRef.get(ref) ?? []) found.push({ counters, owner });
  }
}

const SCOPES = ["key", "team", "user", "model", "all"] as const satisfies readonly Budget["scope"][];

function refOf(scope: Budget["scope"], ref: string | null): string {
  return ref === null ? scope : `${scope} ${ref}`;
}

/** Answers which budgets concern a request; found once for each pair of key and model, and remembered. */
export class BudgetIndex implements Budgets {
  readonly #set: BudgetSet;
  readonly #estimate: Estimate;
  readonly #remembered = new Map<ApiKeyResource | null, Map<string, readonly MoneyLayer[]>>();
  #count = 0;

  /** Throws when `places` knows no block of one of the budgets. */
  constructor(budgets: readonly Budget[], places: PlaceFinder, estimate: Estimate, entryOf?: EntryOf) {
    this.#set = new BudgetSet(budgets, places, entryOf);
    this.#estimate = estimate;
  }

  layersFor(key: ApiKeyResource | null, model: ResolvedModel | null): readonly MoneyLayer[] {
    const name = model === null ? "" : model.name;
    const known = this.#remembered.get(key)?.get(name);
    if (known !== undefined) return known;
    const layers = this.#find(spenderOf(key, model));
    this.#remember(key, name, layers);
    return layers;
  }

  estimateMicros(model: ResolvedModel | null, inputTokens: number, outputTokens: number): number {
    return this.#estimate(model, inputTokens, outputTokens);
  }

  #find(spender: Spender): readonly MoneyLayer[] {
    const layers: MoneyLayer[] = [];
    for (const { counters, owner } of this.#set.concerning(spender)) layers.push(counters.layerOf(owner));
    return layers.length === 0 ? NO_LAYERS : layers;
  }

  /** Full means start anew: only a flood of invented names gets there. */
  #remember(key: ApiKeyResource | null, name: string, layers: readonly MoneyLayer[]): void {
    if (name.length > MAX_NAME) return;
    if (this.#count >= MAX_REMEMBERED) {
      this.#remembered.clear();
      this.#count = 0;
    }
    this.#count += 1;
    const known = this.#remembered.get(key);
    if (known === undefined) this.#remembered.set(key, new Map([[name, layers]]));
    else known.set(name, layers);
  }
}

function spenderOf(key: ApiKeyResource | null, model: ResolvedModel | null): Spender {
  return {
    key: key?.name ?? null,
    team: key?.teamId ?? null,
    user: key?.userId ?? null,
    model: model?.name || null,
  };
}
