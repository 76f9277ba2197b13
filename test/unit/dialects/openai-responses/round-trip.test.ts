import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { blockEvents } from "../../../../src/dialects/answer-fold.js";
import { clientCodec } from "../../../../src/dialects/openai-responses/codec.js";
import { mayCarryForeignProof } from "../../../../src/dialects/openai-responses/opaque.js";
import {
  type AnswerEvent,
  type Block,
  type JsonObject,
  LossList,
  type ThinkingBlock,
  type ToolCallBlock,
} from "../../../../src/dialects/semantic.js";
import {
  accumulated,
  assertOrder,
  context,
  decode,
  encode,
  END,
  fold,
  json,
  sseOf,
  START,
  STOPPED,
  streamed,
  USAGE,
  whole,
  wireEvents,
} from "./samples.js";

const said = fc.string({ minLength: 1, maxLength: 20, unit: "binary" });
const opaque = fc.string({ minLength: 1, maxLength: 20 });
const wire = fc.constantFrom("anthropic-messages", "gemini", "bedrock-converse");

const textBlock = said.map((text): Block => ({ kind: "text", text, cache: null, annotations: [] }));
const refusal = said.map((text): Block => ({ kind: "refusal", text }));
const signed = fc
  .record({ text: fc.oneof(said, fc.constant("")), signature: opaque, origin: wire })
  .map((fields): ThinkingBlock => ({ kind: "thinking", encrypted: "", id: "", ...fields }));
const redacted = fc
  .record({ encrypted: opaque, origin: wire })
  .map((fields): ThinkingBlock => ({ kind: "thinking", text: "", signature: "", id: "", ...fields }));
const plain = said.map(
  (text): ThinkingBlock => ({ kind: "thinking", text, signature: "", encrypted: "", id: "", origin: "openai-chat" }),
);
const own = fc.record({ text: said, encrypted: opaque.map((data) => `gAAA${data}`) }).map(
  (fields): ThinkingBlock => ({
    kind: "thinking",
    signature: "",
    id: "rs_own",
    origin: "openai-responses",
    ...fields,
  }),
);
const call = fc
  .record({
    name: fc.constantFrom("look", "patch"),
    arguments: fc.json(),
    signature: fc.oneof(fc.constant(""), opaque),
    flavour: fc.constantFrom("function" as const, "custom" as const),
  })
  .filter((fields) => !(fields.flavour === "function" && fields.name === "patch"));

const blocks = fc
  .array(fc.oneof(textBlock, refusal, signed, redacted, plain, own, call), { maxLength: 6 })
  .map((list) =>
    list.map((block, index): Block => {
      if ("kind" in block) return block;
      return { kind: "tool_call", cache: null, ...block, id: `id_${index}` };
    }),
  );

function eventsOf(list: readonly Block[], cut: (text: string) => string[]): AnswerEvent[] {
  const events: AnswerEvent[] = [START];
  for (const block of list) {
    for (const event of blockEvents(block as Parameters<typeof blockEvents>[0])) {
      if (!("text" in event)) events.push(event);
      else for (const text of cut(event.text)) events.push({ ...event, text });
    }
  }
  return [...events, STOPPED, USAGE, END];
}

const CUTS = [
  (text: string) => [text],
  (text: string) => [...text],
  (text: string) => [text.slice(0, 1), text.slice(1)],
];

const REQUEST = { model: "m", input: "hi", tools: [{ type: "custom", name: "patch" }] };

describe("round trips", () => {
  it("an answer sent back as history holds the same blocks, signatures and ids", () => {
    fc.assert(
      fc.property(blocks, (list) => {
        const answer = json(clientCodec.encodeAnswer(eventsOf(list, CUTS[0]!), context(REQUEST), new LossList()));
        const history = decode({ model: "m", input: answer.output });
        expect(history.losses).toEqual([]);
        expect(history.request.turns.flatMap((turn) => turn.blocks)).toEqual(list);
      }),
    );
  });

  it("a stream is the whole answer, for the vendor's accumulator too, however the text is cut", () => {
    fc.assert(
      fc.property(blocks, fc.constantFrom(...CUTS), (list, cut) => {
        const answer = json(clientCodec.encodeAnswer(eventsOf(list, CUTS[0]!), context(REQUEST), new LossList()));
        const sse = sseOf(eventsOf(list, cut), context(REQUEST));
        expect(accumulated(sse).output).toEqual(answer.output);
        expect((wireEvents(sse).at(-1) as unknown as { response: JsonObject }).response).toEqual(answer);
      }),
    );
  });

  it("a stream that is read folds to the whole answer that is read", () => {
    fc.assert(
      fc.property(blocks, fc.constantFrom(...CUTS), (list, cut) => {
        const answer = clientCodec.encodeAnswer(eventsOf(list, CUTS[0]!), context(REQUEST), new LossList());
        const events = streamed(sseOf(eventsOf(list, cut), context(REQUEST)));
        assertOrder(events);
        expect(fold(events)).toEqual(fold(whole(answer)));
      }),
    );
  });

  it("history goes to an upstream of this wire in the same order, and comes from it again", () => {
    const calls = fc.array(call, { maxLength: 4 }).map((list) =>
      list.map((fields, index): ToolCallBlock => {
        return { kind: "tool_call", cache: null, ...fields, signature: "", id: `id_${index}` };
      }),
    );
    fc.assert(
      fc.property(fc.array(own, { maxLength: 2 }), calls, (thoughts, made) => {
        const turns = [{ role: "assistant" as const, blocks: [...thoughts, ...made], name: null }];
        const { request } = decode({ model: "m", input: "x" });
        const { body, losses } = encode({ ...request, turns });
        expect(losses).toEqual([]);
        const again = decode(body).request.turns.flatMap((turn) => turn.blocks);
        expect(again).toEqual(turns.flatMap((turn) => turn.blocks));
      }),
    );
  });

  it("sees that a request carries another vendor's proof", () => {
    const signedAnswer = clientCodec.encodeAnswer(
      eventsOf([{ kind: "thinking", text: "T", signature: "S", encrypted: "", id: "", origin: "gemini" }], CUTS[0]!),
      context(),
      new LossList(),
    );
    expect(mayCarryForeignProof(Buffer.from(JSON.stringify({ input: signedAnswer.output })))).toBe(true);
    expect(mayCarryForeignProof(Buffer.from(JSON.stringify({ input: "weir.x" })))).toBe(true);
    expect(mayCarryForeignProof(Buffer.from(JSON.stringify({ input: "about weir.x" })))).toBe(false);
  });

  it("takes the text for what it is when a proof was cut on its way", () => {
    const broken = {
      type: "reasoning",
      summary: [{ type: "summary_text", text: "T" }],
      encrypted_content: "weir.x.ey",
    };
    const { request, losses } = decode({ model: "m", input: [broken] });
    expect(losses).toEqual(["encrypted_content"]);
    expect(request.turns[0]?.blocks).toMatchObject([{ kind: "thinking", text: "T", signature: "", encrypted: "" }]);
  });
});
