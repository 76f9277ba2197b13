/** Every dialect by its id. */
import { anthropicMessages } from "./anthropic-messages/dialect.js";
import type { Dialect, DialectId } from "./dialect.js";
import { openAiAudio } from "./openai-audio/dialect.js";
import { openAiChat } from "./openai-chat/dialect.js";
import { openAiCompletions } from "./openai-completions/dialect.js";
import { openAiEmbeddings } from "./openai-embeddings/dialect.js";
import { openAiFiles } from "./openai-files/dialect.js";
import { openAiImages } from "./openai-images/dialect.js";
import { openAiModerations } from "./openai-moderations/dialect.js";
import { openAiResponses } from "./openai-responses/dialect.js";
import { raw } from "./raw/dialect.js";
import { rerank } from "./rerank/dialect.js";
import { tokenize } from "./tokenize/dialect.js";

const REGISTRY: Readonly<Record<DialectId, Dialect>> = Object.freeze({
  "openai-chat": openAiChat,
  "openai-responses": openAiResponses,
  "openai-completions": openAiCompletions,
  "openai-embeddings": openAiEmbeddings,
  "openai-images": openAiImages,
  "openai-audio": openAiAudio,
  "openai-moderations": openAiModerations,
  "anthropic-messages": anthropicMessages,
  "openai-files": openAiFiles,
  raw,
  rerank,
  tokenize,
});

/** The dialect of an id. */
export function dialectOf(id: DialectId): Dialect {
  return REGISTRY[id];
}

/** The dialect whose answers a provider keeps, to be asked for by their ids. */
export const KEPT_DIALECT: Dialect = openAiResponses;

/** The dialect in which the gateway itself asks for vectors. */
export const EMBEDDINGS_DIALECT: Dialect = openAiEmbeddings;

/** The dialect in which the gateway itself asks whether a model is well. */
export const CHAT_DIALECT: Dialect = openAiChat;
