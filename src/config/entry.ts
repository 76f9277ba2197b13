/** An entry of a resource file on its way to a resource, and how entries find one another. */
import type { Environment } from "./environment.js";
import { PatternIndex } from "./pattern.js";
import type { Path } from "./result.js";
import type { CollectionName } from "./schema.js";

/** What a resource file may refer to; configuration itself knows no provider and no operation. */
export interface ResourcesContext {
  /** Ids of the provider catalog. */
  readonly providers: ReadonlySet<string>;
  /** Wire families that an `adapter` may name. */
  readonly adapters: ReadonlySet<string>;
  readonly operations: ReadonlySet<string>;
  /** What is wrong with a regular expression; null = nothing. The engine is not known here. */
  readonly patternProblem: (pattern: string) => string | null;
  /** Where variables and `key_env` are looked up. */
  readonly environment: Environment;
  /** Skip what is not supported yet (listed in the result) instead of refusing the file. */
  readonly ignoreUnsupported?: boolean | undefined;
}

export type Complain = (path: Path, message: string) => void;

export type Raw = Readonly<Record<string, unknown>>;

/** One entry; `raw` has its variables replaced. */
export interface Entry {
  readonly index: number;
  readonly raw: Raw;
  readonly name: string | null;
  /** Left out because of what is not supported yet. */
  skipped: boolean;
}

/** What checks and conversions go by. */
export interface Surroundings {
  readonly context: ResourcesContext;
  readonly directory: Directory;
}

interface Handles {
  readonly names: ReadonlyMap<string, Entry>;
  readonly ids: ReadonlyMap<string, Entry>;
}

/** Every entry of a file, by name and by id. */
export class Directory {
  readonly #handles = new Map<CollectionName, Handles>();
  readonly #models: PatternIndex<Entry>;
  /** Providers of the file's provider keys. */
  readonly providers: ReadonlySet<string>;

  constructor(entries: Readonly<Record<CollectionName, readonly Entry[]>>) {
    for (const [collection, list] of Object.entries(entries)) {
      this.#handles.set(collection as CollectionName, handlesOf(list));
    }
    this.#models = new PatternIndex(
      entries.models
        .filter(({ name }) => name !== null && name.indexOf("*") === name.lastIndexOf("*"))
        .map((entry) => [entry.name ?? "", entry] as const),
    );
    const providers = entries.provider_keys.map((entry) => entry.raw.provider);
    this.providers = new Set(providers.filter((provider) => typeof provider === "string"));
  }

  /** By name, or first by id and then by name. */
  find(collection: CollectionName, reference: string, byId: boolean): Entry | undefined {
    const handles = this.#handles.get(collection);
    return (byId ? handles?.ids.get(reference) : undefined) ?? handles?.names.get(reference);
  }

  /** The same for models; a name that is no entry's own may be covered by one with a `*`. */
  findModel(reference: string, byId: boolean): Entry | undefined {
    return this.find("models", reference, byId) ?? this.#models.find(reference)?.value;
  }

  /** The name that a reference means: an id's entry has one, a name stands for itself. */
  named(collection: CollectionName, name: string | undefined, id: string | undefined): string {
    if (name !== undefined) return name;
    return this.find(collection, id ?? "", true)?.name ?? id ?? "";
  }
}

function handlesOf(entries: readonly Entry[]): Handles {
  const names = new Map<string, Entry>();
  const ids = new Map<string, Entry>();
  for (const entry of entries) {
    // Twins are reported elsewhere; the first of them is the one that is meant.
    if (entry.name !== null && !names.has(entry.name)) names.set(entry.name, entry);
    const id = entry.raw.id;
    if (typeof id === "string" && !ids.has(id)) ids.set(id, entry);
  }
  return { names, ids };
}

export type ModelKind = "direct" | "routing" | "ensemble" | "semantic";

/** What kind of model an entry describes; the first one where it describes several. */
export function modelKind(raw: Raw): ModelKind {
  for (const kind of ["routing", "ensemble", "semantic"] as const) if (raw[kind] !== undefined) return kind;
  return "direct";
}

/** Of two spellings at most one. */
export function notBoth(raw: Raw, [first, second]: readonly [string, string], complain: Complain): void {
  if (raw[first] === undefined || raw[second] === undefined) return;
  complain([second], `is another name for ${first}: give one of the two`);
}

/** Of two spellings exactly one. */
export function oneOf(raw: Raw, spellings: readonly [string, string], complain: Complain): void {
  const [first, second] = spellings;
  if (raw[first] === undefined && raw[second] === undefined) complain([first], `is required (or ${second})`);
  notBoth(raw, spellings, complain);
}

export interface Reference {
  /** The field that holds it: `model` or `model_id`. */
  readonly field: string;
  readonly value: string;
  readonly byId: boolean;
}

/** The reference in `field` or `field_id`; null when there is none that is a string. */
export function referenceIn(raw: Raw, field: string): Reference | null {
  const byId = raw[field] === undefined;
  const spelling = byId ? `${field}_id` : field;
  const value = raw[spelling];
  return typeof value === "string" && value !== "" ? { field: spelling, value, byId } : null;
}

/**
 * The reference in `field` or `field_id` must lead to a model of one of `kinds`, and to one model alone:
 * the name of an entry with a `*` stands for many.
 */
export function checkModelReference(
  holder: Raw,
  field: string,
  kinds: readonly ModelKind[],
  { directory, complain }: { readonly directory: Directory; readonly complain: Complain },
): void {
  oneOf(holder, [field, `${field}_id`], complain);
  const reference = referenceIn(holder, field);
  if (reference === null) return;
  const problem = modelProblem(directory.findModel(reference.value, reference.byId), reference, kinds);
  if (problem !== null) complain([reference.field], problem);
}

function modelProblem(
  found: Entry | undefined,
  { value, byId }: Omit<Reference, "field">,
  kinds: readonly ModelKind[],
): string | null {
  if (found === undefined) return "there is no model of this name";
  const called = byId && found.raw.id === value ? found.name : value;
  if (called?.includes("*") === true) return "must name one model, without a *";
  if (kinds.includes(modelKind(found.raw))) return null;
  return kinds.length === 1 ? `must be a ${kinds[0]} model` : "must not be a semantic model";
}

const ALL_KINDS: readonly ModelKind[] = ["direct", "routing", "ensemble", "semantic"];

/** What is wrong with a name or id of a model, of any kind; null = nothing. */
export function modelNameProblem(value: string, directory: Directory): string | null {
  return modelProblem(directory.findModel(value, true), { value, byId: true }, ALL_KINDS);
}

export function isMapping(value: unknown): value is Raw {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The mappings of a list with their places; what is no mapping is the schema's to report. */
export function mappingsOf(value: unknown): [number, Raw][] {
  if (!Array.isArray(value)) return [];
  return [...value.entries()].filter((pair): pair is [number, Raw] => isMapping(pair[1]));
}

/** The same complaints below a path. */
export function below(complain: Complain, ...path: (string | number)[]): Complain {
  return (inner, message) => complain([...path, ...inner], message);
}
