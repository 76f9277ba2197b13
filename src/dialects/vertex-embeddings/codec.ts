/**
 * Embeddings on Vertex: older models by `:predict`, several texts a call; newer ones by `:embedContent`, one text a
 * call. Which of the two a model has is said by its name, as the vendor's own SDK reads it.
 */
import { type Failure, failure, isFailure } from "../../errors.js";
import { decodeError } from "../gemini/error.js";
import { asCount, asObject, asObjects, withoutAbsent } from "../json.js";
import { encodeError } from "../openai-chat/error.js";
import { embeddingsAnswer, summed, toldOf } from "../openai-embeddings/answer.js";
import { type EmbeddingsRequest, readEmbeddings, takeExtras } from "../openai-embeddings/request.js";
import type { EncodedOperation, OperationCodec, OperationRequest } from "../operation-codec.js";
import type { JsonObject } from "../semantic.js";
import { embedsContent } from "./models.js";

const CONTENT_EXTRAS = {
  task_type: "taskType",
  taskType: "taskType",
  title: "title",
  auto_truncate: "autoTruncate",
  autoTruncate: "autoTruncate",
};
const INSTANCE_FIELDS = { task_type: "task_type", taskType: "task_type", title: "title" };
const PARAMETERS = { auto_truncate: "autoTruncate", autoTruncate: "autoTruncate" };

export const vertexEmbeddings: OperationCodec = {
  encodeRequest(request) {
    const asked = readEmbeddings(request);
    if (isFailure(asked)) return asked;
    return embedsContent(request.traits.model) ? oneContent(asked, request) : instances(asked, request);
  },
  decodeAnswer(answer) {
    const body = asObject(answer.body);
    const embedding = asObject(body?.embedding);
    if (embedding !== null) {
      return embeddingsAnswer(answer, [embedding.values], asCount(asObject(body?.usageMetadata)?.promptTokenCount));
    }
    const made = asObjects(body?.predictions).map(({ embeddings }) => asObject(embeddings));
    const tokens = made.map((one) => asCount(asObject(one?.statistics)?.token_count));
    return embeddingsAnswer(
      answer,
      made.map((one) => one?.values),
      summed(tokens),
    );
  },
  decodeError,
  encodeError,
};

function oneContent(asked: EmbeddingsRequest, { losses }: OperationRequest): EncodedOperation | Failure {
  const [text] = asked.inputs;
  if (asked.inputs.length !== 1 || text === undefined) return tooMany();
  const config = withoutAbsent({
    outputDimensionality: asked.dimensions,
    ...takeExtras(asked.extras, CONTENT_EXTRAS, losses),
  });
  const body: JsonObject = { content: { parts: [{ text }] } };
  if (Object.keys(config).length > 0) body.embedContentConfig = config;
  return { body, told: toldOf(asked) };
}

function instances(asked: EmbeddingsRequest, { losses }: OperationRequest): EncodedOperation {
  const taken = takeExtras(asked.extras, { ...INSTANCE_FIELDS, ...PARAMETERS }, losses);
  const { autoTruncate, ...ofInstance } = taken;
  const parameters = withoutAbsent({ outputDimensionality: asked.dimensions, autoTruncate });
  return {
    body: {
      instances: asked.inputs.map((content) => ({ content, ...ofInstance })),
      ...(Object.keys(parameters).length > 0 ? { parameters } : {}),
    },
    told: toldOf(asked),
  };
}

/** Requests are cut to what one call takes before they come here. */
function tooMany(): Failure {
  return failure("unsupported_operation", "The model takes one input a call.", "input");
}
