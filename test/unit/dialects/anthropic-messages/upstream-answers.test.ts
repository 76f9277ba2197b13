import { describe, expect, it } from "vitest";
import { foldAnswer } from "../../../../src/dialects/answer-fold.js";
import { targetCodec } from "../../../../src/dialects/anthropic-messages/codec.js";
import { DecodeError } from "../../../../src/dialects/codec.js";
import type { AnswerEvent, JsonObject, JsonValue } from "../../../../src/dialects/semantic.js";
import { assistant, decodeStream, encode, PLAIN, request, text, traits, user, wire } from "./support.js";

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

const END: AnswerEvent = { kind: "end" };

describe("a stream", () => {
  it("means what it says, in order", () => {
    const events = decodeStream([
      started(),
      { type: "ping" },
      blockStart(0, { type: "thinking", thinking: "", signature: "" }),
      delta(0, { type: "thinking_delta", thinking: "hm" }),
      delta(0, { type: "signature_delta", signature: "sig" }),
      blockStop(0),
      blockStart(1, { type: "redacted_thinking", data: "enc" }),
      blockStop(1),
      blockStart(2, { type: "text", text: "", citations: null }),
      delta(2, { type: "text_delta", text: "Hi" }),
      delta(2, {
        type: "citations_delta",
        citation: {
          type: "web_search_result_location",
          url: "https://e.x",
          title: "T",
          cited_text: "c",
          encrypted_index: "i",
        },
      }),
      blockStop(2),
      blockStart(3, toolUse("toolu_1", "f")),
      json(3, ""),
      json(3, '{"a"'),
      json(3, ":1}"),
      blockStop(3),
      { type: "an_event_of_next_year", x: 1 },
      ...ended("tool_use"),
    ]);
    expect(events).toEqual([
      { kind: "start", id: "msg_1", model: "claude-x", created: 0 },
      { kind: "usage", usage: { input: 16, output: 1, cacheRead: 4, cacheWrite: 2, reasoning: -1 } },
      { kind: "thinking_start", id: "", origin: "anthropic-messages" },
      { kind: "thinking", text: "hm" },
      { kind: "signature", signature: "sig" },
      { kind: "block_stop" },
      { kind: "thinking_start", id: "", origin: "anthropic-messages" },
      { kind: "encrypted", data: "enc" },
      { kind: "block_stop" },
      { kind: "text_start" },
      { kind: "text", text: "Hi" },
      { kind: "annotation", annotation: expect.objectContaining({ kind: "url", url: "https://e.x", title: "T" }) },
      { kind: "block_stop" },
      { kind: "tool_start", id: "toolu_1", name: "f", signature: "", flavour: "function" },
      { kind: "arguments", text: '{"a"' },
      { kind: "arguments", text: ":1}" },
      { kind: "block_stop" },
      { kind: "loss", name: "an_event_of_next_year" },
      { kind: "usage", usage: { input: 16, output: 9, cacheRead: 4, cacheWrite: 2, reasoning: -1 } },
      { kind: "stop", reason: "tool_calls", sequence: null, native: "tool_use" },
      END,
    ]);
  });

  it.each([
    ["end_turn", "stop"],
    ["stop_sequence", "stop_sequence"],
    ["max_tokens", "length"],
    ["model_context_window_exceeded", "length"],
    ["tool_use", "tool_calls"],
    ["pause_turn", "pause"],
    ["refusal", "content_filter"],
    ["of_next_year", "stop"],
  ])("that ends by %s ends by %s", (native, reason) => {
    expect(decodeStream([started(), ...ended(native)])).toContainEqual({
      kind: "stop",
      reason,
      sequence: null,
      native,
    });
  });

  it("sets counts, and keeps those that a later event leaves out", () => {
    const events = decodeStream([
      started({ input_tokens: 10, output_tokens: 1 }),
      ...ended("end_turn", {
        output_tokens: 30,
        cache_read_input_tokens: 5,
        input_tokens: 11,
        output_tokens_details: { thinking_tokens: 7 },
      }),
    ]);
    expect(foldAnswer(events).usage).toEqual({ input: 16, output: 30, cacheRead: 5, cacheWrite: -1, reasoning: 7 });
  });

  it("never overlaps its blocks: what interleaves waits, and the first goes on", () => {
    const decoder = targetCodec.streamDecoder(PLAIN);
    const push = (event: JsonObject) => decoder.push(wire(event));
    push(started());
    push(blockStart(0, toolUse("a", "f")));
    expect(push(blockStart(1, toolUse("b", "g")))).toEqual([]);
    expect(push(json(0, "{"))).toEqual([{ kind: "arguments", text: "{" }]);
    expect(push(json(1, '{"y":2}'))).toEqual([]);
    expect(push(blockStop(1))).toEqual([]);
    expect(push(blockStart(2, { type: "text", text: "" }))).toEqual([]);
    expect(push(json(0, "}"))).toEqual([{ kind: "arguments", text: "}" }]);
    expect(push(blockStop(0)).map((event) => event.kind)).toEqual([
      "block_stop",
      "tool_start",
      "arguments",
      "block_stop",
      "text_start",
    ]);
    expect(push(delta(2, { type: "text_delta", text: "z" }))).toEqual([{ kind: "text", text: "z" }]);
    // The last block was never stopped by the wire.
    expect(ended().flatMap((event) => push(event).map(({ kind }) => kind))).toEqual([
      "usage",
      "block_stop",
      "stop",
      "end",
    ]);
  });

  it("calls without arguments, and calls whose arguments came with the start", () => {
    const events = decodeStream([
      started(),
      blockStart(0, toolUse("a", "f")),
      blockStop(0),
      blockStart(1, toolUse("", "g", { x: 1 })),
      blockStop(1),
      ...ended("tool_use"),
    ]);
    expect(foldAnswer(events).choices[0]?.blocks).toMatchObject([
      { id: "a", arguments: "{}" },
      { id: "toolu_0", arguments: '{"x":1}' },
    ]);
  });

  it("hands on blocks that only this wire knows, whole", () => {
    const events = decodeStream([
      started(),
      blockStart(0, { type: "server_tool_use", id: "s", name: "web_search", input: {} }),
      json(0, '{"query"'),
      json(0, ':"q"}'),
      blockStop(0),
      blockStart(1, { type: "web_search_tool_result", tool_use_id: "s", content: [{ type: "web_search_result" }] }),
      blockStop(1),
      blockStart(2, { type: "compaction", content: null }),
      delta(2, { type: "compaction_delta", content: "sum" }),
      delta(2, { type: "compaction_delta", content: "mary" }),
      blockStop(2),
      ...ended(),
    ]);
    expect(foldAnswer(events).choices[0]?.blocks).toMatchObject([
      { kind: "foreign", type: "server_tool_use", raw: { input: { query: "q" } } },
      { kind: "foreign", type: "web_search_tool_result", raw: { content: [{ type: "web_search_result" }] } },
      { kind: "foreign", type: "compaction", raw: { content: "summary" } },
    ]);
  });

  it("that breaks off is an error, whatever it had said", () => {
    for (const events of [[], [started()], [started(), ...ended().slice(0, 1)]]) {
      expect(decodeStream(events).at(-1)).toMatchObject({ kind: "error", error: { status: 502 } });
    }
  });

  it("stops at an error at any place", () => {
    const error = { type: "error", error: { type: "overloaded_error", message: "busy" }, request_id: "r" };
    const meaning = { kind: "error", error: { status: 529, type: "overloaded_error", code: null, message: "busy" } };
    expect(decodeStream([error])).toEqual([meaning]);
    expect(decodeStream([started(), blockStart(0, { type: "text", text: "" }), error, ...ended()]).at(-1)).toEqual(
      meaning,
    );
    const decoder = targetCodec.streamDecoder(PLAIN);
    expect(decoder.push({ event: "error", data: "gone" })).toMatchObject([
      { kind: "error", error: { message: "gone" } },
    ]);
    expect(decoder.finish()).toEqual([]);
  });

  it("reads an error without a type, and nothing that is no JSON", () => {
    expect(decodeStream([{ error: { message: "m", code: 7 } }])).toMatchObject([
      { error: { message: "m", code: "7" } },
    ]);
    expect(() => targetCodec.streamDecoder(PLAIN).push({ event: "message_start", data: "{" })).toThrow(DecodeError);
    expect(targetCodec.streamDecoder(PLAIN).push({ event: "ping", data: "" })).toEqual([]);
  });

  it("reads 100 KB of arguments in fragments of one byte in linear time", () => {
    const fragment = wire(json(0, "x"));
    const timed = (name: string, count: number): number => {
      const free = encode(
        request({ tools: [{ kind: "hosted", wire: "openai-chat", type: "custom", name: "free", raw: {} }] }),
      );
      const decoder = targetCodec.streamDecoder(free);
      decoder.push(wire(started()));
      decoder.push(wire(blockStart(0, toolUse("a", name))));
      const begun = performance.now();
      for (let index = 0; index < count; index++) decoder.push(fragment);
      decoder.push(wire(blockStop(0)));
      return performance.now() - begun;
    };
    for (const name of ["f", "free"]) {
      timed(name, 10_000);
      expect(timed(name, 100_000)).toBeLessThan(2000);
    }
  });
});

