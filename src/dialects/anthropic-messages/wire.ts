/** What the gateway reads of messages requests, and the usage that their answers carry. */
import { requestShape } from "../request-fields.js";

const MESSAGES = { oneOf: ["messages"], kind: "array" } as const;

export const MESSAGES_REQUEST = requestShape(MESSAGES, ["max_tokens"], { streams: true, asksUsage: false });
export const COUNT_TOKENS_REQUEST = requestShape(MESSAGES, [], { streams: false, asksUsage: false });

/** Fields whose text a model reads. */
export const MESSAGES_TEXT = ["system", "messages"];
/** Fields that a model is shown as JSON. */
export const MESSAGES_DEFINITIONS = ["tools", "output_config"];
