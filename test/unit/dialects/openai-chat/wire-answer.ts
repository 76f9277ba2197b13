/** Answers and chunks as upstreams send them, and what the decoders of this wire make of them. */
import { expect } from "vitest";
import { type AnswerBlock, foldAnswer } from "../../../../src/dialects/answer-fold.js";
import { targetCodec } from "../../../../src/dialects/openai-chat/codec.js";
import type { AnswerEvent, JsonObject } from "../../../../src/dialects/semantic.js";
import { ENCODED, fed } from "./sample.js";

export function wholeOf(message: JsonObject, finish = "stop", more: JsonObject = {}): JsonObject {
  const choice = { index: 0, message: { role: "assistant", ...message }, logprobs: null, finish_reason: finish };
  return {
    id: "chatcmpl-1",
    object: "chat.completion",
    created: 7,
    model: "upstream-model",
    choices: [choice],
    ...more,
  };
}

export function blocksOf(message: JsonObject): readonly AnswerBlock[] {
  return foldAnswer(targetCodec.decodeAnswer(wholeOf(message), ENCODED)).choices[0]?.blocks ?? [];
}

export function read(chunks: readonly (JsonObject | string)[], encoded = ENCODED): AnswerEvent[] {
  return fed(targetCodec.streamDecoder(encoded), chunks);
}

export function call(index: number | undefined, fields: JsonObject): JsonObject {
  return { tool_calls: [index === undefined ? fields : { index, ...fields }] };
}

export function named(index: number, id: string, name: string, said = ""): JsonObject {
  return call(index, { id, type: "function", function: { name, arguments: said } });
}

export function fragment(index: number, said: string): JsonObject {
  return call(index, { function: { arguments: said } });
}

/** Blocks never overlap, and nothing follows the end. */
export function expectWellFormed(events: readonly AnswerEvent[]): void {
  const open = new Map<number, boolean>();
  let choice = 0;
  for (const [at, event] of events.entries()) {
    if (event.kind === "choice") choice = event.index;
    if (event.kind.endsWith("_start")) {
      expect(open.get(choice) ?? false, `${event.kind} while a block is open`).toBe(false);
      open.set(choice, true);
    }
    if (event.kind === "block_stop") {
      expect(open.get(choice)).toBe(true);
      open.set(choice, false);
    }
    if (event.kind === "stop") expect(open.get(choice) ?? false).toBe(false);
    if (event.kind === "end" || event.kind === "error") expect(at).toBe(events.length - 1);
  }
  expect(["end", "error"]).toContain(events.at(-1)?.kind);
}
