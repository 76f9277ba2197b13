/** The chat completions dialect. */
import type { Dialect } from "../dialect.js";
import { renderOpenAiError, renderOpenAiStreamError } from "../openai-envelope.js";
import { ChunkObserver, WholeAnswerObserver } from "../openai-usage.js";
import { readFields, spliceFields } from "../request-fields.js";
import { answerTextOf, readChunkText, requestTextOf, streamTextOf } from "../text.js";
import { CHAT_DEFINITIONS, CHAT_REQUEST, CHAT_TEXT } from "./wire.js";

export const openAiChat: Dialect = {
  id: "openai-chat",
  readRequest: (body, _operation, modelOverride) => readFields(body, CHAT_REQUEST, modelOverride),
  namesKept: true,
  spliceRequest: spliceFields,
  streamObserver: (view, tally) => new ChunkObserver(view, tally),
  answerObserver: (_operation, tally) => new WholeAnswerObserver(tally),
  renderError: renderOpenAiError,
  renderStreamError: renderOpenAiStreamError,
  requestText: (body) => requestTextOf(body, CHAT_TEXT, CHAT_DEFINITIONS),
  answerText: (bytes, streamed) => (streamed ? streamTextOf(bytes, readChunkText) : answerTextOf(bytes, "choices")),
};
