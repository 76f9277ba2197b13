/** Bedrock's Converse wire: only upstreams speak it. */
import type { TargetCodec } from "../codec.js";
import { decodeAnswer } from "./decode-answer.js";
import { encodeRequest } from "./encode-request.js";
import { decodeError } from "./error.js";
import { streamDecoder } from "./stream-decoder.js";

export const targetCodec = {
  encodeRequest,
  decodeAnswer,
  streamDecoder,
  decodeError,
  errorHeader: "x-amzn-errortype",
} satisfies TargetCodec;
