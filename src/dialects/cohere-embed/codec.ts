/** Cohere's own embeddings (POST /v2/embed): texts in, vectors by type out. */
import { isFailure } from "../../errors.js";
import { decodeError } from "../cohere-chat/error.js";
import { asArray, asCount, asObject, withoutAbsent } from "../json.js";
import { encodeError } from "../openai-chat/error.js";
import { embeddingsAnswer, toldOf } from "../openai-embeddings/answer.js";
import { readEmbeddings, takeExtras } from "../openai-embeddings/request.js";
import type { OperationCodec } from "../operation-codec.js";

/** The wire demands one; texts that are kept to be searched are what most callers embed. */
const USUAL_INPUT_TYPE = "search_document";
const EXTRAS = { input_type: "input_type", truncate: "truncate", max_tokens: "max_tokens", priority: "priority" };

export const cohereEmbed: OperationCodec = {
  encodeRequest(request) {
    const asked = readEmbeddings(request);
    if (isFailure(asked)) return asked;
    const { inputs, dimensions, extras } = asked;
    const body = withoutAbsent({
      model: request.traits.model,
      texts: [...inputs],
      input_type: USUAL_INPUT_TYPE,
      embedding_types: ["float"],
      output_dimension: dimensions,
      ...takeExtras(extras, EXTRAS, request.losses),
    });
    return { body, told: toldOf(asked) };
  },
  decodeAnswer(answer) {
    const body = asObject(answer.body);
    const billed = asObject(asObject(body?.meta)?.billed_units);
    return embeddingsAnswer(answer, asArray(asObject(body?.embeddings)?.float), asCount(billed?.input_tokens));
  },
  decodeError,
  encodeError,
};
