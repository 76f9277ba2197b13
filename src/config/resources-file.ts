/** resources.yaml → `Resources`: every entry checked, every reference resolved, all errors at once. */
import { createHash } from "node:crypto";
import { checkApiKey, checkProviderKey, toApiKey, toProviderKey } from "./account-entries.js";
import {
  below,
  type Complain,
  Directory,
  type Entry,
  isMapping,
  type Raw,
  type ResourcesContext,
  referenceIn,
  type Surroundings,
} from "./entry.js";
import { checkGuardrail, toGuardrail } from "./guardrail-entries.js";
import { interpolate } from "./interpolate.js";
import { checkModel, toModel } from "./model-entries.js";
import { checkPassthroughRoute, toPassthroughRoute } from "./passthrough-entries.js";
import type { ApiKeyResource, Resources } from "./resources.js";
import { entriesOf, type RawEntry, type ResourceSet, rootOf } from "./resource-set.js";
import { type ConfigError, type Path, type Result, renderPath } from "./result.js";
import { COLLECTIONS, type CollectionName, checkAgainst, type EntryOf } from "./schema.js";
import type { Budget } from "./traffic.js";
import {
  checkAttachment,
  checkBudget,
  checkCachePolicy,
  checkRateLimitPolicy,
  toAttachment,
  toBudget,
  toCachePolicy,
  toInlineBudget,
  toRateLimitPolicy,
} from "./traffic-entries.js";
import { stripUnsupported, UNSUPPORTED_COLLECTIONS } from "./unsupported.js";
import { parseYaml, type YamlFile } from "./yaml.js";

type Check = (raw: Raw, surroundings: Surroundings, complain: Complain) => void;

/** What holds between the fields of an entry, and between entries; asked even when the schema has complaints. */
const CHECKS: Readonly<Record<CollectionName, Check>> = {
  provider_keys: checkProviderKey,
  models: checkModel,
  api_keys: checkApiKey,
  rate_limit_policies: checkRateLimitPolicy,
  budgets: checkBudget,
  cache_policies: checkCachePolicy,
  passthrough_routes: checkPassthroughRoute,
  guardrails: checkGuardrail,
  guardrail_attachments: checkAttachment,
};

const FORMAT_VERSION = "1";
const UNSUPPORTED = "not yet supported";

/** Short hash of a file's text, before variables are replaced. */
export function revisionOf(text: string): string {
  return createHash("sha256").update(text, "utf8").digest("hex").slice(0, 12);
}

/** Reads the text of a resource file; `source` is how messages and the snapshot name it. */
export function parseResources(text: string, context: ResourcesContext, source = "resources.yaml"): Result<Resources> {
  const set = parseResourceSet(text, context, source);
  return set.ok ? { ...set, value: set.value.resources } : set;
}

/** The same, with the entries as they were written. */
export function parseResourceSet(text: string, context: ResourcesContext, source: string): Result<ResourceSet> {
  const yaml = parseYaml(text, source);
  if (!yaml.ok) return yaml;
  const result = new FileReading({ ...yaml.value, placeOf: renderPath }, context, source).read(revisionOf(text));
  return result.ok ? { ...result, value: { resources: result.value, entries: entriesOf(yaml.value.value) } } : result;
}

/**
 * The resources of entries that stand in no file. Messages name an entry instead of counting it:
 * `models "gpt-4o".provider_key`. `revision` must be another one for other entries.
 */
export function parseEntries(
  entries: readonly RawEntry[],
  context: ResourcesContext,
  origin: Origin,
): Result<ResourceSet> {
  const { source, revision, memory } = origin;
  const { root, placeOf } = rootOf(entries, FORMAT_VERSION);
  const written = { value: root, lineOf: () => null, placeOf };
  const result = new FileReading(written, context, source, memory).read(revision);
  return result.ok ? { ...result, value: { resources: result.value, entries } } : result;
}

export interface Origin {
  readonly source: string;
  readonly revision: string;
  /** For whoever reads nearly the same entries again, in the same surroundings. */
  readonly memory?: EntryMemory;
}

/** What single entries were found to be, whatever stands beside them: by the very objects, which must not change. */
export class EntryMemory {
  readonly filled = new WeakMap<Raw, Raw>();
  readonly checked = new WeakMap<Raw, ReturnType<typeof checkAgainst>>();
}

