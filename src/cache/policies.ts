/**
 * Which cache policy concerns a request: of the enabled ones that apply to it, the most particular. One for an API key
 * goes before one for a model, that before one for all; of equals the first counts.
 */
import { PairMemory } from "../config/pair-memory.js";
import type { CachePolicy } from "../config/traffic.js";
import { keyScope } from "./key.js";
import type { EntryNames, EntryTags } from "./entries.js";
import { tagOf } from "./store.js";

/** A policy, and what it means for one caller and one model. */
export interface ChosenPolicy {
  readonly policy: CachePolicy;
  /** The part of the cache key that all requests of this caller to this model share. */
  readonly scope: string;
  readonly tags: EntryTags;
  readonly names: EntryNames;
}

export interface Asking {
  readonly apiKey: string;
  /** As the caller names it. */
  readonly model: string;
  /** The configured model, or pattern, that matched. */
  readonly entry: string;
}

// Models' names come from callers: what is remembered of them is bounded in number and in length.
const MAX_REMEMBERED = 4096;
const MAX_NAME = 256;

const BREADTH: Readonly<Record<CachePolicy["appliesTo"]["kind"], number>> = { api_key: 0, model: 1, all: 2 };

export class CachePolicies {
  readonly #policies: readonly CachePolicy[];
  readonly #chosen = new PairMemory<ChosenPolicy | null>(MAX_REMEMBERED);

  private constructor(policies: readonly CachePolicy[]) {
    this.#policies = policies;
  }

  /** null: no policy is enabled. */
  static of(policies: readonly CachePolicy[]): CachePolicies | null {
    const enabled = policies.filter((policy) => policy.enabled);
    enabled.sort((one, other) => BREADTH[one.appliesTo.kind] - BREADTH[other.appliesTo.kind]);
    return enabled.length === 0 ? null : new CachePolicies(enabled);
  }

  choose(asking: Asking): ChosenPolicy | null {
    const { apiKey, model } = asking;
    if (model.length > MAX_NAME) return this.#choose(asking);
    const known = this.#chosen.get(apiKey, model);
    if (known !== undefined) return known;
    const chosen = this.#choose(asking);
    this.#chosen.set(apiKey, model, chosen);
    return chosen;
  }

  #choose(asking: Asking): ChosenPolicy | null {
    const policy = this.#policies.find(({ appliesTo }) => applies(appliesTo, asking));
    if (policy === undefined) return null;
    const { apiKey, model } = asking;
    return {
      policy,
      scope: keyScope(policy, apiKey, model),
      tags: { policy: tagOf(policy.name), model: tagOf(model), apiKey: tagOf(apiKey) },
      names: { policy: policy.name, model, apiKey },
    };
  }
}

function applies({ kind, name }: CachePolicy["appliesTo"], { apiKey, model, entry }: Asking): boolean {
  if (kind === "all") return true;
  return kind === "api_key" ? name === apiKey : name === model || name === entry;
}
