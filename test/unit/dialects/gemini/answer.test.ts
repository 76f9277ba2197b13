import { readFileSync } from "node:fs";
import { GenerateContentResponse } from "@google/genai";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { foldAnswer } from "../../../../src/dialects/answer-fold.js";
import { DecodeError, type EncodedRequest } from "../../../../src/dialects/codec.js";
import { targetCodec } from "../../../../src/dialects/gemini/codec.js";
import type { AnswerEvent, JsonObject } from "../../../../src/dialects/semantic.js";
import { assertOrder, assistant, encode, NOTHING_ENCODED, stream, tool } from "./semantic.js";

const FIXTURE = JSON.parse(
  readFileSync(new URL("../../../fixtures/gemini/stream-tools-thinking.json", import.meta.url), "utf8"),
) as { chunks: JsonObject[] };

const whole = (body: JsonObject, encoded: EncodedRequest = NOTHING_ENCODED) => {
  const events = targetCodec.decodeAnswer(body, encoded);
  assertOrder(events);
  return foldAnswer(events);
};
const answer = (parts: JsonObject[], fields: JsonObject = {}, rest: JsonObject = {}): JsonObject => ({
  candidates: [{ content: { role: "model", parts }, finishReason: "STOP", index: 0, ...fields }],
  responseId: "r1",
  modelVersion: "gemini-2.5-flash",
  ...rest,
});
const kinds = (events: readonly AnswerEvent[]) => events.map((event) => event.kind);

