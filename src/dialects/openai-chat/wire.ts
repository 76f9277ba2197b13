/** What the gateway reads of a chat completions request. */
import { requestShape } from "../request-fields.js";

export const CHAT_REQUEST = requestShape(
  { oneOf: ["messages"], kind: "array" },
  ["max_completion_tokens", "max_tokens"],
  { streams: true, asksUsage: true },
);

/** Fields whose text a model reads. */
export const CHAT_TEXT = ["messages"];
/** Fields that a model is shown as JSON. */
export const CHAT_DEFINITIONS = ["tools", "functions", "response_format"];
