/**
 * The rows of the clouds: accounts with a region, credentials of several parts, and other vendors' wires at paths
 * and with bodies of their own. Sources: the clouds' API references, and how the vendors' own SDKs call them.
 */
import type { Operation } from "../dialects/dialect.js";
import { BEDROCK_LISTS, embeddingsUpTo, vertexLists } from "./catalog-lists.js";
import { CONVERSE_COUNTER, INVOKE_COUNTER, MESSAGES_COUNTER, VERTEX_COUNTER } from "./catalog-counters.js";
import { mediaAt, mediaOf, PICTURES, SOUND } from "./catalog-media.js";
import { type BodyShape, type ProviderRow, type ServedOperation, wire } from "./provider.js";

const NOT_IN_ENVIRONMENT = { environment: null, modelPatterns: [], defaultHeaders: {} } as const;
/** Names of headers that these hosts know nothing of; what they say goes into the body. */
const MESSAGES_HEADERS: readonly string[] = ["anthropic-version", "anthropic-beta"];

// ---- Amazon Bedrock --------------------------------------------------------------------------------

const AMAZON = {
  family: "bedrock",
  baseUrl: null,
  regionUrl: (region: string) =>
    `https://bedrock-runtime.${region}.amazonaws.com${region.startsWith("cn-") ? ".cn" : ""}`,
  regionInHost: /^(?:[a-z0-9-]+\.)?bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.(?:vpce\.)?amazonaws\.com/,
  auth: "credentials",
  keyOptional: true,
  ...NOT_IN_ENVIRONMENT,
} as const;

export const BEDROCK: ProviderRow = Object.freeze({
  ...AMAZON,
  id: "bedrock",
  dropHeaders: MESSAGES_HEADERS,
  serves: {
    chat: [
      wire("bedrock-converse", "/model/{model}/converse", {
        from: "host",
        streamPath: "/model/{model}/converse-stream",
      }),
    ],
    count_tokens: [
      wire("bedrock-converse", "/model/{model}/count-tokens", { from: "host", counter: CONVERSE_COUNTER }),
    ],
    ...BEDROCK_LISTS,
  },
});

const INVOKE_SHAPE: BodyShape = {
  set: { anthropic_version: "bedrock-2023-05-31" },
  remove: ["model", "stream"],
  fromHeaders: { anthropic_beta: "anthropic-beta" },
};

export const BEDROCK_ANTHROPIC: ProviderRow = Object.freeze({
  ...AMAZON,
  id: "bedrock-anthropic",
  dropHeaders: MESSAGES_HEADERS,
  serves: {
    messages: [
      wire("anthropic-messages", "/model/{model}/invoke", {
        from: "host",
        streamPath: "/model/{model}/invoke-with-response-stream",
        shape: INVOKE_SHAPE,
        errors: "bedrock-converse",
      }),
    ],
    count_tokens: [
      wire("anthropic-messages", "/model/{model}/count-tokens", {
        from: "host",
        shape: INVOKE_SHAPE,
        errors: "bedrock-converse",
        counter: INVOKE_COUNTER,
      }),
    ],
  },
});

// ---- Google Vertex AI ------------------------------------------------------------------------------

/** `us` and `eu` are groups of regions with hosts of another form. */
function vertexUrl(region: string): string {
  if (region === "global") return "https://aiplatform.googleapis.com";
  if (region === "us" || region === "eu") return `https://aiplatform.${region}.rep.googleapis.com`;
  return `https://${region}-aiplatform.googleapis.com`;
}

const GOOGLE = {
  family: "vertex",
  baseUrl: null,
  regionUrl: vertexUrl,
  regionInHost: /^(?:aiplatform\.([a-z]+)\.rep|([a-z0-9-]+)-aiplatform)\.googleapis\.com/,
  auth: "credentials",
  keyOptional: true,
  ...NOT_IN_ENVIRONMENT,
} as const;

const PUBLISHERS = "/v1/projects/{project}/locations/{region}/publishers";

