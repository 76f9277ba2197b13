/** The messages dialect in the hub, on both sides. */
import type { ClientCodec, TargetCodec } from "../codec.js";
import { decodeMessagesAnswer } from "./decode-answer.js";
import { decodeMessagesRequest } from "./decode-request.js";
import { encodeMessagesAnswer } from "./encode-answer.js";
import { encodeMessagesRequest } from "./encode-request.js";
import { decodeMessagesError, encodeMessagesError } from "./error.js";
import { mayCarryForeignThinking } from "./signature-tag.js";
import { MessagesStreamDecoder } from "./stream-decoder.js";
import { MessagesStreamEncoder } from "./stream-encoder.js";

export const clientCodec: ClientCodec = {
  decodeRequest: (body, _losses) => decodeMessagesRequest(body),
  mayCarryForeignProof: mayCarryForeignThinking,
  encodeAnswer: encodeMessagesAnswer,
  streamEncoder: (context, losses) => new MessagesStreamEncoder(context, losses),
  encodeError: encodeMessagesError,
};

export const targetCodec: TargetCodec = {
  encodeRequest: encodeMessagesRequest,
  decodeAnswer: decodeMessagesAnswer,
  streamDecoder: (encoded) => new MessagesStreamDecoder(encoded),
  decodeError: decodeMessagesError,
};
