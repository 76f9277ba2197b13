/** The embeddings dialect. It has no streams; the stream side answers as chat would. */
import type { Dialect } from "../dialect.js";
import { renderOpenAiError, renderOpenAiStreamError } from "../openai-envelope.js";
import { ChunkObserver } from "../openai-usage.js";
import { readFields, spliceFields } from "../request-fields.js";
import { requestTextOf } from "../text.js";
import { EmbeddingsObserver } from "./observe.js";
import { EMBEDDINGS_REQUEST } from "./wire.js";

export const openAiEmbeddings: Dialect = {
  id: "openai-embeddings",
  batch: { inputs: "input", outputs: "data", outputsPerInput: null },
  readRequest: (body, _operation, modelOverride) => readFields(body, EMBEDDINGS_REQUEST, modelOverride),
  spliceRequest: spliceFields,
  streamObserver: (view, tally) => new ChunkObserver(view, tally),
  answerObserver: (_operation, tally) => new EmbeddingsObserver(tally),
  renderError: renderOpenAiError,
  renderStreamError: renderOpenAiStreamError,
  requestText: (body) => requestTextOf(body, ["input"], []),
  answerText: () => "",
};
