/** Short ways to write requests, blocks and events in tests. */
import { isFailure } from "../../../../src/errors.js";
import { semanticRequest, text } from "../semantic-request.js";
import type { EncodedRequest, TargetCodec, TargetTraits, WireEvent } from "../../../../src/dialects/codec.js";
import {
  type AnswerEvent,
  type Block,
  type FunctionTool,
  type JsonObject,
  LossList,
  NO_SAMPLING,
  type Sampling,
  type SemanticRequest,
  type ThinkingBlock,
  type ToolCallBlock,
  type ToolResultBlock,
} from "../../../../src/dialects/semantic.js";

export { assistant, semanticRequest as request, text, user } from "../semantic-request.js";

export const sampling = (fields: Partial<Sampling>): Sampling => ({ ...NO_SAMPLING, ...fields });
export const image = (source: { data?: string; url?: string; fileId?: string; mediaType?: string }): Block =>
  ({
    kind: "image",
    source: { data: null, url: null, fileId: null, mediaType: "", ...source },
    detail: null,
    cache: null,
  }) as const;
export const thinking = (fields: Partial<ThinkingBlock>): ThinkingBlock => ({
  kind: "thinking",
  text: "",
  signature: "",
  encrypted: "",
  id: "",
  origin: "",
  ...fields,
});
export const call = (id: string, name: string, args = "{}", fields: Partial<ToolCallBlock> = {}): ToolCallBlock => ({
  kind: "tool_call",
  id,
  name,
  arguments: args,
  signature: "",
  flavour: "function",
  cache: null,
  ...fields,
});
export const result = (callId: string, said: string, fields: Partial<ToolResultBlock> = {}): ToolResultBlock => ({
  kind: "tool_result",
  callId,
  name: "",
  content: [text(said)],
  isError: false,
  cache: null,
  ...fields,
});
export const tool = (
  name: string,
  parameters: JsonObject | null = null,
  fields: Partial<FunctionTool> = {},
): FunctionTool => ({
  kind: "function",
  name,
  description: null,
  parameters,
  strict: null,
  cache: null,
  ...fields,
});

export function traits(model: string, structuredOutput: "native" | "tool" = "native"): TargetTraits {
  return { provider: "p", model, defaultMaxTokens: 4096, maxTokensField: "max_tokens", structuredOutput };
}

/** Encodes, and fails the test when the request is refused. */
export function encode(
  codec: TargetCodec,
  model: string,
  fields: Partial<SemanticRequest>,
): EncodedRequest & { losses: readonly string[] } {
  const losses = new LossList();
  const encoded = codec.encodeRequest(semanticRequest(fields), traits(model), losses);
  if (isFailure(encoded)) throw new Error(encoded.message);
  return { ...encoded, losses: losses.names };
}

export const NOTHING_ENCODED: EncodedRequest = { body: {}, renamed: new Map(), formatTool: "", headers: [] };

/** All events of a stream of these pieces. */
export function stream(codec: TargetCodec, pieces: readonly unknown[], encoded = NOTHING_ENCODED): AnswerEvent[] {
  const decoder = codec.streamDecoder(encoded);
  const events: AnswerEvent[] = [];
  const wire = pieces.map((piece): WireEvent => ({ event: "", data: JSON.stringify(piece) }));
  for (const event of wire) events.push(...decoder.push(event));
  return [...events, ...decoder.finish()];
}

/** Fails the test when blocks overlap, or when something stands outside of a block that must stand in one. */
export function assertOrder(events: readonly AnswerEvent[]): void {
  let open = "";
  const inside: Record<string, string> = {
    text: "text",
    annotation: "text",
    thinking: "thinking",
    signature: "thinking",
    encrypted: "thinking",
    arguments: "tool",
    refusal: "refusal",
  };
  for (const { kind } of events) {
    if (kind.endsWith("_start")) {
      if (open !== "") throw new Error(`${kind} within ${open}`);
      open = kind.slice(0, -"_start".length);
    } else if (kind === "block_stop") {
      if (open === "") throw new Error("nothing to stop");
      open = "";
    } else if (inside[kind] !== undefined && inside[kind] !== open) {
      throw new Error(`${kind} within ${open || "nothing"}`);
    } else if ((kind === "media" || kind === "foreign" || kind === "stop" || kind === "end") && open !== "") {
      throw new Error(`${kind} within ${open}`);
    }
  }
}
