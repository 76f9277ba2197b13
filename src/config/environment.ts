/** `WEIR_` environment variables laid over weir.yaml: a double underscore is one step down. */
import { parse } from "yaml";
import type { Field } from "./fields.js";
import type { ConfigError } from "./result.js";

export type Environment = Readonly<Record<string, string | undefined>>;

/** Variables with the prefix that name no field of weir.yaml; other parts read them. */
export const RESERVED: ReadonlySet<string> = new Set([
  "WEIR_ADMIN_KEY",
  "WEIR_DEBUG_HOOKS",
  "WEIR_KEY",
  "WEIR_CONFIG",
  "WEIR_RESOURCES",
]);

const PREFIX = "WEIR_";

// Kubernetes gives every container the addresses of all services of its namespace, so one named "weir"
// sets WEIR_SERVICE_HOST, WEIR_PORT=tcp://… and more. Those are nobody's mistake.
const SERVICE_LINK =
  /^WEIR_(?:[A-Z0-9_]+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT_[0-9]+_[A-Z]+(?:_[A-Z]+)?)$/;

export type Tree = { [name: string]: unknown };

export interface Overrides {
  /** Variable by the path of the field that it set. */
  readonly origins: ReadonlyMap<string, string>;
  readonly errors: readonly ConfigError[];
}

/** The variable that sets a field: `limits.body_bytes` → `WEIR_LIMITS__BODY_BYTES`. */
export function environmentName(path: string): string {
  return PREFIX + path.replaceAll(".", "__").toUpperCase();
}

/** Sets the fields that the environment names, in `tree` itself; a variable without a field is an error. */
export function applyEnvironment(tree: Tree, environment: Environment, fields: readonly Field[]): Overrides {
  const origins = new Map<string, string>();
  const known = new Set<string>();
  // In the order of the fields, so that WEIR_LISTEN comes before WEIR_LISTEN__TLS__CERT_FILE.
  for (const field of fields) {
    const name = environmentName(field.path);
    const written = environment[name];
    if (field.type === "group") continue;
    known.add(name);
    if (written === undefined) continue;
    setField(tree, field.path.split("."), parseValue(written, field.type));
    origins.set(field.path, name);
  }
  const errors: ConfigError[] = [];
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined || !name.startsWith(PREFIX) || known.has(name) || RESERVED.has(name)) continue;
    if (isServiceLink(name, value)) continue;
    errors.push({ file: "environment", path: name, message: "names no field of weir.yaml", line: null });
  }
  return { origins, errors };
}

function isServiceLink(name: string, value: string): boolean {
  return SERVICE_LINK.test(name) || (name.endsWith("_PORT") && /^(?:tcp|udp|sctp):\/\//.test(value));
}

function parseValue(written: string, type: Field["type"]): unknown {
  if (type === "string") return written;
  if (type === "list" && !written.trimStart().startsWith("[")) {
    const entries = written.split(",").map((entry) => entry.trim());
    return entries.filter((entry) => entry !== "");
  }
  try {
    return parse(written, { logLevel: "silent" });
  } catch {
    // Not YAML: the schema says what it must be.
    return written;
  }
}

function setField(tree: Tree, path: readonly string[], value: unknown): void {
  let node = tree;
  for (const name of path.slice(0, -1)) {
    const child = node[name];
    // A listener may be written as its address alone; a field below it needs the long form.
    if (typeof child === "string") node[name] = { address: child };
    else if (child === undefined || child === null) node[name] = {};
    const next = node[name];
    // Not a mapping at all: the schema reports it.
    if (typeof next !== "object" || next === null || Array.isArray(next)) return;
    node = next as Tree;
  }
  const last = path[path.length - 1] ?? "";
  const present = node[last];
  if (typeof value === "string" && typeof present === "object" && present !== null && !Array.isArray(present)) {
    // WEIR_LISTEN over a listener with TLS changes the address and leaves TLS on.
    (present as Tree).address = value;
  } else {
    node[last] = value;
  }
}
