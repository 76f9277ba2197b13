/** Access tokens of Microsoft Entra ID: for an application with a secret, a federated workload, a managed identity. */
import { type AuthContext, AuthError, type Credentials, readCredentialFile } from "./auth.js";
import { FetchedHeaders } from "./bearer.js";
import { callForJson } from "./endpoint.js";
import type { Grant } from "./token-cache.js";

/** The resource that serves the models, as scope and as the older `resource` parameter. */
export const ENTRA_RESOURCE = "https://cognitiveservices.azure.com";
export const ENTRA_SCOPE = `${ENTRA_RESOURCE}/.default`;

interface Application {
  readonly tenantId: string;
  readonly clientId: string;
  /** Where Entra ID is; null = the environment's, or the public cloud's. */
  readonly authorityHost: string | null;
}

/** Where the token comes from; "default": what the environment describes, else the managed identity. */
export type EntraSource =
  | ({ readonly kind: "secret"; readonly clientSecret: string } & Application)
  | ({ readonly kind: "workload"; readonly tokenFile: string } & Application)
  /** `clientId`: of a user-assigned identity; null = the system's. */
  | { readonly kind: "managed"; readonly clientId: string | null }
  | { readonly kind: "default" };

type Headers = Grant<readonly string[]>;

const AUTHORITY_HOST = "https://login.microsoftonline.com";
const ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/** Credentials for a source. */
export function entraCredentials(source: EntraSource, context: AuthContext): Credentials {
  return new FetchedHeaders("Entra ID credentials", (signal) => tokenFrom(source, context, signal), context);
}

async function tokenFrom(source: EntraSource, context: AuthContext, signal: AbortSignal): Promise<Headers> {
  switch (source.kind) {
    case "secret":
      return applicationToken(source, { client_secret: source.clientSecret }, context, signal);
    case "workload": {
      // The platform replaces the file's token long before it ends, so it is read anew each time.
      const what = "the federated token file";
      const assertion = (await readCredentialFile(context, source.tokenFile, what)).trim();
      const proof = { client_assertion_type: ASSERTION_TYPE, client_assertion: assertion };
      return applicationToken(source, proof, context, signal);
    }
    case "managed":
      return managedToken(source.clientId, context, signal);
    case "default":
      return tokenFrom(sourceIn(context.environment), context, signal);
  }
}

/** What the environment describes, in the usual order. */
function sourceIn(environment: AuthContext["environment"]): Exclude<EntraSource, { kind: "default" }> {
  const { AZURE_TENANT_ID: tenantId = "", AZURE_CLIENT_ID: clientId = "" } = environment;
  const { AZURE_CLIENT_SECRET: clientSecret = "", AZURE_FEDERATED_TOKEN_FILE: tokenFile = "" } = environment;
  if (tenantId !== "" && clientId !== "" && clientSecret !== "") {
    return { kind: "secret", tenantId, clientId, clientSecret, authorityHost: null };
  }
  if (tenantId !== "" && clientId !== "" && tokenFile !== "") {
    return { kind: "workload", tenantId, clientId, tokenFile, authorityHost: null };
  }
  return { kind: "managed", clientId: clientId === "" ? null : clientId };
}

async function applicationToken(
  application: Application,
  proof: Readonly<Record<string, string>>,
  context: AuthContext,
  signal: AbortSignal,
): Promise<Headers> {
  const host = application.authorityHost || context.environment.AZURE_AUTHORITY_HOST || AUTHORITY_HOST;
  const body = new URLSearchParams({ grant_type: "client_credentials", client_id: application.clientId });
  body.set("scope", ENTRA_SCOPE);
  for (const [name, value] of Object.entries(proof)) body.set(name, value);
  const answer = await callForJson(context, {
    name: "the Entra ID token endpoint",
    url: `${host.replace(/\/$/, "")}/${encodeURIComponent(application.tenantId)}/oauth2/v2.0/token`,
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: body.toString(),
    signal,
  });
  return headersIn(answer, "the Entra ID token endpoint", context);
}

const INSTANCE_HOST = "http://169.254.169.254";
const INSTANCE_PATH = "/metadata/identity/oauth2/token?api-version=2018-02-01";

/** App Service and its relatives name an endpoint of their own; on a virtual machine it is the metadata service. */
function managedToken(clientId: string | null, context: AuthContext, signal: AbortSignal): Promise<Headers> {
  const { environment } = context;
  const { IDENTITY_ENDPOINT: endpoint = "", IDENTITY_HEADER: header = "" } = environment;
  const service = endpoint !== "" && header !== "";
  const host = environment.AZURE_POD_IDENTITY_AUTHORITY_HOST || INSTANCE_HOST;
  const base = service ? `${endpoint}?api-version=2019-08-01` : `${host.replace(/\/$/, "")}${INSTANCE_PATH}`;
  const who = clientId === null ? "" : `&client_id=${encodeURIComponent(clientId)}`;
  const name = "the managed identity endpoint";
  const url = `${base}&resource=${encodeURIComponent(ENTRA_RESOURCE)}${who}`;
  const headers: Record<string, string> = service ? { "x-identity-header": header } : { metadata: "true" };
  const asked = callForJson(context, { name, url, method: "GET", headers, signal });
  return asked.then((answer) => headersIn(answer, name, context));
}

function headersIn(answer: Record<string, unknown>, name: string, context: AuthContext): Headers {
  const token = answer.access_token;
  const expiresAt = expiryIn(answer, context.now());
  if (typeof token !== "string" || token === "" || Number.isNaN(expiresAt)) {
    throw new AuthError("refused", `${name} answered without a token`);
  }
  return { token: ["authorization", `Bearer ${token}`], expiresAt };
}

/** Managed identities write both as text; App Service gives only `expires_on` (seconds since the epoch). */
function expiryIn(answer: Record<string, unknown>, now: number): number {
  const seconds = Number(answer.expires_in ?? Number.NaN);
  return Number.isNaN(seconds) ? Number(answer.expires_on ?? Number.NaN) * 1000 : now + seconds * 1000;
}
