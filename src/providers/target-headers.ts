/** The headers of requests to one target: the secret, the defaults of row and key, and what callers may add. */
import type { ProviderKeyResource } from "../config/resources.js";
import { capture, type Pattern, parsePattern } from "../config/pattern.js";
import { FRAMING_HEADERS, isHeaderName, isHeaderValue } from "./http1/header-syntax.js";
import { fillTemplate, isTemplate, type RequestVariables, unknownVariable } from "./header-template.js";
import type { AuthScheme, ProviderRow } from "./provider.js";

export const AUTH_HEADERS: ReadonlySet<string> = new Set(["authorization", "x-api-key", "api-key", "x-goog-api-key"]);

/** What no pattern of `forward_client_headers` reaches, however wide: secrets, and who the client is to us. */
const NEVER_FORWARDED: ReadonlySet<string> = new Set([
  ...FRAMING_HEADERS,
  ...AUTH_HEADERS,
  "accept-encoding",
  "content-encoding",
  "content-type",
  "cookie",
  "forwarded",
  "origin",
  "proxy-authorization",
  "proxy-connection",
  "x-amz-security-token",
]);

/** Why the key's headers cannot be sent, in words for the operator; null when they can. */
export function headerProblem(key: ProviderKeyResource): string | null {
  for (const [name, value] of Object.entries(key.defaultHeaders)) {
    if (!isHeaderName(name) || FRAMING_HEADERS.has(name.toLowerCase())) {
      return `default_headers: ${JSON.stringify(name)} is not a header that may be set`;
    }
    if (!isHeaderValue(value)) return `default_headers: the value of ${name} cannot stand in a header`;
    const unknown = unknownVariable(value);
    if (unknown !== null) return `default_headers: the value of ${name} names an unknown variable`;
  }
  return null;
}

/** Do the key's own headers let it in? */
export function carriesAuth(key: ProviderKeyResource): boolean {
  return Object.keys(key.defaultHeaders).some((name) => AUTH_HEADERS.has(name.toLowerCase()));
}

function hasName(flat: readonly string[], name: string): boolean {
  for (let i = 0; i < flat.length; i += 2) {
    if (flat[i] === name) return true;
  }
  return false;
}

export interface HeaderParts {
  readonly row: ProviderRow;
  readonly key: ProviderKeyResource;
  /** How this operation wants the secret. */
  readonly auth: AuthScheme;
  /** Headers of credentials that never change; in place of the plain secret. */
  readonly credential: readonly string[];
}

export class TargetHeaders {
  /** Lower-case names of caller's headers that must not reach this upstream. */
  readonly stripped: readonly string[];
  readonly #forward: readonly Pattern[];
  readonly #fixed: readonly string[];
  readonly #defaults: readonly string[];
  readonly #all: readonly string[];
  /** Configured values that hold variables of the request, by name. */
  readonly #templates: ReadonlyMap<string, string>;

  constructor(parts: HeaderParts) {
    const { row, key } = parts;
    this.stripped = Object.freeze([...key.stripHeaders.map((name) => name.toLowerCase()), ...(row.dropHeaders ?? [])]);
    this.#forward = key.request.forwardClientHeaders.map((glob) => parsePattern(glob));
    const defaults = defaultHeaders(row, key);
    this.#fixed = Object.freeze(fixedHeaders(parts, defaults));
    this.#defaults = Object.freeze([...defaults].flat());
    this.#all = Object.freeze([...this.#fixed, ...this.#defaults]);
    const configured = Object.entries(key.defaultHeaders).map(([name, value]) => [name.toLowerCase(), value] as const);
    this.#templates = new Map(configured.filter(([, value]) => isTemplate(value)));
  }

  /** Does a value hold variables of the request? */
  get templated(): boolean {
    return this.#templates.size > 0;
  }

  /** What every request carries. */
  get all(): readonly string[] {
    return this.#all;
  }

  /** May other headers than those of the dialects go on to this upstream? */
  get forwardsOthers(): boolean {
    return this.#forward.length > 0;
  }

