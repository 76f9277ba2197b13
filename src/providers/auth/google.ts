/**
 * Access tokens for Google Cloud: from a credentials file (service account key, workload identity federation, user,
 * impersonation) by way of google-auth-library, or from the metadata server of the machine.
 */
import { join } from "node:path";
import type { AuthClient, ExternalAccountClientOptions, JWTInput } from "google-auth-library";
import { type AuthContext, AuthError, type Credentials, readCredentialFile } from "./auth.js";
import { bearer, FetchedHeaders } from "./bearer.js";
import { callForJson, jsonObject } from "./endpoint.js";
import type { Grant } from "./token-cache.js";

/** Scope of every call to the model services. */
export const GOOGLE_SCOPE = "https://www.googleapis.com/auth/cloud-platform";

/** Kinds of credentials files. */
export const GOOGLE_FILE_TYPES: ReadonlySet<string> = new Set([
  "service_account",
  "external_account",
  "external_account_authorized_user",
  "authorized_user",
  "impersonated_service_account",
]);

/** A parsed credentials file. */
export type GoogleFile = Readonly<Record<string, unknown>>;

/** Where the token comes from; "default": what the environment and the machine offer (ADC). */
export type GoogleSource =
  | { readonly kind: "token"; readonly token: string }
  | { readonly kind: "file"; readonly file: GoogleFile }
  | { readonly kind: "path"; readonly path: string }
  | { readonly kind: "default" };

type Headers = Grant<readonly string[]>;

/** Tokens that do not say when they end are fetched again after this time. */
const UNKNOWN_LIFE_MS = 600_000;

/** Credentials for a source; files and the machine are asked when the first request comes. */
export function googleCredentials(source: GoogleSource, context: AuthContext): Credentials {
  if (source.kind === "token") return bearer(source.token);
  const finder = new ClientFinder(source, context);
  return new FetchedHeaders("Google credentials", (signal) => finder.headers(signal), context);
}

type FetchedSource = Exclude<GoogleSource, { readonly kind: "token" }>;

/** Keeps the library's client of a credentials file: it holds refresh tokens and intermediate ones. */
class ClientFinder {
  readonly #source: FetchedSource;
  readonly #context: AuthContext;
  #text = "";
  #client: AuthClient | null = null;

  constructor(source: FetchedSource, context: AuthContext) {
    this.#source = source;
    this.#context = context;
  }

