/**
 * The rows of every provider the gateway knows by name. A row says what the vendor serves natively today;
 * sources are the vendors' own API references. An OpenAI-compatible vendor is one line.
 */
import type { Operation } from "../dialects/dialect.js";
import { FILLING_MODELS } from "../dialects/mistral-completions/codec.js";
import {
  AZURE_OPENAI,
  AZURE_OPENAI_CLASSIC,
  BEDROCK,
  BEDROCK_ANTHROPIC,
  VERTEX,
  VERTEX_ANTHROPIC,
} from "./catalog-clouds.js";
import {
  COHERE_LISTS,
  embeddingsUpTo,
  GEMINI_LISTS,
  JINA_LISTS,
  MISTRAL_LISTS,
  TEI_LISTS,
  VOYAGE_LISTS,
} from "./catalog-lists.js";
import { ALL_MEDIA, LISTENING, MEDIA_WIRES, SOUND } from "./catalog-media.js";
import { GENERATE_CONTENT_COUNTER, MESSAGES_COUNTER, RESPONSES_COUNTER } from "./catalog-counters.js";
import { type ProviderRow, type ServedOperation, wire } from "./provider.js";

type Served = ProviderRow["serves"];

const OPENAI_WIRES: Readonly<Partial<Record<Operation, ServedOperation>>> = {
  chat: wire("openai-chat", "/chat/completions"),
  completions: wire("openai-completions", "/completions"),
  responses: wire("openai-responses", "/responses"),
  input_tokens: wire("openai-responses", "/responses/input_tokens", { counter: RESPONSES_COUNTER }),
  embeddings: wire("openai-embeddings", "/embeddings"),
  rerank: wire("rerank", "/rerank"),
  files: wire("openai-files", "/files"),
  batches: wire("openai-files", "/batches"),
  fine_tuning: wire("openai-files", "/fine_tuning/jobs"),
  ...MEDIA_WIRES,
};

/** The Anthropic-shaped messages endpoint of a vendor whose other operations are OpenAI-shaped. */
function messagesAt(path: string): Served {
  return { messages: [wire("anthropic-messages", path, { from: "host", auth: "x-api-key" })] };
}

/** Messages beside the OpenAI-shaped endpoints, under the same version root and with the same secret. */
const MESSAGES_BESIDE: Served = { messages: [wire("anthropic-messages", "/messages")] };

function environment(prefix: string): ProviderRow["environment"] {
  return { key: `${prefix}_API_KEY`, baseUrl: `${prefix}_BASE_URL` };
}

/** An OpenAI-compatible vendor: Bearer, the usual paths below the version root, variables named after the id. */
function compatible(
  id: string,
  baseUrl: string | null,
  operations: readonly Operation[],
  differs: Partial<ProviderRow> = {},
): ProviderRow {
  const serves: Partial<Record<Operation, readonly ServedOperation[]>> = {};
  for (const operation of operations) {
    const served = OPENAI_WIRES[operation];
    if (served !== undefined) serves[operation] = [served];
  }
  return Object.freeze({
    id,
    family: "openai",
    baseUrl,
    auth: "bearer",
    environment: environment(id.toUpperCase().replaceAll("-", "_")),
    modelPatterns: [],
    defaultHeaders: {},
    ...differs,
    serves: Object.freeze({ ...serves, ...differs.serves }),
  });
}

/** A server that its user runs: no secret needed, address in its environment variable or its usual port. */
function selfHosted(
  id: string,
  baseUrl: string | null,
  operations: readonly Operation[],
  serves: Served = {},
): ProviderRow {
  return compatible(id, baseUrl, operations, { basePath: "/v1", keyOptional: true, serves });
}

const MODEL_OPERATIONS: readonly Operation[] = ["chat", "completions", "embeddings"];
const KEPT: readonly Operation[] = ["files", "batches", "fine_tuning"];
const ALL_OPENAI: readonly Operation[] = [...MODEL_OPERATIONS, "responses", "input_tokens"];

const ANTHROPIC: ProviderRow = Object.freeze({
  id: "anthropic",
  family: "anthropic",
  baseUrl: "https://api.anthropic.com",
  auth: "x-api-key",
  environment: environment("ANTHROPIC"),
  modelPatterns: ["claude-*"],
  serves: {
    messages: [wire("anthropic-messages", "/v1/messages", { from: "host" })],
    count_tokens: [
      wire("anthropic-messages", "/v1/messages/count_tokens", { from: "host", counter: MESSAGES_COUNTER }),
    ],
    // The vendor's OpenAI-compatible endpoint reads the secret as OpenAI's clients send it.
    chat: [wire("openai-chat", "/v1/chat/completions", { from: "host", auth: "bearer" })],
  },
  defaultHeaders: { "anthropic-version": "2023-06-01" },
});