describe("gemini answers", () => {
  it("reads a recorded stream of thoughts, text and calls", () => {
    const events = stream(targetCodec, FIXTURE.chunks);
    assertOrder(events);
    expect(kinds(events).slice(0, 6)).toEqual(["start", "usage", "thinking_start", "thinking", "usage", "thinking"]);
    const folded = foldAnswer(events);
    expect(folded).toMatchObject({ id: "abcDEF-_123", model: "gemini-3-flash-preview", error: null });
    expect(folded.usage).toEqual({ input: 20, output: 25, cacheRead: 8, cacheWrite: 0, reasoning: 10 });
    expect(folded.choices[0]).toMatchObject({ stop: "tool_calls", native: "STOP" });
    expect(folded.choices[0]?.blocks).toMatchObject([
      { kind: "thinking", text: "I should look it up.", origin: "gemini" },
      { kind: "text", text: "One moment." },
      {
        kind: "tool_call",
        id: "call_unnamed_abcDEF-_123_0",
        name: "weather",
        arguments: '{"city":"Rome"}',
        signature: "c2lnbmF0dXJl",
      },
      { kind: "tool_call", id: "own", name: "now", arguments: "{}", signature: "" },
      { kind: "thinking", text: "", signature: "dGFpbA==", origin: "gemini" },
    ]);
  });

  it("gives back in the next request what the model said, part by part", () => {
    const blocks = foldAnswer(stream(targetCodec, FIXTURE.chunks)).choices[0]?.blocks ?? [];
    const { body, losses } = encode(targetCodec, "gemini-3-flash-preview", { turns: [assistant(...blocks)] });
    expect((body.contents as JsonObject[])[0]?.parts).toEqual([
      { text: "I should look it up.", thought: true },
      { text: "One moment." },
      { functionCall: { name: "weather", args: { city: "Rome" } }, thoughtSignature: "c2lnbmF0dXJl" },
      { functionCall: { id: "own", name: "now", args: {} } },
      { text: "", thoughtSignature: "dGFpbA==" },
    ]);
    expect(losses).toEqual([]);
  });

  it("agrees with the vendor's own reading", () => {
    const body = answer([
      { text: "a", thought: true },
      { text: "b" },
      { text: "c" },
      { functionCall: { id: "i", name: "f", args: { x: 1 } } },
    ]);
    const judge = Object.assign(new GenerateContentResponse(), body);
    const blocks = whole(body).choices[0]?.blocks ?? [];
    expect(blocks.filter((block) => block.kind === "text").map((block) => block.text)).toEqual([judge.text]);
    expect(blocks.find((block) => block.kind === "tool_call")).toMatchObject({
      id: judge.functionCalls?.[0]?.id,
      name: judge.functionCalls?.[0]?.name,
      arguments: JSON.stringify(judge.functionCalls?.[0]?.args),
    });
  });

  it.each([
    ["STOP", "stop"],
    ["MAX_TOKENS", "length"],
    ["SAFETY", "content_filter"],
    ["BLOCKLIST", "content_filter"],
    ["PROHIBITED_CONTENT", "content_filter"],
    ["SPII", "content_filter"],
    ["RECITATION", "content_filter"],
    ["IMAGE_SAFETY", "content_filter"],
    ["LANGUAGE", "content_filter"],
    ["MALFORMED_FUNCTION_CALL", "error"],
    ["UNEXPECTED_TOOL_CALL", "error"],
    ["SOMETHING_NEW", "stop"],
  ])("reads the finish reason %s", (finishReason, stop) => {
    expect(whole(answer([{ text: "x" }], { finishReason })).choices[0]).toMatchObject({ stop, native: finishReason });
    const call = { functionCall: { name: "f" } };
    const called = whole(answer([call], { finishReason })).choices[0];
    expect(called?.stop).toBe(stop === "stop" ? "tool_calls" : stop);
  });

  it("reads a blocked prompt as filtered, whole and streamed", () => {
    const body = {
      promptFeedback: { blockReason: "PROHIBITED_CONTENT", blockReasonMessage: "No." },
      usageMetadata: { promptTokenCount: 4 },
    };
    const folded = whole(body);
    expect(folded.choices[0]).toMatchObject({
      stop: "content_filter",
      native: "PROHIBITED_CONTENT",
      blocks: [{ kind: "refusal", text: "No." }],
    });
    expect(folded.usage).toMatchObject({ input: 4, output: 0 });
    expect(foldAnswer(stream(targetCodec, [body]))).toEqual(folded);
  });

  it("counts tool results as input and thoughts as output, once", () => {
    const usageMetadata = {
      promptTokenCount: 10,
      toolUsePromptTokenCount: 5,
      candidatesTokenCount: 20,
      thoughtsTokenCount: 7,
      totalTokenCount: 42,
    };
    expect(whole(answer([{ text: "x" }], {}, { usageMetadata })).usage).toEqual({
      input: 15,
      output: 27,
      cacheRead: 0,
      cacheWrite: 0,
      reasoning: 7,
    });
    const inside = { promptTokenCount: 10, candidatesTokenCount: 20, thoughtsTokenCount: 7, totalTokenCount: 30 };
    expect(whole(answer([{ text: "x" }], {}, { usageMetadata: inside })).usage).toMatchObject({
      output: 20,
      reasoning: 7,
    });
  });

  it("sets cumulative counts and keeps those that a later chunk leaves out", () => {
    const chunk = (usageMetadata: JsonObject, finishReason?: string) =>
      answer([{ text: "x" }], { finishReason }, { usageMetadata });
    const events = stream(targetCodec, [
      chunk({ promptTokenCount: 9, candidatesTokenCount: 5 }),
      chunk({ promptTokenCount: 9, candidatesTokenCount: 5 }),
      chunk({ thoughtsTokenCount: 10 }),
      chunk({ promptTokenCount: 9, candidatesTokenCount: 6 }, "STOP"),
    ]);
    expect(kinds(events).filter((kind) => kind === "usage")).toHaveLength(3);
    expect(foldAnswer(events).usage).toMatchObject({ input: 9, output: 16, reasoning: 10 });
  });

  it("passes images out, and keeps code, its results and pictures of thinking as its own", () => {
    const code = { executableCode: { code: "1", language: "PYTHON" } };
    const sketch = { inlineData: { mimeType: "image/png", data: "S" }, thought: true };
    const { choices } = whole(
      answer([{ text: "see" }, { inlineData: { mimeType: "image/png", data: "AA" } }, code, sketch]),
    );
    expect(choices[0]?.blocks).toMatchObject([
      { kind: "text" },
      { kind: "image", source: { data: "AA", mediaType: "image/png" } },
      { kind: "foreign", wire: "gemini", type: "executableCode", raw: code },
      { kind: "foreign", type: "inlineData", raw: sketch },
    ]);
  });

  it("turns grounding into annotations with UTF-16 offsets, and keeps it whole", () => {
    const said = "Größe 🚀 here. More.";
    const end = Buffer.byteLength("Größe 🚀 here.");
    const groundingMetadata = {
      webSearchQueries: ["q"],
      groundingChunks: [
        { web: { uri: "https://a.example", title: "A" } },
        { web: { uri: "https://b.example", title: "B" } },
      ],
      groundingSupports: [{ segment: { endIndex: end, text: "Größe 🚀 here." }, groundingChunkIndices: [0, 1, 9] }],
    };
    const body = answer([{ text: said }], { groundingMetadata });
    const folded = whole(body);
    const textBlock = folded.choices[0]?.blocks[0];
    expect(textBlock?.kind === "text" && textBlock.annotations).toMatchObject([
      {
        kind: "url",
        url: "https://a.example",
        title: "A",
        start: 0,
        end: "Größe 🚀 here.".length,
        citedText: "Größe 🚀 here.",
      },
      { kind: "url", url: "https://b.example" },
    ]);
    expect(folded.choices[0]?.blocks[1]).toMatchObject({
      kind: "foreign",
      type: "groundingMetadata",
      raw: { groundingMetadata },
    });
    const searching = { ...NOTHING_ENCODED, body: { tools: [{ googleSearch: {} }] } };
    const pieces = [
      answer([{ text: said.slice(0, 7) }], { finishReason: undefined }),
      answer([{ text: said.slice(7) }], { groundingMetadata }),
    ];
    expect(foldAnswer(stream(targetCodec, pieces, searching)).choices).toEqual(folded.choices);
  });

  it("counts a passage from the part it stands in", () => {
    const groundingMetadata = {
      groundingChunks: [{ retrievedContext: { title: "T" } }],
      groundingSupports: [{ segment: { partIndex: 2, startIndex: 1, endIndex: 3 }, groundingChunkIndices: [0] }],
    };
    const { choices } = whole(
      answer([{ text: "t", thought: true }, { text: "abc" }, { text: "défg" }], { groundingMetadata }),
    );
    expect(choices[0]?.blocks[1]).toMatchObject({
      text: "abcdéfg",
      annotations: [{ kind: "document", start: 4, end: 5 }],
    });
  });

  it("interleaves candidates", () => {
    const piece = (index: number, said: string, finishReason?: string) => ({
      candidates: [{ index, content: { parts: [{ text: said }] }, finishReason }],
    });
    const events = stream(targetCodec, [
      piece(0, "a"),
      piece(1, "b"),
      piece(0, "c", "STOP"),
      piece(1, "d", "MAX_TOKENS"),
    ]);
    const { choices } = foldAnswer(events);
    expect(choices).toMatchObject([
      { index: 0, stop: "stop", blocks: [{ text: "ac" }] },
      { index: 1, stop: "length", blocks: [{ text: "bd" }] },
    ]);
  });

  it("stops once where every chunk has a finish reason", () => {
    const events = stream(targetCodec, [answer([{ text: "a" }]), answer([{ text: "b" }])]);
    expect(kinds(events)).toEqual(["start", "text_start", "text", "text", "block_stop", "stop", "end"]);
  });

  it("gives log probabilities in the common shape", () => {
    const one = { token: "a", tokenId: 1, logProbability: -0.5 };
    const logprobsResult = {
      chosenCandidates: [one],
      topCandidates: [{ candidates: [one, { token: "b", logProbability: -1 }] }],
    };
    expect(whole(answer([{ text: "a" }], { logprobsResult })).choices[0]?.logprobs).toEqual({
      content: [
        {
          token: "a",
          logprob: -0.5,
          bytes: null,
          top_logprobs: [
            { token: "a", logprob: -0.5, bytes: null },
            { token: "b", logprob: -1, bytes: null },
          ],
        },
      ],
    });
  });

  it("gives changed names back and makes the format tool's arguments the answer", () => {
    const parts = [{ functionCall: { name: "a_b", args: {} } }, { functionCall: { name: "out", args: { x: 1 } } }];
    const encoded = { ...NOTHING_ENCODED, renamed: new Map([["a_b", "a b"]]), formatTool: "out" };
    expect(whole(answer(parts), encoded).choices[0]).toMatchObject({
      stop: "tool_calls",
      blocks: [{ name: "a b" }, { kind: "text", text: '{"x":1}' }],
    });
    expect(whole(answer(parts.slice(1)), encoded).choices[0]?.stop).toBe("stop");
  });

  it("makes up ids that differ from turn to turn where the answer has none", () => {
    const id = (contents: number) => {
      const encoded = { ...NOTHING_ENCODED, body: { contents: Array(contents).fill({}) } };
      const block = whole({ ...answer([{ functionCall: { name: "f" } }]), responseId: undefined }, encoded).choices[0]
        ?.blocks[0];
      return block?.kind === "tool_call" ? block.id : "";
    };
    expect(id(1)).not.toBe(id(3));
    expect(id(1)).toBe(id(1));
  });
});

