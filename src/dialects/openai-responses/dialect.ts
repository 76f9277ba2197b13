/** The responses dialect, its token counter included. */
import type { Dialect } from "../dialect.js";
import { asObject, asText } from "../json-values.js";
import { renderOpenAiError } from "../openai-envelope.js";
import { readFollowUp } from "./follow-up.js";
import { readFields, spliceFields } from "../request-fields.js";
import { answerTextOf, requestTextOf, streamTextOf } from "../text.js";
import { renderResponsesStreamError } from "./error.js";
import { ResponsesStreamObserver, responsesAnswerObserver } from "./observe.js";
import { INPUT_TOKENS_REQUEST, RESPONSES_DEFINITIONS, RESPONSES_REQUEST, RESPONSES_TEXT } from "./wire.js";

/** Adds what one event says: every delta is text, whatever it is a delta of; a called function has a name. */
function readEventText(data: unknown, out: string[]): void {
  const event = asObject(data);
  const type = asText(event?.type);
  if (type.endsWith(".delta")) out.push(asText(event?.delta));
  else if (type === "response.output_item.added") out.push(asText(asObject(event?.item)?.name));
}

export const openAiResponses: Dialect = {
  id: "openai-responses",
  readRequest: (body, operation, modelOverride) =>
    readFields(body, operation === "input_tokens" ? INPUT_TOKENS_REQUEST : RESPONSES_REQUEST, modelOverride),
  spliceRequest: spliceFields,
  namesKept: true,
  keepsTurns: true,
  readKeyed: readFollowUp,
  streamObserver: (_view, tally) => new ResponsesStreamObserver(tally),
  answerObserver: responsesAnswerObserver,
  renderError: renderOpenAiError,
  renderStreamError: renderResponsesStreamError,
  requestText: (body) => requestTextOf(body, RESPONSES_TEXT, RESPONSES_DEFINITIONS),
  answerText: (bytes, streamed) => (streamed ? streamTextOf(bytes, readEventText) : answerTextOf(bytes, "output")),
};
