/**
 * Translation between dialects, off the diagonal: client dialect → meaning → target wire, and back. Pure, and
 * made of plain data at its edges, so that large bodies can be translated on another thread.
 */
import { type Failure, failure, isFailure } from "../errors.js";
import type { CodecContext, EncodedRequest, StreamDecoder, TargetTraits, WireEvent } from "./codec.js";
import { answerCodecOf, clientCodecOf, stateFieldIn, targetCodecOf } from "./codecs.js";
import type { DialectId, WireId } from "./dialect.js";
import type { OperationRequest } from "./operation-codec.js";
import { operationCodecOf, translateOperation } from "./operations.js";
import { type AnswerEvent, type JsonObject, LossList, NO_SAMPLING, type SemanticRequest } from "./semantic.js";

/** What a translation needs; plain data. */
export interface TranslationJob {
  readonly client: DialectId;
  readonly wire: WireId;
  readonly body: Uint8Array;
  readonly traits: TargetTraits;
  /** Will the answer be streamed to the caller? */
  readonly stream: boolean;
}

/** A request translated, and what its answer's translation will need. Plain data. */
export interface Translation {
  readonly client: DialectId;
  readonly wire: WireId;
  /** The request for the upstream, as JSON. */
  readonly body: Uint8Array;
  /** The same without its conversation: what the answer's decoder may look up (tools, model, number of turns). */
  readonly echo: JsonObject;
  readonly renamed: readonly (readonly [string, string])[];
  readonly formatTool: string;
  readonly headers: readonly string[];
  readonly losses: readonly string[];
  /** The caller's request without its conversation: what answers echo of it. */
  readonly request: SemanticRequest;
  /** What the answer's decoder must know of a request that is no conversation; null = it is one. */
  readonly told: JsonObject | null;
}

/** Stands where there is no conversation. */
const NO_CONVERSATION: SemanticRequest = Object.freeze({
  origin: "",
  model: "",
  stream: false,
  system: [],
  turns: [],
  tools: [],
  toolChoice: null,
  parallelToolCalls: null,
  sampling: NO_SAMPLING,
  maxOutputTokens: null,
  stop: [],
  reasoning: null,
  format: null,
  verbosity: null,
  user: null,
  metadata: null,
  serviceTier: null,
  promptCacheKey: null,
  modalities: [],
  extras: {},
});

/**
 * Translates a request, or says why it cannot be. `detokenize`: see OperationRequest. What a codec did not foresee costs this request, not the
 * thread: what callers send is deep and strange enough for that to happen.
 */
export function translateRequest(
  job: TranslationJob,
  detokenize?: OperationRequest["detokenize"],
): Translation | Failure {
  try {
    return translatedOperation(job, detokenize) ?? translated(job);
  } catch {
    return failure("internal_error", "The request could not be translated.");
  }
}

/** null: the request is a conversation. */
function translatedOperation(
  job: TranslationJob,
  detokenize: OperationRequest["detokenize"],
): Translation | Failure | null {
  const codec = operationCodecOf(job.client, job.wire);
  if (codec === null) return null;
  const encoded = translateOperation(codec, job, detokenize);
  if (isFailure(encoded)) return encoded;
  return {
    client: job.client,
    wire: job.wire,
    body: Buffer.from(JSON.stringify(encoded.body)),
    echo: {},
    renamed: [],
    formatTool: "",
    headers: [],
    losses: encoded.losses,
    request: NO_CONVERSATION,
    told: encoded.told,
  };
}

function translated(job: TranslationJob): Translation | Failure {
  const losses = new LossList();
  const parsed = parseObject(job.body);
  if (parsed === null) return failure("invalid_request_error", "The request body is not a JSON object.");
  const client = clientCodecOf(job.client);
  const request = client.decodeRequest(parsed, losses);
  if (isFailure(request)) return request;
  const state = client.stateField?.(request) ?? null;
  if (state !== null) return stateRefusal(state);
  const wanted = { ...request, model: job.traits.model, stream: job.stream };
  const encoded = targetCodecOf(job.wire).encodeRequest(wanted, job.traits, losses);
  if (isFailure(encoded)) return encoded;
  return {
    client: job.client,
    wire: job.wire,
    body: Buffer.from(JSON.stringify(encoded.body)),
    echo: withoutConversation(encoded.body),
    renamed: [...encoded.renamed],
    formatTool: encoded.formatTool,
    headers: encoded.headers,
    losses: losses.names,
    request: { ...request, system: [], turns: [] },
    told: null,
  };
}

