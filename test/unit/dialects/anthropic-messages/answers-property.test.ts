/** Properties: answers for callers are the same streamed and whole, and fit to be sent back. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { clientCodec } from "../../../../src/dialects/anthropic-messages/codec.js";
import {
  type Annotation,
  type AnswerEvent,
  type JsonObject,
  LossList,
  type SemanticUsage,
} from "../../../../src/dialects/semantic.js";
import { isFailure } from "../../../../src/errors.js";
import { context, judged, streamed } from "./support.js";

const USAGE: SemanticUsage = { input: 100, output: 20, cacheRead: 30, cacheWrite: 10, reasoning: 5 };
const START: AnswerEvent = { kind: "start", id: "chatcmpl-1", model: "upstream-model", created: 5 };
const END: AnswerEvent = { kind: "end" };

function stop(reason: Extract<AnswerEvent, { kind: "stop" }>["reason"], sequence: string | null = null): AnswerEvent {
  return { kind: "stop", reason, sequence, native: "x" };
}

function toolStart(id: string, signature = "", flavour: "function" | "custom" = "function"): AnswerEvent {
  return { kind: "tool_start", id, name: "f", signature, flavour };
}

function whole(events: readonly AnswerEvent[]): JsonObject {
  return clientCodec.encodeAnswer(events, context(), new LossList());
}

// ---- property: stream and whole agree -------------------------------------------------------------

const words = fc.string({ maxLength: 6 });
const annotation: fc.Arbitrary<Annotation> = fc.constantFrom<Annotation>(
  { kind: "url", url: "https://e.x", title: "t", citedText: "c", start: 0, end: 1, raw: { type: "url_citation" } },
  {
    kind: "document",
    url: "",
    title: "",
    citedText: "",
    start: -1,
    end: -1,
    raw: { type: "char_location", cited_text: "c", document_index: 0 },
  },
);
const textEvents = fc
  .tuple(fc.array(words, { maxLength: 3 }), fc.array(annotation, { maxLength: 2 }))
  .map(([texts, cited]): AnswerEvent[] => [
    { kind: "text_start" },
    ...texts.map((text) => ({ kind: "text", text }) as const),
    ...cited.map((drawn) => ({ kind: "annotation", annotation: drawn }) as const),
    { kind: "block_stop" },
  ]);
const thinkingEvents = fc
  .tuple(fc.constantFrom("anthropic-messages", "gemini"), fc.array(words, { maxLength: 2 }), words, words)
  .map(([origin, texts, signature, data]): AnswerEvent[] => [
    { kind: "thinking_start", id: "", origin },
    ...texts.map((text) => ({ kind: "thinking", text }) as const),
    ...(signature === "" ? [] : [{ kind: "signature", signature } as const]),
    ...(data === "" || origin === "anthropic-messages" ? [] : [{ kind: "encrypted", data } as const]),
    { kind: "block_stop" },
  ]);
const toolEvents = fc
  .tuple(
    fc.dictionary(
      words.filter((name) => name !== "__proto__"),
      words,
    ),
    fc.nat(9),
    words,
    fc.constantFrom("", "id"),
  )
  .map(([input, at, signature, id]): AnswerEvent[] => {
    const json = JSON.stringify(input);
    const parts = [json.slice(0, at), json.slice(at)];
    return [
      toolStart(id, signature),
      ...parts.map((text) => ({ kind: "arguments", text }) as const),
      { kind: "block_stop" },
    ];
  });
const freeTextEvents = fc
  .array(fc.string({ unit: "binary", maxLength: 5 }), { maxLength: 4 })
  .map((texts): AnswerEvent[] => [
    toolStart("id", "", "custom"),
    ...texts.map((text) => ({ kind: "arguments", text }) as const),
    { kind: "block_stop" },
  ]);
const foreignEvents = fc
  .constantFrom<JsonObject>(
    { type: "server_tool_use", id: "s", name: "web_search", input: { q: "x" }, caller: { type: "direct" } },
    { type: "web_search_tool_result", tool_use_id: "s", content: [] },
  )
  .map((raw): AnswerEvent[] => [
    { kind: "foreign", block: { kind: "foreign", wire: "anthropic-messages", type: String(raw.type), raw } },
  ]);
const answer = fc
  .tuple(
    fc.array(fc.oneof(textEvents, thinkingEvents, toolEvents, freeTextEvents, foreignEvents), { maxLength: 5 }),
    fc.constantFrom<AnswerEvent>(stop("stop"), stop("length"), stop("stop_sequence", "x"), stop("content_filter")),
  )
  .map(([blocks, reason]): AnswerEvent[] => [START, ...blocks.flat(), reason, { kind: "usage", usage: USAGE }, END]);

describe("any answer", () => {
  it("is the same streamed, folded by the SDK, and whole", async () => {
    await fc.assert(
      fc.asyncProperty(answer, async (events) => {
        expect(await judged(streamed(events))).toEqual(JSON.parse(JSON.stringify(whole(events))));
      }),
      { numRuns: 150 },
    );
  });

  it("can be sent back as history without a word lost", () => {
    fc.assert(
      fc.property(answer, (events) => {
        const content = whole(events).content ?? [];
        const request = clientCodec.decodeRequest({ model: "m", messages: [{ role: "assistant", content }] }, {
          add: (name: string) => expect.fail(name),
        } as never);
        if (isFailure(request)) expect.fail(request.message);
      }),
    );
  });
});
