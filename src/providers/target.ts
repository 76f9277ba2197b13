/** Where one attempt goes: address, path and headers of an upstream, ready to be sent. */
import type { ModelResource, ProviderKeyResource } from "../config/resources.js";
import { type Bridge, bridgeFor } from "../dialects/bridge.js";
import type { DialectId, Operation, WireId } from "../dialects/dialect.js";
import { type Address, readAddress } from "./address.js";
import { rowFor } from "./catalog.js";
import type { AuthScheme, ProviderRow, ServedOperation } from "./provider.js";

/** The part of a resolved model that a target is made from. */
export interface TargetModel {
  readonly providerKey: ProviderKeyResource;
  readonly entry: Pick<ModelResource, "provider">;
}

interface TargetParts {
  readonly bridge: Bridge;
  readonly row: ProviderRow;
  readonly served: ServedOperation;
  readonly key: ProviderKeyResource;
  readonly address: Address;
}

/** Never printed whole: what holds the secret is private, so that neither `inspect` nor JSON shows it. */
export class Target {
  /** Scheme, host and port ("https://api.example.com"); "" for the built-in simulator. */
  readonly origin: string;
  readonly dialect: WireId;
  /** How the caller's dialect reaches this wire. */
  readonly bridge: Bridge;
  /** Id of the provider. */
  readonly provider: string;
  /** Name of the provider key. */
  readonly providerKey: string;
  /** Answered inside the gateway; there is no address to call. */
  readonly simulated: boolean;
  readonly tls: ProviderKeyResource["tls"];
  /** Lower-case names of caller's headers that must not reach this upstream. */
  readonly stripHeaders: readonly string[];
  readonly #path: string;
  readonly #streamPath: string;
  readonly #fixed: readonly string[];
  readonly #defaults: readonly string[];
  readonly #headers: readonly string[];

  constructor(parts: TargetParts) {
    const { row, served, key, address } = parts;
    this.bridge = parts.bridge;
    this.simulated = row.family === "simulator";
    this.origin = this.simulated ? "" : address.origin;
    const root = served.from === "host" ? address.host : address.version;
    this.#path = root + served.path + queryOf(row, key);
    this.#streamPath = root + (served.streamPath ?? served.path) + queryOf(row, key);
    this.dialect = served.dialect;
    this.provider = row.id;
    this.providerKey = key.name;
    this.tls = key.tls;
    this.stripHeaders = Object.freeze(key.stripHeaders.map((name) => name.toLowerCase()));
    const defaults = defaultHeaders(row, key);
    this.#fixed = Object.freeze(fixedHeaders(served.auth ?? row.auth, key, defaults));
    this.#defaults = Object.freeze([...defaults].flat());
    this.#headers = Object.freeze([...this.#fixed, ...this.#defaults]);
  }

  /** Path and query for a request to this model. */
  path(model: string, stream: boolean): string {
    const path = stream ? this.#streamPath : this.#path;
    // A function, because in a replacement text `$&` would mean something.
    return path.includes("{model}") ? path.replace("{model}", () => encodeURIComponent(model)) : path;
  }

  /** Flat list of names and values: the secret, `accept-encoding`, and the defaults of row and key. */
  get headers(): readonly string[] {
    return this.#headers;
  }

