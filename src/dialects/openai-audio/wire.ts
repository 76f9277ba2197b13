/** What the gateway reads of audio requests: speech is JSON, transcriptions and translations are forms. */
import type { Operation } from "../dialect.js";
import type { MediaShape } from "../form-request.js";
import { keyTable } from "../json-text.js";
import { requestShape } from "../request-fields.js";

const SPEECH: MediaShape = {
  json: requestShape({ oneOf: ["input"], kind: "any" }, [], { streams: false, asksUsage: false }),
  form: null,
};
/** Some vendors fetch the sound from an address instead. */
const TRANSCRIPTIONS: MediaShape = { json: null, form: { files: ["file"], orField: "url", streams: true } };

/** The shape of one of the three operations. */
export function audioShape(operation: Operation): MediaShape {
  return operation === "speech" ? SPEECH : TRANSCRIPTIONS;
}

export const SPEECH_KEYS = keyTable(["input", "stream_format"]);
/** Formats in which a transcription is JSON; "" = not said. */
export const JSON_FORMATS: ReadonlySet<string> = new Set(["", "json", "verbose_json", "diarized_json"]);
