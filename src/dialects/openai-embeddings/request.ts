/** An embeddings request, read for what it means: texts, and how long and in which form their vectors are wanted. */
import type { Failure } from "../../errors.js";
import { isAbsent, isObject, otherFields, withoutAbsent } from "../json.js";
import { lossName } from "../loss-name.js";
import type { OperationRequest } from "../operation-codec.js";
import { optionalNumber, optionalText, orFailure, refuse, refuseUnsupported } from "../refuse-request.js";
import type { JsonObject, JsonValue, LossList } from "../semantic.js";

const KNOWN = new Set("model input dimensions encoding_format user".split(" "));

/** Forms of vectors that callers may ask for. */
const FORMS: ReadonlySet<string> = new Set(["float", "base64"]);

export interface EmbeddingsRequest {
  readonly inputs: readonly string[];
  /** Length of the vectors; null = the model's own. */
  readonly dimensions: number | null;
  /** Vectors as base64 of 32-bit floats instead of lists of numbers. */
  readonly base64: boolean;
  /** Fields that the dialect does not have: of the target's own vendor, mostly. */
  readonly extras: JsonObject;
}

/** Reads the request. Refuses tokens where there is no vocabulary for them. The end user's id is a loss. */
export function readEmbeddings(request: OperationRequest): EmbeddingsRequest | Failure {
  return orFailure(() => read(request));
}

function read({ body, losses, detokenize }: OperationRequest): EmbeddingsRequest {
  const form = optionalText(body, "encoding_format") ?? "float";
  if (!FORMS.has(form)) refuse("encoding_format", '"float" or "base64"');
  if (!isAbsent(body.user)) losses.add("user");
  return {
    inputs: inputsOf(body.input, detokenize),
    dimensions: optionalNumber(body, "dimensions"),
    base64: form === "base64",
    extras: withoutAbsent(otherFields(body, KNOWN)),
  };
}

/** The members of `extras` that the wire knows, by its own names; all others are losses. */
export function takeExtras(extras: JsonObject, known: Readonly<Record<string, string>>, losses: LossList): JsonObject {
  const taken: JsonObject = {};
  for (const [name, value] of Object.entries(extras)) {
    const wanted = Object.hasOwn(known, name) ? known[name] : undefined;
    if (wanted === undefined) losses.add(lossName(name, "unknown_field"));
    else taken[wanted] = value;
  }
  return taken;
}

function inputsOf(input: JsonValue | undefined, detokenize: OperationRequest["detokenize"]): readonly string[] {
  if (typeof input === "string") return [input];
  if (!Array.isArray(input) || input.length === 0) return refuse("input", "a string or an array with something in it");
  if (isTokens(input)) return [textOf(input, "input", detokenize)];
  return input.map((item, index) => {
    const path = `input[${index}]`;
    if (typeof item === "string") return item;
    if (Array.isArray(item) && isTokens(item)) return textOf(item, path, detokenize);
    return isObject(item) && typeof item.text === "string" ? item.text : refuse(path, "a string");
  });
}

function isTokens(value: readonly JsonValue[]): value is number[] {
  return value.length > 0 && value.every((token) => typeof token === "number");
}

function textOf(tokens: readonly number[], path: string, detokenize: OperationRequest["detokenize"]): string {
  if (detokenize === undefined) {
    return refuseUnsupported("input", "'input' as token numbers cannot be translated for this model; send text.");
  }
  return detokenize(tokens) ?? refuse(path, "tokens of the vocabulary cl100k_base, or text");
}
