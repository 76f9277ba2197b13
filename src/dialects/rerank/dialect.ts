/** The rerank dialect: a query and documents in, their order out. Nothing is streamed. */
import { type Failure, failure, isFailure } from "../../errors.js";
import type { Dialect, RequestView } from "../dialect.js";
import { scanTopLevel } from "../json-scan.js";
import { keyTable } from "../json-text.js";
import { openAiError } from "../openai-envelope.js";
import { ChunkObserver } from "../openai-usage.js";
import { readFields, spliceFields } from "../request-fields.js";
import { requestTextOf } from "../text.js";
import { RerankObserver } from "./observe.js";
import { RERANK_REQUEST, RERANK_TEXT } from "./wire.js";

const QUERY_KEY = keyTable(["query"]);
const QUOTE = 0x22;
const OPEN_BRACE = 0x7b;

function readRequest(body: Buffer, modelOverride: string | null): RequestView | Failure {
  const view = readFields(body, RERANK_REQUEST, modelOverride);
  if (isFailure(view)) return view;
  const scan = scanTopLevel(body, QUERY_KEY);
  if (scan.duplicate >= 0) {
    return failure("invalid_request_error", 'The field "query" stands in the body twice.', "query");
  }
  const [at = -1] = scan.starts;
  if (at < 0) return failure("invalid_request_error", "query is required.", "query");
  // Some vendors search by an image, too.
  if (body[at] !== QUOTE && body[at] !== OPEN_BRACE) {
    return failure("invalid_request_error", "query must be a string.", "query");
  }
  return view;
}

/** The dialect's vendor has a message and no more; what its look-alikes have beside it says which field is at fault. */
function renderError(problem: Failure, requestId: string): string {
  return JSON.stringify({ id: requestId, message: problem.message, error: openAiError(problem) });
}

export const rerank: Dialect = {
  id: "rerank",
  readRequest: (body, _operation, modelOverride) => readRequest(body, modelOverride),
  spliceRequest: spliceFields,
  streamObserver: (view, tally) => new ChunkObserver(view, tally),
  answerObserver: (_operation, tally) => new RerankObserver(tally),
  renderError,
  renderStreamError: (problem, requestId) => `data: ${renderError(problem, requestId)}\n\n`,
  requestText: (body) => requestTextOf(body, RERANK_TEXT, []),
  answerText: () => "",
};