describe("what the request made of names and forms", () => {
  const schema = { type: "object", properties: { n: { type: "number" } } };

  it("is undone for names of tools", () => {
    const tools = [
      { kind: "function", name: "a.b", description: null, parameters: null, strict: null, cache: null } as const,
    ];
    const events = decodeStream(
      [started(), blockStart(0, toolUse("c", "a_b")), blockStop(0), ...ended()],
      encode(request({ tools })),
    );
    expect(events).toContainEqual(expect.objectContaining({ kind: "tool_start", name: "a.b" }));
  });

  it("is undone for the form of the answer: the tool's input is the text", () => {
    const format = { kind: "schema", name: "x", description: null, schema, strict: null } as const;
    const encoded = encode(request({ format }), traits("claude-3-5-haiku"));
    const stream = decodeStream(
      [
        started(),
        blockStart(0, toolUse("c", "answer_x")),
        json(0, '{"n":'),
        json(0, "1}"),
        blockStop(0),
        ...ended("tool_use"),
      ],
      encoded,
    );
    const whole = targetCodec.decodeAnswer(
      { id: "msg_1", model: "m", content: [toolUse("c", "answer_x", { n: 1 })], stop_reason: "tool_use", usage: USAGE },
      encoded,
    );
    for (const events of [stream, whole]) {
      expect(foldAnswer(events).choices[0]).toMatchObject({
        blocks: [{ kind: "text", text: '{"n":1}' }],
        stop: "stop",
      });
    }
  });

  it("is undone for tools that take free text", () => {
    const raw = { type: "custom", name: "patch", description: "d", format: { type: "grammar", syntax: "lark" } };
    const called = {
      kind: "tool_call",
      id: "c",
      name: "patch",
      arguments: "*** Begin",
      signature: "",
      flavour: "custom",
      cache: null,
    } as const;
    const encoded = encode(
      request({
        tools: [{ kind: "hosted", wire: "openai-responses", type: "custom", name: "patch", raw }],
        turns: [user(text("q")), assistant(called)],
      }),
    );
    expect(encoded.losses).toEqual(["tool_grammar"]);
    expect(encoded.body).toMatchObject({
      tools: [{ name: "patch", description: "d", input_schema: { required: ["input"] } }],
      messages: [{}, { content: [{ type: "tool_use", input: { input: "*** Begin" } }] }],
    });
    const events = decodeStream(
      [
        started(),
        blockStart(0, toolUse("c", "patch")),
        json(0, '{"input":"a\\n'),
        json(0, 'b"}'),
        blockStop(0),
        ...ended("tool_use"),
      ],
      encoded,
    );
    expect(foldAnswer(events).choices[0]?.blocks).toMatchObject([
      { kind: "tool_call", name: "patch", flavour: "custom", arguments: "a\nb" },
    ]);
  });
});