  /** `passed` and those of the caller's `others` that the key lets through. */
  forwarded(passed: readonly string[], others: readonly string[]): readonly string[] {
    if (this.#forward.length === 0) return passed;
    const list = passed.slice();
    for (let i = 0; i < others.length; i += 2) {
      const name = others[i] as string;
      if (NEVER_FORWARDED.has(name) || hasName(list, name)) continue;
      if (this.#forward.some((pattern) => capture(pattern, name) !== null)) list.push(name, others[i + 1] as string);
    }
    return list;
  }

  /**
   * The headers of one request: the target's own and the caller's forwarded ones (flat, names in lower
   * case). A caller's header replaces a default of its name, never the secret; stripped names are left out.
   */
  with(forwarded: readonly string[], variables: RequestVariables | null): readonly string[] {
    if (forwarded.length === 0 && !this.templated) return this.#all;
    const list = this.#fixed.slice();
    for (let i = 0; i < forwarded.length; i += 2) {
      const name = forwarded[i] as string;
      if (!this.stripped.includes(name) && !hasName(this.#fixed, name)) list.push(name, forwarded[i + 1] as string);
    }
    for (let i = 0; i < this.#defaults.length; i += 2) {
      const name = this.#defaults[i] as string;
      if (!hasName(list, name)) list.push(name, this.#defaults[i + 1] as string);
    }
    return variables === null || !this.templated ? list : this.#filled(list, variables);
  }

  /** Only what was configured holds variables; what callers send is not looked at. */
  #filled(list: string[], variables: RequestVariables): string[] {
    for (let i = 0; i < list.length; i += 2) {
      const template = this.#templates.get(list[i] as string);
      if (template !== undefined && list[i + 1] === template) list[i + 1] = fillTemplate(template, variables);
    }
    return list;
  }
}

/** The same headers with another content type: a form's, which names its boundary. */
export function ofContentType(flat: readonly string[], contentType: string): readonly string[] {
  const list = flat.slice();
  for (let i = 0; i < list.length; i += 2) if (list[i] === "content-type") list[i + 1] = contentType;
  return list;
}

/** Defaults of row and key, lower-case names; the key's win. */
function defaultHeaders(row: ProviderRow, key: ProviderKeyResource): Map<string, string> {
  const headers = new Map<string, string>();
  for (const source of [row.defaultHeaders, key.defaultHeaders]) {
    for (const [name, value] of Object.entries(source)) headers.set(name.toLowerCase(), value);
  }
  return headers;
}

/** What no caller may replace; headers that carry a secret move here out of `defaults`. */
function fixedHeaders({ auth, key, credential }: HeaderParts, defaults: Map<string, string>): string[] {
  const flat: string[] = [];
  for (const name of AUTH_HEADERS) {
    const value = defaults.get(name);
    if (value !== undefined) flat.push(name, value);
    defaults.delete(name);
  }
  for (const [name, value] of credential.length > 0 ? pairs(credential) : secretHeader(auth, key.apiKey)) {
    if (!hasName(flat, name)) flat.push(name, value);
  }
  // The gateway reads usage out of the answer; a compressed one would have to be inflated first.
  flat.push("accept-encoding", "identity", "content-type", "application/json");
  defaults.delete("accept-encoding");
  defaults.delete("content-type");
  return flat;
}

function secretHeader(auth: AuthScheme, secret: string): [name: string, value: string][] {
  if (auth === "none" || auth === "credentials" || secret === "") return [];
  return auth === "bearer" ? [["authorization", `Bearer ${secret}`]] : [[auth, secret]];
}

function pairs(flat: readonly string[]): [name: string, value: string][] {
  const list: [string, string][] = [];
  for (let i = 0; i + 1 < flat.length; i += 2) list.push([flat[i] as string, flat[i + 1] as string]);
  return list;
}

/** The same with the content type of the body that goes along; "" = there is no body, and so none. */
export function withBodyType(flat: readonly string[], contentType: string): readonly string[] {
  if (contentType !== "") return ofContentType(flat, contentType);
  return flat.filter((_, index) => flat[index - (index % 2)] !== "content-type");
}