const SIMULATOR: ProviderRow = Object.freeze({
  id: "simulator",
  family: "simulator",
  baseUrl: null,
  auth: "none",
  keyOptional: true,
  environment: null,
  modelPatterns: ["simulator"],
  serves: {
    ...compatible("simulator", null, [...ALL_OPENAI, ...ALL_MEDIA, "rerank"]).serves,
    messages: [wire("anthropic-messages", "/messages")],
    count_tokens: [wire("anthropic-messages", "/messages/count_tokens")],
    tokenize: [wire("tokenize", "/tokenize")],
  },
  defaultHeaders: {},
});

const GENERIC_OPENAI = selfHosted("openai-compatible", null, [...ALL_OPENAI, ...ALL_MEDIA, ...KEPT, "rerank"]);
const GENERIC_ANTHROPIC: ProviderRow = Object.freeze({
  ...ANTHROPIC,
  id: "anthropic-compatible",
  baseUrl: null,
  keyOptional: true,
  environment: null,
  modelPatterns: [],
  serves: { messages: ANTHROPIC.serves.messages ?? [], count_tokens: ANTHROPIC.serves.count_tokens ?? [] },
});

export const CATALOG: readonly ProviderRow[] = Object.freeze([
  compatible("openai", "https://api.openai.com/v1", [...ALL_OPENAI, ...ALL_MEDIA, ...KEPT], {
    modelPatterns: [
      "gpt-*",
      "o1*",
      "o3*",
      "o4*",
      "chatgpt-*",
      "text-embedding-*",
      "dall-e-*",
      "tts-*",
      "whisper-*",
      "omni-moderation-*",
      "text-moderation-*",
      "codex-*",
      "computer-use-*",
    ],
    serves: embeddingsUpTo(2048),
  }),
  ANTHROPIC,
  AZURE_OPENAI,
  BEDROCK,
  BEDROCK_ANTHROPIC,
  VERTEX,
  VERTEX_ANTHROPIC,
  compatible("gemini", "https://generativelanguage.googleapis.com/v1beta/openai", [], {
    family: "gemini",
    modelPatterns: ["gemini-*", "imagen-*"],
    serves: {
      chat: [
        wire("gemini", "/v1beta/models/{model}:generateContent", {
          from: "host",
          streamPath: "/v1beta/models/{model}:streamGenerateContent?alt=sse",
          auth: "x-goog-api-key",
        }),
        wire("openai-chat", "/chat/completions"),
      ],
      count_tokens: [
        wire("gemini", "/v1beta/models/{model}:countTokens", {
          from: "host",
          auth: "x-goog-api-key",
          counter: GENERATE_CONTENT_COUNTER,
        }),
      ],
      ...GEMINI_LISTS,
    },
  }),
  compatible("groq", "https://api.groq.com/openai/v1", ["chat", "responses", ...SOUND, "files", "batches"]),
  compatible("xai", "https://api.x.ai/v1", ["chat", "completions", "responses", "images"], {
    modelPatterns: ["grok-*"],
  }),
  compatible("together", "https://api.together.xyz/v1", [...MODEL_OPERATIONS, "images", "rerank", "files", "batches"]),
  compatible("cohere", "https://api.cohere.com/compatibility/v1", [], {
    family: "cohere",
    modelPatterns: ["command-*", "embed-*", "rerank-*"],
    serves: {
      chat: [wire("cohere-chat", "/v2/chat", { from: "host" }), wire("openai-chat", "/chat/completions")],
      ...COHERE_LISTS,
    },
  }),
  compatible("mistral", "https://api.mistral.ai/v1", ["chat", "files", "fine_tuning"], {
    serves: {
      ...MISTRAL_LISTS,
      completions: [
        wire("mistral-completions", "/chat/completions", { modelPaths: [[FILLING_MODELS, "/fim/completions"]] }),
      ],
    },
    modelPatterns: [
      "mistral-*",
      "ministral-*",
      "magistral-*",
      "codestral-*",
      "devstral-*",
      "pixtral-*",
      "open-mistral-*",
    ],
  }),
  compatible("deepinfra", "https://api.deepinfra.com/v1/openai", [...MODEL_OPERATIONS, "images"]),
  compatible("deepseek", "https://api.deepseek.com/v1", ["chat"], {
    modelPatterns: ["deepseek-*"],
    serves: {
      completions: [wire("openai-completions", "/beta/completions", { from: "host" })],
      ...messagesAt("/anthropic/v1/messages"),
    },
  }),
  compatible("hunyuan", "https://api.hunyuan.cloud.tencent.com/v1", MODEL_OPERATIONS, {
    modelPatterns: ["hunyuan-*"],
    serves: embeddingsUpTo(200),
  }),
  compatible("tencent-lke", "https://api.lkeap.cloud.tencent.com/v1", ["chat"]),
  compatible("tars", "https://api.router.tetrate.ai/v1", MODEL_OPERATIONS),
  compatible("sambanova", "https://api.sambanova.ai/v1", MODEL_OPERATIONS),
  compatible("jina", "https://api.jina.ai/v1", ["rerank"], { modelPatterns: ["jina-*"], serves: JINA_LISTS }),
  compatible("voyage", "https://api.voyageai.com/v1", [], {
    // Its rerankers' names say nothing of the vendor.
    modelPatterns: ["voyage-*"],
    serves: VOYAGE_LISTS,
  }),
  compatible("openrouter", "https://openrouter.ai/api/v1", [...MODEL_OPERATIONS, "responses"], {
    serves: MESSAGES_BESIDE,
  }),
  compatible("fireworks", "https://api.fireworks.ai/inference/v1", [...MODEL_OPERATIONS, "responses"]),
  compatible("perplexity", "https://api.perplexity.ai", ["chat"], { modelPatterns: ["sonar*"] }),
  compatible("moonshot", "https://api.moonshot.ai/v1", ["chat"], {
    modelPatterns: ["moonshot-*", "kimi-*"],
    serves: messagesAt("/anthropic/v1/messages"),
  }),
  compatible("zhipu", "https://open.bigmodel.cn/api/paas/v4", ["chat", "embeddings"], {
    modelPatterns: ["glm-*"],
    serves: { ...embeddingsUpTo(64), ...messagesAt("/api/anthropic/v1/messages") },
  }),
  compatible("qwen", "https://dashscope.aliyuncs.com/compatible-mode/v1", ["chat", "embeddings", "files", "batches"], {
    environment: environment("DASHSCOPE"),
    modelPatterns: ["qwen*", "qwq-*"],
    serves: embeddingsUpTo(10),
  }),
  compatible("cerebras", "https://api.cerebras.ai/v1", ["chat", "completions"]),
  compatible("nvidia-nim", "https://integrate.api.nvidia.com/v1", MODEL_OPERATIONS, {
    environment: environment("NVIDIA"),
  }),
  selfHosted("vllm", null, [...MODEL_OPERATIONS, "responses", "rerank", ...LISTENING], {
    ...MESSAGES_BESIDE,
    tokenize: [wire("tokenize", "/tokenize", { from: "host" })],
  }),
  selfHosted("ollama", "http://127.0.0.1:11434/v1", [...MODEL_OPERATIONS, "responses"], MESSAGES_BESIDE),
  selfHosted("lmstudio", "http://127.0.0.1:1234/v1", [...MODEL_OPERATIONS, "responses"], MESSAGES_BESIDE),
  selfHosted("tgi", null, ["chat", "completions"]),
  selfHosted("tei", null, ["embeddings"], TEI_LISTS),
  SIMULATOR,
]);

