/**
 * Rerankers by Bedrock's InvokeModel: Amazon's and Cohere's take the same members; Cohere's wants its version said.
 * Neither says what it bills: a query with up to a hundred documents is one search unit.
 */
import { isFailure } from "../../errors.js";
import { decodeError } from "../bedrock-converse/error.js";
import { asCount, asObject, asObjects, withoutAbsent } from "../json.js";
import { takeExtras } from "../openai-embeddings/request.js";
import type { OperationCodec } from "../operation-codec.js";
import { encodeError, rerankAnswer, scoredIn, toldOf } from "../rerank/answer.js";
import { readRerank } from "../rerank/request.js";

const DOCUMENTS_PER_UNIT = 100;
const COHERE = /cohere\.rerank/;

export const bedrockRerank: OperationCodec = {
  encodeRequest(request) {
    const asked = readRerank(request);
    if (isFailure(asked)) return asked;
    const cohere = COHERE.test(request.traits.model);
    const known = cohere ? { max_tokens_per_doc: "max_tokens_per_doc" } : {};
    const body = withoutAbsent({
      query: asked.query,
      documents: [...asked.documents],
      top_n: asked.most,
      api_version: cohere ? 2 : null,
      ...takeExtras(asked.extras, known, request.losses),
    });
    return { body, told: toldOf(asked) };
  },
  decodeAnswer(answer) {
    const scored = scoredIn(asObjects(asObject(answer.body)?.results), "relevance_score");
    const searchUnits = Math.ceil(asCount(answer.told.count) / DOCUMENTS_PER_UNIT);
    return { body: rerankAnswer(answer, scored, { tokens: -1, searchUnits }), unitsGuessed: true };
  },
  errorHeader: "x-amzn-errortype",
  decodeError,
  encodeError,
};
