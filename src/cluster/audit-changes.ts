/** What a change has changed: places, never values. */
import { isDeepStrictEqual } from "node:util";
import { isMapping } from "../config/entry.js";
import { type Path, renderPath } from "../config/result.js";

const MAX_PATHS = 64;
const MAX_DEPTH = 4;

/** The fields that differ, as `request.body_set`; lists count as one. null = there is, or was, no entry. */
export function changedPaths(before: unknown, after: unknown): string[] {
  const paths = new Set<string>();
  const walk = (one: unknown, other: unknown, path: Path): void => {
    if (isDeepStrictEqual(one, other)) return;
    if (path.length < MAX_DEPTH && (isMapping(one) || isMapping(other)) && isPartial(one) && isPartial(other)) {
      const [left, right] = [isMapping(one) ? one : {}, isMapping(other) ? other : {}];
      for (const name of new Set([...Object.keys(left), ...Object.keys(right)])) {
        walk(Object.hasOwn(left, name) ? left[name] : undefined, Object.hasOwn(right, name) ? right[name] : undefined, [
          ...path,
          name,
        ]);
      }
    } else paths.add(renderPath(path));
  };
  walk(before, after, []);
  return [...paths].slice(0, MAX_PATHS);
}

/** A mapping, or nothing at all: then its members are what came or went. */
function isPartial(value: unknown): boolean {
  return isMapping(value) || value === undefined || value === null;
}