export const VERTEX: ProviderRow = Object.freeze({
  ...GOOGLE,
  id: "vertex",
  serves: {
    chat: [
      wire("gemini", `${PUBLISHERS}/google/models/{model}:generateContent`, {
        from: "host",
        streamPath: `${PUBLISHERS}/google/models/{model}:streamGenerateContent?alt=sse`,
      }),
    ],
    count_tokens: [
      wire("gemini", `${PUBLISHERS}/google/models/{model}:countTokens`, { from: "host", counter: VERTEX_COUNTER }),
    ],
    ...vertexLists(`${PUBLISHERS}/google/models`),
  },
});

const RAW_PREDICT_SHAPE: BodyShape = {
  set: { anthropic_version: "vertex-2023-10-16" },
  remove: ["model"],
  fromHeaders: {},
};

export const VERTEX_ANTHROPIC: ProviderRow = Object.freeze({
  ...GOOGLE,
  id: "vertex-anthropic",
  dropHeaders: ["anthropic-version"],
  serves: {
    messages: [
      wire("anthropic-messages", `${PUBLISHERS}/anthropic/models/{model}:rawPredict`, {
        from: "host",
        streamPath: `${PUBLISHERS}/anthropic/models/{model}:streamRawPredict`,
        shape: RAW_PREDICT_SHAPE,
        errors: "gemini",
      }),
    ],
    // The counter is one model for all; which one is counted for stands in the body.
    count_tokens: [
      wire("anthropic-messages", `${PUBLISHERS}/anthropic/models/count-tokens:rawPredict`, {
        from: "host",
        shape: { ...RAW_PREDICT_SHAPE, remove: [] },
        errors: "gemini",
        counter: MESSAGES_COUNTER,
      }),
    ],
  },
});

// ---- Azure OpenAI ----------------------------------------------------------------------------------

const AZURE: ProviderRow = {
  id: "azure-openai",
  family: "azure-openai",
  baseUrl: null,
  auth: "api-key",
  environment: { key: "AZURE_OPENAI_API_KEY", baseUrl: "AZURE_OPENAI_BASE_URL" },
  modelPatterns: [],
  defaultHeaders: {},
  serves: {},
};

/** At the version root in either form. */
const KEPT: ProviderRow["serves"] = {
  files: [wire("openai-files", "/files")],
  batches: [wire("openai-files", "/batches")],
  fine_tuning: [wire("openai-files", "/fine_tuning/jobs")],
};

/** Texts to embed. */
const INPUTS_PER_CALL = 2048;

/** The newer form: paths as the vendor's own, the deployment is the model of the body. */
export const AZURE_OPENAI: ProviderRow = Object.freeze({
  ...AZURE,
  basePath: "/openai/v1",
  serves: {
    chat: [wire("openai-chat", "/chat/completions")],
    completions: [wire("openai-completions", "/completions")],
    responses: [wire("openai-responses", "/responses")],
    ...embeddingsUpTo(INPUTS_PER_CALL),
    ...mediaOf([...PICTURES, ...SOUND]),
    ...KEPT,
  },
});

function deployment(operation: string): string {
  return `/deployments/{model}/${operation}`;
}

const CLASSIC_SERVES: Readonly<Partial<Record<Operation, readonly ServedOperation[]>>> = {
  chat: [wire("openai-chat", deployment("chat/completions"))],
  completions: [wire("openai-completions", deployment("completions"))],
  embeddings: [wire("openai-embeddings", deployment("embeddings"), { inputsPerCall: INPUTS_PER_CALL })],
  responses: [wire("openai-responses", "/responses")],
  ...mediaAt([...PICTURES, ...SOUND], (path) => deployment(path.slice(1))),
  ...KEPT,
};

/** The older form, which a dated version of the API asks for: the deployment stands in the path. */
export const AZURE_OPENAI_CLASSIC: ProviderRow = Object.freeze({
  ...AZURE,
  basePath: "/openai",
  serves: CLASSIC_SERVES,
});
