import { describe, expect, it } from "vitest";
import { foldAnswer } from "../../../../src/dialects/answer-fold.js";
import { DecodeError } from "../../../../src/dialects/codec.js";
import { targetCodec } from "../../../../src/dialects/openai-chat/codec.js";
import type { JsonObject, SemanticUsage } from "../../../../src/dialects/semantic.js";
import { chunkOf, ENCODED, PIXEL } from "./sample.js";
import { blocksOf, fragment, named, read, wholeOf } from "./wire-answer.js";

describe("a whole chat answer of an upstream", () => {
  it("reads text, refusal, thinking, annotations, images, sound and calls", () => {
    const url_citation = { url: "https://a.example", title: "A", start_index: 0, end_index: 2 };
    const blocks = blocksOf({
      content: "hi",
      refusal: "no",
      reasoning_content: "hm",
      annotations: [{ type: "url_citation", url_citation }],
      images: [{ type: "image_url", image_url: { url: `data:image/png;base64,${PIXEL}` } }],
      audio: { id: "a", data: "UklGRg==", transcript: "said" },
      tool_calls: [
        {
          id: "c1",
          type: "function",
          function: { name: "f", arguments: "" },
          extra_content: { google: { thought_signature: "t" } },
        },
        { type: "function", function: { name: "g", arguments: { a: 1 } } },
        { id: "c3", type: "custom", custom: { name: "h", input: "ls" } },
      ],
    });
    expect(blocks).toMatchObject([
      { kind: "thinking", text: "hm", origin: "openai-chat" },
      { kind: "text", text: "hi", annotations: [{ kind: "url", url: "https://a.example", start: 0, end: 2 }] },
      { kind: "refusal", text: "no" },
      { kind: "image", source: { data: PIXEL, mediaType: "image/png" } },
      { kind: "text", text: "said" },
      { kind: "audio", source: { data: "UklGRg==" } },
      { kind: "tool_call", id: "c1", name: "f", arguments: "{}", signature: "t", flavour: "function" },
      { kind: "tool_call", id: "call_1_1", name: "g", arguments: '{"a":1}' },
      { kind: "tool_call", id: "c3", name: "h", arguments: "ls", flavour: "custom" },
    ]);
  });

  it("reads content as a list, and thinking in it", () => {
    const content = [
      { type: "thinking", thinking: [{ type: "text", text: "hm" }] },
      { type: "text", text: "a" },
      { type: "mystery", x: 1 },
    ];
    expect(blocksOf({ content }).map((block) => block.kind)).toEqual(["thinking", "text", "foreign"]);
  });

  it("reads the legacy call", () => {
    expect(blocksOf({ content: null, function_call: { name: "f", arguments: "{}" } })).toMatchObject([
      { kind: "tool_call", name: "f", id: "call_1_0" },
    ]);
  });

  it.each([
    ["stop", "stop"],
    ["length", "length"],
    ["max_tokens", "length"],
    ["content_filter", "content_filter"],
    ["eos", "stop"],
    ["", "stop"],
    ["tool_calls", "stop"],
  ])("reads the finish_reason %j", (native, reason) => {
    const [choice] = foldAnswer(targetCodec.decodeAnswer(wholeOf({ content: "a" }, native), ENCODED)).choices;
    expect([choice?.stop, choice?.native]).toEqual([reason, native]);
  });

  it("says calls for whatever reason comes with calls, and names a matched stop sequence", () => {
    const tool_calls = [{ id: "c", type: "function", function: { name: "f", arguments: "{}" } }];
    for (const native of ["stop", "tool_calls", "function_call"]) {
      const events = targetCodec.decodeAnswer(wholeOf({ content: null, tool_calls }, native), ENCODED);
      expect(foldAnswer(events).choices[0]?.stop).toBe("tool_calls");
    }
    const body = wholeOf({ content: "a" });
    (body.choices as JsonObject[])[0]!.stop_reason = "END";
    expect(foldAnswer(targetCodec.decodeAnswer(body, ENCODED)).choices[0]).toMatchObject({
      stop: "stop_sequence",
      sequence: "END",
    });
  });

  it("reads usage, also in the names of look-alikes", () => {
    const usageOf = (usage: JsonObject) =>
      foldAnswer(targetCodec.decodeAnswer(wholeOf({ content: "a" }, "stop", { usage }), ENCODED)).usage;
    const details = {
      prompt_tokens_details: { cached_tokens: 4, cache_write_tokens: 1 },
      completion_tokens_details: { reasoning_tokens: 3 },
    };
    const expected: SemanticUsage = { input: 10, output: 5, cacheRead: 4, cacheWrite: 1, reasoning: 3 };
    expect(usageOf({ prompt_tokens: 10, completion_tokens: 5, ...details })).toEqual(expected);
    expect(usageOf({ prompt_tokens: 10, completion_tokens: 5, prompt_cache_hit_tokens: 4 })).toMatchObject({
      cacheRead: 4,
    });
  });

  it("maps changed tool names back, and the forced tool of a format to text", () => {
    const encoded = { ...ENCODED, renamed: new Map([["a_b", "a.b"]]), formatTool: "reply" };
    const tool_calls = [
      { id: "1", type: "function", function: { name: "reply", arguments: '{"x":1}' } },
      { id: "2", type: "function", function: { name: "a_b", arguments: "{}" } },
    ];
    const whole = foldAnswer(targetCodec.decodeAnswer(wholeOf({ tool_calls }, "tool_calls"), encoded));
    expect(whole.choices[0]?.blocks).toMatchObject([
      { kind: "text", text: '{"x":1}' },
      { kind: "tool_call", name: "a.b" },
    ]);
    const only = [named(0, "1", "reply", '{"x"'), fragment(0, ":1}")].map((delta) => chunkOf(delta));
    const stream = foldAnswer(read([...only, chunkOf({}, "tool_calls"), "[DONE]"], encoded));
    expect(stream.choices[0]).toMatchObject({ blocks: [{ kind: "text", text: '{"x":1}' }], stop: "stop" });
  });

  it("reads an error in a good answer, and refuses what is no answer", () => {
    const events = targetCodec.decodeAnswer({ error: { message: "slow down", type: "rate_limit_error" } }, ENCODED);
    expect(events).toEqual([
      { kind: "error", error: { status: 429, type: "rate_limit_error", code: null, message: "slow down" } },
    ]);
    expect(() => targetCodec.decodeAnswer({ ok: true }, ENCODED)).toThrow(DecodeError);
  });
});
