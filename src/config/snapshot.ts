/** The resources as one frozen, indexed object: what the hot path reads. A reload makes a new one. */
import { type AddressSet, parseCidrs } from "./cidr.js";
import { PassthroughIndex } from "./passthrough-index.js";
import { capture, fill, type Pattern, PatternIndex, parsePattern } from "./pattern.js";
import type { ApiKeyResource, DirectModel, ModelResource, ProviderKeyResource, Resources } from "./resources.js";
import type { Traffic } from "./traffic.js";

/** A caller's key with its questions answered from memory. */
export interface CallerKey {
  readonly resource: ApiKeyResource;
  /** May this key use a model of this name? */
  allows(modelName: string): boolean;
  allowsOperation(operation: string): boolean;
  /** `nowMs`: milliseconds since the epoch. A key is expired from its `expiresAt` on. */
  expired(nowMs: number): boolean;
}

/** A name resolved to the one provider that serves it. */
export interface ResolvedDirect {
  readonly entry: DirectModel;
  readonly providerKey: ProviderKeyResource;
  /** What to call the model towards its provider. */
  readonly upstreamModel: string;
}

/** A name that a caller used, resolved to what answers it. */
export interface ResolvedModel {
  /** The name itself; where the entry is a pattern, what the caller made of it. */
  readonly name: string;
  readonly entry: ModelResource;
  /** null: several models stand behind the name. */
  readonly direct: ResolvedDirect | null;
  /** Callers' addresses that may use it; null = all. */
  readonly allowedAddresses: AddressSet | null;
}

export interface SnapshotCounts {
  readonly providerKeys: number;
  readonly models: number;
  readonly apiKeys: number;
}

// Names come from clients: what is remembered of them is bounded in number and in length.
const MAX_RESOLVED_NAMES = 4096;
const MAX_JUDGED_NAMES = 128;
const MAX_REMEMBERED_LENGTH = 256;

interface CompiledGlobs {
  readonly everything: boolean;
  readonly names: ReadonlySet<string>;
  readonly patterns: readonly Pattern[];
  readonly judged: Map<string, boolean>;
}

/** Which models a list of globs allows; keys with equal lists share one. */
class AccessList {
  readonly #globs: readonly string[];
  // Compiled at the first question: most of many thousand keys are silent between two reloads.
  #compiled: CompiledGlobs | null = null;
  #listed: readonly ModelResource[] | null = null;

  constructor(globs: readonly string[]) {
    this.#globs = globs;
  }

  allows(name: string): boolean {
    this.#compiled ??= compile(this.#globs);
    const { everything, names, patterns, judged } = this.#compiled;
    if (everything || names.has(name)) return true;
    if (patterns.length === 0) return false;
    const known = judged.get(name);
    if (known !== undefined) return known;
    const verdict = patterns.some((pattern) => capture(pattern, name) !== null);
    remember(judged, MAX_JUDGED_NAMES, name, verdict);
    return verdict;
  }

  /** A wildcard entry passes when the globs cover all of it: its `*` is then just another character. */
  list(models: readonly ModelResource[]): readonly ModelResource[] {
    this.#listed ??= Object.freeze(models.filter((model) => this.allows(model.name)));
    return this.#listed;
  }
}

class SnapshotKey implements CallerKey {
  readonly resource: ApiKeyResource;
  readonly access: AccessList;

  constructor(resource: ApiKeyResource, access: AccessList) {
    this.resource = resource;
    this.access = access;
    Object.freeze(this);
  }

  allows(modelName: string): boolean {
    return this.access.allows(modelName);
  }

  allowsOperation(operation: string): boolean {
    return this.resource.allowedRoutes === null || this.resource.allowedRoutes.includes(operation);
  }

  expired(nowMs: number): boolean {
    return this.resource.expiresAt !== null && nowMs >= this.resource.expiresAt;
  }
}

export class Snapshot {
  readonly revision: string;
  readonly source: string;
  readonly counts: SnapshotCounts;
  readonly traffic: Traffic;
  readonly passthrough: PassthroughIndex;
  readonly #keys: ReadonlyMap<string, SnapshotKey>;
  readonly #models: readonly ModelResource[];
  readonly #providerKeys: ReadonlyMap<string, ProviderKeyResource>;
  readonly #index: PatternIndex<ModelResource>;
  readonly #resolved = new Map<string, ResolvedModel | null>();
  readonly #addresses = new Map<ModelResource, AddressSet>();