/** What is read, and how messages tell a place in it. */
interface Written extends YamlFile {
  placeOf(path: Path): string;
}

type Entries = Readonly<Record<CollectionName, Entry[]>>;

class FileReading {
  readonly #yaml: Written;
  readonly #context: ResourcesContext;
  readonly #source: string;
  readonly #memory: EntryMemory | undefined;
  readonly #errors: ConfigError[] = [];
  readonly #ignored: ConfigError[] = [];

  constructor(yaml: Written, context: ResourcesContext, source: string, memory?: EntryMemory) {
    this.#memory = memory;
    this.#yaml = yaml;
    this.#context = context;
    this.#source = source;
  }

  read(revision: string): Result<Resources> {
    const root = this.#yaml.value;
    if (!isMapping(root)) {
      this.#complain([], 'must be a mapping that begins with _format_version: "1"');
      return { ok: false, errors: this.#errors };
    }
    this.#checkRoot(root);
    const names = Object.keys(COLLECTIONS) as CollectionName[];
    const entries = Object.fromEntries(names.map((name) => [name, this.#entries(root, name)])) as Entries;
    const directory = new Directory(entries);
    this.#shareFate(entries.guardrail_attachments, directory);
    const value = this.#resources(entries, { context: this.#context, directory }, revision);
    return this.#errors.length > 0 ? { ok: false, errors: this.#errors } : { ok: true, value, ignored: this.#ignored };
  }

  #resources(entries: Entries, surroundings: Surroundings, revision: string): Resources {
    const all = <N extends CollectionName, T>(
      name: N,
      convert: (entry: EntryOf<N>, surroundings: Surroundings) => T | null,
    ): T[] => valuesOf(this.#convert(name, entries[name], { surroundings, convert }));
    const inline: Budget[] = [];
    const apiKeys = this.#convert("api_keys", entries.api_keys, {
      surroundings,
      convert: (entry) => {
        const apiKey = toApiKey(entry, surroundings);
        if (entry.budget !== undefined) inline.push(toInlineBudget(apiKey.name, entry.budget));
        return apiKey;
      },
    });
    this.#checkHashes(entries.api_keys, apiKeys);
    return {
      revision,
      source: this.#source,
      providerKeys: all("provider_keys", toProviderKey),
      models: all("models", toModel),
      apiKeys: valuesOf(apiKeys),
      traffic: {
        policies: all("rate_limit_policies", toRateLimitPolicy),
        budgets: [...all("budgets", toBudget), ...inline],
        cachePolicies: all("cache_policies", toCachePolicy),
        guardrails: all("guardrails", toGuardrail),
        attachments: all("guardrail_attachments", toAttachment),
        passthroughRoutes: all("passthrough_routes", toPassthroughRoute),
      },
    };
  }

  readonly #complain: Complain = (path, message) => {
    this.#errors.push(this.#finding(path, message));
  };

  readonly #unsupported = (path: Path): void => {
    const list = this.#context.ignoreUnsupported === true ? this.#ignored : this.#errors;
    list.push(this.#finding(path, UNSUPPORTED));
  };

  #finding(path: Path, message: string): ConfigError {
    return { file: this.#source, path: this.#yaml.placeOf(path), message, line: this.#yaml.lineOf(path) };
  }

  #checkRoot(root: Readonly<Record<string, unknown>>): void {
    if (root._format_version !== FORMAT_VERSION) {
      const message = Object.hasOwn(root, "_format_version") ? 'must be "1", in quotes' : 'is required: "1"';
      this.#complain(["_format_version"], message);
    }
    for (const name of Object.keys(root)) {
      if (name === "_format_version" || Object.hasOwn(COLLECTIONS, name)) continue;
      if (UNSUPPORTED_COLLECTIONS.has(name)) this.#unsupported([name]);
      else this.#complain([name], "unknown field");
    }
  }