describe("a whole answer", () => {
  it("keeps all text blocks, in order", () => {
    const content = [
      { type: "text", text: "one" },
      toolUse("c", "f", {}),
      { type: "text", text: "two", citations: [{ type: "page_location", cited_text: "p", document_title: "D" }] },
    ];
    const events = targetCodec.decodeAnswer(
      { id: "i", model: "m", content, stop_reason: "max_tokens", usage: USAGE },
      PLAIN,
    );
    const { choices, usage } = foldAnswer(events);
    expect(choices[0]).toMatchObject({
      blocks: [
        { text: "one" },
        { name: "f", arguments: "{}" },
        { text: "two", annotations: [{ kind: "document", title: "D", citedText: "p" }] },
      ],
      stop: "length",
    });
    expect(usage.input).toBe(16);
  });

  it("is an error when it says one, and unreadable when it says nothing", () => {
    const error = { type: "error", error: { type: "api_error", message: "m" } };
    expect(targetCodec.decodeAnswer(error, PLAIN)).toMatchObject([{ kind: "error", error: { status: 500 } }]);
    expect(() => targetCodec.decodeAnswer({ id: "x" }, PLAIN)).toThrow(DecodeError);
    expect(() => targetCodec.decodeAnswer({ content: ["x"] }, PLAIN)).toThrow(DecodeError);
  });
});
