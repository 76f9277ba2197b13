/** Loads a resource file and checks it with what the providers know: whether each key can really be used. */
import { type ConfigError, loadResources, type ResourcesContext, type Result } from "../config/load.js";
import type { Resources } from "../config/resources.js";
import { providerKeyProblem } from "../providers/target.js";

/** The resources of a file, or everything that is wrong with it. */
export function loadResourceFile(path: string, context: ResourcesContext): Result<Resources> {
  const result = loadResources(path, context);
  if (!result.ok) return result;
  const errors: ConfigError[] = [];
  for (const key of result.value.providerKeys) {
    const message = providerKeyProblem(key);
    if (message !== null) errors.push({ file: path, path: `provider_keys "${key.name}"`, message, line: null });
  }
  return errors.length === 0 ? result : { ok: false, errors };
}
