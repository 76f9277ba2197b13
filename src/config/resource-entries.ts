/** The three kinds of entries: what holds between their fields, and how each becomes a resource. */
import { createHash } from "node:crypto";
import type { Environment } from "./environment.js";
import type {
  ApiKeyResource,
  ModelResource,
  ProviderKeyResource,
  RateLimit,
  RequestOverrides,
  ResponseOverrides,
} from "./resources.js";
import { DEFAULT_COOLDOWN } from "./traffic.js";
import type { ApiKeyEntry, CollectionName, ModelEntry, ProviderKeyEntry } from "./schema.js";
import type { Path } from "./result.js";

/** What a resource file may refer to; configuration itself knows no provider and no operation. */
export interface ResourcesContext {
  /** Ids of the provider catalog. */
  readonly providers: ReadonlySet<string>;
  /** Wire families that an `adapter` may name. */
  readonly adapters: ReadonlySet<string>;
  readonly operations: ReadonlySet<string>;
  /** Where variables and `key_env` are looked up. */
  readonly environment: Environment;
  /** Skip what is not supported yet (listed in the result) instead of refusing the file. */
  readonly ignoreUnsupported?: boolean | undefined;
}

export type Complain = (path: Path, message: string) => void;

export type ConvertedEntry<N extends CollectionName> = {
  provider_keys: ProviderKeyEntry;
  models: ModelEntry;
  api_keys: ApiKeyEntry;
}[N];

type Raw = Readonly<Record<string, unknown>>;

/** Reports what a schema of single fields cannot see; runs even when the schema has complaints. */
export function checkEntry(collection: CollectionName, raw: Raw, context: ResourcesContext, complain: Complain): void {
  oneOf(raw, ["display_name", "name"], complain);
  if (collection === "provider_keys") checkProviderKey(raw, context, complain);
  else if (collection === "models") checkModel(raw, complain);
  else checkApiKey(raw, context, complain);
}

/** Of two spellings at most one. */
function notBoth(raw: Raw, [first, second]: readonly [string, string], complain: Complain): void {
  if (raw[first] === undefined || raw[second] === undefined) return;
  complain([second], `is another name for ${first}: give one of the two`);
}

/** Of two spellings exactly one. */
function oneOf(raw: Raw, spellings: readonly [string, string], complain: Complain): void {
  const [first, second] = spellings;
  if (raw[first] === undefined && raw[second] === undefined) complain([first], `is required (or ${second})`);
  notBoth(raw, spellings, complain);
}

function checkProviderKey(raw: Raw, context: ResourcesContext, complain: Complain): void {
  notBoth(raw, ["api_key", "secret"], complain);
  const { provider, adapter } = raw;
  if (typeof adapter === "string" && !context.adapters.has(adapter)) {
    complain(["adapter"], `must be one of ${[...context.adapters].join(", ")}`);
  }
  if (typeof provider !== "string" || context.providers.has(provider)) return;
  if (adapter === undefined) complain(["provider"], "is not in the catalog; such a provider needs an adapter");
  else if (raw.api_base === undefined) complain(["api_base"], "is required: the provider is not in the catalog");
}

function checkModel(raw: Raw, complain: Complain): void {
  oneOf(raw, ["provider_key", "provider_key_id"], complain);
  const name = raw.display_name ?? raw.name;
  const upstream = raw.model_name;
  if (typeof name === "string" && typeof upstream === "string" && upstream.includes("*") && !name.includes("*")) {
    complain(["model_name"], "holds a * that the model's own name does not have");
  }
}

function checkApiKey(raw: Raw, context: ResourcesContext, complain: Complain): void {
  oneOf(raw, ["key_hash", "key_env"], complain);
  const { key_env: variable, allowed_routes: routes } = raw;
  if (typeof variable === "string" && (context.environment[variable] ?? "") === "") {
    complain(["key_env"], "names an environment variable that is not set or empty");
  }
  if (!Array.isArray(routes)) return;
  for (const [index, route] of routes.entries()) {
    if (typeof route !== "string" || context.operations.has(route)) continue;
    complain(["allowed_routes", index], `must be one of ${[...context.operations].join(", ")}`);
  }
}

