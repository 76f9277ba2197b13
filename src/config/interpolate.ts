/** `${VAR}` in the strings of a resource file. */
import type { Environment } from "./environment.js";
import type { Path } from "./result.js";

const MALFORMED = "holds a malformed variable: it is a dollar, then the name in braces (a plain dollar is $$)";

/**
 * A copy of `value` with every `${VAR}` of its strings replaced from the environment, and `$$` by a
 * dollar; a dollar before anything else stands for itself. What comes from the environment is not looked
 * at again. `complain` is called for a variable that is missing or empty; names of fields are left alone.
 */
export function interpolate(
  value: unknown,
  environment: Environment,
  path: Path,
  complain: (path: Path, message: string) => void,
): unknown {
  if (typeof value === "string") return expand(value, environment, (message) => complain(path, message));
  if (Array.isArray(value)) {
    return value.map((item, index) => interpolate(item, environment, [...path, index], complain));
  }
  if (typeof value !== "object" || value === null) return value;
  const copy: Record<string, unknown> = {};
  for (const [name, item] of Object.entries(value)) {
    const inner = interpolate(item, environment, [...path, name], complain);
    // Plain assignment to this one name would set the prototype and hide an unknown field.
    if (name === "__proto__") Object.defineProperty(copy, name, { value: inner, enumerable: true });
    else copy[name] = inner;
  }
  return copy;
}

function expand(text: string, environment: Environment, complain: (message: string) => void): string {
  if (!text.includes("$")) return text;
  return text.replace(/\$\$|\$\{([^}]*)\}?/g, (match: string, name: string | undefined) => {
    if (match === "$$") return "$";
    if (!match.endsWith("}") || name === undefined || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
      // Whatever stands there is not repeated: it may be a secret that begins with these two characters.
      complain(MALFORMED);
      return match;
    }
    const value = environment[name];
    if (value === undefined || value === "") complain(`environment variable ${name} is not set or empty`);
    return value ?? "";
  });
}
