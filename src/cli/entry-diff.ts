/** How an entry of a file differs from the one that a gateway shows, whose secrets cannot be read. */
import { isMapping, type Raw } from "../config/entry.js";
import { isReference, mapSecrets, REDACTED } from "../config/entry-secrets.js";
import { type Path, renderPath } from "../config/result.js";
import type { CollectionName } from "../config/schema.js";

export interface FieldChange {
  readonly path: string;
  /** undefined = not there. Secrets stand as `[redacted]`. */
  readonly before: unknown;
  readonly after: unknown;
  /** The file has a secret, and so has the gateway: whether they are the same cannot be told. */
  readonly unknown: boolean;
}

/** Stands for a secret that the file spells out; no text of a file is this. */
const SPELLED_OUT = Symbol("a secret that the file spells out");

/** The fields in which they differ; [] = they are equal. `[redacted]` in the file means: as it is. */
export function fieldChanges(collection: CollectionName, before: Raw, after: Raw): FieldChange[] {
  const compared = mapSecrets(collection, after, (secret) =>
    secret === REDACTED || isReference(secret) ? secret : SPELLED_OUT,
  );
  const changes: FieldChange[] = [];
  compare(before, compared, [], (change) => changes.push(change));
  return changes;
}

function compare(before: unknown, after: unknown, path: Path, report: (change: FieldChange) => void): void {
  if (after === REDACTED && before !== undefined) return;
  if (before === REDACTED && !(after === undefined || (typeof after === "string" && isReference(after)))) {
    report({ path: renderPath(path), before, after: REDACTED, unknown: true });
  } else if (isMapping(before) && isMapping(after)) {
    for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
      compare(own(before, name), own(after, name), [...path, name], report);
    }
  } else if (Array.isArray(before) && Array.isArray(after)) {
    for (let index = 0; index < Math.max(before.length, after.length); index++) {
      compare(before[index], after[index], [...path, index], report);
    }
  } else if (before !== after) {
    report({ path: renderPath(path), before, after: shown(after), unknown: false });
  }
}

function own(mapping: Raw, name: string): unknown {
  return Object.hasOwn(mapping, name) ? mapping[name] : undefined;
}

function shown(value: unknown): unknown {
  if (value === SPELLED_OUT) return REDACTED;
  if (Array.isArray(value)) return value.map(shown);
  if (!isMapping(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, shown(item)]));
}
