import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { AnswerBlock } from "../../../../src/dialects/answer-fold.js";
import type { CodecContext } from "../../../../src/dialects/codec.js";
import { clientCodec } from "../../../../src/dialects/openai-chat/codec.js";
import { type AnswerEvent, type JsonObject, LossList } from "../../../../src/dialects/semantic.js";
import { deltas, events, foldedByClient, message, TEXT } from "./said-answer.js";
import { contextOf, decoded, streamed, USAGE } from "./sample.js";

const filled = fc.string({ minLength: 1, maxLength: 10, unit: "binary" });
const anyBlock: fc.Arbitrary<AnswerBlock> = fc.oneof(
  filled.map((text): AnswerBlock => ({ ...TEXT, kind: "text", text, cache: null, annotations: [] })),
  fc
    .string({ maxLength: 8 })
    .map((text): AnswerBlock => ({ ...TEXT, kind: "text", text, cache: null, annotations: [] })),
  filled.map((text): AnswerBlock => ({ kind: "refusal", text })),
  fc.tuple(filled, fc.constantFrom("", "sig"), fc.constantFrom("", "data")).map(
    ([text, signature, encrypted]): AnswerBlock => ({
      kind: "thinking",
      text,
      signature,
      encrypted,
      id: "",
      origin: "gemini",
    }),
  ),
  fc.tuple(filled, fc.constantFrom("", "{}", '{"a":"b"}'), fc.constantFrom("", "s")).map(
    ([id, said, signature]): AnswerBlock => ({
      kind: "tool_call",
      id,
      name: "look",
      arguments: said,
      signature,
      flavour: "function",
      cache: null,
    }),
  ),
);

/** The thinking of a stream, put together as clients of these fields do. */
function thinkingOf(said: readonly AnswerEvent[], context: CodecContext): JsonObject {
  const all = deltas(said, context);
  const content = all.map((delta) => delta.reasoning_content ?? "").join("");
  const details = all.flatMap((delta) => (delta.reasoning_details ?? []) as JsonObject[]);
  return {
    ...(content === "" ? {} : { reasoning_content: content }),
    ...(details.length === 0 ? {} : { reasoning_details: details }),
  };
}

function split(whole: JsonObject): { known: JsonObject; thinking: JsonObject } {
  const { reasoning_content, reasoning_details, annotations, ...known } = whole;
  expect(annotations).toEqual([]);
  const thinking: JsonObject = {};
  if (reasoning_content !== undefined) thinking.reasoning_content = reasoning_content;
  if (reasoning_details !== undefined) thinking.reasoning_details = reasoning_details;
  return { known, thinking };
}

describe("a stream folded by the vendor's client", () => {
  it("is the whole answer, for any blocks", async () => {
    const context = contextOf();
    await fc.assert(
      fc.asyncProperty(fc.array(anyBlock, { maxLength: 6 }), async (blocks) => {
        const said = events({ blocks, usage: USAGE });
        const folded = (await foldedByClient(streamed(said, context))) as unknown as JsonObject;
        const whole = clientCodec.encodeAnswer(said, context, new LossList());
        const [choice] = whole.choices as JsonObject[];
        const [foldedChoice] = folded.choices as JsonObject[];
        const { known, thinking } = split(choice?.message as JsonObject);
        const { reasoning_content: _, reasoning_details: __, ...foldedMessage } = foldedChoice!.message as JsonObject;
        expect({ ...foldedMessage, parsed: undefined }).toEqual({ ...known, parsed: undefined });
        expect(thinkingOf(said, context)).toEqual(thinking);
        expect({ ...folded, choices: [] }).toEqual({ ...whole, choices: [] });
        expect(foldedChoice?.finish_reason).toBe(choice?.finish_reason);
      }),
      { numRuns: 60 },
    );
  });

  it("gives back as history what the answer said: text, thinking with its proof, calls", () => {
    fc.assert(
      fc.property(fc.array(anyBlock, { maxLength: 6 }), (blocks) => {
        const history = { ...message(events({ blocks })) };
        const { request } = decoded({ messages: [{ ...history, role: "assistant" }] });
        const back = request.turns[0]?.blocks ?? [];
        const joined = (kind: "text" | "refusal", of: readonly { kind: string; text?: string }[]) =>
          of.map((block) => (block.kind === kind ? block.text : "")).join("");
        expect(joined("text", back as never)).toBe(joined("text", blocks as never));
        expect(joined("refusal", back as never)).toBe(joined("refusal", blocks as never));
        const calls = blocks.filter((block) => block.kind === "tool_call");
        expect(back.filter((block) => block.kind === "tool_call")).toEqual(
          calls.map((call) => ({ ...call, arguments: call.arguments || "{}" })),
        );
        const signed = blocks.filter((block) => block.kind === "thinking" && block.signature + block.encrypted !== "");
        const proofs = back.filter((block) => block.kind === "thinking" && block.signature + block.encrypted !== "");
        expect(proofs).toEqual(signed);
      }),
    );
  });
});
