/** Which guardrails concern a request, in which order: worked out once per key and model, then remembered. */
import { PairMemory } from "../config/pair-memory.js";
import type { Guardrail, GuardrailAttachment, Traffic } from "../config/traffic.js";
import { findersOf, isLocal, type LocalRule } from "./local-rules.js";
import { remoteRuleOf } from "./remote-rules.js";
import type { Direction, Finder, RemoteRule } from "./rule.js";
import type { Services } from "../providers/safety/service.js";
import type { OwnedFinder } from "./text-screen.js";

/** A local rule as the pool gets it. */
export interface OwnedRule {
  readonly owner: number;
  readonly rule: LocalRule;
  readonly masks: boolean;
}

export interface OwnedRemote {
  readonly owner: number;
  readonly guardrail: Guardrail;
  readonly rule: RemoteRule;
}

/** The guardrails of one direction; owners are indexes into `guardrails`, which is in order of priority. */
export interface HookPlan {
  readonly direction: Direction;
  readonly guardrails: readonly Guardrail[];
  /** Names the local rules: equal names, equal rules. */
  readonly name: string;
  readonly local: readonly OwnedRule[];
  readonly finders: readonly OwnedFinder[];
  readonly remote: readonly OwnedRemote[];
}

export interface ScreenPlan {
  readonly input: HookPlan | null;
  readonly output: HookPlan | null;
}

/** Whose request it is. */
export interface Subject {
  readonly apiKey: string;
  readonly team: string | null;
  /** The model as the caller named it, and the configured entry that it matched. */
  readonly model: string;
  readonly entry: string;
  /** Name of the configured route by which a raw request came; absent = none. */
  readonly passthroughRoute?: string;
}

/** What is remembered of names that callers choose is bounded. */
const MAX_REMEMBERED = 4096;
/** Mandatory guardrails that nobody attached run as if attached with this priority. */
const MANDATORY_PRIORITY = 0;

export class ScreenPlans {
  readonly #traffic: Traffic;
  readonly #revision: string;
  readonly #services: Services;
  readonly #attachments: ReadonlyMap<string, readonly GuardrailAttachment[]>;
  readonly #finders = new Map<Guardrail, readonly Finder[]>();
  readonly #remote = new Map<Guardrail, RemoteRule>();
  /** By key and model. */
  readonly #remembered = new PairMemory<ScreenPlan | null>(MAX_REMEMBERED);
  /** The same of requests on a passthrough route: by key, and model and route. */
  readonly #onRoutes = new PairMemory<ScreenPlan | null>(MAX_REMEMBERED);
  /** Equal lists of guardrails share one plan. */
  readonly #plans = new Map<string, ScreenPlan | null>();
  /** Do attachments name models, keys or teams, so that plans differ? */
  readonly #narrow: boolean;

  constructor(traffic: Traffic, revision: string, services: Services) {
    this.#traffic = traffic;
    this.#revision = revision;
    this.#services = services;
    const attachments = new Map<string, GuardrailAttachment[]>();
    for (const attachment of traffic.attachments) {
      const known = attachments.get(attachment.guardrail);
      if (known === undefined) attachments.set(attachment.guardrail, [attachment]);
      else known.push(attachment);
    }
    this.#attachments = attachments;
    this.#narrow = traffic.attachments.some(({ scope }) => scope !== "env");
  }

  /** null: no guardrail concerns this subject. */
  planFor(subject: Subject): ScreenPlan | null {
    const { apiKey, model, passthroughRoute = "" } = subject;
    const caller = this.#narrow ? apiKey : "";
    const memory = passthroughRoute === "" ? this.#remembered : this.#onRoutes;
    const asked = passthroughRoute === "" ? model : JSON.stringify([model, passthroughRoute]);
    const known = memory.get(caller, this.#narrow ? asked : "");
    if (known !== undefined) return known;
    const plan = this.#planOf(this.#concerning(subject));
    memory.set(caller, this.#narrow ? asked : "", plan);
    return plan;
  }

  #concerning(subject: Subject): Guardrail[] {
    const ranked: { guardrail: Guardrail; priority: number }[] = [];
    for (const guardrail of this.#traffic.guardrails) {
      if (!guardrail.enabled) continue;
      const priorities = (this.#attachments.get(guardrail.name) ?? [])
        .filter((attachment) => concerns(attachment, subject))
        .map(({ priority }) => priority);
      if (priorities.length === 0 && guardrail.mandatory) priorities.push(MANDATORY_PRIORITY);
      if (priorities.length > 0) ranked.push({ guardrail, priority: Math.min(...priorities) });
    }
    // The sort is stable: of equal priority, the file's order counts.
    return ranked.sort((one, other) => one.priority - other.priority).map(({ guardrail }) => guardrail);
  }

  #planOf(guardrails: readonly Guardrail[]): ScreenPlan | null {
    if (guardrails.length === 0) return null;
    const key = JSON.stringify(guardrails.map(({ name }) => name));
    const known = this.#plans.get(key);
    if (known !== undefined) return known;
    const input = this.#hook(guardrails, "input");
    const output = this.#hook(guardrails, "output");
    const plan = input === null && output === null ? null : { input, output };
    if (this.#plans.size >= MAX_REMEMBERED) this.#plans.clear();
    this.#plans.set(key, plan);
    return plan;
  }

  #hook(all: readonly Guardrail[], direction: Direction): HookPlan | null {
    const guardrails = all.filter(({ hookPoint }) => hookPoint === "both" || hookPoint === direction);
    if (guardrails.length === 0) return null;
    const local: OwnedRule[] = [];
    const finders: OwnedFinder[] = [];
    const remote: OwnedRemote[] = [];
    for (const [owner, guardrail] of guardrails.entries()) {
      const { rule } = guardrail;
      const masks = guardrail.mode === "block";
      if (isLocal(rule)) {
        local.push({ owner, rule, masks });
        for (const finder of this.#findersOf(guardrail, rule)) finders.push({ finder, owner, masks });
      } else remote.push({ owner, guardrail, rule: this.#remoteOf(guardrail, rule) });
    }
    const name = `${this.#revision} ${JSON.stringify(guardrails.map((one) => one.name))}`;
    return { direction, guardrails, name, local, finders, remote };
  }

  #findersOf(guardrail: Guardrail, rule: LocalRule): readonly Finder[] {
    const finders = this.#finders.get(guardrail) ?? findersOf(rule);
    this.#finders.set(guardrail, finders);
    return finders;
  }

  #remoteOf(guardrail: Guardrail, rule: Exclude<Guardrail["rule"], LocalRule>): RemoteRule {
    const remote = this.#remote.get(guardrail) ?? remoteRuleOf(rule, this.#services);
    this.#remote.set(guardrail, remote);
    return remote;
  }
}

function concerns({ scope, scopeRef }: GuardrailAttachment, subject: Subject): boolean {
  switch (scope) {
    case "env":
      return true;
    case "model":
      return scopeRef === subject.model || scopeRef === subject.entry;
    case "api_key":
      return scopeRef === subject.apiKey;
    case "team":
      return scopeRef === subject.team;
    case "passthrough_route":
      return scopeRef === subject.passthroughRoute;
  }
}
