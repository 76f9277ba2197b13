/** resources.yaml → `Resources`: every entry checked, every reference resolved, all errors at once. */
import { createHash } from "node:crypto";
import { interpolate } from "./interpolate.js";
import {
  type Complain,
  type ConvertedEntry,
  checkEntry,
  type ResourcesContext,
  toApiKey,
  toModel,
  toProviderKey,
} from "./resource-entries.js";
import type { ApiKeyResource, ModelResource, ProviderKeyResource, Resources } from "./resources.js";
import { type ConfigError, type Path, type Result, renderPath } from "./result.js";
import { COLLECTIONS, type CollectionName, checkAgainst } from "./schema.js";
import { stripUnsupported, UNSUPPORTED_COLLECTIONS } from "./unsupported.js";
import { NO_TRAFFIC } from "./traffic.js";
import { parseYaml, type YamlFile } from "./yaml.js";

/** One entry on its way; `raw` has its variables replaced. */
export interface Entry {
  readonly index: number;
  readonly raw: Readonly<Record<string, unknown>>;
  readonly name: string | null;
  /** Left out because of what is not supported yet. */
  skipped: boolean;
}

const FORMAT_VERSION = "1";
const UNSUPPORTED = "not yet supported";

/** Short hash of a file's text, before variables are replaced. */
export function revisionOf(text: string): string {
  return createHash("sha256").update(text, "utf8").digest("hex").slice(0, 12);
}

/** Reads the text of a resource file; `source` is how messages and the snapshot name it. */
export function parseResources(text: string, context: ResourcesContext, source = "resources.yaml"): Result<Resources> {
  const yaml = parseYaml(text, source);
  if (!yaml.ok) return yaml;
  return new FileReading(yaml.value, context, source).read(revisionOf(text));
}

class FileReading {
  readonly #yaml: YamlFile;
  readonly #context: ResourcesContext;
  readonly #source: string;
  readonly #errors: ConfigError[] = [];
  readonly #ignored: ConfigError[] = [];

  constructor(yaml: YamlFile, context: ResourcesContext, source: string) {
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
    const keyEntries = this.#entries(root, "provider_keys");
    const modelEntries = this.#entries(root, "models");
    const callerEntries = this.#entries(root, "api_keys");
    this.#link(modelEntries, keyEntries);
    const providerKeys = this.#convert("provider_keys", keyEntries, toProviderKey);
    const models = this.#convert("models", modelEntries, toModel);
    const apiKeys = this.#convert("api_keys", callerEntries, toApiKey);
    this.#checkHashes(callerEntries, apiKeys);
    if (this.#errors.length > 0) return { ok: false, errors: this.#errors };
    const value: Resources = {
      revision,
      source: this.#source,
      providerKeys: valuesOf<ProviderKeyResource>(providerKeys),
      models: this.#named(valuesOf<ModelResource>(models), modelEntries, keyEntries),
      apiKeys: valuesOf<ApiKeyResource>(apiKeys),
      traffic: NO_TRAFFIC,
    };
    return { ok: true, value, ignored: this.#ignored };
  }

  readonly #complain: Complain = (path, message) => {
    this.#errors.push(this.#finding(path, message));
  };

  readonly #unsupported = (path: Path): void => {
    const list = this.#context.ignoreUnsupported === true ? this.#ignored : this.#errors;
    list.push(this.#finding(path, UNSUPPORTED));
  };

  #finding(path: Path, message: string): ConfigError {
    return { file: this.#source, path: renderPath(path), message, line: this.#yaml.lineOf(path) };
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
      const stripped = stripUnsupported(collection, item, (inner) => this.#unsupported([...path, ...inner]));
      const raw = interpolate(stripped ?? namesOf(item), this.#context.environment, path, this.#complain);
      const mapping = raw as Readonly<Record<string, unknown>>;
      entries.push({ index, raw: mapping, name: nameOf(mapping), skipped: stripped === null });
    }
    this.#refuseTwins(collection, entries);
    return entries;
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
    else this.#complain(path, `is the same as that of ${path[0]}[${first}]`);
  }

  /** Checks each entry on its own and converts those that are right; null for those that are not. */
  #convert<N extends CollectionName, T>(
    collection: N,
    entries: readonly Entry[],
    convert: (entry: ConvertedEntry<N>, context: ResourcesContext) => T,
  ): (T | null)[] {
    return entries.map((entry) => {
      if (entry.skipped) return null;
      const path: Path = [collection, entry.index];
      const before = this.#errors.length;
      const checked = checkAgainst(COLLECTIONS[collection], entry.raw);
      for (const issue of checked.ok ? [] : checked.issues) this.#complain([...path, ...issue.path], issue.message);
      checkEntry(collection, entry.raw, this.#context, (inner, message) =>
        this.#complain([...path, ...inner], message),
      );
      if (!checked.ok || this.#errors.length > before) return null;
      return convert(checked.value as ConvertedEntry<N>, this.#context);
    });
  }

  /** Every model's provider key exists and belongs to the model's provider. */
  #link(models: readonly Entry[], providerKeys: readonly Entry[]): void {
    const find = finder(providerKeys);
    for (const model of models) {
      if (model.skipped) continue;
      const field = model.raw.provider_key === undefined ? "provider_key_id" : "provider_key";
      const reference = model.raw[field];
      if (typeof reference !== "string" || reference === "") continue;
      const path: Path = ["models", model.index, field];
      const providerKey = find(reference, field === "provider_key_id");
      if (providerKey === undefined) {
        this.#complain(path, "there is no provider key of this name");
      } else if (providerKey.skipped) {
        // The same fate as its key; without that permission the key itself is already an error.
        model.skipped = true;
        if (this.#context.ignoreUnsupported === true) this.#unsupported(path);
      } else if (isOtherProvider(model, providerKey)) {
        this.#complain(path, "belongs to another provider than the model's");
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

  /** Models refer to their provider key by name from here on, however the file did. */
  #named(models: readonly ModelResource[], entries: readonly Entry[], keys: readonly Entry[]): ModelResource[] {
    const find = finder(keys);
    const used = entries.filter((entry) => !entry.skipped);
    return models.map((model, position) => {
      if (model.kind !== "direct") return model;
      const byId = used[position]?.raw.provider_key === undefined;
      return { ...model, providerKey: find(model.providerKey, byId)?.name ?? model.providerKey };
    });
  }
}

/** Looks entries up by name, or first by id and then by name. */
function finder(entries: readonly Entry[]): (reference: string, byId: boolean) => Entry | undefined {
  const names = new Map<string, Entry>();
  const ids = new Map<string, Entry>();
  for (const entry of entries) {
    // Twins are reported elsewhere; the first of them is the one that is meant.
    if (entry.name !== null && !names.has(entry.name)) names.set(entry.name, entry);
    const id = entry.raw.id;
    if (typeof id === "string" && !ids.has(id)) ids.set(id, entry);
  }
  return (reference, byId) => (byId ? ids.get(reference) : undefined) ?? names.get(reference);
}

function isOtherProvider(model: Entry, providerKey: Entry): boolean {
  const ours = model.raw.provider;
  const theirs = providerKey.raw.provider;
  return typeof ours === "string" && typeof theirs === "string" && ours !== theirs;
}

function valuesOf<T>(values: readonly (T | null)[]): T[] {
  return values.filter((value): value is T => value !== null);
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
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
