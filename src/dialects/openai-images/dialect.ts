/** The images dialect: generations, edits and variations. */
import type { Dialect } from "../dialect.js";
import { mediaEdits, readMedia, spliceMedia } from "../form-request.js";
import { MediaStreamObserver } from "../media-usage.js";
import { renderOpenAiError, renderOpenAiStreamError } from "../openai-envelope.js";
import { measureImages, ImagesObserver } from "./observe.js";
import { imageShape } from "./wire.js";

export const openAiImages: Dialect = {
  id: "openai-images",
  readRequest: (body, operation, modelOverride, contentType = "") =>
    readMedia(body, imageShape(operation), { modelOverride, contentType }),
  spliceRequest: spliceMedia,
  requestEdits: mediaEdits,
  measureRequest: (_operation, body, view, tally) => measureImages(body, view, tally),
  streamObserver: (_view, tally) => new MediaStreamObserver(tally, { countsImages: true }),
  answerObserver: (_operation, tally) => new ImagesObserver(tally),
  renderError: renderOpenAiError,
  renderStreamError: renderOpenAiStreamError,
  // What images cost is never estimated in tokens.
  requestText: () => "",
  answerText: () => "",
};
