/** Credentials of a provider key, whatever its family: what may stand in the file, and what is made of it. */
import type { AuthContext, Credentials } from "./auth.js";
import { AwsCredentials, type AwsSource } from "./aws.js";
import { bearer, FixedHeaders } from "./bearer.js";
import { jsonObject } from "./endpoint.js";
import { type EntraSource, entraCredentials } from "./entra.js";
import { GOOGLE_FILE_TYPES, type GoogleFile, type GoogleSource, googleCredentials } from "./google.js";

/** Families whose requests need more than a fixed secret. */
export type AuthFamily = "bedrock" | "vertex" | "azure-openai";

/** The part of a provider key that its credentials are made from. */
export interface CredentialKey {
  /** A plain secret, the family's credential object, or null: what the environment and the machine offer. */
  readonly credential: unknown;
  /** Region that requests are signed for; "" = the credential's own, else the environment's. */
  readonly region: string;
}

type Fields = Readonly<Record<string, unknown>>;

/** Fields of a family's credential object; all of them are text unless said otherwise. */
const FIELDS: Readonly<Record<AuthFamily, ReadonlySet<string>>> = {
  bedrock: new Set([
    "api_key",
    "access_key_id",
    "secret_access_key",
    "session_token",
    "region",
    "profile",
    "role_arn",
    "web_identity_token_file",
    "role_session_name",
  ]),
  vertex: new Set(["access_token", "credentials_file", "service_account", "project", "region"]),
  "azure-openai": new Set([
    "api_key",
    "tenant_id",
    "client_id",
    "client_secret",
    "federated_token_file",
    "authority_host",
    "managed_identity",
  ]),
};

/** Fields that need each other: the first is worth nothing without the others. */
const COMPANIONS: Readonly<Record<AuthFamily, readonly (readonly [string, readonly string[]])[]>> = {
  bedrock: [
    ["access_key_id", ["secret_access_key"]],
    ["secret_access_key", ["access_key_id"]],
    ["session_token", ["access_key_id"]],
    ["role_arn", ["web_identity_token_file"]],
    ["web_identity_token_file", ["role_arn"]],
    ["role_session_name", ["role_arn"]],
  ],
  vertex: [],
  "azure-openai": [
    ["client_secret", ["tenant_id", "client_id"]],
    ["federated_token_file", ["tenant_id", "client_id"]],
    ["authority_host", ["tenant_id", "client_id"]],
  ],
};

/** Each list: at most one of these says who the gateway is. */
const RIVALS: Readonly<Record<AuthFamily, readonly string[]>> = {
  bedrock: ["api_key", "access_key_id", "profile", "role_arn"],
  vertex: ["access_token", "credentials_file", "service_account"],
  "azure-openai": ["api_key", "client_secret", "federated_token_file", "managed_identity"],
};

/** What a header can carry. */
const HEADER_TEXT = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;
const REGION = /^[a-z]{2,}(?:-[a-z0-9]+)*$/;

/** What is wrong with a credential, naming the field and never its value; null when it can be used. */
export function validateCredential(family: AuthFamily, value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (typeof value === "string") return plainProblem(family, value);
  const fields = asFields(value);
  if (fields === null) return "must be text or an object";
  if (family === "vertex" && "type" in fields) return googleFileProblem(fields, "", PLACE);
  return shapeProblem(family, fields) ?? bondProblem(family, fields) ?? detailProblem(family, fields);
}

/** Fields that may stand beside those of a pasted Google credentials file. */
const PLACE: ReadonlySet<string> = new Set(["project", "region"]);

function plainProblem(family: AuthFamily, value: string): string | null {
  if (family === "vertex" && value.trimStart().startsWith("{")) {
    const file = jsonObject(value);
    return file === null ? "looks like JSON, but cannot be read" : googleFileProblem(file, "", PLACE);
  }
  return HEADER_TEXT.test(value) ? null : "is empty or holds a character that a header cannot carry";
}

