/** What the gateway reads of a completions request. */
import { requestShape } from "../request-fields.js";

export const COMPLETIONS_REQUEST = requestShape({ oneOf: ["prompt"], kind: "string or array" }, ["max_tokens"], {
  streams: true,
  asksUsage: true,
});

/** Fields whose text a model reads. */
export const COMPLETIONS_TEXT = ["prompt", "suffix"];
