/**
 * Every limit of the resources in force, ready to be asked: which layers concern a request of this key for this
 * model. That is found once for each pair and remembered, so that a request costs one look.
 */
import type { ApiKeyResource, Resources } from "../config/resources.js";
import type { ResolvedModel } from "../config/snapshot.js";
import type { GroupDimension, RateLimitPolicy } from "../config/traffic.js";
import type { BlockMap } from "./blocks.js";
import { Place } from "./groups.js";
import { type LayerTemplate, layerAt, layerTemplate, type LimitLayer } from "./layers.js";
import { compileCondition, type Facts, type Test } from "./policy-condition.js";
import { Schedules } from "./schedule.js";

/** Names of models come from callers: what is remembered of them is bounded in number and in length. */
const MAX_REMEMBERED = 16_384;
const MAX_NAME = 256;
const MINUTE_MS = 60_000;
const NOT_LOOKED = -1;
const NO_LAYERS: readonly LimitLayer[] = Object.freeze([]);
const EVERYTHING: Test = () => true;

/** A policy, compiled. */
interface Rule {
  readonly id: string;
  readonly concerns: Test;
  readonly groupBy: readonly GroupDimension[];
  readonly template: LayerTemplate;
  /** The policy's own block: its only one, or the overflow of its groups. */
  readonly block: number;
  readonly schedules: Schedules | null;
}

/** The layers of one pair of key and model. */
class Concern {
  readonly #fixed: readonly LimitLayer[];
  readonly #scheduled: readonly { readonly layer: LimitLayer; readonly schedules: Schedules }[];
  #layers: readonly LimitLayer[];
  #minute = NOT_LOOKED;

  constructor(fixed: readonly LimitLayer[], scheduled: readonly { layer: LimitLayer; schedules: Schedules }[]) {
    this.#fixed = fixed;
    this.#scheduled = scheduled;
    this.#layers = fixed;
  }

  layersAt(nowMs: number): readonly LimitLayer[] {
    if (this.#scheduled.length === 0) return this.#fixed;
    const minute = Math.floor(nowMs / MINUTE_MS);
    if (minute !== this.#minute) {
      this.#minute = minute;
      const inForce = this.#scheduled.filter(({ schedules }) => !schedules.openAt(nowMs));
      this.#layers = [...this.#fixed, ...inForce.map(({ layer }) => layer)];
    }
    return this.#layers;
  }
}

export class Limits {
  readonly #ofKeys = new Map<string, LimitLayer>();
  readonly #ofModels = new Map<string, readonly LimitLayer[]>();
  readonly #rules: readonly Rule[];
  readonly #remembered = new Map<ApiKeyResource | null, Map<string, Concern>>();
  #count = 0;

  /** Throws when `blocks` was not assigned for these resources. */
  constructor(resources: Pick<Resources, "apiKeys" | "models" | "traffic">, blocks: BlockMap) {
    for (const key of resources.apiKeys) {
      if (key.rateLimit === null) continue;
      const name = `api_key:${key.name}`;
      const place = Place.named(blockOf(blocks, name));
      this.#ofKeys.set(key.name, layerAt(layerTemplate("key", "API key", key.rateLimit), place));
    }
    for (const model of resources.models) {
      if (model.rateLimit === null) continue;
      const name = `model:${model.name}`;
      const place = Place.named(blockOf(blocks, name));
      this.#ofModels.set(model.name, [layerAt(layerTemplate("model", "model", model.rateLimit), place)]);
    }
    this.#rules = resources.traffic.policies.map((policy) => ruleOf(policy, blocks)).filter(limitsSomething);
  }

  /** A configured model's own limit, alone in a list; [] = it has none. */
  ofModel(entryName: string): readonly LimitLayer[] {
    return this.#ofModels.get(entryName) ?? NO_LAYERS;
  }

  /**
   * All that limits a request of this key for this model: the key's own limit, the model's, then the policies in
   * the file's order, without those suspended now. `model` null: the request concerns no single model.
   */
  layersFor(key: ApiKeyResource | null, model: ResolvedModel | null, nowMs: number): readonly LimitLayer[] {
    // A line end stands in no name: one that is only a provider's own is remembered by that.
    const name = model === null ? "" : model.name || `\n${model.direct?.entry.provider ?? ""}`;
    let concern = this.#remembered.get(key)?.get(name);
    if (concern === undefined) {
      concern = this.#concernOf(key, model);
      this.#remember(key, name, concern);
    }
    return concern.layersAt(nowMs);
  }

  #concernOf(key: ApiKeyResource | null, model: ResolvedModel | null): Concern {
    const fixed: LimitLayer[] = [];
    const scheduled: { layer: LimitLayer; schedules: Schedules }[] = [];
    const own = key === null ? undefined : this.#ofKeys.get(key.name);
    if (own !== undefined) fixed.push(own);
    if (model !== null) fixed.push(...this.ofModel(model.entry.name));
    const facts = factsOf(key, model);
    for (const rule of this.#rules) {
      const place = rule.concerns(facts) ? placeOf(rule, facts) : null;
      if (place === null) continue;
      const layer = layerAt(rule.template, place);
      if (rule.schedules === null) fixed.push(layer);
      else scheduled.push({ layer, schedules: rule.schedules });
    }
    return new Concern(fixed, scheduled);
  }

  /** Full means start anew: only a flood of invented names gets there. */
  #remember(key: ApiKeyResource | null, name: string, concern: Concern): void {
    if (name.length > MAX_NAME) return;
    if (this.#count >= MAX_REMEMBERED) {
      this.#remembered.clear();
      this.#count = 0;
    }
    this.#count += 1;
    const known = this.#remembered.get(key);
    if (known === undefined) this.#remembered.set(key, new Map([[name, concern]]));
    else known.set(name, concern);
  }
}

function blockOf(blocks: BlockMap, name: string): number {
  const block = blocks[name];
  if (block === undefined) throw new Error(`no block was assigned to "${name}"`);
  return block;
}

function ruleOf(policy: RateLimitPolicy, blocks: BlockMap): Rule {
  const { id, name, condition, groupBy, limits, schedules, onPartition } = policy;
  return {
    id,
    concerns: condition === null ? EVERYTHING : compileCondition(condition),
    groupBy,
    template: { ...layerTemplate("policy", `policy "${name}"`, limits, { id, name }), onPartition },
    block: blockOf(blocks, `policy:${id}`),
    schedules: schedules.length === 0 ? null : new Schedules(schedules),
  };
}

function limitsSomething({ template }: Rule): boolean {
  return template.bounds.length > 0 || template.concurrency >= 0;
}

function factsOf(key: ApiKeyResource | null, model: ResolvedModel | null): Facts {
  return {
    team: key?.teamId ?? null,
    member: key?.userId ?? null,
    api_key: key?.name ?? null,
    model: model?.name || null,
    model_entry: model?.entry.name || null,
    model_name: model?.direct?.upstreamModel || null,
    provider: model?.direct?.entry.provider ?? null,
  };
}

/**
 * Where a policy counts a request; null = the request has none of what the policy groups by, and is no concern of it.
 * Models are counted by their configured names: of those that fit a pattern, callers could invent any number.
 */
function placeOf({ id, groupBy, block }: Rule, facts: Facts): Place | null {
  if (groupBy.length === 0) return Place.named(block);
  const values = groupBy.map((dimension) => facts[dimension === "model" ? "model_entry" : dimension]);
  if (values.includes(null)) return null;
  return Place.hashed(JSON.stringify(["policy", id, ...values]), block);
}
