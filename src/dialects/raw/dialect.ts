/** The dialect of requests that pass as they are: whatever comes is taken, nothing of it is changed. */
import { type Failure, failure } from "../../errors.js";
import type { Dialect, RequestView } from "../dialect.js";
import { renderOpenAiError, renderOpenAiStreamError } from "../openai-envelope.js";
import { RawAnswerObserver, RawStreamObserver } from "./observe.js";

export const raw: Dialect = {
  id: "raw",
  readRequest: (): RequestView | Failure => failure("internal_error"),
  spliceRequest: (body) => body,
  answerForm: () => "any",
  streamObserver: () => new RawStreamObserver(),
  answerObserver: () => new RawAnswerObserver(),
  renderError: renderOpenAiError,
  renderStreamError: renderOpenAiStreamError,
  requestText: () => "",
  answerText: () => "",
};
