/** Which parts of an entry are secrets, and what is shown in their place. */
import { isMapping, type Raw } from "./entry.js";
import type { Path } from "./result.js";
import type { CollectionName } from "./schema.js";

/** Shown where a secret stands. */
export const REDACTED = "[redacted]";

/** Everything below these is secret. */
const SECRETS: Readonly<Partial<Record<CollectionName, readonly Path[]>>> = {
  provider_keys: [["api_key"], ["secret"]],
  guardrails: [["api_key"], ["aws_credentials"]],
};

/** Mappings in which the name of a member, however deep, tells whether it is secret. */
const MIXED: Readonly<Partial<Record<CollectionName, readonly Path[]>>> = {
  provider_keys: [
    ["request", "default_headers"],
    ["request", "default_body_fields"],
    ["request", "body_set"],
  ],
  guardrails: [["headers"]],
};

/** `authorization`, `x-api-key`, `auth.token`; not `max_tokens`. */
const SECRET_NAME = /(?:^|[-_.])(?:api-?key|key|token|secret|password|cookie|credentials?|auth|authorization)$/i;
/** Of these mappings, those of headers: a value may tell as well. */
const HEADERS = new Set(["default_headers", "headers"]);
const SECRET_VALUE = /^(?:bearer|basic|token|digest|negotiate)\s/i;
/** Nothing but variables, after the name of a scheme if need be. */
const VARIABLES_ALONE = /^(?:[A-Za-z]{1,16} +)?(?:\$\{[A-Za-z_][A-Za-z0-9_]*\})+$/;

/** Does a text hold nothing but variables of the environment, which may be shown? */
export function isReference(text: string): boolean {
  return VARIABLES_ALONE.test(text);
}

/** A copy of an entry with every string that is a secret (variables included) replaced by what `change` answers. */
export function mapSecrets(
  collection: CollectionName,
  raw: Raw,
  change: (secret: string, path: Path) => unknown,
): Record<string, unknown> {
  const wholly = SECRETS[collection] ?? [];
  const mixed = MIXED[collection] ?? [];
  const walk = (value: unknown, path: Path, secret: boolean): unknown => {
    if (typeof value === "string") {
      const header = HEADERS.has(String(path.at(-2))) && mixed.some((place) => isWithin(place, path));
      // What is shown in the place of such a value is one, when it comes back.
      return secret || (header && (value === REDACTED || SECRET_VALUE.test(value))) ? change(value, path) : value;
    }
    if (Array.isArray(value)) return value.map((item, index) => walk(item, [...path, index], secret));
    if (!isMapping(value)) return value;
    const named = mixed.some((place) => isWithin(place, path));
    const members = Object.entries(value).map(([name, item]) => {
      const inner = [...path, name];
      const within = secret || wholly.some((place) => isSame(place, inner)) || (named && SECRET_NAME.test(name));
      return [name, walk(item, inner, within)];
    });
    return Object.fromEntries(members);
  };
  return walk(raw, [], false) as Record<string, unknown>;
}

/** A copy of an entry in which secrets are unreadable; `${VAR}` stays. */
export function redactEntry(collection: CollectionName, raw: Raw): Record<string, unknown> {
  return mapSecrets(collection, raw, (secret) => (isReference(secret) ? secret : REDACTED));
}

function isWithin(place: Path, path: Path): boolean {
  return isSame(place, path.slice(0, place.length));
}

function isSame(one: Path, other: Path): boolean {
  return one.length === other.length && one.every((part, index) => part === other[index]);
}