function shapeProblem(family: AuthFamily, fields: Fields): string | null {
  for (const [name, value] of Object.entries(fields)) {
    if (!FIELDS[family].has(name)) return `${plainName(name)}: is not a field of ${family} credentials`;
    if (name === "managed_identity") {
      if (value !== true) return "managed_identity: must be true where it is given";
    } else if (name !== "service_account" && (typeof value !== "string" || value === "")) {
      return `${name}: must be text that is not empty`;
    }
  }
  return null;
}

function bondProblem(family: AuthFamily, fields: Fields): string | null {
  const rivals = RIVALS[family].filter((name) => name in fields);
  if (rivals.length > 1) return `${rivals.join(" and ")} cannot stand together`;
  for (const [name, companions] of COMPANIONS[family]) {
    const absent = companions.find((companion) => !(companion in fields));
    if (name in fields && absent !== undefined) return `${name}: needs ${absent} beside it`;
  }
  if (family !== "azure-openai" || !("tenant_id" in fields)) return null;
  const proven = "client_secret" in fields || "federated_token_file" in fields;
  return proven ? null : "tenant_id: needs client_secret or federated_token_file beside it";
}

function detailProblem(family: AuthFamily, fields: Fields): string | null {
  for (const name of ["api_key", "access_key_id", "session_token", "access_token"]) {
    const value = fields[name];
    if (typeof value === "string" && !HEADER_TEXT.test(value)) {
      return `${name}: holds a character that a header cannot carry`;
    }
  }
  if (typeof fields.region === "string" && !REGION.test(fields.region)) return "region: is not the name of a region";
  const host = fields.authority_host;
  if (typeof host === "string" && !(URL.canParse(host) && /^https?:$/.test(new URL(host).protocol))) {
    return "authority_host: is not an http address";
  }
  if (family !== "vertex" || fields.service_account === undefined) return null;
  const file = asGoogleFile(fields.service_account);
  return file === null ? "service_account: must be an object or its JSON" : googleFileProblem(file, "service_account.");
}

/** What each kind of Google file cannot do without. */
const GOOGLE_NEEDS: Readonly<Record<string, readonly string[]>> = {
  service_account: ["client_email", "private_key"],
  external_account: ["audience", "subject_token_type", "token_url"],
  external_account_authorized_user: ["audience", "client_id", "client_secret", "refresh_token", "token_url"],
  authorized_user: ["client_id", "client_secret", "refresh_token"],
  impersonated_service_account: ["service_account_impersonation_url"],
};

function googleFileProblem(file: Fields, prefix: string, beside: ReadonlySet<string> = new Set()): string | null {
  const type = file.type;
  if (typeof type !== "string" || !GOOGLE_FILE_TYPES.has(type)) return `${prefix}type: is no known kind of credentials`;
  for (const name of GOOGLE_NEEDS[type] ?? []) {
    if (typeof file[name] !== "string" || file[name] === "") return `${prefix}${name}: is missing`;
  }
  for (const name of beside) {
    if (file[name] !== undefined && typeof file[name] !== "string") return `${prefix}${name}: must be text`;
  }
  return null;
}

/** A name from the file in a message: only if it looks like one, for it may be a secret in the wrong place. */
function plainName(name: string): string {
  return /^[a-z][a-z0-9_]{0,40}$/.test(name) ? name : "a field";
}

function asFields(value: unknown): Fields | null {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : null;
}

function asGoogleFile(value: unknown): GoogleFile | null {
  return typeof value === "string" ? jsonObject(value) : asFields(value);
}

/**
 * The credentials of a provider key. Expects what `validateCredential` passed; for AWS the region must be known
 * (`credentialPlace`). Nothing is fetched before the first request.
 */
export function credentialsFor(family: AuthFamily, key: CredentialKey, context: AuthContext): Credentials {
  const { credential } = key;
  switch (family) {
    case "bedrock":
      return awsCredentials(credential, credentialPlace(family, key, context.environment).region, context);
    case "vertex":
      return googleCredentials(googleSource(credential), context);
    case "azure-openai":
      return azureCredentials(credential, context);
  }
}

