/** A resource file as entries to be sent, one by one: checked, but with `${VAR}` left for the nodes to fill. */
import { isMapping, type ResourcesContext } from "../config/entry.js";
import { type NamedEntry, namedEntry } from "../config/entry-name.js";
import { REDACTED } from "../config/entry-secrets.js";
import { type ConfigError, type Path, type Result, renderPath } from "../config/result.js";
import { COLLECTIONS, type CollectionName } from "../config/schema.js";
import { parseYaml, readText } from "../config/yaml.js";
import { loadResourceFile } from "../runtime/resource-file.js";

/** By collection; one that the file does not name is not there at all. */
export type EntriesByCollection = ReadonlyMap<CollectionName, readonly NamedEntry[]>;

export const COLLECTION_NAMES = Object.keys(COLLECTIONS) as CollectionName[];

/** Fields on which it hangs what the others of an entry must be. */
const DECIDING: ReadonlySet<string> = new Set(["provider", "adapter", "kind", "scope", "scope_type"]);
const NAMES = ["display_name", "name", "id"];
const VARIABLE = /\$\{/;

/**
 * Reads and checks a file as `serve` would, except that no variable is looked up here: the nodes have them, and this
 * machine may not. What stands in a field with a variable, or behind `[redacted]`, is the gateway's to check.
 */
export function readEntryFile(path: string, context: ResourcesContext): Result<EntriesByCollection> {
  const text = readText(path);
  if (!text.ok) return text;
  const yaml = parseYaml(text.value, path);
  if (!yaml.ok) return yaml;
  const root = yaml.value.value;
  const open = new OpenFields(root);
  const checked = loadResourceFile(path, { ...context, environment: EVERY_VARIABLE });
  const errors = checked.ok ? [] : checked.errors.filter((error) => !open.explains(error));
  const complain = (place: Path, message: string): void => {
    errors.push({ file: path, path: renderPath(place), message, line: yaml.value.lineOf(place) });
  };
  const entries = isMapping(root) ? entriesIn(root, complain) : new Map<CollectionName, NamedEntry[]>();
  if (errors.length > 0) return { ok: false, errors };
  return { ok: true, value: entries, ignored: checked.ok ? checked.ignored : [] };
}

/** Each variable has a value, and each another one: equal ones would look like twins. */
const EVERY_VARIABLE = new Proxy<Record<string, string>>(
  {},
  { get: (_target, name) => (typeof name === "string" ? `value-of-${name}` : undefined) },
);

function entriesIn(
  root: Readonly<Record<string, unknown>>,
  complain: (place: Path, message: string) => void,
): Map<CollectionName, NamedEntry[]> {
  const found = new Map<CollectionName, NamedEntry[]>();
  for (const collection of COLLECTION_NAMES) {
    const list = root[collection];
    if (!Array.isArray(list)) continue;
    const names = new Map<string, number>();
    const entries: NamedEntry[] = [];
    for (const [index, item] of list.entries()) {
      const entry = namedEntry(collection, item);
      if (entry === null) continue;
      for (const field of NAMES) {
        const name = entry.value[field];
        if (typeof name !== "string" || !/\$[${]/.test(name)) continue;
        complain([collection, index, field], "must not hold a variable: an entry has one name on all nodes");
      }
      const twin = names.get(entry.name);
      // Entries with names of their own have been compared; these two have the same made for them.
      if (twin !== undefined && collection === "guardrail_attachments") {
        complain([collection, index], `hangs where ${collection}[${twin}] hangs: give one of them an id`);
      }
      names.set(entry.name, index);
      entries.push(entry);
    }
    found.set(collection, entries);
  }
  return found;
}

/** The fields of a file whose values are not known here. */
class OpenFields {
  readonly #paths = new Set<string>();
  /** Entries of which a deciding field is not known: `models[2]`. */
  readonly #entries = new Set<string>();
  /** Provider keys that hold anything that is not known, as the check of their secrets names them. */
  readonly #providerKeys = new Set<string>();

  constructor(root: unknown) {
    for (const collection of COLLECTION_NAMES) {
      const list = isMapping(root) ? root[collection] : undefined;
      for (const [index, item] of Array.isArray(list) ? list.entries() : []) {
        const before = this.#paths.size;
        this.#look(item, [collection, index]);
        const name = namedEntry(collection, item)?.name;
        if (this.#paths.size > before && collection === "provider_keys" && name !== undefined) {
          this.#providerKeys.add(`${collection} "${name}"`);
        }
      }
    }
  }

  /** Is this complaint about a field whose value is not known, or may it be the fault of one? */
  explains({ path, message }: ConfigError): boolean {
    if (this.#providerKeys.has(path)) return true;
    for (let at = path.length; at > 0; at = Math.max(path.lastIndexOf(".", at - 1), path.lastIndexOf("[", at - 1))) {
      if (this.#paths.has(path.slice(0, at))) return true;
    }
    for (const open of this.#paths) {
      if (open.startsWith(path) && /^[.[]/.test(open.slice(path.length))) return true;
    }
    const entry = /^[a-z_]+\[\d+\]/.exec(path)?.[0] ?? "";
    return this.#entries.has(entry) && message !== "unknown field";
  }

  #look(value: unknown, path: Path): void {
    if (typeof value === "string" && (VARIABLE.test(value) || value === REDACTED)) {
      this.#paths.add(renderPath(path));
      if (path.length === 3 && DECIDING.has(String(path[2]))) this.#entries.add(renderPath(path.slice(0, 2)));
    } else if (Array.isArray(value)) {
      for (const [index, item] of value.entries()) this.#look(item, [...path, index]);
    } else if (isMapping(value)) {
      for (const [name, item] of Object.entries(value)) this.#look(item, [...path, name]);
    }
  }
}
