/** What the gateway reads of responses requests. */
import { requestShape } from "../request-fields.js";

/** Any one of these may stand alone: a stored prompt or an earlier answer can hold the input. */
const SOURCES = { oneOf: ["input", "prompt", "previous_response_id", "conversation"], kind: "any" } as const;

export const RESPONSES_REQUEST = requestShape(SOURCES, ["max_output_tokens"], { streams: true, asksUsage: false });
export const INPUT_TOKENS_REQUEST = requestShape(null, [], { streams: false, asksUsage: false });

/** Fields whose text a model reads. */
export const RESPONSES_TEXT = ["instructions", "input"];
/** Fields that a model is shown as JSON. */
export const RESPONSES_DEFINITIONS = ["tools", "text", "prompt"];
