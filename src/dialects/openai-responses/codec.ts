/** The responses dialect in the hub: as callers speak it, and as upstreams do. */
import type { ClientCodec, TargetCodec } from "../codec.js";
import { decodeAnswer } from "./decode-answer.js";
import { decodeRequest } from "./decode-request.js";
import { stateField, stateFieldIn } from "./state.js";
import { encodeAnswer } from "./encode-answer.js";
import { encodeRequest } from "./encode-request.js";
import { decodeError, encodeError } from "./error.js";
import { mayCarryForeignProof } from "./opaque.js";
import { streamDecoder } from "./stream-decoder.js";
import { streamEncoder } from "./stream-encoder.js";

export const clientCodec: ClientCodec = {
  decodeRequest,
  stateField,
  stateFieldIn,
  mayCarryForeignProof,
  encodeAnswer,
  streamEncoder,
  encodeError,
};

export const targetCodec: TargetCodec = { encodeRequest, decodeAnswer, streamDecoder, decodeError };
