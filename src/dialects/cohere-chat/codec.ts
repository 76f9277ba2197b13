/** The /v2/chat wire, target side. */
import type { TargetCodec } from "../codec.js";
import { decodeAnswer } from "./decode-answer.js";
import { encodeRequest } from "./encode-request.js";
import { decodeError } from "./error.js";
import { streamDecoder } from "./stream-decoder.js";

export const targetCodec: TargetCodec = { encodeRequest, decodeAnswer, streamDecoder, decodeError };
