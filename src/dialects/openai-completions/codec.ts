/** The completions dialect in the hub; callers speak it, and only on the diagonal an upstream does. */
import type { ClientCodec } from "../codec.js";
import { encodeError } from "../openai-chat/error.js";
import { decodeRequest } from "./decode-request.js";
import { encodeAnswer } from "./encode-answer.js";
import { streamEncoder } from "./stream-encoder.js";

export const clientCodec: ClientCodec = { decodeRequest, encodeAnswer, streamEncoder, encodeError };
