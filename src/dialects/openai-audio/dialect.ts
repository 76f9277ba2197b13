/** The audio dialect: transcriptions, translations and speech. */
import { type Failure, isFailure } from "../../errors.js";
import type { AnswerForm, AnswerObserver, Dialect, Operation, RequestView } from "../dialect.js";
import { mediaEdits, readMedia, spliceMedia, textField } from "../form-request.js";
import { scanTopLevel } from "../json-scan.js";
import { decodeString } from "../json-text.js";
import { MediaAnswerObserver, MediaStreamObserver } from "../media-usage.js";
import { renderOpenAiError, renderOpenAiStreamError } from "../openai-envelope.js";
import { measureAudio } from "./measure.js";
import { audioShape, JSON_FORMATS, SPEECH_KEYS } from "./wire.js";

const STREAM_FORMAT = 1;
const SOUND: AnswerObserver = { feed() {}, finish() {} };

function readRequest(
  body: Buffer,
  operation: Operation,
  modelOverride: string | null,
  contentType: string,
): RequestView | Failure {
  const view = readMedia(body, audioShape(operation), { modelOverride, contentType });
  if (operation !== "speech" || isFailure(view)) return view;
  const scan = scanTopLevel(body, SPEECH_KEYS);
  const start = scan.starts[STREAM_FORMAT] ?? -1;
  const format = start < 0 ? null : decodeString(body, start, scan.ends[STREAM_FORMAT] ?? start);
  return format === "sse" ? { ...view, stream: true } : view;
}

function answerForm(operation: Operation, body: Buffer, { form }: RequestView): AnswerForm {
  if (operation === "speech") return "flowing";
  const format = form === undefined ? "" : textField(body, form, "response_format");
  return JSON_FORMATS.has(format) ? "json" : "any";
}

export const openAiAudio: Dialect = {
  id: "openai-audio",
  readRequest: (body, operation, modelOverride, contentType = "") =>
    readRequest(body, operation, modelOverride, contentType),
  spliceRequest: spliceMedia,
  requestEdits: mediaEdits,
  answerForm,
  measureRequest: measureAudio,
  streamObserver: (_view, tally) => new MediaStreamObserver(tally, { countsImages: false }),
  answerObserver: (operation, tally) => (operation === "speech" ? SOUND : new MediaAnswerObserver(tally)),
  renderError: renderOpenAiError,
  renderStreamError: renderOpenAiStreamError,
  // What sound costs is never estimated in tokens.
  requestText: () => "",
  answerText: () => "",
};
