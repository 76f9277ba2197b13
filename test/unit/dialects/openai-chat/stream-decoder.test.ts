import { describe, expect, it } from "vitest";
import { foldAnswer } from "../../../../src/dialects/answer-fold.js";
import { DecodeError } from "../../../../src/dialects/codec.js";
import { clientCodec, targetCodec } from "../../../../src/dialects/openai-chat/codec.js";
import { type JsonObject, LossList } from "../../../../src/dialects/semantic.js";
import { chunkOf, contextOf, ENCODED, PIXEL } from "./sample.js";
import { call, expectWellFormed, fragment, named, read } from "./wire-answer.js";

describe("a chat stream of an upstream", () => {
  it("reads text, reason, usage after the reason, and the terminator", () => {
    const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
    const events = read([
      { id: "", model: "", created: 0, choices: [], prompt_filter_results: [] },
      chunkOf({ role: "assistant", content: "" }),
      chunkOf({ content: "Hel" }),
      chunkOf({ content: "lo" }),
      chunkOf({}, "stop"),
      { ...chunkOf({}), choices: [], usage },
      "[DONE]",
      chunkOf({ content: "nothing more" }),
    ]);
    expect(events).toEqual([
      { kind: "start", id: "chatcmpl-1", model: "upstream-model", created: 7 },
      { kind: "text_start" },
      { kind: "text", text: "Hel" },
      { kind: "text", text: "lo" },
      { kind: "block_stop" },
      { kind: "usage", usage: { input: 3, output: 2, cacheRead: -1, cacheWrite: -1, reasoning: -1 } },
      { kind: "stop", reason: "stop", sequence: null, native: "stop" },
      { kind: "end" },
    ]);
  });

  it("reads usage on every chunk, in x_groq, and in the choice", () => {
    const usage = { prompt_tokens: 3, completion_tokens: 2 };
    const inChoice = chunkOf({ content: "a" });
    (inChoice.choices as JsonObject[])[0]!.usage = usage;
    for (const chunk of [{ ...chunkOf({}), usage }, { ...chunkOf({}), x_groq: { usage } }, inChoice]) {
      expect(foldAnswer(read([chunk, "[DONE]"])).usage).toMatchObject({ input: 3, output: 2 });
    }
  });

  it("passes the first call on as it comes and holds interleaved ones back", () => {
    const decoder = targetCodec.streamDecoder(ENCODED);
    const push = (delta: JsonObject, finish: string | null = null) =>
      decoder.push({ event: "", data: JSON.stringify(chunkOf(delta, finish)) });
    push({ role: "assistant", content: null });
    expect(push(named(0, "c0", "f"))).toEqual([
      { kind: "tool_start", id: "c0", name: "f", signature: "", flavour: "function" },
    ]);
    expect(push(named(1, "c1", "g", '{"b"'))).toEqual([]);
    expect(push(fragment(0, '{"a":1}'))).toEqual([{ kind: "arguments", text: '{"a":1}' }]);
    expect(push(fragment(1, ":2}"))).toEqual([]);
    expect(push({}, "tool_calls")).toEqual([
      { kind: "block_stop" },
      { kind: "tool_start", id: "c1", name: "g", signature: "", flavour: "function" },
      { kind: "arguments", text: '{"b"' },
      { kind: "arguments", text: ":2}" },
      { kind: "block_stop" },
    ]);
  });

  it.each<[string, JsonObject[], [string, string, string][]]>([
    [
      "arguments before the name",
      [call(0, { id: "c", function: { arguments: '{"a"' } }), call(0, { function: { name: "f", arguments: ":1}" } })],
      [["c", "f", '{"a":1}']],
    ],
    ["whole arguments in one chunk", [named(0, "c", "f", '{"a":1}')], [["c", "f", '{"a":1}']]],
    ["no arguments at all", [named(0, "c", "f")], [["c", "f", "{}"]]],
    ["no id", [call(0, { function: { name: "f", arguments: "{}" } })], [["call_1_0", "f", "{}"]]],
    [
      "an id that comes late",
      [call(0, { function: { name: "f" } }), call(0, { id: "c" }), fragment(0, "{}")],
      [["c", "f", "{}"]],
    ],
    ["the name repeated on every chunk", [named(0, "c", "f", "{"), named(0, "c", "f", "}")], [["c", "f", "{}"]]],
    [
      "one index for all calls",
      [named(0, "c1", "f", "{}"), named(0, "c2", "g", "{}")],
      [
        ["c1", "f", "{}"],
        ["c2", "g", "{}"],
      ],
    ],
    [
      "no index",
      [
        call(undefined, { id: "c1", function: { name: "f", arguments: "{" } }),
        call(undefined, { function: { arguments: "}" } }),
        call(undefined, { id: "c2", function: { name: "g", arguments: "{}" } }),
      ],
      [
        ["c1", "f", "{}"],
        ["c2", "g", "{}"],
      ],
    ],
    [
      "arguments as an object",
      [call(0, { id: "c", function: { name: "f", arguments: { a: 1 } } })],
      [["c", "f", '{"a":1}']],
    ],
    [
      "the legacy form",
      [{ function_call: { name: "f", arguments: "" } }, { function_call: { arguments: "{}" } }],
      [["call_1_0", "f", "{}"]],
    ],
  ])("reads calls with %s", (_, deltas, expected) => {
    const events = read([...deltas.map((delta) => chunkOf(delta)), chunkOf({}, "tool_calls"), "[DONE]"]);
    expectWellFormed(events);
    const [choice] = foldAnswer(events).choices;
    const calls = choice?.blocks.map((block) => block.kind === "tool_call" && [block.id, block.name, block.arguments]);
    expect(calls).toEqual(expected);
    expect(choice?.stop).toBe("tool_calls");
  });

  it("refuses arguments whose call never gets a name", () => {
    expect(() => read([chunkOf(fragment(0, "{}")), chunkOf({}, "tool_calls"), "[DONE]"])).toThrow(DecodeError);
  });

  it("keeps text that comes while calls are open, after them", () => {
    const events = read([
      chunkOf({ content: "a" }),
      chunkOf(named(0, "c", "f", "{")),
      chunkOf({ content: "" }),
      chunkOf({ content: "b" }),
      chunkOf(fragment(0, "}")),
      chunkOf({}, "tool_calls"),
      "[DONE]",
    ]);
    expectWellFormed(events);
    expect(foldAnswer(events).choices[0]?.blocks).toMatchObject([
      { kind: "text", text: "a" },
      { kind: "tool_call", arguments: "{}" },
      { kind: "text", text: "b" },
    ]);
  });

  it.each<[string, JsonObject[], JsonObject[]]>([
    ["reasoning_content", [{ reasoning_content: "a" }, { reasoning_content: "b" }, { content: "c" }], [{ text: "ab" }]],
    ["reasoning", [{ reasoning: "ab" }, { content: "c" }], [{ text: "ab" }]],
    [
      "a list of parts",
      [
        { content: [{ type: "thinking", thinking: [{ type: "text", text: "ab" }] }] },
        { content: [{ type: "text", text: "c" }] },
      ],
      [{ text: "ab" }],
    ],
    [
      "details beside the text they repeat",
      [
        {
          reasoning: "a",
          reasoning_details: [{ type: "reasoning.text", text: "a", index: 0, format: "anthropic-claude-v1" }],
        },
        { reasoning: "b", reasoning_details: [{ type: "reasoning.text", text: "b", index: 0 }] },
        { reasoning_details: [{ type: "reasoning.text", signature: "s", index: 0 }] },
        {
          reasoning_details: [
            { type: "reasoning.encrypted", data: "x", index: 1, id: "rs", format: "openai-responses-v1" },
          ],
        },
        { content: "c" },
      ],
      [
        { text: "ab", signature: "s", origin: "anthropic-messages" },
        { text: "", encrypted: "x", id: "rs", origin: "openai-responses" },
      ],
    ],
    [
      "text with the proof after it",
      [
        { reasoning_content: "ab" },
        { reasoning_details: [{ type: "reasoning.text", text: "ab", signature: "s", index: 0 }] },
        { content: "c" },
      ],
      [{ text: "ab", signature: "s" }],
    ],
  ])("reads thinking as %s", (_, deltas, expected) => {
    const events = read([...deltas.map((delta) => chunkOf(delta)), chunkOf({}, "stop"), "[DONE]"]);
    expectWellFormed(events);
    const blocks = foldAnswer(events).choices[0]?.blocks ?? [];
    expect(blocks.slice(0, -1)).toMatchObject(expected);
    expect(blocks).toHaveLength(expected.length + 1);
    expect(blocks.at(-1)).toMatchObject({ kind: "text", text: "c" });
  });

  it("reads several candidates that interleave", () => {
    const events = read([
      chunkOf({ content: "a" }, null, 0),
      chunkOf({ content: "x" }, null, 1),
      chunkOf({ content: "b" }, null, 0),
      chunkOf(named(0, "c", "f", "{}"), null, 1),
      chunkOf({}, "stop", 0),
      chunkOf({}, "tool_calls", 1),
      "[DONE]",
    ]);
    expectWellFormed(events);
    const { choices } = foldAnswer(events);
    expect(choices.map((choice) => [choice.stop, choice.blocks.length])).toEqual([
      ["stop", 1],
      ["tool_calls", 2],
    ]);
  });

  it("reads images, sound in pieces, annotations and log probabilities", () => {
    const logprobs = { content: [{ token: "a" }], refusal: null };
    const withLogprobs = chunkOf({ content: "a" });
    (withLogprobs.choices as JsonObject[])[0]!.logprobs = logprobs;
    const events = read([
      withLogprobs,
      chunkOf({
        annotations: [{ type: "url_citation", url_citation: { url: "u", title: "t", start_index: 0, end_index: 1 } }],
      }),
      chunkOf({ images: [{ image_url: { url: `data:image/png;base64,${PIXEL}` } }] }),
      chunkOf({ audio: { id: "x", data: "UklG" } }),
      chunkOf({ audio: { data: "Rg==" } }),
      chunkOf({}, "stop"),
      "[DONE]",
    ]);
    expectWellFormed(events);
    const [choice] = foldAnswer(events).choices;
    expect(choice?.blocks).toMatchObject([
      { kind: "text", text: "a", annotations: [{ url: "u" }] },
      { kind: "image", source: { data: PIXEL } },
      { kind: "audio", source: { data: "UklGRg==" } },
    ]);
    expect(choice?.logprobs).toEqual({ content: [{ token: "a" }], refusal: null });
  });

  it.each<[string, string, string, number]>([
    ["an error object", "", '{"error":{"message":"m","type":"server_error"}}', 500],
    ["an error with a numeric code", "", '{"error":{"message":"m","code":429}}', 429],
    ["an error text", "", '{"error":"m"}', 500],
    ["an error event", "error", '{"message":"m","type":"overloaded_error"}', 503],
    ["an error event of plain text", "error", "m", 500],
    ["an object of type error", "", '{"object":"error","message":"m","type":"BadRequestError","code":400}', 400],
    [
      "an error in a choice",
      "",
      '{"id":"x","choices":[{"index":0,"delta":{},"error":{"message":"m","code":502}}]}',
      502,
    ],
  ])("reads %s at any position", (_, event, data, status) => {
    for (const before of [[], [chunkOf({ content: "a" })], [chunkOf({ content: "a" }), chunkOf({}, "stop")]]) {
      const decoder = targetCodec.streamDecoder(ENCODED);
      for (const chunk of before) decoder.push({ event: "", data: JSON.stringify(chunk) });
      const events = decoder.push({ event, data });
      expect(events.at(-1)).toMatchObject({ kind: "error", error: { message: "m", status } });
      expect(decoder.push({ event: "", data: "[DONE]" })).toEqual([]);
      expect(decoder.finish()).toEqual([]);
    }
  });

  it("ends without a terminator: an error, unless every candidate gave its reason and usage was seen", () => {
    const usage = { prompt_tokens: 1, completion_tokens: 1 };
    expect(read([]).at(-1)?.kind).toBe("error");
    expect(read([chunkOf({ content: "a" })]).at(-1)?.kind).toBe("error");
    expect(read([chunkOf({ content: "a" }, "stop")]).at(-1)?.kind).toBe("error");
    const complete = read([chunkOf({ content: "a" }, "stop"), { ...chunkOf({}), choices: [], usage }]);
    expect(complete.slice(-2)).toMatchObject([{ kind: "stop", reason: "stop" }, { kind: "end" }]);
    const half = read([
      chunkOf({ content: "a" }, "stop", 0),
      chunkOf({ content: "b" }, null, 1),
      { ...chunkOf({}), choices: [], usage },
    ]);
    expect(half.at(-1)?.kind).toBe("error");
  });

  it("takes a terminator without a reason, and refuses what is no JSON", () => {
    expect(read([chunkOf({ content: "a" }), "[DONE]"]).slice(-2)).toMatchObject([
      { kind: "stop", reason: "stop", native: "" },
      { kind: "end" },
    ]);
    expect(() => read(["{broken"])).toThrow(DecodeError);
    expect(() => read(["[1]"])).toThrow(DecodeError);
  });

  it("costs time linear in the size of a call's arguments", () => {
    const time = (fragments: number): number => {
      const chunks = Array.from({ length: fragments }, () => ({
        event: "",
        data: JSON.stringify(chunkOf(fragment(0, "x"))),
      }));
      let best = Number.POSITIVE_INFINITY;
      for (let run = 0; run < 5; run++) {
        const decoder = targetCodec.streamDecoder(ENCODED);
        const encoder = clientCodec.streamEncoder(contextOf(), new LossList());
        decoder.push({ event: "", data: JSON.stringify(chunkOf(named(0, "c", "f"))) });
        const started = performance.now();
        for (const chunk of chunks) for (const event of decoder.push(chunk)) encoder.push(event);
        best = Math.min(best, performance.now() - started);
      }
      return best;
    };
    time(2_000);
    // Quadratic cost would take a hundred times as long; linear takes ten.
    expect(time(20_000)).toBeLessThan(time(2_000) * 40);
  });
});