  /**
   * The headers of one request: the target's own and the caller's forwarded ones (flat, names in lower
   * case). A caller's header replaces a default of its name, never the secret; stripped names are left out.
   */
  headersWith(forwarded: readonly string[]): readonly string[] {
    if (forwarded.length === 0) return this.#headers;
    const list = this.#fixed.slice();
    for (let i = 0; i < forwarded.length; i += 2) {
      const name = forwarded[i] as string;
      if (!this.stripHeaders.includes(name) && !hasName(this.#fixed, name)) list.push(name, forwarded[i + 1] as string);
    }
    for (let i = 0; i < this.#defaults.length; i += 2) {
      const name = this.#defaults[i] as string;
      if (!hasName(list, name)) list.push(name, this.#defaults[i + 1] as string);
    }
    return list;
  }
}

/** One map a provider key object: a reload brings new objects, and the old targets go with the old ones. */
const targets = new WeakMap<ProviderKeyResource, Map<Operation, Map<DialectId, Target | null>>>();

/**
 * The target of a model for an operation in the caller's dialect. null: the provider is unknown, does not
 * serve the operation in that dialect, or its key cannot be used (`providerKeyProblem` says why).
 */
export function targetFor(model: TargetModel, operation: Operation, clientDialect: DialectId): Target | null {
  const key = model.providerKey;
  let operations = targets.get(key);
  if (operations === undefined) {
    operations = new Map();
    targets.set(key, operations);
  }
  let dialects = operations.get(operation);
  if (dialects === undefined) {
    dialects = new Map();
    operations.set(operation, dialects);
  }
  let target = dialects.get(clientDialect);
  if (target === undefined) {
    target = makeTarget(key, operation, clientDialect);
    dialects.set(clientDialect, target);
  }
  return target;
}

/** Why no request can be sent with this provider key, in words for the operator; null when all is well. */
export function providerKeyProblem(key: ProviderKeyResource): string | null {
  const row = rowFor(key.provider, key.adapter);
  if (row === undefined) return `provider "${key.provider}" is not known and no usable adapter is given`;
  if (row.family === "simulator") return null;
  if (!isHeaderValue(key.apiKey)) return "the secret holds a character that a header cannot carry";
  if (key.apiKey === "" && row.keyOptional !== true && row.auth !== "none" && !carriesAuth(key)) {
    return "the provider needs an api_key";
  }
  for (const [name, value] of Object.entries(key.defaultHeaders)) {
    if (!isHeaderName(name) || FRAMING_HEADERS.has(name.toLowerCase())) {
      return `default_headers: ${JSON.stringify(name)} is not a header that may be set`;
    }
    if (!isHeaderValue(value)) return `default_headers: the value of ${name} cannot stand in a header`;
  }
  const address = readAddress(row, key.apiBase);
  return typeof address === "string" ? address : null;
}

function makeTarget(key: ProviderKeyResource, operation: Operation, dialect: DialectId): Target | null {
  const row = rowFor(key.provider, key.adapter);
  const way = row === undefined ? null : wayTo(row, operation, dialect);
  if (row === undefined || way === null || providerKeyProblem(key) !== null) return null;
  const address = row.family === "simulator" ? NOWHERE : readAddress(row, key.apiBase);
  return typeof address === "string" ? null : new Target({ row, key, address, ...way });
}

/** Operations that are one conversation in different words: any of them can stand for any other. */
const CONVERSATIONS: readonly Operation[] = ["chat", "messages", "responses"];

/** Off the diagonal the wire that says most comes first; a vendor's own wire says more than its compatible one. */
const PREFERENCE: readonly WireId[] = [
  "gemini",
  "bedrock-converse",
  "cohere-chat",
  "anthropic-messages",
  "openai-chat",
  "openai-responses",
];

/** The endpoint of the row that serves an operation best for a caller of this dialect, and how it is reached. */
function wayTo(
  row: ProviderRow,
  operation: Operation,
  dialect: DialectId,
): { served: ServedOperation; bridge: Bridge } | null {
  const own = row.serves[operation]?.find((candidate) => candidate.dialect === dialect);
  const straight = bridgeFor(operation, dialect, dialect);
  if (own !== undefined && straight !== null) return { served: own, bridge: straight };
  const others = CONVERSATIONS.flatMap((conversation) => row.serves[conversation] ?? []);
  for (const wire of PREFERENCE) {
    const served = others.find((candidate) => candidate.dialect === wire);
    const bridge = bridgeFor(operation, dialect, wire);
    if (served !== undefined && bridge !== null) return { served, bridge };
  }
  return null;
}

const NOWHERE: Address = { origin: "", host: "", version: "" };

/** Names that belong to the connection or to the body's framing, not to whoever configures a provider. */
const FRAMING_HEADERS: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "expect",
  "host",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

const AUTH_HEADERS: ReadonlySet<string> = new Set(["authorization", "x-api-key", "api-key", "x-goog-api-key"]);

function isHeaderName(name: string): boolean {
  return /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name);
}

/** RFC 9110 §5.5: visible characters, spaces and tabs; a line break would begin another header. */
function isHeaderValue(value: string): boolean {
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(value);
}

function carriesAuth(key: ProviderKeyResource): boolean {
  return Object.keys(key.defaultHeaders).some((name) => AUTH_HEADERS.has(name.toLowerCase()));
}

function hasName(flat: readonly string[], name: string): boolean {
  for (let i = 0; i < flat.length; i += 2) {
    if (flat[i] === name) return true;
  }
  return false;
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
function fixedHeaders(auth: AuthScheme, key: ProviderKeyResource, defaults: Map<string, string>): string[] {
  const flat: string[] = [];
  for (const name of AUTH_HEADERS) {
    const value = defaults.get(name);
    if (value !== undefined) flat.push(name, value);
    defaults.delete(name);
  }
  const secretName = auth === "bearer" ? "authorization" : auth;
  if (auth !== "none" && key.apiKey !== "" && !hasName(flat, secretName)) {
    flat.push(secretName, auth === "bearer" ? `Bearer ${key.apiKey}` : key.apiKey);
  }
  // The gateway reads usage out of the answer; a compressed one would have to be inflated first.
  flat.push("accept-encoding", "identity", "content-type", "application/json");
  defaults.delete("accept-encoding");
  defaults.delete("content-type");
  return flat;
}

function queryOf(row: ProviderRow, key: ProviderKeyResource): string {
  if (row.family !== "azure-openai" || key.apiVersion === null) return "";
  return `?api-version=${encodeURIComponent(key.apiVersion)}`;
}
