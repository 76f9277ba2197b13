import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type AnswerBlock, foldAnswer } from "../../../../src/dialects/answer-fold.js";
import { DecodeError } from "../../../../src/dialects/codec.js";
import { clientCodec, targetCodec } from "../../../../src/dialects/openai-chat/codec.js";
import type { AnswerEvent, JsonObject, SemanticUsage } from "../../../../src/dialects/semantic.js";
import { chunkOf, contextOf, ENCODED, fed, PIXEL, streamed } from "./sample.js";

function wholeOf(message: JsonObject, finish = "stop", more: JsonObject = {}): JsonObject {
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

function blocksOf(message: JsonObject): readonly AnswerBlock[] {
  return foldAnswer(targetCodec.decodeAnswer(wholeOf(message), ENCODED)).choices[0]?.blocks ?? [];
}

function read(chunks: readonly (JsonObject | string)[], encoded = ENCODED): AnswerEvent[] {
  return fed(targetCodec.streamDecoder(encoded), chunks);
}

function call(index: number | undefined, fields: JsonObject): JsonObject {
  return { tool_calls: [index === undefined ? fields : { index, ...fields }] };
}

function named(index: number, id: string, name: string, said = ""): JsonObject {
  return call(index, { id, type: "function", function: { name, arguments: said } });
}

function fragment(index: number, said: string): JsonObject {
  return call(index, { function: { arguments: said } });
}

/** Blocks never overlap, and nothing follows the end. */
function expectWellFormed(events: readonly AnswerEvent[]): void {
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
      for (let run = 0; run < 3; run++) {
        const decoder = targetCodec.streamDecoder(ENCODED);
        const encoder = clientCodec.streamEncoder(contextOf());
        decoder.push({ event: "", data: JSON.stringify(chunkOf(named(0, "c", "f"))) });
        const started = performance.now();
        for (const chunk of chunks) for (const event of decoder.push(chunk)) encoder.push(event);
        best = Math.min(best, performance.now() - started);
      }
      return best;
    };
    time(2_000);
    // Quadratic cost would take a hundred times as long; linear takes ten.
    expect(time(50_000)).toBeLessThan(time(5_000) * 40);
  });
});

// ---- any answer, cut any way -----------------------------------------------------------------------

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
