/** The texts of every dialect: what a model would read of a request, and what it has written. */
import { MESSAGE_EVENT_TEXTS, MESSAGES_ANSWER_TEXTS, MESSAGES_REQUEST_TEXTS } from "./anthropic-messages/texts.js";
import type { DialectId } from "./dialect.js";
import type { FrameTexts } from "./frame-texts.js";
import { CHAT_ANSWER_TEXTS, CHAT_REQUEST_TEXTS, CHUNK_TEXTS } from "./openai-chat/texts.js";
import { COMPLETIONS_ANSWER_TEXTS, COMPLETIONS_REQUEST_TEXTS } from "./openai-completions/texts.js";
import { AUDIO_ANSWER_TEXTS, AUDIO_REQUEST_TEXTS, TRANSCRIPT_EVENT_TEXTS } from "./openai-audio/texts.js";
import { EMBEDDINGS_REQUEST_TEXTS } from "./openai-embeddings/texts.js";
import { MODERATIONS_REQUEST_TEXTS } from "./openai-moderations/texts.js";
import { RESPONSE_EVENT_TEXTS, RESPONSES_ANSWER_TEXTS, RESPONSES_REQUEST_TEXTS } from "./openai-responses/texts.js";
import { IMAGES_ANSWER_TEXTS, IMAGES_REQUEST_TEXTS } from "./openai-images/texts.js";
import { RERANK_ANSWER_TEXTS, RERANK_REQUEST_TEXTS } from "./rerank/texts.js";
import { shapeOf, type TextShape } from "./text-spans.js";
import { TOKENIZE_REQUEST_TEXTS } from "./tokenize/texts.js";

export interface DialectTexts {
  readonly request: TextShape;
  /** null: answers hold no text of a model. */
  readonly answer: TextShape | null;
  /** null: no text is streamed. */
  readonly frame: FrameTexts | null;
}

/** Files and what nobody has read. */
const NO_TEXTS: DialectTexts = { request: shapeOf({}), answer: null, frame: null };

const TEXTS: Readonly<Record<DialectId, DialectTexts>> = {
  "openai-chat": { request: CHAT_REQUEST_TEXTS, answer: CHAT_ANSWER_TEXTS, frame: CHUNK_TEXTS },
  "openai-completions": { request: COMPLETIONS_REQUEST_TEXTS, answer: COMPLETIONS_ANSWER_TEXTS, frame: CHUNK_TEXTS },
  "openai-responses": {
    request: RESPONSES_REQUEST_TEXTS,
    answer: RESPONSES_ANSWER_TEXTS,
    frame: RESPONSE_EVENT_TEXTS,
  },
  "anthropic-messages": {
    request: MESSAGES_REQUEST_TEXTS,
    answer: MESSAGES_ANSWER_TEXTS,
    frame: MESSAGE_EVENT_TEXTS,
  },
  "openai-embeddings": { request: EMBEDDINGS_REQUEST_TEXTS, answer: null, frame: null },
  "openai-images": { request: IMAGES_REQUEST_TEXTS, answer: IMAGES_ANSWER_TEXTS, frame: null },
  "openai-audio": { request: AUDIO_REQUEST_TEXTS, answer: AUDIO_ANSWER_TEXTS, frame: TRANSCRIPT_EVENT_TEXTS },
  "openai-moderations": { request: MODERATIONS_REQUEST_TEXTS, answer: null, frame: null },
  "openai-files": NO_TEXTS,
  raw: NO_TEXTS,
  rerank: { request: RERANK_REQUEST_TEXTS, answer: RERANK_ANSWER_TEXTS, frame: null },
  tokenize: { request: TOKENIZE_REQUEST_TEXTS, answer: null, frame: null },
};

/** Where the texts of a dialect's bodies and events stand. */
export function textsOfDialect(id: DialectId): DialectTexts {
  return TEXTS[id];
}
