/** Voyage's rerank: `top_k` for `top_n`, `data` for `results`. */
import { isFailure } from "../../errors.js";
import { asCount, asObject, asObjects, withoutAbsent } from "../json.js";
import { decodeError } from "../openai-chat/error.js";
import { takeExtras } from "../openai-embeddings/request.js";
import type { OperationCodec } from "../operation-codec.js";
import { encodeError, rerankAnswer, scoredIn, toldOf } from "../rerank/answer.js";
import { readRerank } from "../rerank/request.js";

export const voyageRerank: OperationCodec = {
  encodeRequest(request) {
    const asked = readRerank(request);
    if (isFailure(asked)) return asked;
    const { query, documents, most, extras } = asked;
    const body = withoutAbsent({
      model: request.traits.model,
      query,
      documents: [...documents],
      top_k: most,
      ...takeExtras(extras, { truncation: "truncation" }, request.losses),
    });
    return { body, told: toldOf(asked) };
  },
  decodeAnswer(answer) {
    const body = asObject(answer.body);
    const tokens = asCount(asObject(body?.usage)?.total_tokens);
    const scored = scoredIn(asObjects(body?.data), "relevance_score");
    return { body: rerankAnswer(answer, scored, { tokens, searchUnits: -1 }) };
  },
  decodeError,
  encodeError,
};
