/** The resources of a gateway that was started without any: the environment's providers and the simulator. */
import { createHash, randomBytes } from "node:crypto";
import {
  type ApiKeyResource,
  type DirectModel,
  NO_REQUEST_OVERRIDES,
  type ProviderKeyResource,
  type Resources,
} from "../config/resources.js";
import { DEFAULT_COOLDOWN, NO_TRAFFIC } from "../config/traffic.js";
import { CATALOG } from "./catalog.js";
import type { ProviderRow } from "./provider.js";

export interface EmbeddedDefault {
  readonly resources: Resources;
  /** The caller's key in plain, to be printed once; the resources hold only its hash. */
  readonly plainKey: string;
  /** Ids of the providers found in the environment, in the catalog's order; the simulator is not among them. */
  readonly providers: readonly string[];
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Builds the embedded default. `callerKey.plain` (or WEIR_KEY in `env`) becomes the caller's key; otherwise
 * one is made. A provider counts as present when its key variable is set, or, for one that needs no key, when
 * its address is; the variables' names stand in its catalog row.
 */
export function embeddedDefault(env: Environment, callerKey: { readonly plain?: string } = {}): EmbeddedDefault {
  const plainKey = callerKey.plain || env.WEIR_KEY || `sk-weir-${randomBase62(32)}`;
  const providerKeys: ProviderKeyResource[] = [];
  const models: DirectModel[] = [];
  const providers: string[] = [];
  for (const row of CATALOG) {
    const key = row.family === "simulator" ? providerKey(row, "", null) : keyFromEnvironment(row, env);
    if (key === null) continue;
    providerKeys.push(key);
    if (row.family !== "simulator") providers.push(row.id);
    for (const name of row.modelPatterns) models.push(model(row, name, name));
    models.push(model(row, `${row.id}/*`, "*"));
  }
  const content = { providerKeys, models, apiKeys: [defaultApiKey(plainKey)], traffic: NO_TRAFFIC };
  const revision = createHash("sha256").update(JSON.stringify(content)).digest("hex").slice(0, 12);
  return { resources: { revision, source: "embedded default", ...content }, plainKey, providers };
}

function keyFromEnvironment(row: ProviderRow, env: Environment): ProviderKeyResource | null {
  if (row.environment === null) return null;
  const secret = env[row.environment.key]?.trim() ?? "";
  const baseUrl = env[row.environment.baseUrl]?.trim() || null;
  const present = secret !== "" || (row.keyOptional === true && baseUrl !== null);
  return present && (baseUrl !== null || row.baseUrl !== null) ? providerKey(row, secret, baseUrl) : null;
}

function providerKey(row: ProviderRow, apiKey: string, apiBase: string | null): ProviderKeyResource {
  return {
    name: row.id,
    provider: row.id,
    adapter: null,
    apiBase,
    apiKey,
    credential: null,
    region: null,
    apiVersion: null,
    tls: null,
    stripHeaders: [],
    defaultHeaders: {},
    request: NO_REQUEST_OVERRIDES,
    response: null,
    telemetryTags: {},
  };
}

function model(row: ProviderRow, name: string, modelName: string): DirectModel {
  return {
    kind: "direct",
    name,
    provider: row.id,
    modelName,
    providerKey: row.id,
    rateLimit: null,
    timeoutMs: null,
    streamTimeoutMs: null,
    retries: null,
    strict: false,
    allowedCidrs: [],
    cooldown: DEFAULT_COOLDOWN,
    backgroundCheck: null,
    cost: null,
    embedding: null,
    autoPromptCaching: null,
  };
}

function defaultApiKey(plainKey: string): ApiKeyResource {
  return {
    name: "default",
    keyHash: createHash("sha256").update(plainKey).digest("hex"),
    allowedModels: ["*"],
    allowedRoutes: null,
    disabled: false,
    strict: false,
    expiresAt: null,
    teamId: null,
    userId: null,
    userName: null,
    rateLimit: null,
    metadata: {},
  };
}

const BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

function randomBase62(length: number): string {
  let text = "";
  while (text.length < length) {
    for (const byte of randomBytes(length)) {
      // 248 = 4 × 62: bytes above it would make some letters likelier than others.
      if (byte < 248 && text.length < length) text += BASE62[byte % 62];
    }
  }
  return text;
}