describe("gemini failures", () => {
  it("is an error when the stream ends without a finish reason", () => {
    const events = stream(targetCodec, [answer([{ text: "a" }], { finishReason: undefined })]);
    expect(events.at(-1)).toMatchObject({ kind: "error", error: { status: 502 } });
    expect(stream(targetCodec, [])).toMatchObject([{ kind: "error" }]);
  });

  it("finds an error at any place of the stream, alone or in a list, and says nothing after it", () => {
    const error = { error: { code: 503, message: "overloaded", status: "UNAVAILABLE" } };
    const events = stream(targetCodec, [
      answer([{ text: "a" }], { finishReason: undefined }),
      [error],
      answer([{ text: "b" }]),
    ]);
    expect(events.at(-1)).toEqual({
      kind: "error",
      error: { status: 503, type: "UNAVAILABLE", code: null, message: "overloaded" },
    });
    expect(whole(error).error).toMatchObject({ status: 503 });
  });

  it("refuses what is no answer", () => {
    expect(() => targetCodec.decodeAnswer({}, NOTHING_ENCODED)).toThrow(DecodeError);
    expect(() => targetCodec.streamDecoder(NOTHING_ENCODED).push({ event: "", data: "{" })).toThrow(DecodeError);
  });

  it("reads error bodies: a status, one in a list, text, nothing", () => {
    const status = {
      error: {
        code: 400,
        message: "API key not valid.",
        status: "INVALID_ARGUMENT",
        details: [{ "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: "API_KEY_INVALID" }],
      },
    };
    const expected = { status: 400, type: "INVALID_ARGUMENT", code: "API_KEY_INVALID", message: "API key not valid." };
    expect(targetCodec.decodeError(400, status, "")).toEqual(expected);
    expect(targetCodec.decodeError(400, null, JSON.stringify([status]))).toEqual(expected);
    expect(targetCodec.decodeError(502, null, "<html>bad</html>")).toMatchObject({
      status: 502,
      message: "<html>bad</html>",
    });
    for (const [retryDelay, seconds] of [
      ["12s", 12],
      ["3.5s", 4],
      ["0s", undefined],
      ["soon", undefined],
    ]) {
      const limited = {
        error: { code: 429, message: "slow", details: [{ reason: "R" }, { retryDelay: retryDelay as string }] },
      };
      expect(targetCodec.decodeError(429, limited, "").retryAfterSeconds).toBe(seconds);
    }
    expect(targetCodec.decodeError(429, null, "")).toMatchObject({
      type: "RESOURCE_EXHAUSTED",
      message: "HTTP status 429",
    });
  });
});

describe("gemini streams fold to whole answers", () => {
  const part = fc.oneof(
    fc.record({ text: fc.string() }),
    fc.record({ text: fc.string(), thought: fc.constant(true) }),
    fc.record({ text: fc.string(), thought: fc.boolean(), thoughtSignature: fc.constantFrom("", "s1", "s2") }),
    fc.record({
      functionCall: fc.record({ name: fc.constantFrom("f", "g"), args: fc.dictionary(fc.string(), fc.integer()) }),
    }),
    fc.record({ inlineData: fc.record({ mimeType: fc.constant("image/png"), data: fc.constant("AA") }) }),
    fc.record({ codeExecutionResult: fc.record({ output: fc.string() }) }),
  );

  it("wherever the parts are cut into chunks", () => {
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), fc.array(fc.boolean(), { maxLength: 8 }), (parts, cuts) => {
        const chunks: JsonObject[][] = [[]];
        for (const [at, one] of parts.entries()) {
          if (cuts[at] === true) chunks.push([]);
          chunks.at(-1)?.push(one as JsonObject);
        }
        const last = chunks.length - 1;
        const pieces = chunks.map((some, at) => answer(some, at === last ? {} : { finishReason: undefined }));
        const events = stream(targetCodec, pieces);
        assertOrder(events);
        expect(foldAnswer(events)).toEqual(whole(answer(parts as JsonObject[])));
      }),
    );
  });

  it("in time linear in the pieces", () => {
    const time = (count: number) => {
      const decoder = targetCodec.streamDecoder(encode(targetCodec, "gemini-2.5-flash", { tools: [tool("f")] }));
      const piece = { event: "", data: JSON.stringify(answer([{ text: "x" }], { finishReason: undefined })) };
      let events = 0;
      const began = process.cpuUsage().user;
      for (let at = 0; at < count; at++) events += decoder.push(piece).length;
      expect(events).toBe(count + 2);
      return process.cpuUsage().user - began;
    };
    time(5_000);
    expect(time(40_000)).toBeLessThan(Math.max(time(5_000), 5_000) * 8 * 4);
  });
});
