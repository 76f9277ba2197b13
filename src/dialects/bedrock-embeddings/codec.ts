/**
 * Embeddings by Bedrock's InvokeModel: the body is the model's own. Amazon's models take one text a call, Cohere's
 * several. Tokens stand in the body or, for all of them, in a header.
 */
import { type Failure, failure, isFailure } from "../../errors.js";
import { decodeError } from "../bedrock-converse/error.js";
import { asArray, asCount, asObject, withoutAbsent } from "../json.js";
import { encodeError } from "../openai-chat/error.js";
import { embeddingsAnswer, toldOf } from "../openai-embeddings/answer.js";
import { type EmbeddingsRequest, readEmbeddings, takeExtras } from "../openai-embeddings/request.js";
import type { OperationAnswer, OperationCodec, OperationRequest } from "../operation-codec.js";
import type { JsonObject, JsonValue } from "../semantic.js";
import { type EmbeddingFamily, familyOf } from "./models.js";

const TOKENS_HEADER = "x-amzn-bedrock-input-token-count";

type Writer = (asked: EmbeddingsRequest, request: OperationRequest) => JsonObject;

const WRITERS: Readonly<Record<EmbeddingFamily, Writer>> = {
  "titan-text-v1": ({ inputs, dimensions, extras }, { losses }) => {
    if (dimensions !== null) losses.add("dimensions");
    takeExtras(extras, {}, losses);
    return { inputText: inputs[0] };
  },
  "titan-text-v2": ({ inputs, dimensions, extras }, { losses }) =>
    withoutAbsent({ inputText: inputs[0], dimensions, ...takeExtras(extras, { normalize: "normalize" }, losses) }),
  "titan-image": ({ inputs, dimensions, extras }, { losses }) => {
    takeExtras(extras, {}, losses);
    return withoutAbsent({
      inputText: inputs[0],
      embeddingConfig: dimensions === null ? null : { outputEmbeddingLength: dimensions },
    });
  },
  nova: ({ inputs, dimensions, extras }, { losses }) => ({
    taskType: "SINGLE_EMBEDDING",
    singleEmbeddingParams: withoutAbsent({
      embeddingPurpose: "GENERIC_INDEX",
      ...takeExtras(extras, { embedding_purpose: "embeddingPurpose" }, losses),
      embeddingDimension: dimensions,
      text: { truncationMode: "END", value: inputs[0] },
    }),
  }),
  cohere: ({ inputs, dimensions, extras }, { losses }) =>
    withoutAbsent({
      texts: [...inputs],
      input_type: "search_document",
      output_dimension: dimensions,
      ...takeExtras(extras, { input_type: "input_type", truncate: "truncate", max_tokens: "max_tokens" }, losses),
    }),
};

export const bedrockEmbeddings: OperationCodec = {
  encodeRequest(request) {
    const family = familyOf(request.traits.model);
    if (family === null) return failure("unsupported_operation", "The gateway knows no such embedding model.", "model");
    const asked = readEmbeddings(request);
    if (isFailure(asked)) return asked;
    if (family !== "cohere" && asked.inputs.length !== 1) return tooMany();
    return { body: WRITERS[family](asked, request), told: toldOf(asked) };
  },
  decodeAnswer(answer) {
    const body = asObject(answer.body) ?? {};
    return embeddingsAnswer(answer, vectorsIn(body), tokensOf(answer, body));
  },
  errorHeader: "x-amzn-errortype",
  decodeError,
  encodeError,
};

/** `embedding`, a list of vectors, vectors by type, or objects that hold one each. */
function vectorsIn({ embedding, embeddings }: JsonObject): readonly (JsonValue | undefined)[] {
  if (embedding !== undefined) return [embedding];
  const list = asArray(Array.isArray(embeddings) ? embeddings : asObject(embeddings)?.float);
  return list.map((item) => asObject(item)?.embedding ?? item);
}

function tokensOf({ header }: OperationAnswer, { inputTextTokenCount }: JsonObject): number {
  const said = asCount(inputTextTokenCount);
  const text = header(TOKENS_HEADER);
  return said < 0 && /^\d{1,12}$/.test(text) ? Number(text) : said;
}

/** Requests are cut to what one call takes before they come here. */
function tooMany(): Failure {
  return failure("unsupported_operation", "The model takes one input a call.", "input");
}
