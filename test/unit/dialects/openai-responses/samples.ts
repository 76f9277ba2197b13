/** What the tests of this dialect share: requests, contexts, events, and the vendor's SDK as judge. */
import OpenAI from "openai";
import { accumulateResponse } from "openai/lib/responses/ResponseAccumulator";
import type { Response as OpenAiResponse, ResponseStreamEvent } from "openai/resources/responses/responses";
import { foldAnswer } from "../../../../src/dialects/answer-fold.js";
import type { CodecContext, EncodedRequest, TargetTraits } from "../../../../src/dialects/codec.js";
import { clientCodec, targetCodec } from "../../../../src/dialects/openai-responses/codec.js";
import {
  type AnswerEvent,
  type JsonObject,
  LossList,
  type SemanticRequest,
} from "../../../../src/dialects/semantic.js";
import { parseSse } from "../../../../src/dialects/sse.js";
import { isFailure } from "../../../../src/errors.js";

/** Any object literal as JSON. */
export function json(value: object): JsonObject {
  return JSON.parse(JSON.stringify(value)) as JsonObject;
}

export interface Decoded {
  readonly request: SemanticRequest;
  readonly losses: readonly string[];
}

export function decode(body: object): Decoded {
  const losses = new LossList();
  const request = clientCodec.decodeRequest(json(body), losses);
  if (isFailure(request)) throw new Error(`${request.message} (${request.param})`);
  return { request, losses: losses.names };
}

/** The field at which a request is refused. */
export function refused(body: object): string | null {
  const result = clientCodec.decodeRequest(json(body), new LossList());
  if (!isFailure(result)) throw new Error("not refused");
  if (result.code !== "invalid_request_error") throw new Error(result.code);
  return result.param;
}

export const TRAITS: TargetTraits = {
  provider: "openai",
  model: "up-model",
  defaultMaxTokens: 4096,
  maxTokensField: "max_completion_tokens",
  structuredOutput: "native",
};

export interface Sent {
  readonly body: JsonObject;
  readonly encoded: EncodedRequest;
  readonly losses: readonly string[];
}

export function encode(request: SemanticRequest): Sent {
  const losses = new LossList();
  const encoded = targetCodec.encodeRequest(request, TRAITS, losses);
  if (isFailure(encoded)) throw new Error(encoded.message);
  return { body: json(encoded.body), encoded, losses: losses.names };
}

export const ENCODED: EncodedRequest = { body: {}, renamed: new Map(), formatTool: "", headers: [] };

export function context(body: object = { model: "m", input: "hi" }): CodecContext {
  const { request } = decode(body);
  return { model: "asked-model", requestId: "req-1", created: 1_700_000_000, usageAsked: false, request };
}

export function sseOf(events: Iterable<AnswerEvent>, at: CodecContext = context()): string {
  const encoder = clientCodec.streamEncoder(at, new LossList());
  let text = "";
  for (const event of events) text += encoder.push(event);
  return text;
}

/** The events of a stream as the wire has them. */
export function wireEvents(sse: string): (ResponseStreamEvent & { readonly type: string })[] {
  return parseSse(Buffer.from(sse)).map(({ event, data }) => {
    const parsed = JSON.parse(data) as ResponseStreamEvent;
    if (parsed.type !== event) throw new Error(`${event} is not ${parsed.type}`);
    return parsed;
  });
}

/** What the vendor's own accumulator makes of the events before the last one, which holds the answer anyway. */
export function accumulated(sse: string): OpenAiResponse {
  let snapshot: OpenAiResponse | undefined;
  for (const event of wireEvents(sse).slice(0, -1)) snapshot = accumulateResponse(event, snapshot);
  if (snapshot === undefined) throw new Error("no events");
  return snapshot;
}

/** A client of the vendor that is given these bytes. */
export function sdk(body: string, type: string): OpenAI {
  const answer = async () => new Response(body, { status: 200, headers: { "content-type": type } });
  return new OpenAI({ apiKey: "none", baseURL: "http://127.0.0.1:9", maxRetries: 0, fetch: answer });
}

export function streamed(sse: string): AnswerEvent[] {
  const decoder = targetCodec.streamDecoder(ENCODED);
  const events: AnswerEvent[] = [];
  for (const event of parseSse(Buffer.from(sse))) events.push(...decoder.push(event));
  events.push(...decoder.finish());
  return events;
}

export function whole(body: object): AnswerEvent[] {
  return targetCodec.decodeAnswer(json(body), ENCODED);
}

export const fold = foldAnswer;

/** Throws when blocks overlap, or something stands outside the order that the hub promises. */
export function assertOrder(events: readonly AnswerEvent[]): void {
  let open = "";
  for (const [index, { kind }] of events.entries()) {
    if ((kind === "start") !== (index === 0)) throw new Error(`start at ${index}`);
    if ((kind === "end" || kind === "error") && index !== events.length - 1) throw new Error(`${kind} at ${index}`);
    if (kind.endsWith("_start")) {
      if (open !== "") throw new Error(`${kind} inside ${open}`);
      open = kind;
    } else if (kind === "block_stop") {
      if (open === "") throw new Error("block_stop without a block");
      open = "";
    } else if (kind === "media" || kind === "foreign" || kind === "stop") {
      if (open !== "") throw new Error(`${kind} inside ${open}`);
    }
  }
}

export const START: AnswerEvent = { kind: "start", id: "chatcmpl-9", model: "up", created: 5 };
export const STOPPED: AnswerEvent = { kind: "stop", reason: "stop", sequence: null, native: "stop" };
export const END: AnswerEvent = { kind: "end" };
export const USAGE: AnswerEvent = {
  kind: "usage",
  usage: { input: 30, output: 12, cacheRead: 8, cacheWrite: 2, reasoning: 5 },
};
export const STOP: AnswerEvent = { kind: "block_stop" };

export function text(...deltas: readonly string[]): AnswerEvent[] {
  return [{ kind: "text_start" }, ...deltas.map((said): AnswerEvent => ({ kind: "text", text: said })), STOP];
}

export function thinking(said: string, signature: string, origin = "anthropic-messages"): AnswerEvent[] {
  const events: AnswerEvent[] = [{ kind: "thinking_start", id: "", origin }];
  if (said !== "") events.push({ kind: "thinking", text: said });
  if (signature !== "") events.push({ kind: "signature", signature });
  return [...events, STOP];
}

export interface CallSample {
  readonly id: string;
  readonly name: string;
  readonly signature?: string;
  readonly flavour?: "function" | "custom";
}

export function call(
  { id, name, signature = "", flavour = "function" }: CallSample,
  ...deltas: string[]
): AnswerEvent[] {
  const said = deltas.map((part): AnswerEvent => ({ kind: "arguments", text: part }));
  return [{ kind: "tool_start", id, name, signature, flavour }, ...said, STOP];
}