  /**
   * Indexes checked resources and freezes their lists and entries. Throws when a model refers to a
   * provider key that is not there: whoever built the resources has not checked them.
   */
  constructor(resources: Resources) {
    this.revision = resources.revision;
    this.source = resources.source;
    this.traffic = resources.traffic;
    this.passthrough = new PassthroughIndex(resources.traffic.passthroughRoutes);
    this.#models = frozen(resources.models);
    this.#providerKeys = new Map(frozen(resources.providerKeys).map((key) => [key.name, key]));
    for (const model of this.#models) {
      if (model.kind === "direct" && !this.#providerKeys.has(model.providerKey))
        throw new Error("a model refers to an unknown provider key");
    }
    this.#index = new PatternIndex(this.#models.map((model) => [model.name, model] as const));
    this.#keys = indexKeys(frozen(resources.apiKeys));
    this.counts = Object.freeze({
      providerKeys: resources.providerKeys.length,
      models: resources.models.length,
      apiKeys: resources.apiKeys.length,
    });
    Object.freeze(this);
  }

  /** `hashHex`: SHA-256 of the caller's key, 64 lower-case hex digits. */
  findKey(hashHex: string): CallerKey | undefined {
    return this.#keys.get(hashHex);
  }

  /** The provider key of this name. */
  findProviderKey(name: string): ProviderKeyResource | undefined {
    return this.#providerKeys.get(name);
  }

  get providerKeys(): Iterable<ProviderKeyResource> {
    return this.#providerKeys.values();
  }

  /**
   * The configured model by which a provider key's own name of a model is known to callers, the first in the file;
   * undefined = there is none.
   */
  modelBehind(providerKey: string, upstreamModel: string): ResolvedModel | undefined {
    for (const entry of this.#models) {
      if (entry.kind !== "direct" || entry.providerKey !== providerKey) continue;
      const captured = capture(parsePattern(entry.modelName), upstreamModel);
      const found = captured === null ? undefined : this.findModel(fill(entry.name, captured));
      if (found?.direct?.providerKey.name === providerKey && found.direct.upstreamModel === upstreamModel) return found;
    }
    return undefined;
  }

  /** A plain name wins over patterns, the most literal characters over fewer, the earlier over the later. */
  findModel(name: string): ResolvedModel | undefined {
    const known = this.#resolved.get(name);
    if (known !== undefined) return known ?? undefined;
    const resolved = this.#resolve(name);
    remember(this.#resolved, MAX_RESOLVED_NAMES, name, resolved);
    return resolved ?? undefined;
  }

  /**
   * The entries that a key may use, in the file's order. Wildcard entries are listed under their pattern
   * as it is written, and only when the key's globs cover the whole pattern: what a pattern's provider
   * really has behind it is not known here.
   */
  modelsFor(key: CallerKey): readonly ModelResource[] {
    if (key instanceof SnapshotKey && this.#keys.get(key.resource.keyHash) === key)
      return key.access.list(this.#models);
    return this.#models.filter((model) => key.allows(model.name));
  }

  #resolve(name: string): ResolvedModel | null {
    const match = this.#index.find(name);
    if (match === undefined) return null;
    const entry = match.value;
    const direct = entry.kind === "direct" ? this.#direct(entry, match.captured) : null;
    return Object.freeze({ name, entry, direct, allowedAddresses: this.#addressesOf(entry) });
  }

  #direct(entry: DirectModel, captured: string): ResolvedDirect {
    const providerKey = this.#providerKeys.get(entry.providerKey);
    if (providerKey === undefined) throw new Error("a model refers to an unknown provider key");
    return Object.freeze({ entry, providerKey, upstreamModel: fill(entry.modelName, captured) });
  }

  #addressesOf(model: ModelResource): AddressSet | null {
    if (model.allowedCidrs.length === 0) return null;
    const known = this.#addresses.get(model);
    if (known !== undefined) return known;
    const addresses = parseCidrs(model.allowedCidrs);
    this.#addresses.set(model, addresses);
    return addresses;
  }
}

function compile(globs: readonly string[]): CompiledGlobs {
  return {
    everything: globs.includes("*"),
    names: new Set(globs.filter((glob) => !glob.includes("*"))),
    patterns: globs.filter((glob) => glob.includes("*")).map(parsePattern),
    judged: new Map(),
  };
}

function indexKeys(resources: readonly ApiKeyResource[]): Map<string, SnapshotKey> {
  const lists = new Map<string, AccessList>();
  const keys = new Map<string, SnapshotKey>();
  for (const resource of resources) {
    const globs = JSON.stringify(resource.allowedModels);
    let access = lists.get(globs);
    if (access === undefined) {
      access = new AccessList(resource.allowedModels);
      lists.set(globs, access);
    }
    keys.set(resource.keyHash, new SnapshotKey(resource, access));
  }
  return keys;
}

/** Full means start anew: cheaper than keeping an order, and only a flood of invented names gets there. */
function remember<T>(memory: Map<string, T>, capacity: number, name: string, value: T): void {
  if (name.length > MAX_REMEMBERED_LENGTH) return;
  if (memory.size >= capacity) memory.clear();
  memory.set(name, value);
}

function frozen<T extends object>(list: readonly T[]): readonly T[] {
  for (const entry of list) Object.freeze(entry);
  return Object.freeze(list);
}
