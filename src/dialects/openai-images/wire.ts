/** What the gateway reads of image requests: generations are JSON, variations forms, edits either. */
import type { Operation } from "../dialect.js";
import type { MediaShape } from "../form-request.js";
import { keyTable } from "../json-text.js";
import { requestShape } from "../request-fields.js";

const STREAMED = { streams: true, asksUsage: false } as const;
const JSON_REQUEST = requestShape({ oneOf: ["prompt"], kind: "any" }, [], STREAMED);

const GENERATIONS: MediaShape = { json: JSON_REQUEST, form: null };
const EDITS: MediaShape = {
  json: JSON_REQUEST,
  form: { files: ["image", "image[]"], orField: "", streams: true },
};
const VARIATIONS: MediaShape = { json: null, form: { files: ["image"], orField: "", streams: false } };

/** The shape of one of the three operations. */
export function imageShape(operation: Operation): MediaShape {
  if (operation === "image_edits") return EDITS;
  return operation === "image_variations" ? VARIATIONS : GENERATIONS;
}

/** What is paid by. */
export const UNIT_KEYS = keyTable(["n", "size", "quality"]);
