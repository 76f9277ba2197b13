/** Loads resources and checks them with what the providers know: whether each key can really be used. */
import { type ConfigError, loadResourceSet, parseEntries, type ResourcesContext, type Result } from "../config/load.js";
import type { RawEntry, ResourceSet } from "../config/resource-set.js";
import type { Origin } from "../config/resources-file.js";
import type { Resources } from "../config/resources.js";
import { providerKeyProblem } from "../providers/target.js";

/** The resources of a file, or everything that is wrong with it. */
export function loadResourceFile(path: string, context: ResourcesContext): Result<Resources> {
  const set = loadResourceFileSet(path, context);
  return set.ok ? { ...set, value: set.value.resources } : set;
}

/** The same, with the entries as they stand in the file. */
export function loadResourceFileSet(path: string, context: ResourcesContext): Result<ResourceSet> {
  return checked(loadResourceSet(path, context), path);
}

/** The resources of entries that stand in no file, or everything that is wrong with them. */
export function readEntries(
  entries: readonly RawEntry[],
  context: ResourcesContext,
  origin: Origin,
): Result<ResourceSet> {
  return checked(parseEntries(entries, context, origin), origin.source);
}

function checked(result: Result<ResourceSet>, file: string): Result<ResourceSet> {
  if (!result.ok) return result;
  const errors: ConfigError[] = [];
  for (const key of result.value.resources.providerKeys) {
    const message = providerKeyProblem(key);
    if (message !== null) errors.push({ file, path: `provider_keys "${key.name}"`, message, line: null });
  }
  return errors.length === 0 ? result : { ok: false, errors };
}
