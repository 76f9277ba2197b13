/** A gateway before vendors' endpoints for lists and images: one model a wire. */
import { startListUpstream, type ListUpstream } from "../fake-upstream/vendor-lists.js";
import { KEY, type RunningGateway, sha256, startGateway } from "./gateway.js";

export interface ListStage {
  readonly gateway: RunningGateway;
  readonly upstream: ListUpstream;
}

/** Models by the provider key that they stand behind. */
const MODELS: Readonly<Record<string, readonly string[]>> = {
  gemini: ["gemini-embedding-2", "gemini-2.5-flash-image", "imagen-4.0-generate-001"],
  vertex: ["text-embedding-005", "gemini-embedding-001", "vertex/gemini-embedding-2"],
  bedrock: [
    "amazon.titan-embed-text-v1",
    "amazon.titan-embed-text-v2:0",
    "amazon.nova-2-multimodal-embeddings-v1:0",
    "cohere.embed-v4:0",
    "amazon.rerank-v1:0",
    "cohere.rerank-v3-5:0",
    "amazon.nova-canvas-v1:0",
    "stability.stable-image-core-v1:1",
  ],
  cohere: ["embed-v4.0", "rerank-v3.5"],
  jina: ["jina-embeddings-v4", "jina-reranker-v3"],
  voyage: ["voyage-4", "voyage/rerank-2.5"],
  mistral: ["mistral-embed"],
  tei: ["bge-reranker"],
  simulator: ["sim-law/simulator", "sim-rest/simulator"],
};

function providerKeys(url: string): Record<string, unknown>[] {
  const google = { access_token: "google-token", project: "p", region: "us-central1" };
  const amazon = { access_key_id: "AKIDEXAMPLE", secret_access_key: "aws-very-secret-key", region: "us-west-2" };
  return [
    { name: "gemini", provider: "gemini", api_base: url, api_key: "gemini-key" },
    { name: "vertex", provider: "vertex", api_base: url, api_key: google },
    { name: "bedrock", provider: "bedrock", api_base: url, api_key: amazon },
    { name: "cohere", provider: "cohere", api_base: url, api_key: "cohere-key" },
    { name: "jina", provider: "jina", api_base: `${url}/jina/v1`, api_key: "jina-key" },
    { name: "voyage", provider: "voyage", api_base: `${url}/voyage/v1`, api_key: "voyage-key" },
    { name: "mistral", provider: "mistral", api_base: `${url}/mistral/v1`, api_key: "mistral-key" },
    { name: "tei", provider: "tei", api_base: url },
    { name: "simulator", provider: "simulator" },
  ];
}

/** Asks a model that takes one text a call for the vectors of all its examples. */
const BY_TOPIC = {
  name: "by-topic",
  semantic: {
    embedding_model: "amazon.titan-embed-text-v2:0",
    default: "sim-rest/simulator",
    match: { threshold: 0.99 },
    routes: [{ name: "law", target: "sim-law/simulator", examples: ["Is this valid?", "What does it mean?"] }],
  },
};

export async function startListStage(key: Record<string, unknown> = {}): Promise<ListStage> {
  const upstream = await startListUpstream();
  const models = Object.entries(MODELS).flatMap(([provider, names]) =>
    names.map((name) => ({
      name,
      provider,
      model_name: name.split("/").at(-1),
      provider_key: provider,
    })),
  );
  const resources = {
    _format_version: "1",
    provider_keys: providerKeys(upstream.url),
    models: [...models, BY_TOPIC],
    api_keys: [{ name: "tester", key_hash: sha256(KEY), allowed_models: ["*"], ...key }],
  };
  return { upstream, gateway: await startGateway({ resources }) };
}

export async function endListStage(stage: ListStage | undefined): Promise<void> {
  await stage?.gateway.dispose();
  await stage?.upstream.close();
}
