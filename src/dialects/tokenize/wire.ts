/** What the gateway reads of a tokenize request: a prompt, or the messages of a chat with its tools. */
import { keyTable } from "../json-text.js";
import { requestShape } from "../request-fields.js";

export const TOKENIZE_REQUEST = requestShape({ oneOf: ["prompt", "messages"], kind: "any" }, [], {
  streams: false,
  asksUsage: false,
});

/** Members of one type only. */
export const TYPED_KEYS = keyTable(["prompt", "messages"]);

/** Fields whose text a model reads, where there is no prompt. */
export const TOKENIZE_TEXT = ["messages"];
/** Fields that a model is shown as JSON. */
export const TOKENIZE_DEFINITIONS = ["tools"];
