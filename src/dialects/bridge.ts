/** Which client dialect reaches which target wire, by operation, and how. The matrix is data; holes are "none". */
import type { DialectId, Operation, WireId } from "./dialect.js";

/** passthrough: same dialect, the client's bytes are the truth. hub: by way of what the request means. */
export type BridgeKind = "passthrough" | "hub" | "none";

export interface Bridge {
  readonly kind: Exclude<BridgeKind, "none">;
  readonly operation: Operation;
  readonly client: DialectId;
  readonly target: WireId;
}

type Row = Readonly<Partial<Record<WireId, BridgeKind>>>;

/** Every wire that carries a conversation. */
const CONVERSATION: Row = {
  "openai-chat": "hub",
  "openai-responses": "hub",
  "anthropic-messages": "hub",
  gemini: "hub",
  "bedrock-converse": "hub",
  "cohere-chat": "hub",
};

/** Every wire whose providers may have a counter of tokens. */
const COUNTED: Row = {
  "openai-responses": "hub",
  "anthropic-messages": "hub",
  gemini: "hub",
  "bedrock-converse": "hub",
};

/** Wires for vectors of texts. */
const VECTORS: Row = {
  "cohere-embed": "hub",
  "gemini-embeddings": "hub",
  "vertex-embeddings": "hub",
  "bedrock-embeddings": "hub",
  "voyage-embeddings": "hub",
};

/** Wires for the order of documents. */
const RANKINGS: Row = { "voyage-rerank": "hub", "bedrock-rerank": "hub", "tei-rerank": "hub" };

/** operation → client dialect → target wire; what is not written is "none". */
export const BRIDGES: Readonly<Record<Operation, Readonly<Partial<Record<DialectId, Row>>>>> = {
  chat: { "openai-chat": { ...CONVERSATION, "openai-chat": "passthrough" } },
  messages: { "anthropic-messages": { ...CONVERSATION, "anthropic-messages": "passthrough" } },
  count_tokens: { "anthropic-messages": { ...COUNTED, "anthropic-messages": "passthrough" } },
  responses: { "openai-responses": { ...CONVERSATION, "openai-responses": "passthrough" } },
  input_tokens: { "openai-responses": { ...COUNTED, "openai-responses": "passthrough" } },
  completions: {
    "openai-completions": { ...CONVERSATION, "mistral-completions": "hub", "openai-completions": "passthrough" },
  },
  embeddings: { "openai-embeddings": { ...VECTORS, "openai-embeddings": "passthrough" } },
  rerank: { rerank: { ...RANKINGS, rerank: "passthrough" } },
  images: { "openai-images": { "google-images": "hub", "bedrock-images": "hub", "openai-images": "passthrough" } },
  image_edits: { "openai-images": { "openai-images": "passthrough" } },
  image_variations: { "openai-images": { "openai-images": "passthrough" } },
  transcriptions: { "openai-audio": { "openai-audio": "passthrough" } },
  translations: { "openai-audio": { "openai-audio": "passthrough" } },
  speech: { "openai-audio": { "openai-audio": "passthrough" } },
  moderations: { "openai-moderations": { "openai-moderations": "passthrough" } },
  responses_items: { "openai-responses": { "openai-responses": "passthrough" } },
  files: { "openai-files": { "openai-files": "passthrough" } },
  batches: { "openai-files": { "openai-files": "passthrough" } },
  fine_tuning: { "openai-files": { "openai-files": "passthrough" } },
  passthrough: { raw: { raw: "passthrough" } },
  tokenize: { tokenize: { tokenize: "passthrough" } },
  models: {},
};

const built = new Map<string, Bridge>();
for (const [operation, clients] of Object.entries(BRIDGES)) {
  for (const [client, targets] of Object.entries(clients)) {
    for (const [target, kind] of Object.entries(targets)) {
      if (kind === "none") continue;
      const bridge = { kind, operation, client, target } as Bridge;
      built.set(`${operation} ${client} ${target}`, Object.freeze(bridge));
    }
  }
}

/** The bridge for a pair of dialects in an operation; null = the pair cannot be served. */
export function bridgeFor(operation: Operation, client: DialectId, target: WireId): Bridge | null {
  return built.get(`${operation} ${client} ${target}`) ?? null;
}
