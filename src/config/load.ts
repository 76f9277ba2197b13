/** Loads the two files: reads, lays the environment over, checks, and answers a value or all errors. */
import { applyEnvironment, type Environment, type Tree } from "./environment.js";
import { fieldsOf } from "./fields.js";
import type { ResourcesContext } from "./entry.js";
import type { ResourceSet } from "./resource-set.js";
import type { Resources } from "./resources.js";
import { parseResourceSet } from "./resources-file.js";
import { type ConfigError, type Path, type Result, renderPath } from "./result.js";
import { checkAgainst, outline, type WeirConfig, weirConfigSchema } from "./schema.js";
import { parseYaml, readText, type YamlFile } from "./yaml.js";

export { RESERVED } from "./environment.js";
export type { ResourcesContext } from "./entry.js";
export { parseEntries, parseResources } from "./resources-file.js";
export { type ConfigError, type Result, renderError } from "./result.js";

/**
 * The process's configuration from weir.yaml (null = no file) and the `WEIR_` variables of the
 * environment. Not read from anywhere else; missing fields have their defaults.
 */
export function loadConfig(path: string | null, environment: Environment): Result<WeirConfig> {
  const file = path === null ? emptyFile() : readYamlFile(path);
  if (!file.ok) return file;
  const fields = fieldsOf(outline(weirConfigSchema));
  const name = path ?? "environment";
  const tree: unknown = file.value.value ?? {};
  if (typeof tree !== "object" || Array.isArray(tree)) {
    return { ok: false, errors: [{ file: name, path: "", message: "must be a mapping", line: null }] };
  }
  // `limits:` with every line below it commented out is an empty group, not a mistake.
  for (const field of fields) if (field.type === "group") dropEmptyGroup(tree as Tree, field.path.split("."));
  const overrides = applyEnvironment(tree as Tree, environment, fields);
  const checked = checkAgainst(weirConfigSchema, tree);
  if (checked.ok && overrides.errors.length === 0) return { ok: true, value: checked.value, ignored: [] };
  const errors: ConfigError[] = [...overrides.errors];
  for (const issue of checked.ok ? [] : checked.issues) {
    const variable = originOf(issue.path, overrides.origins);
    errors.push(
      variable === null
        ? { file: name, path: renderPath(issue.path), message: issue.message, line: file.value.lineOf(issue.path) }
        : { file: "environment", path: variable, message: issue.message, line: null },
    );
  }
  return { ok: false, errors };
}

/** The resources from a file. `context` says what providers, adapters and operations exist. */
export function loadResources(path: string, context: ResourcesContext): Result<Resources> {
  const set = loadResourceSet(path, context);
  return set.ok ? { ...set, value: set.value.resources } : set;
}

/** The same, with the entries as they stand in the file. */
export function loadResourceSet(path: string, context: ResourcesContext): Result<ResourceSet> {
  const text = readText(path);
  return text.ok ? parseResourceSet(text.value, context, path) : text;
}

function emptyFile(): Result<YamlFile> {
  return { ok: true, value: { value: {}, lineOf: () => null }, ignored: [] };
}

function readYamlFile(path: string): Result<YamlFile> {
  const text = readText(path);
  return text.ok ? parseYaml(text.value, path) : text;
}

function dropEmptyGroup(tree: Tree, path: readonly string[]): void {
  let node: Tree = tree;
  for (const [depth, name] of path.entries()) {
    const child = node[name];
    if (child === null && depth === path.length - 1) delete node[name];
    if (typeof child !== "object" || child === null || Array.isArray(child)) return;
    node = child as Tree;
  }
}

/** The variable that set the field at fault, or a field above it. */
function originOf(path: Path, origins: ReadonlyMap<string, string>): string | null {
  for (let length = path.length; length > 0; length--) {
    const variable = origins.get(path.slice(0, length).join("."));
    if (variable !== undefined) return variable;
  }
  return null;
}
