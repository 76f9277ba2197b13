/** Whole answers of the responses dialect. */
import type { CodecContext } from "../codec.js";
import type { AnswerEvent, JsonObject, LossList } from "../semantic.js";
import { takeEvent } from "./answer-events.js";
import { newAnswer, wholeResponse } from "./answer-state.js";

/** The response that the events amount to; one that breaks off without an `end` is closed as it stands. */
export function encodeAnswer(events: Iterable<AnswerEvent>, context: CodecContext, losses: LossList): JsonObject {
  const state = newAnswer(context, false, losses);
  for (const event of events) takeEvent(state, event);
  if (!state.finished) takeEvent(state, { kind: "end" });
  return wholeResponse(state);
}
