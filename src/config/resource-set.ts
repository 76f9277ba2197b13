/** Resources together with the entries that they were made of, as these were written: `${VAR}` still stands there. */
import { isMapping } from "./entry.js";
import { namedEntry } from "./entry-name.js";
import type { Resources } from "./resources.js";
import { type Path, renderPath } from "./result.js";
import { COLLECTIONS, type CollectionName } from "./schema.js";

/** One entry as a resource file's list holds it. */
export interface RawEntry {
  /** A collection's name; where somebody else wrote the entry, perhaps no known one. */
  readonly collection: string;
  readonly name: string;
  readonly value: unknown;
}

export interface ResourceSet {
  readonly resources: Resources;
  readonly entries: readonly RawEntry[];
}

/** A set with what `/status/config` says of it. */
export interface OfferedSet extends ResourceSet {
  readonly source: string;
  /** The file's hash, or the number of the last change in NATS. */
  readonly revision: string;
}

/** Deeper than any entry needs; whoever walks one goes down so far at most. */
export const MAX_DEPTH = 64;

export function isTooDeep(value: unknown, depth = 1): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (depth > MAX_DEPTH) return true;
  return Object.values(value).some((inner) => isTooDeep(inner, depth + 1));
}

export function isCollection(name: string): name is CollectionName {
  return Object.hasOwn(COLLECTIONS, name);
}

/** The entries of a whole file that has been found good, each with its name in it. */
export function entriesOf(root: unknown): RawEntry[] {
  const entries: RawEntry[] = [];
  if (!isMapping(root)) return entries;
  for (const collection of Object.keys(COLLECTIONS) as CollectionName[]) {
    const list = root[collection];
    if (!Array.isArray(list)) continue;
    for (const item of list) {
      const named = namedEntry(collection, item);
      if (named !== null) entries.push({ collection, ...named });
    }
  }
  return entries;
}

/** The entries as a file would hold them, and how a place in it is told by the names of the entries. */
export function rootOf(
  entries: readonly RawEntry[],
  version: string,
): { readonly root: Readonly<Record<string, unknown>>; placeOf(path: Path): string } {
  // Without a prototype: whoever writes to NATS chooses the names of the collections.
  const root: Record<string, unknown> = Object.assign(Object.create(null), { _format_version: version });
  const names = new Map<string, string[]>();
  for (const { collection, name, value } of entries) {
    const list = names.get(collection) ?? [];
    if (list.push(name) === 1) {
      names.set(collection, list);
      root[collection] = [];
    }
    (root[collection] as unknown[]).push(value);
  }
  const placeOf = ([collection, index, ...rest]: Path): string => {
    const name = typeof index === "number" ? names.get(String(collection))?.[index] : undefined;
    if (name === undefined) return renderPath([collection ?? "", ...(index === undefined ? [] : [index]), ...rest]);
    const below = renderPath(rest);
    const dot = below === "" || below.startsWith("[") ? "" : ".";
    return `${collection} ${JSON.stringify(name)}${dot}${below}`;
  };
  return { root, placeOf };
}
