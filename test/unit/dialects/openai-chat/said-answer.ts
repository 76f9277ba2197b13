/** Answers to be encoded, and readers of what the encoders wrote. */
import OpenAI from "openai";
import type { ChatCompletion } from "openai/resources";
import { type AnswerBlock, answerEvents, NO_USAGE } from "../../../../src/dialects/answer-fold.js";
import { clientCodec } from "../../../../src/dialects/openai-chat/codec.js";
import {
  type AnswerEvent,
  type JsonObject,
  LossList,
  type SemanticUsage,
  type StopReason,
  type TextBlock,
  type ThinkingBlock,
  type ToolCallBlock,
} from "../../../../src/dialects/semantic.js";
import { chunksOf, contextOf, streamed } from "./sample.js";

export const THINKING: ThinkingBlock = {
  kind: "thinking",
  text: "hm, well",
  signature: "sig",
  encrypted: "",
  id: "",
  origin: "anthropic-messages",
};
export const TEXT: TextBlock = { kind: "text", text: 'Hello\r\n\n\u2028 "there"', cache: null, annotations: [] };
export const CALL: ToolCallBlock = {
  kind: "tool_call",
  id: "call_1",
  name: "look",
  arguments: '{"at":1}',
  signature: "",
  flavour: "function",
  cache: null,
};

export interface Said {
  readonly blocks: readonly AnswerBlock[];
  readonly stop?: StopReason;
  readonly usage?: SemanticUsage;
  readonly logprobs?: JsonObject | null;
}

export function events(...choices: readonly Said[]): AnswerEvent[] {
  return answerEvents({
    id: "msg_1",
    model: "upstream-model",
    created: 0,
    choices: choices.map(({ blocks, stop = "stop", logprobs = null }, index) => ({
      index,
      blocks,
      stop,
      sequence: null,
      native: "",
      logprobs,
    })),
    usage: choices[0]?.usage ?? NO_USAGE,
    error: null,
  });
}

export function message(said: readonly AnswerEvent[], context = contextOf()): JsonObject {
  const [choice] = clientCodec.encodeAnswer(said, context, new LossList()).choices as JsonObject[];
  return choice?.message as JsonObject;
}

export function deltas(said: readonly AnswerEvent[], context = contextOf()): JsonObject[] {
  return chunksOf(streamed(said, context))
    .flatMap((chunk) => chunk.choices as JsonObject[])
    .map((choice) => choice.delta as JsonObject);
}

/** The answer as the vendor's own client folds the stream, over its own SSE reader. */
export async function foldedByClient(stream: string): Promise<ChatCompletion> {
  const client = new OpenAI({
    apiKey: "none",
    baseURL: "http://localhost/v1",
    maxRetries: 0,
    fetch: async () => new Response(stream, { headers: { "content-type": "text/event-stream" } }),
  });
  return client.chat.completions.stream({ model: "m", messages: [] }).finalChatCompletion();
}
