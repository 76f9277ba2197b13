/** Entries of the configuration bucket: their keys, their bytes, and what is wrong with those that others wrote. */
import { isMapping } from "../config/entry.js";
import { namedEntry } from "../config/entry-name.js";
import { isCollection, isTooDeep, MAX_DEPTH, type RawEntry, type ResourceSet } from "../config/resource-set.js";
import type { ConfigError, Result } from "../config/result.js";
import { token } from "./subjects.js";

/** Stands in the bucket once it is the source; what is in it before is still being put in. */
export const SEEDED = "seeded";
/** How the operator sees where the resources come from. */
export const SOURCE = "nats";

/** An entry as it stands in the bucket. */
export interface StoredEntry extends RawEntry {
  /** null where there is a problem. */
  readonly value: unknown;
  /** The number of its last change; 0 = not from NATS. */
  readonly revision: number;
  /** Why it cannot be read; "" = it can be. */
  readonly problem: string;
}

/** Reads a whole set, and checks it. `revision` is another one for other entries. */
export type ReadEntries = (
  entries: readonly RawEntry[],
  origin: { readonly source: string; readonly revision: string },
) => Result<ResourceSet>;

export function configKey(collection: string, name: string): string {
  return `${token(collection)}.${token(name)}`;
}

export function entryBytes(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value), "utf8");
}

/** What the bytes under a key say. Anybody may have written them. */
export function storedEntry(key: string, data: Uint8Array, revision: number): StoredEntry {
  const dot = key.indexOf(".");
  const [collection, name] = dot < 0 ? [key, ""] : [key.slice(0, dot), nameOf(key.slice(dot + 1))];
  const unread = (problem: string): StoredEntry => ({ collection, name, value: null, revision, problem });
  if (dot < 0 || key.indexOf(".", dot + 1) >= 0) return unread("its key is not COLLECTION.NAME");
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(data));
  } catch {
    return unread("is not JSON");
  }
  if (!isMapping(value)) return unread("must be a mapping");
  if (isTooDeep(value)) return unread(`is nested more than ${MAX_DEPTH} deep`);
  // The parser says that there is no such collection.
  if (!isCollection(collection)) return { collection, name, value, revision, problem: "" };
  const named = namedEntry(collection, value);
  if (named === null || configKey(collection, named.name) !== key) return unread("its key is not made of its name");
  return { collection, name: named.name, value: named.value, revision, problem: "" };
}

/** In an order that does not depend on who reads them, or when. */
export function inOrder<T extends RawEntry>(entries: Iterable<T>): T[] {
  return [...entries].sort((one, other) => compare(one.collection, other.collection) || compare(one.name, other.name));
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

/** The resources that stored entries make, or everything that is wrong with them. */
export function readStored(entries: Iterable<StoredEntry>, read: ReadEntries, revision: string): Result<ResourceSet> {
  const errors: ConfigError[] = [];
  const readable: StoredEntry[] = [];
  for (const entry of inOrder(entries)) {
    if (entry.problem === "") readable.push(entry);
    else errors.push(errorOf(entry, entry.problem));
  }
  const result = read(readable, { source: SOURCE, revision });
  if (result.ok) return errors.length === 0 ? result : { ok: false, errors };
  return { ok: false, errors: [...errors, ...result.errors] };
}

function errorOf({ collection, name }: RawEntry, message: string): ConfigError {
  return { file: SOURCE, path: `${collection} ${JSON.stringify(name)}`, message, line: null };
}

/** Undoes `token`, for what people read; a cut one stays as it is. */
function nameOf(escaped: string): string {
  if (escaped === "=") return "";
  if (!escaped.includes("=") || escaped.includes("==")) return escaped;
  const bytes = escaped.replace(/=([0-9A-F]{2})/g, (_whole, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
  return Buffer.from(bytes, "latin1").toString("utf8");
}