function stateRefusal(field: string): Failure {
  const message = `The model's provider holds no state: "${field}" cannot be used with it. Send the whole conversation.`;
  return failure("unsupported_operation", message, field);
}

/** Refuses a request that leans on state that somebody else holds; null = it stands alone. Cheap, on the bytes. */
export function refuseState(client: DialectId, body: Buffer): Failure | null {
  const field = stateFieldIn(client, body);
  return field === null ? null : stateRefusal(field);
}

/** The events of a whole answer. Throws DecodeError when it means nothing. */
export function decodeWhole(translation: Translation, body: JsonObject): AnswerEvent[] {
  return answerCodecOf(translation.wire).decodeAnswer(body, encodedOf(translation));
}

export function streamDecoderOf(translation: Translation): StreamDecoder {
  return answerCodecOf(translation.wire).streamDecoder(encodedOf(translation));
}

/** All events of a stream that has been read to its end. */
export function decodeStream(translation: Translation, events: Iterable<WireEvent>): AnswerEvent[] {
  const decoder = streamDecoderOf(translation);
  const answer: AnswerEvent[] = [];
  for (const event of events) answer.push(...decoder.push(event));
  answer.push(...decoder.finish());
  return answer;
}

/** The caller's whole answer as JSON text; `losses` gets the names of what the caller's dialect cannot say. */
export function encodeWhole(
  translation: Translation,
  events: readonly AnswerEvent[],
  context: CodecContext,
  losses: LossList,
): string {
  return JSON.stringify(clientCodecOf(translation.client).encodeAnswer(events, context, losses));
}

/** The caller's stream for an answer that is there as a whole. */
export function encodeAsStream(
  translation: Translation,
  events: readonly AnswerEvent[],
  context: CodecContext,
  losses: LossList,
): string {
  const encoder = clientCodecOf(translation.client).streamEncoder(context, losses);
  let text = "";
  for (const event of events) text += encoder.push(event);
  return text;
}

/** An upstream's answer with a status of 400 or more. */
export interface ErrorAnswer {
  readonly status: number;
  readonly body: Buffer;
  /** Names, in lower case, and values alternate. */
  readonly headers: readonly string[];
}

/** An error answer for the caller. */
export interface TranslatedError {
  /** JSON text. */
  readonly body: string;
  /** What callers read in headers and the upstream says in its body only: names and values alternate. */
  readonly headers: readonly string[];
}

/** An upstream's error answer in the caller's envelope. */
export function translateError(translation: Translation, answer: ErrorAnswer, requestId: string): TranslatedError {
  const { status, body, headers } = answer;
  const operation = operationCodecOf(translation.client, translation.wire);
  const codec = operation ?? targetCodecOf(translation.wire);
  const at = codec.errorHeader === undefined ? -1 : headers.indexOf(codec.errorHeader);
  const errorType = at < 0 ? undefined : headers[at + 1];
  const error = codec.decodeError(status, parseObject(body), body.toString("utf8"), errorType);
  const wait = headers.includes("retry-after") ? 0 : (error.retryAfterSeconds ?? 0);
  return {
    body: JSON.stringify((operation ?? clientCodecOf(translation.client)).encodeError(error, requestId)),
    headers: wait > 0 ? ["retry-after", String(wait)] : [],
  };
}

/** A JSON object; null for anything else. */
export function parseObject(bytes: Uint8Array): JsonObject | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8"));
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : null;
  } catch {
    return null;
  }
}

function encodedOf(translation: Translation): EncodedRequest {
  const { echo, renamed, formatTool, headers } = translation;
  return { body: echo, renamed: new Map(renamed), formatTool, headers };
}

/** Members that hold what was said; their length stays, their content goes. */
const CONVERSATION = ["messages", "contents", "input", "system", "systemInstruction", "documents"] as const;

function withoutConversation(body: JsonObject): JsonObject {
  const echo = { ...body };
  for (const name of CONVERSATION) {
    const value = echo[name];
    if (Array.isArray(value)) echo[name] = value.map(() => null);
    else if (value !== undefined) delete echo[name];
  }
  return echo;
}
