import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type AnswerBlock,
  answerEvents,
  type FoldedAnswer,
  type FoldedChoice,
  foldAnswer,
  mergeUsage,
  NO_USAGE,
} from "../../../src/dialects/answer-fold.js";
import type { AnswerEvent } from "../../../src/dialects/semantic.js";

const text = fc.string({ maxLength: 12 });
const filled = fc.string({ minLength: 1, maxLength: 12 });
const block: fc.Arbitrary<AnswerBlock> = fc.oneof(
  fc.record({ kind: fc.constant("text" as const), text, cache: fc.constant(null), annotations: fc.constant([]) }),
  fc.record({ kind: fc.constant("refusal" as const), text }),
  fc.record({
    kind: fc.constant("thinking" as const),
    text,
    signature: text,
    encrypted: text,
    id: text,
    origin: text,
  }),
  fc.record({
    kind: fc.constant("tool_call" as const),
    id: text,
    name: text,
    arguments: filled,
    signature: text,
    flavour: fc.constantFrom("function" as const, "custom" as const),
    cache: fc.constant(null),
  }),
  fc.record({
    kind: fc.constant("foreign" as const),
    wire: filled,
    type: filled,
    raw: fc.constant({ a: 1 }),
  }),
);

function answerOf(choices: readonly (readonly AnswerBlock[])[]): FoldedAnswer {
  return {
    id: "a",
    model: "m",
    created: 3,
    choices: choices.map(
      (blocks, index): FoldedChoice => ({
        index,
        blocks,
        stop: "stop",
        sequence: null,
        native: "end",
        logprobs: null,
      }),
    ),
    usage: { ...NO_USAGE, input: 1 },
    error: null,
  };
}

describe("the fold of an answer's events", () => {
  it("gives back what answerEvents said, for any blocks and candidates", () => {
    fc.assert(
      fc.property(fc.array(fc.array(block, { maxLength: 4 }), { minLength: 1, maxLength: 3 }), (choices) => {
        const answer = answerOf(choices);
        expect(foldAnswer(answerEvents(answer))).toEqual(answer);
      }),
    );
  });

  it("keeps candidates apart that interleave delta by delta", () => {
    const events: AnswerEvent[] = [
      { kind: "text_start" },
      { kind: "text", text: "a" },
      { kind: "choice", index: 1 },
      { kind: "text_start" },
      { kind: "text", text: "x" },
      { kind: "choice", index: 0 },
      { kind: "text", text: "b" },
      { kind: "block_stop" },
    ];
    const folded = foldAnswer(events);
    expect(folded.choices.map((choice) => choice.blocks)).toEqual([
      [{ kind: "text", text: "ab", cache: null, annotations: [] }],
      [{ kind: "text", text: "x", cache: null, annotations: [] }],
    ]);
  });

  it("sets later counts over earlier ones and keeps those that are left out", () => {
    const before = { ...NO_USAGE, input: 10, cacheRead: 3, output: 1 };
    expect(mergeUsage(before, { ...NO_USAGE, output: 7 })).toEqual({ ...NO_USAGE, input: 10, cacheRead: 3, output: 7 });
  });

  it("gives a call without arguments an empty object, and free text nothing", () => {
    const call = { kind: "tool_start", id: "1", name: "f", signature: "" } as const;
    const folded = foldAnswer([
      { ...call, flavour: "function" },
      { kind: "block_stop" },
      { ...call, flavour: "custom" },
    ]);
    expect(folded.choices[0]?.blocks.map((made) => made.kind === "tool_call" && made.arguments)).toEqual(["{}", ""]);
  });

  it("joins the log probabilities of all deltas", () => {
    const folded = foldAnswer([
      { kind: "logprobs", logprobs: { content: [{ token: "a" }], refusal: null } },
      { kind: "logprobs", logprobs: { content: [{ token: "b" }], refusal: [{ token: "c" }] } },
    ]);
    expect(folded.choices[0]?.logprobs).toEqual({
      content: [{ token: "a" }, { token: "b" }],
      refusal: [{ token: "c" }],
    });
  });

  it("joins a hundred thousand fragments of arguments", () => {
    const events: AnswerEvent[] = [
      { kind: "tool_start", id: "1", name: "f", signature: "", flavour: "function" },
      ...Array.from({ length: 100_000 }, () => ({ kind: "arguments", text: "x" }) as const),
    ];
    const [made] = foldAnswer(events).choices[0]?.blocks ?? [];
    expect(made?.kind === "tool_call" && made.arguments.length).toBe(100_000);
  });
});
