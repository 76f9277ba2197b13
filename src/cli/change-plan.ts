/** What would have to be done so that a gateway has the entries of a file, in an order in which every step is valid. */
import type { NamedEntry } from "../config/entry-name.js";
import { mapSecrets, REDACTED } from "../config/entry-secrets.js";
import { type Path, renderPath } from "../config/result.js";
import type { CollectionName } from "../config/schema.js";
import type { AdminClient, AdminCollection, AdminEntry } from "./admin-client.js";
import { type FieldChange, fieldChanges } from "./entry-diff.js";
import { COLLECTION_NAMES, type EntriesByCollection } from "./entry-file.js";
import { behindReferences } from "./entry-order.js";

export interface Write {
  readonly kind: "create" | "change";
  readonly collection: CollectionName;
  readonly name: string;
  /** As the file has it. */
  readonly entry: NamedEntry;
  /** As the gateway has it; null = not at all. */
  readonly present: AdminEntry | null;
  /** Of a change; [] of what is new. */
  readonly fields: readonly FieldChange[];
}

export interface Deletion {
  readonly kind: "delete";
  readonly collection: CollectionName;
  readonly name: string;
  readonly present: AdminEntry;
}

export type Change = Write | Deletion;

export interface Plan {
  /** Writes, each behind what it refers to; before each the deletions that make room for it. */
  readonly writes: readonly Change[];
  /** The other deletions, each before what it refers to. */
  readonly deletions: readonly Deletion[];
  readonly equal: number;
  /** How many entries the gateway has that the file does not, and that stay, by collection. */
  readonly left: ReadonlyMap<CollectionName, number>;
  /** What cannot be done at all, a sentence each. */
  readonly problems: readonly string[];
}

export type Present = ReadonlyMap<CollectionName, AdminCollection>;

const TRIES = 3;

/**
 * All collections of a gateway, at one revision where they can be had at one: whoever changes them meanwhile makes
 * it read again, three times at most. `steady` = they are.
 */
export async function readPresent(
  client: AdminClient,
): Promise<{ readonly present: Present; readonly steady: boolean }> {
  let present = new Map<CollectionName, AdminCollection>();
  let steady = false;
  for (let round = 0; round < TRIES && !steady; round++) {
    present = new Map();
    for (const collection of COLLECTION_NAMES) present.set(collection, await client.list(collection));
    steady = new Set([...present.values()].map(({ revision }) => revision)).size === 1;
  }
  return { present, steady };
}

/** What a gateway that has been given nothing serves until something is stored; nothing of it is stored itself. */
const EMBEDDED_DEFAULT = "embedded default";

/** What a gateway has stored; `builtIn`: that is nothing, and what it shows is its embedded default. */
export function storedOf(present: Present): { readonly stored: Present; readonly builtIn: boolean } {
  const builtIn = [...present.values()].some(({ source }) => source === EMBEDDED_DEFAULT);
  return { stored: builtIn ? new Map() : present, builtIn };
}

/** `prune`: entries that the file does not have go, in the collections that it names. */
export function planChanges(file: EntriesByCollection, present: Present, prune: boolean): Plan {
  const writes: Write[] = [];
  const deletions: Deletion[] = [];
  const left = new Map<CollectionName, number>();
  const problems: string[] = [];
  let equal = 0;
  for (const collection of COLLECTION_NAMES) {
    const wanted = file.get(collection);
    const items = present.get(collection)?.items ?? [];
    const there = new Map(items.map((item) => [item.name, item]));
    for (const entry of behindReferences(wanted ?? [])) {
      const write = planWrite(collection, entry, there.get(entry.name) ?? null);
      problems.push(...missingSecrets(collection, entry, there.get(entry.name) ?? null));
      if (write === null) equal += 1;
      else writes.push(write);
    }
    const names = new Set(wanted?.map(({ name }) => name));
    const others = items.filter(({ name }) => !names.has(name));
    if (prune && wanted !== undefined) deletions.push(...deletionsOf(collection, others));
    else if (others.length > 0) left.set(collection, others.length);
  }
  return { ...arrange(writes, deletions.reverse()), equal, left, problems };
}

/** What one entry needs; null = nothing. */
export function planWrite(collection: CollectionName, entry: NamedEntry, present: AdminEntry | null): Write | null {
  const { name } = entry;
  if (present === null) return { kind: "create", collection, name, entry, present, fields: [] };
  const fields = fieldChanges(collection, present.value, entry.value);
  return fields.length === 0 ? null : { kind: "change", collection, name, entry, present, fields };
}

function deletionsOf(collection: CollectionName, entries: readonly AdminEntry[]): Deletion[] {
  return behindReferences(entries).map((present) => ({ kind: "delete", collection, name: present.name, present }));
}

/** Fields whose values no two entries of a collection may share: who gives one up goes before who gets it. */
const SOLE_FIELDS = ["id", "key_hash", "key_env"];

function arrange(writes: readonly Write[], deletions: readonly Deletion[]): Pick<Plan, "writes" | "deletions"> {
  const early = new Set<Deletion>();
  const arranged = writes.flatMap((write): Change[] => {
    const room = deletions.filter((deletion) => !early.has(deletion) && standsInTheWay(deletion, write));
    for (const deletion of room) early.add(deletion);
    return [...room, write];
  });
  return { writes: arranged, deletions: deletions.filter((deletion) => !early.has(deletion)) };
}

function standsInTheWay(deletion: Deletion, write: Write): boolean {
  if (deletion.collection !== write.collection) return false;
  return SOLE_FIELDS.some((field) => {
    const held = deletion.present.value[field];
    return typeof held === "string" && held === write.entry.value[field];
  });
}

/** `[redacted]` means the secret that the gateway has; where it has none, nothing can be put there. */
function missingSecrets(collection: CollectionName, { name, value }: NamedEntry, present: AdminEntry | null): string[] {
  const problems: string[] = [];
  mapSecrets(collection, value, (secret, path) => {
    if (secret === REDACTED && valueAt(present?.value, path) === undefined) {
      problems.push(`${collection}/${name}: ${renderPath(path)} is ${REDACTED}, and the gateway has no secret there`);
    }
    return secret;
  });
  return problems;
}

function valueAt(value: unknown, path: Path): unknown {
  let found = value;
  for (const part of path) {
    // A gateway that shows credentials as a whole has all of their parts.
    if (found === REDACTED) return found;
    if (typeof found !== "object" || found === null || !Object.hasOwn(found, part)) return undefined;
    found = (found as Readonly<Record<string | number, unknown>>)[part];
  }
  return found;
}
