/** Vectors of any wire → an embeddings answer. */
import { DecodeError } from "../codec.js";
import { asArray, asCount, asString } from "../json.js";
import type { DecodedOperation, OperationAnswer } from "../operation-codec.js";
import type { JsonObject, JsonValue } from "../semantic.js";
import type { EmbeddingsRequest } from "./request.js";

/** What the answer depends on of its request. */
export function toldOf({ inputs, base64 }: EmbeddingsRequest): JsonObject {
  return { count: inputs.length, base64 };
}

/**
 * The answer in the order of the inputs. `tokens`: of all inputs; -1 = not said, and then the answer does not say
 * it either. Throws DecodeError when there are more or fewer vectors than inputs.
 */
export function embeddingsAnswer(
  { told, model }: Pick<OperationAnswer, "told" | "model">,
  vectors: readonly (JsonValue | undefined)[],
  tokens: number,
): DecodedOperation {
  if (vectors.length !== asCount(told.count)) throw new DecodeError("The answer has not one vector for each input.");
  const base64 = told.base64 === true;
  const data = vectors.map((vector, index) => {
    return { object: "embedding", index, embedding: base64 ? packed(vector) : unpacked(vector) };
  });
  const usage = tokens < 0 ? {} : { usage: { prompt_tokens: tokens, total_tokens: tokens } };
  return { body: { object: "list", data, model, ...usage } };
}

/** 32-bit floats, little-endian, as the dialect's vendor packs them. */
function packed(vector: JsonValue | undefined): string {
  if (typeof vector === "string") return vector;
  const values = numbersIn(vector);
  const bytes = Buffer.allocUnsafe(values.length * 4);
  for (let index = 0; index < values.length; index++) bytes.writeFloatLE(values[index] as number, index * 4);
  return bytes.toString("base64");
}

function unpacked(vector: JsonValue | undefined): number[] {
  if (typeof vector !== "string") return numbersIn(vector);
  const bytes = Buffer.from(asString(vector), "base64");
  if (bytes.length === 0 || bytes.length % 4 !== 0) throw new DecodeError("A vector is not a row of 32-bit floats.");
  return Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readFloatLE(index * 4));
}

function numbersIn(vector: JsonValue | undefined): number[] {
  const values = asArray(vector);
  if (values.length === 0) throw new DecodeError("A vector is missing.");
  for (const value of values) if (typeof value !== "number") throw new DecodeError("A vector holds no number.");
  return values as number[];
}

/** The sum of counts; -1 where one of them is not said. */
export function summed(counts: readonly number[]): number {
  return counts.some((count) => count < 0) ? -1 : counts.reduce((sum, count) => sum + count, 0);
}
