/** What the gateway reads of an embeddings request. */
import { requestShape } from "../request-fields.js";

export const EMBEDDINGS_REQUEST = requestShape({ oneOf: ["input"], kind: "string or array" }, [], {
  streams: false,
  asksUsage: false,
});
