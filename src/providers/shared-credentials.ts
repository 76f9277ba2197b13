/**
 * The credentials of provider keys, kept beyond the key objects themselves: a reload brings new objects, and a
 * token that still lives must not be fetched again because of it.
 */
import { createHash } from "node:crypto";
import { processEnvironment } from "../config/process-environment.js";
import type { ProviderKeyResource } from "../config/resources.js";
import { authContext, type Credentials } from "./auth/auth.js";
import { type AuthFamily, type CredentialKey, credentialPlace, credentialsFor } from "./auth/credentials.js";
import { regionIn } from "./address.js";
import type { ProviderRow } from "./provider.js";

/** More than any configuration has; past it the oldest go. */
const MAX_KEPT = 1_024;

const kept = new Map<string, Credentials>();

const AUTH_FAMILIES: ReadonlySet<string> = new Set<AuthFamily>(["bedrock", "vertex", "azure-openai"]);

/** The row's family if its credentials may be more than a plain secret; null otherwise. */
export function authFamilyOf(row: ProviderRow): AuthFamily | null {
  return AUTH_FAMILIES.has(row.family) ? (row.family as AuthFamily) : null;
}

/** What was given to be let in with; null = nothing. */
export function givenCredential(key: ProviderKeyResource): unknown {
  return key.credential ?? (key.apiKey === "" ? null : key.apiKey);
}

/** Region and project of a provider key; "" = not known. */
export function placeOf(
  row: ProviderRow,
  key: ProviderKeyResource,
): { readonly region: string; readonly project: string } {
  const family = authFamilyOf(row);
  const named = key.region ?? "";
  if (family === null) return { region: named, project: "" };
  const environment = processEnvironment();
  const given = { credential: givenCredential(key), region: named };
  // A region in the address is meant for this key; the environment's is only a default.
  const own = credentialPlace(family, given, {}).region || regionIn(row, key.apiBase);
  return credentialPlace(family, { ...given, region: own }, environment);
}

/** The credentials for requests with this key; made once for equal credentials, whatever key they stand in. */
export function sharedCredentials(row: ProviderRow, family: AuthFamily, key: ProviderKeyResource): Credentials {
  const given: CredentialKey = { credential: givenCredential(key), region: placeOf(row, key).region };
  const name = createHash("sha256")
    .update(JSON.stringify([family, given]))
    .digest("base64");
  let credentials = kept.get(name);
  if (credentials === undefined) {
    credentials = credentialsFor(family, given, authContext(processEnvironment()));
    const oldest = kept.size >= MAX_KEPT ? kept.keys().next().value : undefined;
    if (oldest !== undefined) kept.delete(oldest);
    kept.set(name, credentials);
  }
  return credentials;
}
