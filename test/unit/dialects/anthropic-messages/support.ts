/** What the tests of this dialect share: traits, contexts, requests of other dialects, the vendor's SDK as judge. */
import { readFileSync } from "node:fs";
import Anthropic from "@anthropic-ai/sdk";
import { clientCodec, targetCodec } from "../../../../src/dialects/anthropic-messages/codec.js";
import type { CodecContext, EncodedRequest, TargetTraits, WireEvent } from "../../../../src/dialects/codec.js";
import {
  type AnswerEvent,
  type JsonObject,
  LossList,
  type SemanticRequest,
} from "../../../../src/dialects/semantic.js";
import { isFailure } from "../../../../src/errors.js";
import { semanticRequest } from "../semantic-request.js";

export function fixture(name: string): JsonObject {
  const path = new URL(`../../../fixtures/anthropic-messages/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(path, "utf8")) as JsonObject;
}

export function traits(model: string, changes: Partial<TargetTraits> = {}): TargetTraits {
  return {
    provider: "anthropic",
    model,
    defaultMaxTokens: 4096,
    maxTokensField: "max_tokens",
    structuredOutput: "native",
    ...changes,
  };
}

export { assistant, semanticRequest as request, text, user } from "../semantic-request.js";

export interface Encoded extends EncodedRequest {
  readonly losses: readonly string[];
}

export function encode(wanted: SemanticRequest, target: TargetTraits = traits("claude-sonnet-4-5")): Encoded {
  const losses = new LossList();
  const encoded = targetCodec.encodeRequest(wanted, target, losses);
  if (isFailure(encoded)) throw new Error(encoded.message);
  return { ...encoded, losses: losses.names };
}

export function decode(body: JsonObject): SemanticRequest {
  const losses = new LossList();
  const decoded = clientCodec.decodeRequest(body, losses);
  if (isFailure(decoded)) throw new Error(`${decoded.param}: ${decoded.message}`);
  if (losses.size > 0) throw new Error(`losses: ${losses.names.join()}`);
  return decoded;
}

export function context(changes: Partial<CodecContext> = {}): CodecContext {
  return {
    model: "my-model",
    requestId: "req_1",
    created: 1,
    usageAsked: false,
    request: semanticRequest(),
    ...changes,
  };
}

export const PLAIN: EncodedRequest = { body: {}, renamed: new Map(), formatTool: "", headers: [] };

/** The stream's text for these events. */
export function streamed(events: Iterable<AnswerEvent>, of: CodecContext = context()): string {
  const encoder = clientCodec.streamEncoder(of, new LossList());
  let sse = "";
  for (const event of events) sse += encoder.push(event);
  return sse;
}

/** What the vendor's own SDK makes of a stream. */
export async function judged(sse: string): Promise<JsonObject> {
  const client = new Anthropic({
    apiKey: "k",
    maxRetries: 0,
    fetch: async () => new Response(sse, { headers: { "content-type": "text/event-stream" } }),
  });
  const params = { model: "m", max_tokens: 9, messages: [{ role: "user" as const, content: "x" }] };
  const message = await client.messages.stream(params).finalMessage();
  // A convenience of the SDK's own, which is no part of the wire.
  const { parsed_output, ...rest } = JSON.parse(JSON.stringify(message)) as JsonObject;
  if (parsed_output !== null && parsed_output !== undefined) throw new Error("nothing was to be parsed");
  return rest;
}

/** The events of an SSE text. */
export function framesOf(sse: string): { event: string; data: JsonObject }[] {
  return sse
    .split("\n\n")
    .filter((frame) => frame !== "")
    .map((frame) => {
      const match = /^event: (\S+)\ndata: ([^\r\n]*)$/.exec(frame);
      if (match === null) throw new Error(`broken frame: ${frame}`);
      return { event: match[1] ?? "", data: JSON.parse(match[2] ?? "") as JsonObject };
    });
}

export function wire(data: JsonObject): WireEvent {
  return { event: String(data.type), data: JSON.stringify(data) };
}

/** Everything that a decoder makes of these events of the wire, its end included. */
export function decodeStream(events: readonly JsonObject[], encoded: EncodedRequest = PLAIN): AnswerEvent[] {
  const decoder = targetCodec.streamDecoder(encoded);
  return [...events.flatMap((event) => [...decoder.push(wire(event))]), ...decoder.finish()];
}
