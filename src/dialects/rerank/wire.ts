/** What the gateway reads of a rerank request: Cohere's second version of it, which the others resemble. */
import { requestShape } from "../request-fields.js";

export const RERANK_REQUEST = requestShape({ oneOf: ["documents"], kind: "array" }, [], {
  streams: false,
  asksUsage: false,
});

/** Fields whose text a model reads. */
export const RERANK_TEXT = ["query", "documents"];
