import { describe, expect, it } from "vitest";
import { clientCodec } from "../../../../src/dialects/anthropic-messages/codec.js";
import { type AnswerEvent, type JsonObject, LossList, type SemanticUsage } from "../../../../src/dialects/semantic.js";
import { context, decode, framesOf, judged, streamed } from "./support.js";

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

describe("a whole answer", () => {
  it("has every field of the vendor's, and the caller's model", () => {
    const events: AnswerEvent[] = [
      START,
      { kind: "text_start" },
      { kind: "text", text: "Hi" },
      { kind: "block_stop" },
      stop("stop"),
      { kind: "usage", usage: USAGE },
      END,
    ];
    expect(whole(events)).toEqual({
      id: "chatcmpl-1",
      type: "message",
      role: "assistant",
      model: "my-model",
      content: [{ type: "text", text: "Hi" }],
      stop_reason: "end_turn",
      stop_sequence: null,
      stop_details: null,
      container: null,
      diagnostics: null,
      usage: {
        input_tokens: 60,
        output_tokens: 20,
        cache_read_input_tokens: 30,
        cache_creation_input_tokens: 10,
        cache_creation: null,
        inference_geo: null,
        output_tokens_details: { thinking_tokens: 5 },
        server_tool_use: null,
        service_tier: null,
        speed: null,
      },
    });
  });

  it("gets an id where the upstream gave none", () => {
    expect(whole([{ ...START, id: "" } as AnswerEvent, END]).id).toBe("msg_req_1");
    expect(whole([START, toolStart(""), { kind: "block_stop" }, END]).content).toMatchObject([{ id: "toolu_req_1_0" }]);
  });

  it.each([
    ["stop", "end_turn"],
    ["length", "max_tokens"],
    ["tool_calls", "tool_use"],
    ["content_filter", "refusal"],
    ["pause", "pause_turn"],
    ["error", "end_turn"],
  ] as const)("stopped by %s says %s", (reason, word) => {
    expect(whole([START, stop(reason), END])).toMatchObject({ stop_reason: word, stop_sequence: null });
  });

  it("names the sequence that stopped it, and calls of tools whatever the upstream says", () => {
    expect(whole([START, stop("stop_sequence", "###"), END])).toMatchObject({
      stop_reason: "stop_sequence",
      stop_sequence: "###",
    });
    expect(whole([START, toolStart("c"), { kind: "block_stop" }, stop("stop"), END]).stop_reason).toBe("tool_use");
    const overflow: AnswerEvent = {
      kind: "stop",
      reason: "length",
      sequence: null,
      native: "model_context_window_exceeded",
    };
    expect(whole([START, overflow, END]).stop_reason).toBe("model_context_window_exceeded");
  });

  it("that failed is an error", () => {
    const error = { status: 429, type: "x", code: "slow_down", message: "wait" };
    expect(whole([START, { kind: "error", error }])).toEqual({
      type: "error",
      error: { type: "rate_limit_error", message: "wait", details: { error_code: "slow_down" } },
      request_id: "req_1",
    });
  });

  it("keeps arguments that are no JSON, and pictures, in the form that the wire has", () => {
    const picture: AnswerEvent = {
      kind: "media",
      source: { data: "aGk=", url: null, fileId: null, mediaType: "image/png" },
    };
    const events: AnswerEvent[] = [
      START,
      toolStart("c"),
      { kind: "arguments", text: '{"a' },
      { kind: "block_stop" },
      picture,
      END,
    ];
    expect(whole(events).content).toMatchObject([
      { type: "tool_use", input: { raw_arguments: '{"a' } },
      { type: "text", text: "![image](data:image/png;base64,aGk=)" },
    ]);
  });
});

