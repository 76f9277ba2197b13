/** Text Embeddings Inference (POST /rerank): texts in, a bare list of scores out. It says no usage. */
import { isFailure } from "../../errors.js";
import { DecodeError } from "../codec.js";
import { asObjects, withoutAbsent } from "../json.js";
import { decodeError } from "../openai-chat/error.js";
import { takeExtras } from "../openai-embeddings/request.js";
import type { OperationCodec } from "../operation-codec.js";
import { encodeError, rerankAnswer, scoredIn, toldOf } from "../rerank/answer.js";
import { readRerank } from "../rerank/request.js";

const EXTRAS = { raw_scores: "raw_scores", truncate: "truncate", truncation_direction: "truncation_direction" };

export const teiRerank: OperationCodec = {
  encodeRequest(request) {
    const asked = readRerank(request);
    if (isFailure(asked)) return asked;
    const body = withoutAbsent({
      query: asked.query,
      texts: [...asked.documents],
      ...takeExtras(asked.extras, EXTRAS, request.losses),
    });
    return { body, told: toldOf(asked) };
  },
  decodeAnswer(answer) {
    if (!Array.isArray(answer.body)) throw new DecodeError("The answer is not a list of scores.");
    const scored = scoredIn(asObjects(answer.body), "score");
    return { body: rerankAnswer(answer, scored, { tokens: -1, searchUnits: -1 }) };
  },
  decodeError,
  encodeError,
};
