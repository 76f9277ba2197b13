/** What requests that are no conversations can hold: one small request a feature. Basis of docs/dialects.md. */
import type { DialectId } from "../../src/dialects/dialect.js";
import type { JsonObject } from "../../src/dialects/semantic.js";
import type { Feature } from "./features.js";

function features(base: JsonObject, rows: Readonly<Record<string, JsonObject>>): readonly Feature[] {
  return Object.entries(rows).map(([name, fields]) => ({ name, body: { ...base, ...fields } }));
}

export const OPERATION_FEATURES: Readonly<Partial<Record<DialectId, readonly Feature[]>>> = {
  "openai-embeddings": features(
    { input: "a" },
    {
      "one text": {},
      "vectors in base64": { encoding_format: "base64" },
      dimensions: { dimensions: 256 },
      "end user's id": { user: "u" },
      "a field of nobody's": { shiny: 1 },
    },
  ),
  rerank: features(
    { query: "q", documents: ["a", "b"] },
    {
      texts: {},
      "documents as objects": { documents: [{ text: "a" }] },
      "documents back": { return_documents: true },
      max_chunks_per_doc: { max_chunks_per_doc: 2 },
      max_tokens_per_doc: { max_tokens_per_doc: 100 },
    },
  ),
  "openai-images": features(
    { prompt: "p" },
    {
      prompt: {},
      "the usual square": { size: "1024x1024" },
      "another size": { size: "1536x1024" },
      quality: { quality: "high" },
      "several images": { n: 2 },
      "an address instead of the image": { response_format: "url" },
      "a stream": { stream: true },
      JPEG: { output_format: "jpeg" },
      background: { background: "transparent" },
    },
  ),
};
