/** Property: an upstream's answer means the same streamed and whole. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { foldAnswer } from "../../../../src/dialects/answer-fold.js";
import { targetCodec } from "../../../../src/dialects/anthropic-messages/codec.js";
import type { JsonObject, JsonValue } from "../../../../src/dialects/semantic.js";
import { decodeStream, PLAIN } from "./support.js";

const USAGE = { input_tokens: 10, output_tokens: 1, cache_read_input_tokens: 4, cache_creation_input_tokens: 2 };

function started(usage: JsonObject = USAGE): JsonObject {
  return {
    type: "message_start",
    message: {
      id: "msg_1",
      type: "message",
      role: "assistant",
      model: "claude-x",
      content: [],
      stop_reason: null,
      usage,
    },
  };
}

function blockStart(index: number, content_block: JsonObject): JsonObject {
  return { type: "content_block_start", index, content_block };
}

function delta(index: number, fields: JsonObject): JsonObject {
  return { type: "content_block_delta", index, delta: fields };
}

function blockStop(index: number): JsonObject {
  return { type: "content_block_stop", index };
}

function json(index: number, partial_json: string): JsonObject {
  return delta(index, { type: "input_json_delta", partial_json });
}

function ended(stop_reason = "end_turn", usage: JsonObject = { output_tokens: 9 }): JsonObject[] {
  return [{ type: "message_delta", delta: { stop_reason, stop_sequence: null }, usage }, { type: "message_stop" }];
}

function toolUse(id: string, name: string, input: JsonValue = {}): JsonObject {
  return { type: "tool_use", id, name, input };
}

// ---- property: streamed and whole mean the same -----------------------------------------------------

const words = fc.string({ maxLength: 8 });
const blocks = fc.oneof(
  words.map((said): JsonObject => ({ type: "text", text: said })),
  fc.tuple(words, words).map(([thinking, signature]): JsonObject => ({ type: "thinking", thinking, signature })),
  words.map((data): JsonObject => ({ type: "redacted_thinking", data })),
  fc
    .dictionary(
      words.filter((name) => name !== "__proto__"),
      words,
    )
    .map((input): JsonObject => toolUse("toolu_1", "f", input)),
  fc.constant<JsonObject>({ type: "server_tool_use", id: "s", name: "web_search", input: { q: "x" } }),
);

/** A text in pieces, each in an event of its own. */
function pieces(whole: string, cut: number): string[] {
  return [whole.slice(0, cut), whole.slice(cut)];
}

function streamOf(block: JsonObject, index: number, cut: number): JsonObject[] {
  switch (block.type) {
    case "text":
      return [
        blockStart(index, { type: "text", text: "" }),
        ...pieces(String(block.text), cut).map((part) => delta(index, { type: "text_delta", text: part })),
        blockStop(index),
      ];
    case "thinking":
      return [
        blockStart(index, { type: "thinking", thinking: "", signature: "" }),
        ...pieces(String(block.thinking), cut).map((part) => delta(index, { type: "thinking_delta", thinking: part })),
        delta(index, { type: "signature_delta", signature: block.signature }),
        blockStop(index),
      ];
    case "redacted_thinking":
      return [blockStart(index, block), blockStop(index)];
    default:
      return [
        blockStart(index, { ...block, input: {} }),
        ...pieces(JSON.stringify(block.input), cut).map((part) => json(index, part)),
        blockStop(index),
      ];
  }
}

describe("any answer", () => {
  it("means the same streamed and whole", () => {
    fc.assert(
      fc.property(fc.array(blocks, { maxLength: 5 }), fc.nat(6), (content, cut) => {
        const usage = { ...USAGE, output_tokens: 9 };
        const message = { id: "msg_1", model: "claude-x", content, stop_reason: "tool_use", usage };
        const whole = foldAnswer(targetCodec.decodeAnswer(message, PLAIN));
        const events = content.flatMap((block, index) => streamOf(block, index, cut));
        expect(foldAnswer(decodeStream([started(), ...events, ...ended("tool_use")]))).toEqual(whole);
      }),
    );
  });
});