const BY_ID: ReadonlyMap<string, ProviderRow> = new Map(CATALOG.map((row) => [row.id, row]));

export const PROVIDER_IDS: readonly string[] = Object.freeze(CATALOG.map((row) => row.id));

/** The row of a provider of the catalog. */
export function providerRow(id: string): ProviderRow | undefined {
  return BY_ID.get(id);
}

/**
 * The row that a provider key is served by: the catalog's own, or, for an adapter of another family or a
 * provider that is not in the catalog, a general row of that family under the given id. undefined: neither
 * the provider nor the adapter is known.
 */
export function rowFor(providerId: string, adapter: string | null): ProviderRow | undefined {
  const row = BY_ID.get(providerId);
  if (row !== undefined && (adapter === null || adapter === row.family)) return row;
  const general = adapter === null ? undefined : generalRow(adapter);
  return general === undefined ? undefined : Object.freeze({ ...general, id: providerId, madeFrom: general.id });
}

/** Versions of an API are dates where its older form is meant, words ("preview") where the newer one is. */
const DATED = /^\d{4}-\d{2}-\d{2}/;

/** The row of a provider key, in the form of the API that its version asks for. */
export function rowOfKey(key: {
  readonly provider: string;
  readonly adapter: string | null;
  readonly apiVersion: string | null;
}): ProviderRow | undefined {
  const row = rowFor(key.provider, key.adapter);
  if (row?.family !== "azure-openai" || key.apiVersion === null || !DATED.test(key.apiVersion)) return row;
  return { ...AZURE_OPENAI_CLASSIC, id: row.id, madeFrom: AZURE_OPENAI.id };
}

function generalRow(adapter: string): ProviderRow | undefined {
  if (adapter === "openai") return GENERIC_OPENAI;
  if (adapter === "anthropic") return GENERIC_ANTHROPIC;
  return CATALOG.find((row) => row.id === adapter && row.family === adapter && adapter !== "simulator");
}
