/** Scores of any wire → a rerank answer: best first, no more than were wanted. */
import { DecodeError } from "../codec.js";
import { asArray, asCount, asString, numberOrNull } from "../json.js";
import type { OperationAnswer } from "../operation-codec.js";
import type { AnswerError, JsonObject } from "../semantic.js";
import type { RerankRequest } from "./request.js";

/** What the answer depends on of its request; the documents only where they are to come back. */
export function toldOf({ documents, most, returnDocuments }: RerankRequest): JsonObject {
  return { count: documents.length, most, documents: returnDocuments ? [...documents] : null };
}

/** One scored document. */
export interface Scored {
  readonly index: number;
  readonly score: number;
}

/** Reads a list of results; throws DecodeError where one has no place or no score. */
export function scoredIn(results: readonly JsonObject[], scoreField: string): readonly Scored[] {
  return results.map((result) => {
    const index = asCount(result.index);
    const score = numberOrNull(result[scoreField]);
    if (index < 0 || score === null) throw new DecodeError("A result has no index or no score.");
    return { index, score };
  });
}

/** What was used, as far as it is known; -1 = not said. */
export interface RerankUse {
  readonly tokens: number;
  readonly searchUnits: number;
}

export function rerankAnswer(
  { told, model, requestId }: Pick<OperationAnswer, "told" | "model" | "requestId">,
  scored: readonly Scored[],
  { tokens, searchUnits }: RerankUse,
): JsonObject {
  const count = asCount(told.count);
  if (scored.some(({ index }) => index >= count)) throw new DecodeError("A result is of no document.");
  const most = numberOrNull(told.most) ?? count;
  const documents = asArray(told.documents);
  const best = [...scored].sort((one, other) => other.score - one.score).slice(0, Math.max(0, most));
  const billed: JsonObject = {};
  if (searchUnits >= 0) billed.search_units = searchUnits;
  if (tokens >= 0) billed.input_tokens = tokens;
  return {
    id: `rerank-${requestId}`,
    model,
    results: best.map(({ index, score }) => ({
      index,
      relevance_score: score,
      ...(documents.length > 0 ? { document: { text: asString(documents[index]) } } : {}),
    })),
    meta: { api_version: { version: "2" }, billed_units: billed },
    ...(tokens < 0 ? {} : { usage: { total_tokens: tokens } }),
  };
}

/** The envelope of this dialect's errors: its vendor's `message`, and beside it what clients of the others read. */
export function encodeError({ message, type, code }: AnswerError, requestId: string): JsonObject {
  return { id: requestId, message, error: { message, type, param: null, code } };
}
