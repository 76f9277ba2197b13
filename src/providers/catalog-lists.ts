/**
 * Endpoints that take lists (texts to embed, documents to rank), and those of image models that speak no dialect of
 * callers. How many inputs a call takes is in the vendors' API
 * references; where they name no bound there is none here.
 */
import { textsPerCall as bedrockTexts } from "../dialects/bedrock-embeddings/models.js";
import { textsPerCall as vertexTexts } from "../dialects/vertex-embeddings/models.js";
import { type ProviderRow, wire } from "./provider.js";

type Served = ProviderRow["serves"];

/** OpenAI-shaped embeddings with a bound on the inputs of a call. */
export function embeddingsUpTo(inputsPerCall: number): Served {
  return { embeddings: [wire("openai-embeddings", "/embeddings", { inputsPerCall })] };
}

export const COHERE_LISTS: Served = {
  embeddings: [wire("cohere-embed", "/v2/embed", { from: "host", inputsPerCall: 96 })],
  rerank: [wire("rerank", "/v2/rerank", { from: "host", newestFormOnly: true })],
};

export const GEMINI_LISTS: Served = {
  images: [
    wire("google-images", "/v1beta/models/{model}:generateContent", {
      from: "host",
      auth: "x-goog-api-key",
      modelPaths: [[/imagen/, "/v1beta/models/{model}:predict"]],
    }),
  ],
  embeddings: [
    wire("gemini-embeddings", "/v1beta/models/{model}:batchEmbedContents", {
      from: "host",
      auth: "x-goog-api-key",
      inputsPerCall: 100,
    }),
  ],
};

/** Its embeddings say the form of vectors in a word of their own. */
export const JINA_LISTS: Served = {
  embeddings: [
    wire("openai-embeddings", "/embeddings", {
      inputsPerCall: 2048,
      shape: { set: {}, remove: [], rename: { encoding_format: "embedding_type" }, fromHeaders: {} },
    }),
  ],
};

export const VOYAGE_LISTS: Served = {
  embeddings: [wire("voyage-embeddings", "/embeddings", { inputsPerCall: 1000 })],
  rerank: [wire("voyage-rerank", "/rerank")],
};

/** The length of vectors has another name. */
export const MISTRAL_LISTS: Served = {
  embeddings: [
    wire("openai-embeddings", "/embeddings", {
      shape: { set: {}, remove: [], rename: { dimensions: "output_dimension" }, fromHeaders: {} },
    }),
  ],
};

/** Its own path beside the OpenAI-shaped ones. */
export const TEI_LISTS: Served = { rerank: [wire("tei-rerank", "/rerank", { from: "host" })] };

export const BEDROCK_LISTS: Served = {
  embeddings: [wire("bedrock-embeddings", "/model/{model}/invoke", { from: "host", inputsPerCall: bedrockTexts })],
  rerank: [wire("bedrock-rerank", "/model/{model}/invoke", { from: "host" })],
  images: [wire("bedrock-images", "/model/{model}/invoke", { from: "host" })],
};

/** The same models as `embedsContent` of the wire names. */
const CONTENT_MODELS = /^(?!.*gemini-embedding-001$).*gemini|maas/;

/** `models`: the path below which the models stand. */
export function vertexLists(models: string): Served {
  return {
    embeddings: [
      wire("vertex-embeddings", `${models}/{model}:predict`, {
        from: "host",
        modelPaths: [[CONTENT_MODELS, `${models}/{model}:embedContent`]],
        inputsPerCall: vertexTexts,
      }),
    ],
    images: [
      wire("google-images", `${models}/{model}:generateContent`, {
        from: "host",
        modelPaths: [[/imagen/, `${models}/{model}:predict`]],
      }),
    ],
  };
}
