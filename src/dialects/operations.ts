/** Translation of what is no conversation, by the pair of the caller's dialect and the target's wire. */
import { type Failure, failure, isFailure } from "../errors.js";
import { bedrockEmbeddings } from "./bedrock-embeddings/codec.js";
import { bedrockImages } from "./bedrock-images/codec.js";
import { bedrockRerank } from "./bedrock-rerank/codec.js";
import type { TargetTraits } from "./codec.js";
import { cohereEmbed } from "./cohere-embed/codec.js";
import type { DialectId, WireId } from "./dialect.js";
import { geminiEmbeddings } from "./gemini-embeddings/codec.js";
import { googleImages } from "./google-images/codec.js";
import { asObject, parseValue } from "./json.js";
import { scanTopLevel } from "./json-scan.js";
import { keyTable } from "./json-text.js";
import type { EncodedOperation, OperationCodec, OperationRequest } from "./operation-codec.js";
import { mayBeOlder, rerankAnew } from "./rerank/codec.js";
import { type JsonObject, LossList } from "./semantic.js";
import { teiRerank } from "./tei-rerank/codec.js";
import { vertexEmbeddings } from "./vertex-embeddings/codec.js";
import { voyageEmbeddings } from "./voyage/embeddings.js";
import { voyageRerank } from "./voyage/rerank.js";

const CODECS: Readonly<Partial<Record<DialectId, Readonly<Partial<Record<WireId, OperationCodec>>>>>> = {
  "openai-embeddings": {
    "cohere-embed": cohereEmbed,
    "gemini-embeddings": geminiEmbeddings,
    "vertex-embeddings": vertexEmbeddings,
    "bedrock-embeddings": bedrockEmbeddings,
    "voyage-embeddings": voyageEmbeddings,
  },
  "openai-images": { "google-images": googleImages, "bedrock-images": bedrockImages },
  rerank: {
    rerank: rerankAnew,
    "voyage-rerank": voyageRerank,
    "bedrock-rerank": bedrockRerank,
    "tei-rerank": teiRerank,
  },
};

/** null: the pair speaks of conversations, or is none. */
export function operationCodecOf(client: DialectId, wire: WireId): OperationCodec | null {
  return CODECS[client]?.[wire] ?? null;
}

/** Throws RangeError for a pair without a codec. */
export function mustHaveCodec(client: DialectId, wire: WireId): OperationCodec {
  const codec = operationCodecOf(client, wire);
  if (codec === null) throw new RangeError(`nothing translates between ${client} and ${wire}`);
  return codec;
}

/** Has this dialect a wire that requests must be written anew for? */
export function hasOperationCodec(client: DialectId): boolean {
  return CODECS[client] !== undefined;
}

/** May this body be of an older form of its dialect, which a codec from the dialect to itself makes the newest? */
export function isOlderForm(client: DialectId, body: Buffer): boolean {
  return client === "rerank" && mayBeOlder(body);
}

const INPUT = keyTable(["input"]);
const OPEN_BRACKET = 0x5b;

/**
 * Does this body hold texts as token numbers, which only a pool thread with its vocabularies can read? The first
 * item tells for all.
 */
export function wantsVocabulary(client: DialectId, body: Buffer): boolean {
  if (client !== "openai-embeddings") return false;
  const { json, starts } = scanTopLevel(body, INPUT);
  const [list = -1] = starts;
  if (json.code(list) !== OPEN_BRACKET) return false;
  let at = json.space(list + 1);
  if (json.code(at) === OPEN_BRACKET) at = json.space(at + 1);
  const byte = json.code(at);
  return byte >= 0x30 && byte <= 0x39;
}

/** The part of a translation's job that concerns an operation. */
export interface OperationJob {
  readonly body: Uint8Array;
  readonly traits: TargetTraits;
}

export interface TranslatedOperation extends EncodedOperation {
  readonly losses: readonly string[];
}

/** Writes a request anew for its wire, or says why it cannot be. */
export function translateOperation(
  codec: OperationCodec,
  { body, traits }: OperationJob,
  detokenize?: OperationRequest["detokenize"],
): TranslatedOperation | Failure {
  const parsed = objectIn(body);
  if (parsed === null) return failure("invalid_request_error", "The request body is not a JSON object.");
  const losses = new LossList();
  const words = detokenize === undefined ? {} : { detokenize };
  const encoded = codec.encodeRequest({ body: parsed, traits, losses, ...words });
  return isFailure(encoded) ? encoded : { ...encoded, losses: losses.names };
}

function objectIn(bytes: Uint8Array): JsonObject | null {
  return asObject(parseValue(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8")));
}
