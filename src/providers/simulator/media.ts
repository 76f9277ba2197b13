/** The simulator's images, sound and moderation. Shapes: the vendor's SDK. */
import type { Operation } from "../../dialects/dialect.js";
import { answerImages } from "./images.js";
import { type JsonObject, objectOf, stringOf } from "./json.js";
import type { MediaAnswer, MediaRequest } from "./media-answer.js";
import { fieldsOf } from "./media-request.js";
import { answerModerations } from "./moderations.js";
import { readKnobs, type SimulatorKnobs } from "./prompt.js";
import { answerSpeech, answerTranscription } from "./sound.js";
import type { SimulatedUsage } from "./turn.js";

const ANSWERS: Readonly<Partial<Record<Operation, (request: MediaRequest) => MediaAnswer>>> = {
  images: answerImages,
  image_edits: answerImages,
  image_variations: answerImages,
  transcriptions: answerTranscription,
  translations: answerTranscription,
  speech: answerSpeech,
  moderations: answerModerations,
};

export interface SimulatedMedia extends MediaAnswer {
  readonly model: string;
  readonly knobs: SimulatorKnobs;
  readonly usage: SimulatedUsage;
}

/** null: the operation is none of these; "broken": its body cannot be read. */
export function simulateMedia(
  operation: Operation,
  body: Buffer,
  overrides: Partial<SimulatorKnobs>,
): SimulatedMedia | "broken" | null {
  const answer = ANSWERS[operation];
  if (answer === undefined) return null;
  const read = fieldsOf(body);
  if (read === null) return "broken";
  const { fields, files } = read;
  const knobs = { ...readKnobs(metadataOf(fields)), ...overrides };
  const model = stringOf(fields.model);
  const made = answer({ operation, fields, files, model, knobs });
  const usage: SimulatedUsage = {
    inputTokens: made.inputTokens,
    outputTokens: made.list.dealt,
    cacheReadTokens: 0,
    cacheWriteTokens: 0,
    reasoningTokens: 0,
    units: made.units,
  };
  return { ...made, model, knobs, usage };
}

/** A form has it as a text. */
function metadataOf(fields: JsonObject): unknown {
  const { metadata } = fields;
  if (typeof metadata !== "string") return metadata;
  try {
    return objectOf(JSON.parse(metadata));
  } catch {
    return undefined;
  }
}