describe("a stream", () => {
  const events: AnswerEvent[] = [
    START,
    { kind: "usage", usage: { input: 100, output: -1, cacheRead: 30, cacheWrite: -1, reasoning: -1 } },
    { kind: "thinking_start", id: "", origin: "anthropic-messages" },
    { kind: "thinking", text: "hm" },
    { kind: "signature", signature: "sig" },
    { kind: "block_stop" },
    { kind: "text_start" },
    { kind: "text", text: "a\r\n\n\u2028b" },
    { kind: "block_stop" },
    toolStart("c1"),
    { kind: "arguments", text: '{"x":' },
    { kind: "arguments", text: "1}" },
    { kind: "block_stop" },
    toolStart("c2"),
    { kind: "block_stop" },
    stop("tool_calls"),
    { kind: "usage", usage: USAGE },
    END,
  ];

  it("has the vendor's events in the vendor's order, blocks one after the other", () => {
    const frames = framesOf(streamed(events));
    expect(frames.map(({ event, data }) => [event, data.index ?? null])).toEqual([
      ["message_start", null],
      ["ping", null],
      ["content_block_start", 0],
      ["content_block_delta", 0],
      ["content_block_delta", 0],
      ["content_block_stop", 0],
      ["content_block_start", 1],
      ["content_block_delta", 1],
      ["content_block_stop", 1],
      ["content_block_start", 2],
      ["content_block_delta", 2],
      ["content_block_delta", 2],
      ["content_block_stop", 2],
      ["content_block_start", 3],
      ["content_block_delta", 3],
      ["content_block_stop", 3],
      ["message_delta", null],
      ["message_stop", null],
    ]);
    for (const { event, data } of frames) expect(data.type).toBe(event);
    expect(frames[0]?.data.message).toMatchObject({
      id: "chatcmpl-1",
      model: "my-model",
      stop_reason: null,
      content: [],
      usage: { input_tokens: 70, cache_read_input_tokens: 30, output_tokens: 0 },
    });
    // A call without arguments says so.
    expect(frames[14]?.data.delta).toEqual({ type: "input_json_delta", partial_json: "{}" });
    expect(frames[16]?.data).toMatchObject({
      delta: { stop_reason: "tool_use", stop_sequence: null },
      usage: { input_tokens: 60, cache_read_input_tokens: 30, cache_creation_input_tokens: 10, output_tokens: 20 },
    });
  });

  it("is what the SDK folds into the whole answer", async () => {
    expect(await judged(streamed(events))).toEqual(whole(events));
  });

  it("says the error and nothing after it", () => {
    const error = { status: 529, type: "overloaded_error", code: null, message: "no\nmore" };
    const sse = streamed([
      START,
      { kind: "text", text: "x" },
      { kind: "error", error },
      { kind: "text", text: "y" },
      END,
    ]);
    const frames = framesOf(sse);
    expect(frames.at(-1)).toEqual({
      event: "error",
      data: { type: "error", error: { type: "overloaded_error", message: "no\nmore" }, request_id: "req_1" },
    });
    expect(sse).not.toContain("message_stop");
  });

  it("fails in the SDK when it fails", async () => {
    const error = { status: 500, type: "api_error", code: null, message: "broke" };
    await expect(judged(streamed([START, { kind: "error", error }]))).rejects.toThrow("broke");
  });

  it("joins halves of a character that free text was split at", async () => {
    const halves: AnswerEvent[] = [...'a"\u{1F600}'].flatMap((character) =>
      character.split("").map((unit) => ({ kind: "arguments", text: unit }) as const),
    );
    const free: AnswerEvent[] = [START, toolStart("c", "", "custom"), ...halves, { kind: "block_stop" }, END];
    expect(await judged(streamed(free))).toMatchObject({ content: [{ input: { input: 'a"\u{1F600}' } }] });
  });

  it("shows the first of several candidates", () => {
    const sse = streamed([
      START,
      { kind: "choice", index: 0 },
      { kind: "text", text: "one" },
      { kind: "choice", index: 1 },
      { kind: "text", text: "two" },
      stop("length"),
      { kind: "choice", index: 0 },
      { kind: "text", text: " more" },
      stop("stop"),
      END,
    ]);
    expect(sse).not.toContain("two");
    expect(sse.match(/content_block_start/g)?.length).toBe(2);
    expect(sse).toContain('"stop_reason":"end_turn"');
  });

  it("costs time linear in its size", () => {
    const encoder = clientCodec.streamEncoder(context(), new LossList());
    encoder.push(START);
    encoder.push(toolStart("c"));
    const begun = performance.now();
    let length = 0;
    for (let index = 0; index < 100_000; index++) length += encoder.push({ kind: "arguments", text: "x" }).length;
    expect(length).toBeGreaterThan(1e7);
    expect(performance.now() - begun).toBeLessThan(2000);
  });
});

describe("thinking and signatures of other vendors", () => {
  function turnOf(events: AnswerEvent[]): JsonObject {
    return { model: "m", max_tokens: 1, messages: [{ role: "assistant", content: whole(events).content ?? [] }] };
  }

  it.each(["gemini", "openai-responses", "openai-chat", ""])("survive a caller of this dialect: %s", async (origin) => {
    const events: AnswerEvent[] = [
      START,
      { kind: "thinking_start", id: "rs_1", origin },
      { kind: "thinking", text: "hm" },
      { kind: "signature", signature: "s\u0000√" },
      { kind: "encrypted", data: "e" },
      { kind: "block_stop" },
      { kind: "thinking_start", id: "rs_2", origin },
      { kind: "encrypted", data: "only" },
      { kind: "block_stop" },
      { kind: "thinking_start", id: "", origin },
      { kind: "block_stop" },
      toolStart("c1", "thought-1"),
      { kind: "arguments", text: "{}" },
      { kind: "block_stop" },
      toolStart("c2", "thought-2", "function"),
      { kind: "block_stop" },
      END,
    ];
    expect(decode(turnOf(events)).turns[0]?.blocks).toMatchObject([
      { kind: "thinking", text: "hm", signature: "s\u0000√", encrypted: "e", id: "rs_1", origin },
      { kind: "thinking", text: "", encrypted: "only", id: "rs_2", origin },
      { kind: "tool_call", id: "c1", signature: "thought-1" },
      { kind: "tool_call", id: "c2", signature: "thought-2" },
    ]);
    expect(await judged(streamed(events))).toEqual(whole(events));
  });
});
