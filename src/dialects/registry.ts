/** Every dialect by its id. */
import { anthropicMessages } from "./anthropic-messages/dialect.js";
import type { Dialect, DialectId } from "./dialect.js";
import { openAiChat } from "./openai-chat/dialect.js";
import { openAiCompletions } from "./openai-completions/dialect.js";
import { openAiEmbeddings } from "./openai-embeddings/dialect.js";
import { openAiResponses } from "./openai-responses/dialect.js";
import { tokenize } from "./tokenize/dialect.js";

const REGISTRY: Readonly<Record<DialectId, Dialect>> = Object.freeze({
  "openai-chat": openAiChat,
  "openai-responses": openAiResponses,
  "openai-completions": openAiCompletions,
  "openai-embeddings": openAiEmbeddings,
  "anthropic-messages": anthropicMessages,
  tokenize,
});

/** The dialect of an id. */
export function dialectOf(id: DialectId): Dialect {
  return REGISTRY[id];
}

/** The dialect in which the gateway itself asks for vectors. */
export const EMBEDDINGS_DIALECT: Dialect = openAiEmbeddings;

/** The dialect in which the gateway itself asks whether a model is well. */
export const CHAT_DIALECT: Dialect = openAiChat;
