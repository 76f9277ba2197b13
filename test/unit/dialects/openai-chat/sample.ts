/** What the tests of the chat codecs share: requests, contexts, and readers of what was written. */
import { readFileSync } from "node:fs";
import type { CodecContext, EncodedRequest, StreamDecoder, TargetTraits } from "../../../../src/dialects/codec.js";
import { clientCodec } from "../../../../src/dialects/openai-chat/codec.js";
import {
  type AnswerEvent,
  type JsonObject,
  LossList,
  type SemanticRequest,
  type SemanticUsage,
} from "../../../../src/dialects/semantic.js";
import { type Failure, isFailure } from "../../../../src/errors.js";

export const PIXEL = "iVBORw0KGgo=";
export const USAGE: SemanticUsage = { input: 12, output: 5, cacheRead: 4, cacheWrite: 2, reasoning: 3 };

export const TRAITS: TargetTraits = {
  provider: "openai",
  model: "upstream-model",
  defaultMaxTokens: 4096,
  maxTokensField: "max_completion_tokens",
  structuredOutput: "native",
};

export const ENCODED: EncodedRequest = { body: {}, renamed: new Map(), formatTool: "", headers: [] };

export function fixture(name: string): JsonObject {
  return JSON.parse(readFileSync(new URL(`../../../fixtures/${name}.json`, import.meta.url), "utf8")) as JsonObject;
}

/** Decodes a request that must be fine. */
export function decoded(body: JsonObject): { request: SemanticRequest; losses: readonly string[] } {
  const losses = new LossList();
  const request = clientCodec.decodeRequest({ model: "m", messages: [], ...body }, losses);
  if (isFailure(request)) throw new Error(`refused: ${request.message}`);
  return { request, losses: losses.names };
}

/** Decodes a request that must be refused. */
export function refused(body: JsonObject): Failure {
  const request = clientCodec.decodeRequest({ model: "m", messages: [], ...body }, new LossList());
  if (!isFailure(request)) throw new Error("not refused");
  return request;
}

export function contextOf(overrides: Partial<CodecContext> = {}): CodecContext {
  return {
    model: "asked-model",
    requestId: "req1",
    created: 1_700_000_000,
    usageAsked: true,
    request: decoded({}).request,
    ...overrides,
  };
}

/** The stream as text. */
export function streamed(events: readonly AnswerEvent[], context: CodecContext = contextOf()): string {
  const encoder = clientCodec.streamEncoder(context, new LossList());
  return events.map((event) => encoder.push(event)).join("");
}

/** The data of every event of a stream. */
export function dataOf(stream: string): string[] {
  const frames = stream.split("\n\n");
  if (frames.pop() !== "") throw new Error("the stream does not end with a blank line");
  return frames.map((frame) => {
    if (!frame.startsWith("data: ") || frame.includes("\n")) throw new Error(`not a data frame: ${frame}`);
    return frame.slice("data: ".length);
  });
}

/** The chunks of a stream, its terminator left out. */
export function chunksOf(stream: string): JsonObject[] {
  return dataOf(stream)
    .filter((data) => data !== "[DONE]")
    .map((data) => JSON.parse(data) as JsonObject);
}

/** Feeds chunks (objects, or text as it is) to a decoder and ends it. */
export function fed(decoder: StreamDecoder, chunks: readonly (JsonObject | string)[]): AnswerEvent[] {
  const events = chunks.flatMap((chunk) =>
    decoder.push({ event: "", data: typeof chunk === "string" ? chunk : JSON.stringify(chunk) }),
  );
  return [...events, ...decoder.finish()];
}

/** A chunk with one choice. */
export function chunkOf(delta: JsonObject, finish: string | null = null, index = 0): JsonObject {
  return {
    id: "chatcmpl-1",
    object: "chat.completion.chunk",
    created: 7,
    model: "upstream-model",
    choices: [{ index, delta, logprobs: null, finish_reason: finish }],
  };
}
