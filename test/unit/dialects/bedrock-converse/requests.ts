/** Semantic requests for the tests, and what the codec makes of them. */
import { targetCodec } from "../../../../src/dialects/bedrock-converse/codec.js";
import type { EncodedRequest, TargetTraits } from "../../../../src/dialects/codec.js";
import {
  type Block,
  type FunctionTool,
  type JsonObject,
  LossList,
  type SemanticRequest,
  type TextBlock,
  type Turn,
} from "../../../../src/dialects/semantic.js";
import { isFailure } from "../../../../src/errors.js";
import { semanticRequest } from "../semantic-request.js";

export const CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

export const TRAITS: TargetTraits = {
  provider: "bedrock",
  model: CLAUDE,
  defaultMaxTokens: 4096,
  maxTokensField: "max_tokens",
  structuredOutput: "native",
};

export function text(said: string, mark: string | null | undefined = undefined): TextBlock {
  return { kind: "text", text: said, cache: mark === undefined ? null : { ttl: mark }, annotations: [] };
}

export function turn(role: Turn["role"], ...blocks: readonly Block[]): Turn {
  return { role, blocks, name: null };
}

export function tool(name: string, more: Partial<FunctionTool> = {}): FunctionTool {
  const parameters = { type: "object", properties: { city: { type: "string" } }, additionalProperties: false };
  return { kind: "function", name, description: `Does ${name}.`, parameters, strict: null, cache: null, ...more };
}

export function call(id: string, name: string, json: string): Block {
  return { kind: "tool_call", id, name, arguments: json, signature: "", flavour: "function", cache: null };
}

export function result(callId: string, said: string, isError = false): Block {
  return { kind: "tool_result", callId, name: "", content: [text(said)], isError, cache: null };
}

export const PNG = "iVBORw0KGgoAAAANSUhEUg==";

export function image(data: string | null, url: string | null, mediaType = "image/png"): Block {
  return { kind: "image", source: { data, url, fileId: null, mediaType }, detail: null, cache: null };
}

export function document(title: string | null, more: object = {}): Block {
  const source = { data: "JVBERi0xLjQK", url: null, fileId: null, mediaType: "application/pdf" };
  return { kind: "document", source, text: null, title, context: null, citations: false, cache: null, ...more };
}

export function request(more: Partial<SemanticRequest> = {}): SemanticRequest {
  return semanticRequest({ maxOutputTokens: 100, ...more });
}

export interface Encoded {
  readonly encoded: EncodedRequest;
  readonly body: JsonObject;
  readonly losses: readonly string[];
}

/** Encodes; throws when the codec refuses. */
export function encode(more: Partial<SemanticRequest>, traits: Partial<TargetTraits> = {}): Encoded {
  const losses = new LossList();
  const encoded = targetCodec.encodeRequest(request(more), { ...TRAITS, ...traits }, losses);
  if (isFailure(encoded)) throw new Error(encoded.message);
  return { encoded, body: encoded.body, losses: losses.names };
}
