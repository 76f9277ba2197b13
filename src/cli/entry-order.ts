/** The order in which entries can come and go, so that none ever refers to one that is not there. */
import { isMapping, type Raw } from "../config/entry.js";

interface Named {
  readonly name: string;
  readonly value: Raw;
}

/**
 * Entries of one collection, each behind those that it names, else as they came. Every string that is another's
 * name or id counts as a reference: one too many costs nothing. Where they refer to one another in a circle, any
 * of them comes first.
 */
export function behindReferences<T extends Named>(entries: readonly T[]): T[] {
  const known = new Map<string, T>();
  for (const entry of entries) {
    if (typeof entry.value.id === "string") known.set(entry.value.id, entry);
  }
  for (const entry of entries) known.set(entry.name, entry);
  const ordered = new Set<T>();
  const begun = new Set<T>();
  const place = (entry: T): void => {
    if (begun.has(entry)) return;
    begun.add(entry);
    for (const text of textsIn(entry.value)) {
      const referred = known.get(text);
      if (referred !== undefined) place(referred);
    }
    ordered.add(entry);
  };
  for (const entry of entries) place(entry);
  return [...ordered];
}

function* textsIn(value: unknown): Generator<string> {
  if (typeof value === "string") yield value;
  else if (Array.isArray(value)) for (const item of value) yield* textsIn(item);
  else if (isMapping(value)) for (const item of Object.values(value)) yield* textsIn(item);
}