  /** The entries of one collection with their variables replaced and their names known to be unique. */
  #entries(root: Readonly<Record<string, unknown>>, collection: CollectionName): Entry[] {
    const list = root[collection];
    if (list === undefined) return [];
    if (!Array.isArray(list)) {
      this.#complain([collection], "must be a list");
      return [];
    }
    const entries: Entry[] = [];
    for (const [index, item] of list.entries()) {
      const path = [collection, index];
      if (!isMapping(item)) {
        this.#complain(path, "must be a mapping");
        continue;
      }
      entries.push({ index, ...this.#filled(collection, index, item) });
    }
    this.#refuseTwins(collection, entries);
    return entries;
  }

  #filled(collection: CollectionName, index: number, item: Raw): Omit<Entry, "index"> {
    const known = this.#memory?.filled.get(item);
    if (known !== undefined) return { raw: known, name: nameOf(known), skipped: false };
    const path = [collection, index];
    const before = this.#errors.length + this.#ignored.length;
    const stripped = stripUnsupported(collection, item, (inner) => this.#unsupported([...path, ...inner]));
    const raw = interpolate(stripped ?? namesOf(item), this.#context.environment, path, this.#complain) as Raw;
    if (this.#errors.length + this.#ignored.length === before) this.#memory?.filled.set(item, raw);
    return { raw, name: nameOf(raw), skipped: stripped === null };
  }

  #refuseTwins(collection: CollectionName, entries: readonly Entry[]): void {
    const names = new Map<string, number>();
    const ids = new Map<string, number>();
    for (const entry of entries) {
      const field = typeof entry.raw.display_name === "string" ? "display_name" : "name";
      this.#refuseTwin([collection, entry.index, field], names, entry.name, entry.index);
      const id = entry.raw.id;
      this.#refuseTwin([collection, entry.index, "id"], ids, typeof id === "string" ? id : null, entry.index);
    }
  }

  #refuseTwin(path: Path, seen: Map<string, number>, name: string | null, index: number): void {
    if (name === null) return;
    const first = seen.get(name);
    if (first === undefined) seen.set(name, index);
    else this.#complain(path, `is the same as that of ${this.#yaml.placeOf([path[0] ?? "", first])}`);
  }

  /** Checks each entry and converts those that are right; null for those that are not. */
  #convert<N extends CollectionName, T>(
    collection: N,
    entries: readonly Entry[],
    {
      surroundings,
      convert,
    }: { surroundings: Surroundings; convert: (entry: EntryOf<N>, surroundings: Surroundings) => T | null },
  ): (T | null)[] {
    return entries.map((entry) => {
      if (entry.skipped) return null;
      const complain = below(this.#complain, collection, entry.index);
      const before = this.#errors.length;
      const checked = this.#memory?.checked.get(entry.raw) ?? checkAgainst(COLLECTIONS[collection], entry.raw);
      if (checked.ok) this.#memory?.checked.set(entry.raw, checked);
      for (const issue of checked.ok ? [] : checked.issues) complain(issue.path, issue.message);
      CHECKS[collection](entry.raw, surroundings, complain);
      if (!checked.ok || this.#errors.length > before) return null;
      return convert(checked.value as EntryOf<N>, surroundings);
    });
  }

  /** What hangs on a guardrail that is left out is left out with it; without that leave, the guardrail is an error. */
  #shareFate(attachments: readonly Entry[], directory: Directory): void {
    for (const attachment of attachments) {
      const reference = referenceIn(attachment.raw, "guardrail");
      if (attachment.skipped || reference === null) continue;
      if (directory.find("guardrails", reference.value, reference.byId)?.skipped !== true) continue;
      attachment.skipped = true;
      if (this.#context.ignoreUnsupported === true) {
        this.#unsupported(["guardrail_attachments", attachment.index, reference.field]);
      }
    }
  }

  #checkHashes(entries: readonly Entry[], apiKeys: readonly (ApiKeyResource | null)[]): void {
    const seen = new Map<string, number>();
    for (const [position, apiKey] of apiKeys.entries()) {
      const entry = entries[position];
      if (apiKey === null || entry === undefined) continue;
      const field = entry.raw.key_env === undefined ? "key_hash" : "key_env";
      this.#refuseTwin(["api_keys", entry.index, field], seen, apiKey.keyHash, entry.index);
    }
  }
}

function valuesOf<T>(values: readonly (T | null)[]): T[] {
  return values.filter((value): value is T => value !== null);
}

function nameOf(entry: Readonly<Record<string, unknown>>): string | null {
  const name = entry.display_name ?? entry.name;
  return typeof name === "string" ? name : null;
}

/** All that is needed of an entry that is left out: what others may call it. */
function namesOf(entry: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { id, display_name, name } = entry;
  return {
    ...(id === undefined ? {} : { id }),
    ...(display_name === undefined ? {} : { display_name }),
    ...(name === undefined ? {} : { name }),
  };
}
