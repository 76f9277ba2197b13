/** SSE of GenerateContentResponse chunks → events. There is no terminator: a finish reason makes it complete. */
import { DecodeError, type EncodedRequest, type StreamDecoder, type WireEvent } from "../codec.js";
import { asObjects, isObject, parseValue } from "../json.js";
import type { AnswerEvent, JsonObject } from "../semantic.js";
import { finishAnswer, newAnswerState, pushChunk } from "./answer-state.js";

/**
 * Stops are said at the end of the body only, since some models put a finish reason on every chunk. A chunk may
 * be a list, as some proxies send it. Throws DecodeError on what is not JSON.
 */
export function streamDecoder(encoded: EncodedRequest): StreamDecoder {
  const state = newAnswerState(encoded, false);
  return {
    push: (event) => chunksOf(event).flatMap((chunk) => pushChunk(state, chunk)),
    finish: (): readonly AnswerEvent[] => finishAnswer(state),
  };
}

function chunksOf({ data }: WireEvent): readonly JsonObject[] {
  const text = data.trim();
  if (text === "" || text === "[DONE]") return [];
  const value = parseValue(text);
  if (Array.isArray(value)) return asObjects(value);
  if (!isObject(value)) throw new DecodeError("A piece of the stream is not a JSON object.");
  return [value];
}
