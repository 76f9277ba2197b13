/** The messages dialect, its token counter included. */
import type { Dialect } from "../dialect.js";
import { asObject, asText } from "../json-values.js";
import { readFields, spliceFields } from "../request-fields.js";
import { answerTextOf, requestTextOf, streamTextOf } from "../text.js";
import { renderMessagesError, renderMessagesStreamError } from "./error.js";
import { MessagesStreamObserver, messagesAnswerObserver } from "./observe.js";
import { COUNT_TOKENS_REQUEST, MESSAGES_DEFINITIONS, MESSAGES_REQUEST, MESSAGES_TEXT } from "./wire.js";

/** Adds what one event says: the name of a tool as its block starts, and the deltas. */
function readEventText(data: unknown, out: string[]): void {
  const event = asObject(data);
  const block = asObject(event?.content_block);
  const delta = asObject(event?.delta);
  out.push(asText(block?.name), asText(block?.text));
  out.push(asText(delta?.text), asText(delta?.thinking), asText(delta?.partial_json));
}

export const anthropicMessages: Dialect = {
  id: "anthropic-messages",
  readRequest: (body, operation, modelOverride) =>
    readFields(body, operation === "count_tokens" ? COUNT_TOKENS_REQUEST : MESSAGES_REQUEST, modelOverride),
  spliceRequest: spliceFields,
  streamObserver: (_view, tally) => new MessagesStreamObserver(tally),
  answerObserver: messagesAnswerObserver,
  renderError: renderMessagesError,
  renderStreamError: renderMessagesStreamError,
  requestText: (body) => requestTextOf(body, MESSAGES_TEXT, MESSAGES_DEFINITIONS),
  answerText: (bytes, streamed) => (streamed ? streamTextOf(bytes, readEventText) : answerTextOf(bytes, "content")),
};