function textOf(fields: Fields | null, name: string): string {
  const value = fields?.[name];
  return typeof value === "string" ? value : "";
}

function awsCredentials(credential: unknown, region: string, context: AuthContext): Credentials {
  const fields = asFields(credential);
  const key = typeof credential === "string" ? credential : textOf(fields, "api_key");
  if (key !== "") return bearer(key);
  const source = awsSource(fields);
  // The environment's own API key stands for the environment's chain, as it does with the vendor's SDKs.
  const given = context.environment.AWS_BEARER_TOKEN_BEDROCK ?? "";
  if (source.kind === "chain" && source.profile === null && given !== "") return bearer(given);
  return new AwsCredentials(source, region, context);
}

function awsSource(fields: Fields | null): AwsSource {
  const accessKeyId = textOf(fields, "access_key_id");
  if (accessKeyId !== "") {
    const secretAccessKey = textOf(fields, "secret_access_key");
    return { kind: "static", keys: { accessKeyId, secretAccessKey, sessionToken: textOf(fields, "session_token") } };
  }
  const roleArn = textOf(fields, "role_arn");
  if (roleArn !== "") {
    const tokenFile = textOf(fields, "web_identity_token_file");
    return { kind: "web-identity", roleArn, tokenFile, sessionName: textOf(fields, "role_session_name") };
  }
  return { kind: "chain", profile: textOf(fields, "profile") || null };
}

function googleSource(credential: unknown): GoogleSource {
  const file = googleFileIn(credential);
  if (file !== null) return { kind: "file", file };
  const fields = asFields(credential);
  const token = typeof credential === "string" ? credential : textOf(fields, "access_token");
  if (token !== "") return { kind: "token", token };
  const path = textOf(fields, "credentials_file");
  return path === "" ? { kind: "default" } : { kind: "path", path };
}

/** The credentials file that was pasted as text, as an object, or as a field. */
function googleFileIn(credential: unknown): GoogleFile | null {
  if (typeof credential === "string") return credential.trimStart().startsWith("{") ? jsonObject(credential) : null;
  const fields = asFields(credential);
  if (fields === null) return null;
  return "type" in fields ? fields : asGoogleFile(fields.service_account ?? null);
}

function azureCredentials(credential: unknown, context: AuthContext): Credentials {
  const fields = asFields(credential);
  const key = typeof credential === "string" ? credential : textOf(fields, "api_key");
  if (key !== "") return new FixedHeaders("api-key", key);
  return entraCredentials(entraSource(fields), context);
}

function entraSource(fields: Fields | null): EntraSource {
  const [tenantId, clientId] = [textOf(fields, "tenant_id"), textOf(fields, "client_id")];
  const application = { tenantId, clientId, authorityHost: textOf(fields, "authority_host") || null };
  const clientSecret = textOf(fields, "client_secret");
  if (clientSecret !== "") return { kind: "secret", clientSecret, ...application };
  const tokenFile = textOf(fields, "federated_token_file");
  if (tokenFile !== "") return { kind: "workload", tokenFile, ...application };
  if (fields?.managed_identity === true || clientId !== "") return { kind: "managed", clientId: clientId || null };
  return { kind: "default" };
}

/** Region and project as the credential, else the environment says; "" = neither does. For addresses and signing. */
export function credentialPlace(
  family: AuthFamily,
  key: CredentialKey,
  environment: AuthContext["environment"],
): { readonly region: string; readonly project: string } {
  const fields = asFields(key.credential);
  const region = key.region || textOf(fields, "region");
  if (family === "bedrock") {
    return { region: region || environment.AWS_REGION || environment.AWS_DEFAULT_REGION || "", project: "" };
  }
  if (family !== "vertex") return { region, project: "" };
  const file = googleFileIn(key.credential);
  const named = textOf(fields, "project") || textOf(file, "project") || textOf(file, "project_id");
  const project = named || environment.GOOGLE_CLOUD_PROJECT || "";
  return { region: region || textOf(file, "region") || environment.GOOGLE_CLOUD_LOCATION || "", project };
}
