/** A whole GenerateContentResponse → events. */
import type { EncodedRequest } from "../codec.js";
import type { AnswerEvent, JsonObject } from "../semantic.js";
import { finishAnswer, newAnswerState, pushChunk } from "./answer-state.js";

/** Throws DecodeError when the answer holds neither candidates nor a reason for that. */
export function decodeAnswer(body: JsonObject, encoded: EncodedRequest): AnswerEvent[] {
  const state = newAnswerState(encoded, true);
  const events = pushChunk(state, body);
  for (const event of finishAnswer(state)) events.push(event);
  return events;
}
