/** Entries of `passthrough_routes`: what holds between their fields, and what they become. */
import { type Complain, notBoth, oneOf, type Raw, referenceIn, type Surroundings } from "./entry.js";
import type { PassthroughRouteEntry } from "./schema-traffic.js";
import type { PassthroughRoute } from "./traffic.js";

export function checkPassthroughRoute(raw: Raw, { directory }: Surroundings, complain: Complain): void {
  oneOf(raw, ["name", "display_name"], complain);
  notBoth(raw, ["provider_key", "provider_key_id"], complain);
  const hasHosts = Array.isArray(raw.hosts) && raw.hosts.length > 0;
  if (raw.path_prefix === undefined && !hasHosts) complain(["path_prefix"], "is required (or hosts)");
  checkTarget(raw, hasHosts, complain);
  const reference = referenceIn(raw, "provider_key");
  if (reference !== null && directory.find("provider_keys", reference.value, reference.byId) === undefined) {
    complain([reference.field], "there is no provider key of this name");
  }
  checkCredentials(raw, reference !== null, complain);
}

function checkTarget(raw: Raw, hasHosts: boolean, complain: Complain): void {
  const preserves = raw.preserve_host === true;
  if (preserves && raw.target_url !== undefined) {
    complain(["target_url"], "does not go with preserve_host: the request goes to the host that was called");
  }
  if (preserves && !hasHosts) complain(["hosts"], "is required: only hosts that are named may be called");
  if (!preserves && raw.target_url === undefined) complain(["target_url"], "is required (or preserve_host)");
  if (typeof raw.target_url === "string" && /[?#]/.test(raw.target_url)) {
    complain(["target_url"], "must end with its path: no query, no fragment");
  }
}

function checkCredentials(raw: Raw, hasKey: boolean, complain: Complain): void {
  const { auth_mode: auth = "gateway_key", credential_mode: credential = "inject" } = raw;
  if (auth === "header_key" && raw.auth_header_name === undefined) complain(["auth_header_name"], "is required");
  if (auth !== "header_key" && raw.auth_header_name !== undefined) {
    complain(["auth_header_name"], "goes with the auth_mode header_key only");
  }
  if (credential === "inject" && !hasKey) complain(["provider_key"], "is required, or credential_mode: forward_client");
  const open = !Array.isArray(raw.source_cidrs) || raw.source_cidrs.length === 0;
  if (auth === "anonymous" && credential === "inject" && open) {
    complain(["source_cidrs"], "is required: else everybody could use the provider key");
  }
}

/** null for a route that is switched off. */
export function toPassthroughRoute(entry: PassthroughRouteEntry, { directory }: Surroundings): PassthroughRoute | null {
  if (!entry.enabled) return null;
  const name = entry.name ?? entry.display_name ?? "";
  const named = entry.provider_key !== undefined || entry.provider_key_id !== undefined;
  return {
    id: entry.id ?? name,
    name,
    pathPrefix: entry.path_prefix ?? "",
    hosts: entry.hosts,
    targetUrl: entry.target_url ?? null,
    authMode: entry.auth_mode,
    authHeader: entry.auth_header_name ?? "",
    credentialMode: entry.credential_mode,
    providerKey: named ? directory.named("provider_keys", entry.provider_key, entry.provider_key_id) : "",
    sourceCidrs: entry.source_cidrs,
    timeoutMs: entry.timeout_ms,
  };
}
