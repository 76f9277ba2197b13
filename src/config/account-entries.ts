/** Entries of `provider_keys` and `api_keys`: what holds between their fields, and how each becomes a resource. */
import { createHash } from "node:crypto";
import { type Complain, notBoth, oneOf, type Raw, type Surroundings } from "./entry.js";
import { toRateLimit } from "./model-entries.js";
import type { ApiKeyResource, ProviderKeyResource, RequestOverrides, ResponseOverrides } from "./resources.js";
import type { ApiKeyEntry, ProviderKeyEntry } from "./schema-accounts.js";

export function checkProviderKey(raw: Raw, { context }: Surroundings, complain: Complain): void {
  oneOf(raw, ["display_name", "name"], complain);
  notBoth(raw, ["api_key", "secret"], complain);
  const { provider, adapter } = raw;
  if (typeof adapter === "string" && !context.adapters.has(adapter)) {
    complain(["adapter"], `must be one of ${[...context.adapters].join(", ")}`);
  }
  if (typeof provider !== "string" || context.providers.has(provider)) return;
  if (adapter === undefined) complain(["provider"], "is not in the catalog; such a provider needs an adapter");
  else if (raw.api_base === undefined) complain(["api_base"], "is required: the provider is not in the catalog");
}

export function checkApiKey(raw: Raw, { context }: Surroundings, complain: Complain): void {
  oneOf(raw, ["display_name", "name"], complain);
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
    telemetryTags: entry.telemetry_tags,
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

export function toApiKey(entry: ApiKeyEntry, { context }: Surroundings): ApiKeyResource {
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