export function toProviderKey(entry: ProviderKeyEntry): ProviderKeyResource {
  const headers = Object.entries(entry.request.default_headers).map(([name, value]) => [name.toLowerCase(), value]);
  const secret = entry.api_key ?? entry.secret ?? "";
  return {
    name: entry.display_name ?? entry.name ?? "",
    provider: entry.provider,
    adapter: entry.adapter ?? null,
    apiBase: entry.api_base ?? null,
    apiKey: typeof secret === "string" ? secret : "",
    credential: typeof secret === "string" ? null : secret,
    region: entry.region ?? null,
    apiVersion: entry.api_version ?? null,
    tls: entry.tls === undefined ? null : { caCert: entry.tls.ca_cert ?? null, verify: entry.tls.verify },
    stripHeaders: entry.strip_headers,
    defaultHeaders: Object.fromEntries(headers),
    request: toRequestOverrides(entry.request),
    response: toResponseOverrides(entry.response),
  };
}

function toRequestOverrides(request: ProviderKeyEntry["request"]): RequestOverrides {
  return {
    paramRenames: request.param_renames,
    temperatureMin: request.param_constraints.temperature_min ?? null,
    temperatureMax: request.param_constraints.temperature_max ?? null,
    defaultBodyFields: request.default_body_fields,
    bodySet: request.body_set,
    bodyRemove: request.body_remove,
    forwardClientHeaders: request.forward_client_headers,
  };
}

function toResponseOverrides(response: ProviderKeyEntry["response"]): ResponseOverrides | null {
  const { reasoning_field, content_list_to_string, stream_done_marker } = response;
  if (reasoning_field === undefined && !content_list_to_string && stream_done_marker === undefined) return null;
  return {
    reasoningField: reasoning_field ?? null,
    contentListToString: content_list_to_string,
    streamDoneMarker: stream_done_marker ?? null,
  };
}

export function toModel(entry: ModelEntry): ModelResource {
  return {
    kind: "direct",
    name: entry.display_name ?? entry.name ?? "",
    provider: entry.provider,
    modelName: entry.model_name,
    providerKey: entry.provider_key ?? entry.provider_key_id ?? "",
    rateLimit: toRateLimit(entry.rate_limit),
    timeoutMs: entry.timeout ?? null,
    streamTimeoutMs: entry.stream_timeout ?? null,
    retries: null,
    strict: entry.strict,
    allowedCidrs: entry.allowed_cidrs,
    cooldown: DEFAULT_COOLDOWN,
    backgroundCheck: null,
    cost: null,
    embedding: null,
    autoPromptCaching: null,
  };
}

export function toApiKey(entry: ApiKeyEntry, context: ResourcesContext): ApiKeyResource {
  const plain = entry.key_env === undefined ? "" : (context.environment[entry.key_env] ?? "");
  return {
    name: entry.display_name ?? entry.name ?? "",
    keyHash: entry.key_hash ?? createHash("sha256").update(plain, "utf8").digest("hex"),
    allowedModels: entry.allowed_models,
    allowedRoutes: entry.allowed_routes ?? null,
    disabled: entry.disabled,
    strict: entry.strict,
    expiresAt: entry.expires_at ?? null,
    teamId: entry.team_id ?? null,
    userId: entry.user_id ?? null,
    userName: entry.user_name ?? null,
    rateLimit: toRateLimit(entry.rate_limit),
    metadata: entry.metadata,
  };
}

/** An empty mapping limits nothing. */
function toRateLimit(limits: RateLimit | undefined): RateLimit | null {
  return limits === undefined || Object.keys(limits).length === 0 ? null : limits;
}
