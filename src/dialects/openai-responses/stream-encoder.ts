/** Streams of the responses dialect: events in the vendor's order, numbered from 0, without a `[DONE]`. */
import type { CodecContext, StreamEncoder } from "../codec.js";
import { takeEvent } from "./answer-events.js";
import type { LossList } from "../semantic.js";
import { newAnswer } from "./answer-state.js";

export function streamEncoder(context: CodecContext, losses: LossList): StreamEncoder {
  const state = newAnswer(context, true, losses);
  return {
    push(event) {
      takeEvent(state, event);
      const { text } = state;
      state.text = "";
      return text;
    },
  };
}
