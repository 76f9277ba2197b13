/** Every provider of the catalog as the walk meets it: its key, its models, and where and how it wants to be asked. */
import type { IncomingHttpHeaders } from "node:http";
import { COUNTING, type Operation, type WireId } from "../../src/dialects/dialect.js";
import { CATALOG } from "../../src/providers/catalog.js";
import type { ProviderRow } from "../../src/providers/provider.js";
import { ENTRA_TOKEN } from "../fake-upstream/walk-upstream.js";

export interface Vendor {
  /** Of its provider key, and of its part of the upstream's paths. */
  readonly name: string;
  readonly row: ProviderRow;
  /** Below its part of the upstream's paths. */
  readonly root: string;
  /** What its provider key has beside name, provider and address. */
  readonly key: Readonly<Record<string, unknown>>;
}

const AMAZON = {
  api_key: { access_key_id: "AKIDEXAMPLE", secret_access_key: "aws-very-secret-key", region: "us-west-2" },
};
const GOOGLE = { api_key: { access_token: "google-token", project: "acme", region: "us-east5" } };
const ENTRA = { tenant_id: "tenant", client_id: "client", client_secret: "entra-secret" };

/** Of the older form of a provider's API, which has a key of its own here. */
const CLASSIC = "azure-openai-classic";
const API_VERSION = "2024-10-21";

function keyOf(row: ProviderRow, url: string): Readonly<Record<string, unknown>> {
  if (row.family === "simulator") return {};
  if (row.family === "bedrock") return AMAZON;
  if (row.family === "vertex") return GOOGLE;
  if (row.family === "azure-openai") return { api_key: { ...ENTRA, authority_host: `${url}/login` } };
  return { api_key: secretOf(row.id) };
}

function secretOf(name: string): string {
  return `sk-of-${name}`;
}

function rootOf({ baseUrl, basePath = "" }: ProviderRow): string {
  return baseUrl === null ? basePath : new URL(baseUrl).pathname.replace(/\/$/, "");
}

/** `url`: of the upstream that stands for all of them. */
export function vendorsAt(url: string): readonly Vendor[] {
  const rows = CATALOG.map((row): Vendor => ({ name: row.id, row, root: rootOf(row), key: keyOf(row, url) }));
  const azure = rows.filter(({ row }) => row.family === "azure-openai");
  const classic = azure.map((vendor): Vendor => {
    return { ...vendor, name: CLASSIC, key: { api_key: secretOf(CLASSIC), api_version: API_VERSION } };
  });
  return [...rows, ...classic];
}

/** The provider keys and models of all of them; a model is called "NAME/MODEL". */
export function resourcesOf(vendors: readonly Vendor[], url: string): Record<string, unknown> {
  return {
    _format_version: "1",
    provider_keys: vendors.map(({ name, row, root, key }) => {
      const address = row.family === "simulator" ? {} : { api_base: `${url}/${name}${root}` };
      return { name, provider: row.id, ...address, ...key };
    }),
    models: vendors.map(({ name, row }) => {
      return { name: `${name}/*`, provider: row.id, model_name: "*", provider_key: name };
    }),
  };
}

/** Models whose names say which wire they want. */
const MODELS: Readonly<Record<string, Partial<Record<Operation, string>>>> = {
  bedrock: {
    embeddings: "amazon.titan-embed-text-v2:0",
    rerank: "cohere.rerank-v3-5:0",
    images: "amazon.nova-canvas-v1:0",
  },
  vertex: { embeddings: "text-embedding-005", images: "gemini-2.5-flash-image" },
  mistral: { completions: "codestral-latest" },
  gemini: { embeddings: "gemini-embedding-2", images: "gemini-2.5-flash-image" },
};

/** The upstream's name of the model that is asked. */
export function modelOf({ row }: Vendor, operation: Operation): string {
  return MODELS[row.id]?.[operation] ?? "walker-1";
}

// ---- where ---------------------------------------------------------------------------------------------

/** Below the version root. */
const USUAL: Readonly<Partial<Record<Operation, string>>> = {
  embeddings: "/embeddings",
  rerank: "/rerank",
  images: "/images/generations",
  image_edits: "/images/edits",
  image_variations: "/images/variations",
  transcriptions: "/audio/transcriptions",
  translations: "/audio/translations",
  speech: "/audio/speech",
  moderations: "/moderations",
  files: "/files",
  batches: "/batches",
  fine_tuning: "/fine_tuning/jobs",
  responses_items: "/responses",
};
const SPOKEN: Readonly<Partial<Record<WireId, string>>> = {
  "openai-chat": "/chat/completions",
  "openai-completions": "/completions",
  "openai-responses": "/responses",
  "anthropic-messages": "/messages",
};
const COUNTERS: Readonly<Partial<Record<WireId, string>>> = {
  "openai-responses": "/responses/input_tokens",
  "anthropic-messages": "/messages/count_tokens",
  tokenize: "/tokenize",
};

const GEMINI_MODEL = "/v1beta/models/{model}";
const VERTEX_MODELS = "/v1/projects/acme/locations/us-east5/publishers";
const VERTEX_MODEL = `${VERTEX_MODELS}/google/models/{model}`;
const INVOKED = "/model/{model}/invoke";

interface Own {
  /** Where all paths begin that are not named here. */
  readonly root?: string;
  readonly query?: string;
  readonly counter?: string;
  /** By wire: the whole path, and that of streams where it is another. */
  readonly wires?: Readonly<Partial<Record<WireId, string | readonly [whole: string, streamed: string]>>>;
}

