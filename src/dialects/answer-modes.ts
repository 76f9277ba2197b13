/**
 * An answer in one dialect, told in the other mode: a whole one as a stream of events, a stream as a whole. Also adds
 * the usage to a stream whose caller asks for it, or hides it. Pure; for answers that were kept.
 */
import { DecodeError } from "./codec.js";
import { clientCodecOf, hasClientCodec } from "./codecs.js";
import type { DialectId, RequestView } from "./dialect.js";
import { decodeStream, decodeWhole, encodeAsStream, encodeWhole, parseObject, type Translation } from "./hub.js";
import { isFailure } from "../errors.js";
import { usageObject } from "./openai-chat/usage.js";
import { finalResponse, withOwnIds } from "./openai-responses/final-response.js";
import { dialectOf } from "./registry.js";
import { type AnswerEvent, type JsonObject, LossList, type SemanticRequest, type SemanticUsage } from "./semantic.js";
import { parseSse } from "./sse.js";
import { StreamTap } from "./stream-tap.js";
import { UsageTally } from "./usage-tally.js";

/** The request that is answered, as far as the answer's form depends on it. */
export interface ModeRequest {
  readonly dialect: DialectId;
  readonly body: Buffer;
  readonly view: RequestView;
  /** Base of ids that must be made up. */
  readonly requestId: string;
  /** Seconds since the epoch. */
  readonly created: number;
}

const NO_BODY = new Uint8Array(0);

/** The stream of a whole answer; null when it cannot be told so. */
export function asStream(answer: Buffer, request: ModeRequest): Buffer | null {
  const stream = converted(request, (translation) => {
    const body = parseObject(answer);
    return body === null ? null : [decodeWhole(translation, body), encodeAsStream];
  });
  return stream !== null && request.dialect === "openai-responses" ? withOwnIds(stream, answer) : stream;
}

/** The whole answer of a stream; null when it cannot be told so. */
export function asWhole(answer: Buffer, request: ModeRequest): Buffer | null {
  const final = request.dialect === "openai-responses" ? finalResponse(answer) : null;
  if (final !== null) return final;
  return converted(request, (translation) => [decodeStream(translation, parseSse(answer)), encodeWhole]);
}

type Encode = typeof encodeWhole;

function converted(
  request: ModeRequest,
  read: (translation: Translation) => [AnswerEvent[], Encode] | null,
): Buffer | null {
  try {
    const translation = ontoItself(request);
    const found = translation === null ? null : read(translation);
    if (translation === null || found === null) return null;
    const [events, encode] = found;
    if (events.some(({ kind }) => kind === "error")) return null;
    return Buffer.from(encode(translation, events, contextOf(request, translation, events), new LossList()));
  } catch (error) {
    if (error instanceof DecodeError) return null;
    throw error;
  }
}

/** A translation from a dialect to itself: what the codecs want to know of the request. */
function ontoItself({ dialect, body }: ModeRequest): Translation | null {
  const parsed = hasClientCodec(dialect) ? parseObject(body) : null;
  if (parsed === null) return null;
  const request = clientCodecOf(dialect).decodeRequest(readable(dialect, parsed), new LossList());
  if (isFailure(request)) return null;
  const plain = { renamed: [], formatTool: "", headers: [], losses: [], told: null };
  return { client: dialect, wire: dialect, body: NO_BODY, echo: parsed, ...plain, request: answered(request) };
}

/** Whatever the prompt of a completion is, its answer is told in the same way. */
function readable(dialect: DialectId, body: JsonObject): JsonObject {
  return dialect === "openai-completions" ? { ...body, prompt: "" } : body;
}

/** The request without its conversation; an echo of the prompt is part of the answer already. */
function answered(request: SemanticRequest): SemanticRequest {
  const { echo: _, ...hints } = request.answerHints ?? {};
  return { ...request, system: [], turns: [], answerHints: hints };
}

function contextOf(request: ModeRequest, { request: asked }: Translation, events: readonly AnswerEvent[]) {
  const start = events.find((event) => event.kind === "start");
  return {
    model: start?.model || request.view.model,
    requestId: request.requestId,
    created: request.created,
    usageAsked: request.view.usageAsked,
    request: asked,
  };
}

/** The stream without the event that only tells usage. */
export function withoutUsage(answer: Buffer, { dialect, view }: ModeRequest): Buffer {
  const observer = dialectOf(dialect).streamObserver({ ...view, usageAsked: false }, new UsageTally());
  const tap = new StreamTap(observer, answer.length);
  return Buffer.concat([tap.push(answer), tap.end()].filter((bytes) => bytes !== null));
}

const DONE = /^data: ?\[DONE\]/m;

/** The stream with an event that tells usage before its end; itself where the dialect has no such event. */
export function withUsage(answer: Buffer, usage: SemanticUsage): Buffer {
  const end = DONE.exec(answer.toString("latin1"))?.index ?? -1;
  const first = end < 0 ? undefined : parseSse(answer.subarray(0, end))[0];
  const chunk = first === undefined ? null : parseObject(Buffer.from(first.data));
  if (chunk === null) return answer;
  const { choices: _, usage: __, ...head } = chunk;
  const told = { ...head, choices: [], usage: usageObject(usage) };
  return Buffer.concat([
    answer.subarray(0, end),
    Buffer.from(`data: ${JSON.stringify(told)}\n\n`),
    answer.subarray(end),
  ]);
}
