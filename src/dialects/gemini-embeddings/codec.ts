/** Gemini's embeddings (models/…:batchEmbedContents): a request a text, in one call. */
import { isFailure } from "../../errors.js";
import { decodeError } from "../gemini/error.js";
import { asCount, asObject, asObjects, withoutAbsent } from "../json.js";
import { encodeError } from "../openai-chat/error.js";
import { embeddingsAnswer, toldOf } from "../openai-embeddings/answer.js";
import { readEmbeddings, takeExtras } from "../openai-embeddings/request.js";
import type { OperationCodec } from "../operation-codec.js";

/** Fields of the vendor's that callers may add to the dialect's own, in both of its spellings. */
const EXTRAS = { task_type: "taskType", taskType: "taskType", title: "title" };

export const geminiEmbeddings: OperationCodec = {
  encodeRequest(request) {
    const asked = readEmbeddings(request);
    if (isFailure(asked)) return asked;
    const { model } = request.traits;
    const same = withoutAbsent({
      model: model.startsWith("models/") ? model : `models/${model}`,
      outputDimensionality: asked.dimensions,
      ...takeExtras(asked.extras, EXTRAS, request.losses),
    });
    return {
      body: { requests: asked.inputs.map((text) => ({ ...same, content: { parts: [{ text }] } })) },
      told: toldOf(asked),
    };
  },
  decodeAnswer(answer) {
    const body = asObject(answer.body);
    const vectors = asObjects(body?.embeddings).map(({ values }) => values);
    return embeddingsAnswer(answer, vectors, asCount(asObject(body?.usageMetadata)?.promptTokenCount));
  },
  decodeError,
  encodeError,
};
