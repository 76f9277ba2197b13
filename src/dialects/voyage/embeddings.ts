/** Voyage's embeddings: the caller's dialect with other names for the vectors' length and for the tokens used. */
import { isFailure } from "../../errors.js";
import { asCount, asObject, asObjects, withoutAbsent } from "../json.js";
import { decodeError, encodeError } from "../openai-chat/error.js";
import { embeddingsAnswer, toldOf } from "../openai-embeddings/answer.js";
import { readEmbeddings, takeExtras } from "../openai-embeddings/request.js";
import type { OperationCodec } from "../operation-codec.js";

const EXTRAS = { input_type: "input_type", truncation: "truncation", output_dimension: "output_dimension" };

export const voyageEmbeddings: OperationCodec = {
  encodeRequest(request) {
    const asked = readEmbeddings(request);
    if (isFailure(asked)) return asked;
    const body = withoutAbsent({
      model: request.traits.model,
      input: [...asked.inputs],
      output_dimension: asked.dimensions,
      // Lists of numbers are what it gives unasked; it has no word for them.
      encoding_format: asked.base64 ? "base64" : null,
      ...takeExtras(asked.extras, EXTRAS, request.losses),
    });
    return { body, told: toldOf(asked) };
  },
  decodeAnswer(answer) {
    const body = asObject(answer.body);
    const data = asObjects(body?.data);
    const inOrder = [...data].sort((one, other) => asCount(one.index) - asCount(other.index));
    const vectors = inOrder.map(({ embedding }) => embedding);
    return embeddingsAnswer(answer, vectors, asCount(asObject(body?.usage)?.total_tokens));
  },
  decodeError,
  encodeError,
};