  async headers(signal: AbortSignal): Promise<Headers> {
    const file = await this.#file();
    if (file === null) return metadataToken(this.#context, signal);
    const text = JSON.stringify(file);
    // A file on disk may have been replaced since the last token.
    if (this.#client === null || text !== this.#text) {
      this.#client = await clientOf(file, this.#context);
      this.#text = text;
    }
    return clientHeaders(this.#client, this.#context);
  }

  async #file(): Promise<GoogleFile | null> {
    if (this.#source.kind === "file") return this.#source.file;
    if (this.#source.kind === "path") return readGoogleFile(this.#context, this.#source.path);
    return defaultFile(this.#context);
  }
}

async function readGoogleFile(context: AuthContext, path: string): Promise<GoogleFile> {
  const file = jsonObject(await readCredentialFile(context, path, "the Google credentials file"));
  if (file === null) throw new AuthError("configuration", "the Google credentials file does not hold a JSON object");
  const type = file.type;
  if (typeof type !== "string" || !GOOGLE_FILE_TYPES.has(type)) {
    throw new AuthError("configuration", "the Google credentials file is of no known type");
  }
  return file;
}

/** The file of the application default credentials; null: there is none, so the metadata server is next. */
async function defaultFile(context: AuthContext): Promise<GoogleFile | null> {
  const { environment, home } = context;
  const named = environment.GOOGLE_APPLICATION_CREDENTIALS ?? "";
  if (named !== "") return readGoogleFile(context, named);
  const folder = environment.CLOUDSDK_CONFIG || join(environment.APPDATA || join(home, ".config"), "gcloud");
  const path = join(folder, "application_default_credentials.json");
  try {
    await context.readFile(path);
  } catch {
    return null;
  }
  return readGoogleFile(context, path);
}

async function clientOf(file: GoogleFile, context: AuthContext): Promise<AuthClient> {
  // Loaded when it is needed: it is large, and most gateways never ask it for anything.
  const { GoogleAuth } = await import("google-auth-library");
  const transporterOptions = {
    fetchImplementation: context.fetch,
    timeout: context.timeoutMs,
    // The cache around this tries again, and at its own pace.
    retryConfig: { retry: 0, noResponseRetries: 0 },
  };
  try {
    const auth = new GoogleAuth({ scopes: GOOGLE_SCOPE });
    const client: AuthClient = auth.fromJSON(file as JWTInput | ExternalAccountClientOptions, { transporterOptions });
    // The library gives its exchange of workload tokens a transport of its own, which knows nothing of our fetch.
    const exchange = (client as { stsCredential?: { transporter: unknown } }).stsCredential;
    if (exchange !== undefined) exchange.transporter = client.transporter;
    return client;
  } catch {
    throw new AuthError("configuration", "the Google credentials lack a field or hold one that cannot be used");
  }
}

async function clientHeaders(client: AuthClient, context: AuthContext): Promise<Headers> {
  try {
    // What the client still holds is what is about to be replaced.
    client.credentials = { ...client.credentials, access_token: null, expiry_date: 1 };
    const headers = await client.getRequestHeaders();
    const flat: string[] = [];
    for (const [name, value] of headers) flat.push(name, value);
    const expiresAt = client.credentials.expiry_date ?? context.now() + UNKNOWN_LIFE_MS;
    return { token: flat, expiresAt };
  } catch (error) {
    throw failureOf(error);
  }
}

/** The library's errors hold the request, and with it the secret; only the status and an error code are taken out. */
function failureOf(error: unknown): AuthError {
  const { status, response, cause } = error as {
    status?: unknown;
    response?: { status?: unknown; data?: { error?: unknown } };
    cause?: { code?: unknown };
  };
  const answered = typeof response?.status === "number" ? response.status : status;
  if (typeof answered !== "number") {
    const code = typeof cause?.code === "string" && /^[A-Z_]{1,40}$/.test(cause.code) ? ` (${cause.code})` : "";
    return new AuthError("unreachable", `the Google token endpoint gave no token${code}`);
  }
  const said = response?.data?.error;
  const code = typeof said === "string" && /^[a-z_]{1,64}$/.test(said) ? ` (${said})` : "";
  const kind = answered >= 500 || answered === 429 ? "unreachable" : "refused";
  return new AuthError(kind, `the Google token endpoint answered ${answered}${code}`);
}

const METADATA_HOST = "http://metadata.google.internal";
const TOKEN_PATH = "/computeMetadata/v1/instance/service-accounts/default/token";

async function metadataToken(context: AuthContext, signal: AbortSignal): Promise<Headers> {
  const named = context.environment.GCE_METADATA_HOST ?? "";
  const host = named === "" ? METADATA_HOST : /^https?:\/\//.test(named) ? named : `http://${named}`;
  const answer = await callForJson(context, {
    name: "the Google metadata server",
    url: `${host}${TOKEN_PATH}?scopes=${encodeURIComponent(GOOGLE_SCOPE)}`,
    method: "GET",
    headers: { "metadata-flavor": "Google" },
    signal,
  });
  const { access_token: token, expires_in: seconds } = answer;
  if (typeof token !== "string" || typeof seconds !== "number") {
    throw new AuthError("refused", "the Google metadata server answered without a token");
  }
  return { token: ["authorization", `Bearer ${token}`], expiresAt: context.now() + seconds * 1000 };
}
