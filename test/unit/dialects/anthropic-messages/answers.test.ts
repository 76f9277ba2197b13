/** Answers for callers of this dialect: wire facts, section 4, with the vendor's SDK as judge. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { clientCodec, targetCodec } from "../../../../src/dialects/anthropic-messages/codec.js";
import type { Annotation, AnswerEvent, JsonObject, SemanticUsage } from "../../../../src/dialects/semantic.js";
import { isFailure } from "../../../../src/errors.js";
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
  return clientCodec.encodeAnswer(events, context());
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
      content: [{ type: "text", text: "Hi", citations: null }],
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
    const encoder = clientCodec.streamEncoder(context());
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

describe("errors", () => {
  it.each([
    [400, "invalid_request_error"],
    [401, "authentication_error"],
    [402, "billing_error"],
    [403, "permission_error"],
    [404, "not_found_error"],
    [413, "request_too_large"],
    [429, "rate_limit_error"],
    [500, "api_error"],
    [502, "api_error"],
    [504, "timeout_error"],
    [529, "overloaded_error"],
  ])("%d is %s", (status, type) => {
    const error = { status, type: "other", code: null, message: "m" };
    expect(clientCodec.encodeError(error, "r")).toEqual({
      type: "error",
      error: { type, message: "m" },
      request_id: "r",
    });
  });

  it("of upstreams are read in every form", () => {
    const own = { type: "error", error: { type: "overloaded_error", message: "m", details: { error_code: "c" } } };
    expect(targetCodec.decodeError(529, own, "")).toEqual({
      status: 529,
      type: "overloaded_error",
      code: "c",
      message: "m",
    });
    expect(targetCodec.decodeError(0, own, "").status).toBe(529);
    const openai = { error: { message: "m", type: "t", code: "c" } };
    expect(targetCodec.decodeError(400, openai, "")).toEqual({ status: 400, type: "t", code: "c", message: "m" });
    expect(targetCodec.decodeError(400, { error: "plain" }, "")).toMatchObject({ message: "plain", code: null });
    expect(targetCodec.decodeError(403, { message: "aws" }, "")).toMatchObject({
      message: "aws",
      type: "permission_error",
    });
    expect(targetCodec.decodeError(502, null, "<html>bad gateway</html>")).toMatchObject({
      status: 502,
      type: "api_error",
      message: "<html>bad gateway</html>",
    });
    expect(targetCodec.decodeError(503, null, " ").message).toContain("503");
    expect(targetCodec.decodeError(500, null, "x".repeat(9999)).message.length).toBe(4096);
  });
});
