import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { foldAnswer } from "../../../../src/dialects/answer-fold.js";
import { targetCodec } from "../../../../src/dialects/openai-chat/codec.js";
import type { JsonObject } from "../../../../src/dialects/semantic.js";
import { chunkOf, ENCODED, streamed } from "./sample.js";
import { expectWellFormed, fragment, named, read, wholeOf } from "./wire-answer.js";

const filled = fc.string({ minLength: 1, maxLength: 20 });
const wireMessage = fc.record(
  {
    reasoning_content: filled,
    content: filled,
    refusal: filled,
    tool_calls: fc.array(
      fc.record({ name: fc.constantFrom("f", "g"), said: fc.constantFrom("", "{}", '{"a":"long enough to cut"}') }),
      { maxLength: 3 },
    ),
  },
  { requiredKeys: [] },
);

function pieces(text: string, size: number): string[] {
  const cut: string[] = [];
  for (let at = 0; at < text.length; at += size) cut.push(text.slice(at, at + size));
  return cut;
}

describe("an answer, cut into chunks any way", () => {
  it("folds to the same as the whole answer", () => {
    fc.assert(
      fc.property(wireMessage, fc.integer({ min: 1, max: 7 }), fc.boolean(), (wire, size, isInterleaved) => {
        const tool_calls = (wire.tool_calls ?? []).map(({ name, said }, index) => ({
          id: `c${index}`,
          type: "function",
          function: { name, arguments: said },
        }));
        const whole: JsonObject = { ...wire, content: wire.content ?? null };
        if (tool_calls.length > 0) whole.tool_calls = tool_calls;
        else delete whole.tool_calls;
        const texts = (["reasoning_content", "content", "refusal"] as const).flatMap((field) =>
          pieces(wire[field] ?? "", size).map((piece) => ({ [field]: piece })),
        );
        const perCall = tool_calls.map((tool, index) => [
          named(index, tool.id, tool.function.name),
          ...pieces(tool.function.arguments, size).map((piece) => fragment(index, piece)),
        ]);
        const calls: JsonObject[] = [];
        while (perCall.some((queue) => queue.length > 0)) {
          for (const queue of perCall) {
            const taken = isInterleaved ? queue.splice(0, 1) : queue.splice(0);
            calls.push(...taken);
          }
        }
        const finish = tool_calls.length > 0 ? "tool_calls" : "stop";
        const deltas = [...texts, ...calls].map((delta) => chunkOf(delta));
        const events = read([chunkOf({ role: "assistant", content: "" }), ...deltas, chunkOf({}, finish), "[DONE]"]);
        expectWellFormed(events);
        expect(foldAnswer(events)).toEqual(foldAnswer(targetCodec.decodeAnswer(wholeOf(whole, finish), ENCODED)));
      }),
    );
  });

  it("passes through encoder and decoder unchanged", () => {
    const events = read([
      chunkOf({ content: "a" }),
      chunkOf(named(0, "c", "f", "{}")),
      chunkOf({}, "tool_calls"),
      "[DONE]",
    ]);
    const again = streamed(events)
      .split("\n\n")
      .filter((frame) => frame !== "")
      .map((frame) => frame.slice("data: ".length));
    expect(foldAnswer(read(again)).choices).toEqual(foldAnswer(events).choices);
  });
});
