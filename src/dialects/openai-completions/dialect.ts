/** The completions dialect (text in, text out). Its chunks have the shape of chat's as far as we look. */
import type { Dialect } from "../dialect.js";
import { renderOpenAiError, renderOpenAiStreamError } from "../openai-envelope.js";
import { ChunkObserver, WholeAnswerObserver } from "../openai-usage.js";
import { readFields, spliceFields } from "../request-fields.js";
import { answerTextOf, readChunkText, requestTextOf, streamTextOf } from "../text.js";
import { COMPLETIONS_REQUEST, COMPLETIONS_TEXT } from "./wire.js";

export const openAiCompletions: Dialect = {
  id: "openai-completions",
  batch: { inputs: "prompt", outputs: "choices", outputsPerInput: "n" },
  readRequest: (body, _operation, modelOverride) => readFields(body, COMPLETIONS_REQUEST, modelOverride),
  spliceRequest: spliceFields,
  streamObserver: (view, tally) => new ChunkObserver(view, tally),
  answerObserver: (_operation, tally) => new WholeAnswerObserver(tally),
  renderError: renderOpenAiError,
  renderStreamError: renderOpenAiStreamError,
  requestText: (body) => requestTextOf(body, COMPLETIONS_TEXT, []),
  answerText: (bytes, streamed) => (streamed ? streamTextOf(bytes, readChunkText) : answerTextOf(bytes, "choices")),
};
