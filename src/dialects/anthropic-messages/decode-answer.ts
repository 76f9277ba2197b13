/** Whole answers of this wire's upstreams: the same steps as a stream whose blocks start complete. */
import { DecodeError, type EncodedRequest } from "../codec.js";
import { asObject, isObject } from "../json.js";
import type { AnswerEvent, JsonObject } from "../semantic.js";
import { newDecoderState, startBlock, stopBlock } from "./decode-blocks.js";
import { decodeMessagesError } from "./error.js";
import { endMessage, readEdits, startMessage, stopMessage } from "./stream-decoder.js";

/** Reads a message. An error object under a 2xx status is an `error` event; anything else throws DecodeError. */
export function decodeMessagesAnswer(body: JsonObject, encoded: EncodedRequest): AnswerEvent[] {
  if (body.type === "error" || isObject(body.error)) {
    return [{ kind: "error", error: decodeMessagesError(0, body, "") }];
  }
  if (!Array.isArray(body.content)) throw new DecodeError("the answer is not a message: it has no content");
  const state = newDecoderState(encoded);
  startMessage(state, body);
  for (const [index, block] of body.content.entries()) {
    if (!isObject(block)) throw new DecodeError(`content[${index}] of the answer is not an object`);
    startBlock(state, index, block);
    stopBlock(state);
  }
  readEdits(state, asObject(body.context_management));
  stopMessage(state, body, null);
  endMessage(state);
  return state.out;
}