/** Vendors whose paths are not all the usual ones. */
const OWN: Readonly<Record<string, Own>> = {
  anthropic: { root: "/v1" },
  bedrock: {
    counter: "/model/{model}/count-tokens",
    wires: {
      "bedrock-converse": ["/model/{model}/converse", "/model/{model}/converse-stream"],
      "bedrock-embeddings": INVOKED,
      "bedrock-rerank": INVOKED,
      "bedrock-images": INVOKED,
    },
  },
  "bedrock-anthropic": {
    counter: "/model/{model}/count-tokens",
    wires: { "anthropic-messages": [INVOKED, `${INVOKED}-with-response-stream`] },
  },
  vertex: {
    counter: `${VERTEX_MODEL}:countTokens`,
    wires: {
      gemini: [`${VERTEX_MODEL}:generateContent`, `${VERTEX_MODEL}:streamGenerateContent?alt=sse`],
      "vertex-embeddings": `${VERTEX_MODEL}:predict`,
      "google-images": `${VERTEX_MODEL}:generateContent`,
    },
  },
  "vertex-anthropic": {
    counter: `${VERTEX_MODELS}/anthropic/models/count-tokens:rawPredict`,
    wires: {
      "anthropic-messages": [
        `${VERTEX_MODELS}/anthropic/models/{model}:rawPredict`,
        `${VERTEX_MODELS}/anthropic/models/{model}:streamRawPredict`,
      ],
    },
  },
  gemini: {
    counter: `${GEMINI_MODEL}:countTokens`,
    wires: {
      gemini: [`${GEMINI_MODEL}:generateContent`, `${GEMINI_MODEL}:streamGenerateContent?alt=sse`],
      "gemini-embeddings": `${GEMINI_MODEL}:batchEmbedContents`,
      "google-images": `${GEMINI_MODEL}:generateContent`,
    },
  },
  cohere: { wires: { "cohere-chat": "/v2/chat", "cohere-embed": "/v2/embed", rerank: "/v2/rerank" } },
  deepseek: { wires: { "openai-completions": "/beta/completions", "anthropic-messages": "/anthropic/v1/messages" } },
  moonshot: { wires: { "anthropic-messages": "/anthropic/v1/messages" } },
  zhipu: { wires: { "anthropic-messages": "/api/anthropic/v1/messages" } },
  mistral: { wires: { "mistral-completions": "/v1/fim/completions" } },
  vllm: { counter: "/tokenize" },
  tei: { wires: { "tei-rerank": "/rerank" } },
  [CLASSIC]: { root: "/openai/deployments/{model}", query: `?api-version=${API_VERSION}` },
};

/** Operations of the older form that stand beside the deployments. */
const BESIDE: ReadonlySet<Operation> = new Set<Operation>([
  "responses",
  "responses_items",
  "files",
  "batches",
  "fine_tuning",
]);

/** Where the vendor wants this to be asked; `below`: what follows the operation's own path. */
export function placeOf(
  vendor: Vendor,
  asked: { operation: Operation; wire: WireId; stream: boolean; below: string },
): string {
  const { operation, wire, stream, below } = asked;
  const own = OWN[vendor.name] ?? {};
  const named = COUNTING.has(operation) ? own.counter : own.wires?.[wire];
  const usual = COUNTING.has(operation) ? COUNTERS[wire] : (USUAL[operation] ?? SPOKEN[wire]);
  // Another operation's words may stand for this one's.
  const beside = vendor.name === CLASSIC && (BESIDE.has(operation) || wire === "openai-responses");
  const root = beside ? "/openai" : (own.root ?? vendor.root);
  const [whole = "", streamed = whole] = named === undefined ? [`${root}${usual}`] : [named].flat();
  const path = `${stream ? streamed : whole}${below}${own.query ?? ""}`;
  return path.replace("{model}", encodeURIComponent(modelOf(vendor, operation)));
}

// ---- how -----------------------------------------------------------------------------------------------

const SIGNED = /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/\d{8}\/us-west-2\/bedrock\/aws4_request, /;
const KEY_HEADERS: readonly string[] = ["authorization", "x-api-key", "x-goog-api-key", "api-key"];
/** Vendors of OpenAI-shaped endpoints whose messages are another vendor's in this, too. */
const OWN_KEY: ReadonlySet<string> = new Set(["anthropic", "deepseek", "moonshot", "zhipu"]);

function letsIn({ name, row }: Vendor, wire: WireId): readonly [header: string, value: string | RegExp] {
  if (row.family === "bedrock") return ["authorization", SIGNED];
  if (row.family === "vertex") return ["authorization", "Bearer google-token"];
  if (name === CLASSIC) return ["api-key", secretOf(name)];
  if (row.family === "azure-openai") return ["authorization", `Bearer ${ENTRA_TOKEN}`];
  if (row.id === "gemini" && wire !== "openai-chat") return ["x-goog-api-key", secretOf(name)];
  if (OWN_KEY.has(row.id) && wire === "anthropic-messages") return ["x-api-key", secretOf(name)];
  return ["authorization", `Bearer ${secretOf(name)}`];
}

/** What is wrong with the headers that let a request in; "" = nothing. `wire` "raw": in any of the vendor's ways. */
export function refusalOf(vendor: Vendor, wire: WireId, headers: IncomingHttpHeaders): string {
  const wires: readonly WireId[] = wire === "raw" ? ["openai-chat", "anthropic-messages", "gemini"] : [wire];
  const said = KEY_HEADERS.filter((name) => headers[name] !== undefined).map((name) => `${name}: ${headers[name]}`);
  const fits = wires.some((each) => {
    const [name, value] = letsIn(vendor, each);
    const given = String(headers[name]);
    return typeof value === "string" ? given === value : value.test(given);
  });
  return fits && said.length === 1 ? "" : `let in by ${said.join(", ")}`;
}
