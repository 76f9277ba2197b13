/** The moderations dialect: texts and images in, a judgement of each out. Nothing is streamed. */
import type { Dialect } from "../dialect.js";
import { mediaEdits, type MediaShape, readMedia, spliceMedia } from "../form-request.js";
import { MediaAnswerObserver, MediaStreamObserver } from "../media-usage.js";
import { renderOpenAiError, renderOpenAiStreamError } from "../openai-envelope.js";
import { requestShape } from "../request-fields.js";

const MODERATIONS: MediaShape = {
  json: requestShape({ oneOf: ["input"], kind: "string or array" }, [], { streams: false, asksUsage: false }),
  form: null,
};

export const openAiModerations: Dialect = {
  id: "openai-moderations",
  readRequest: (body, _operation, modelOverride, contentType = "") =>
    readMedia(body, MODERATIONS, { modelOverride, contentType }),
  spliceRequest: spliceMedia,
  requestEdits: mediaEdits,
  streamObserver: (_view, tally) => new MediaStreamObserver(tally, { countsImages: false }),
  answerObserver: (_operation, tally) => new MediaAnswerObserver(tally),
  renderError: renderOpenAiError,
  renderStreamError: renderOpenAiStreamError,
  requestText: () => "",
  answerText: () => "",
};
