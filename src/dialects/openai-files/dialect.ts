/** The dialect of files, batches and fine-tuning jobs: things with ids that a provider keeps for its account. */
import { failure } from "../../errors.js";
import type { Dialect } from "../dialect.js";
import { renderOpenAiError, renderOpenAiStreamError } from "../openai-envelope.js";
import { RawStreamObserver } from "../raw/observe.js";
import { filesAnswerObserver } from "./observe.js";
import { readFilesRequest } from "./request.js";

export const openAiFiles: Dialect = {
  id: "openai-files",
  // Such requests go to provider keys; none of them goes to a model.
  readRequest: () => failure("internal_error"),
  spliceRequest: (body) => body,
  readKeyed: readFilesRequest,
  answerForm: () => "any",
  streamObserver: () => new RawStreamObserver(),
  answerObserver: filesAnswerObserver,
  renderError: renderOpenAiError,
  renderStreamError: renderOpenAiStreamError,
  requestText: () => "",
  answerText: () => "",
};
