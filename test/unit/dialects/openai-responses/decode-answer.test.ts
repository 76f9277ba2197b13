import { describe, expect, it } from "vitest";
import { DecodeError } from "../../../../src/dialects/codec.js";
import { targetCodec } from "../../../../src/dialects/openai-responses/codec.js";
import type { AnswerEvent } from "../../../../src/dialects/semantic.js";
import { assertOrder, ENCODED, fold, streamed, whole } from "./samples.js";

const USAGE = {
  input_tokens: 20,
  input_tokens_details: { cached_tokens: 4, cache_write_tokens: 1 },
  output_tokens: 9,
  output_tokens_details: { reasoning_tokens: 3 },
  total_tokens: 29,
};

const OUTPUT = [
  {
    type: "reasoning",
    id: "rs_1",
    summary: [
      { type: "summary_text", text: "One." },
      { type: "summary_text", text: "Two." },
    ],
    encrypted_content: "enc",
  },
  {
    type: "message",
    id: "msg_1",
    role: "assistant",
    status: "completed",
    content: [
      {
        type: "output_text",
        text: "Hello",
        annotations: [{ type: "url_citation", url: "https://a.example", title: "A", start_index: 0, end_index: 5 }],
        logprobs: [{ token: "Hello", logprob: -1, bytes: [], top_logprobs: [] }],
      },
      { type: "refusal", refusal: "But no." },
    ],
  },
  { type: "web_search_call", id: "ws_1", status: "completed", action: { type: "search", query: "q" } },
  { type: "function_call", id: "fc_1", call_id: "call_1", name: "f", arguments: '{"a":1}', status: "completed" },
  { type: "custom_tool_call", id: "ctc_1", call_id: "call_2", name: "patch", input: "***", status: "completed" },
  { type: "image_generation_call", id: "ig_1", status: "completed", result: "iVBO", output_format: "webp" },
];

const RESPONSE = {
  id: "resp_1",
  object: "response",
  created_at: 77,
  model: "up",
  status: "completed",
  error: null,
  incomplete_details: null,
  output: OUTPUT,
  usage: USAGE,
};

interface Wire {
  readonly type: string;
  readonly [name: string]: unknown;
}

function sse(events: readonly Wire[]): string {
  return events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join("");
}

const CREATED: Wire = { type: "response.created", response: { ...RESPONSE, status: "in_progress", output: [] } };
const COMPLETED: Wire = { type: "response.completed", response: RESPONSE };

function added(output_index: number, item: object): Wire {
  return { type: "response.output_item.added", output_index, item };
}

function done(output_index: number, item: object): Wire {
  return { type: "response.output_item.done", output_index, item };
}

const args = (output_index: number, delta: string): Wire => ({
  type: "response.function_call_arguments.delta",
  output_index,
  item_id: `fc_${output_index}`,
  delta,
});

function callItem(index: number, text = ""): object {
  return { type: "function_call", id: `fc_${index}`, call_id: `call_${index}`, name: `f${index}`, arguments: text };
}

describe("decodeAnswer", () => {
  it("reads every item", () => {
    const events = whole(RESPONSE);
    assertOrder(events);
    const folded = fold(events);
    expect(folded).toMatchObject({ id: "resp_1", model: "up", created: 77, error: null });
    expect(folded.usage).toEqual({ input: 20, output: 9, cacheRead: 4, cacheWrite: 1, reasoning: 3 });
    expect(folded.choices[0]).toMatchObject({
      stop: "tool_calls",
      native: "completed",
      logprobs: { content: [{ token: "Hello" }] },
      blocks: [
        { kind: "thinking", text: "One.\n\nTwo.", encrypted: "enc", id: "rs_1", origin: "openai-responses" },
        { kind: "text", text: "Hello", annotations: [{ kind: "url", url: "https://a.example", start: 0, end: 5 }] },
        { kind: "refusal", text: "But no." },
        { kind: "foreign", wire: "openai-responses", type: "web_search_call", raw: OUTPUT[2] },
        { kind: "tool_call", id: "call_1", name: "f", arguments: '{"a":1}', flavour: "function" },
        { kind: "tool_call", id: "call_2", name: "patch", arguments: "***", flavour: "custom" },
        { kind: "image", source: { data: "iVBO", mediaType: "image/webp" } },
      ],
    });
  });

  it.each<[object, string, string]>([
    [{ output: [] }, "stop", "completed"],
    [{ status: "incomplete", incomplete_details: { reason: "max_output_tokens" } }, "length", "max_output_tokens"],
    [{ status: "incomplete", incomplete_details: { reason: "content_filter" } }, "content_filter", "content_filter"],
  ])("%j stops for %s", (fields, stop, native) => {
    expect(fold(whole({ ...RESPONSE, ...fields })).choices[0]).toMatchObject({ stop, native });
  });

  it("reads a failed response as an error, and throws at what is no response", () => {
    const error = { code: "rate_limit_exceeded", message: "Slow down" };
    expect(whole({ ...RESPONSE, output: [], status: "failed", error }).at(-1)).toEqual({
      kind: "error",
      error: { status: 429, type: "rate_limit_exceeded", code: "rate_limit_exceeded", message: "Slow down" },
    });
    expect(() => whole({ hello: 1 })).toThrow(DecodeError);
    expect(() => whole({ ...RESPONSE, status: "queued" })).toThrow(DecodeError);
  });

  it("gives tools back their names", () => {
    const renamed = new Map([["f", "my.f"]]);
    const events = targetCodec.decodeAnswer({ output: [OUTPUT[3]] } as never, { ...ENCODED, renamed });
    expect(events[1]).toMatchObject({ kind: "tool_start", name: "my.f" });
  });
});

describe("streamDecoder", () => {
  const text = (delta: string): Wire => ({
    type: "response.output_text.delta",
    output_index: 0,
    content_index: 0,
    item_id: "msg_1",
    delta,
    logprobs: [],
  });

  it("serialises calls that are made at the same time, the first as it comes", () => {
    const decoder = targetCodec.streamDecoder(ENCODED);
    const seen: AnswerEvent[][] = [];
    const wire = [
      CREATED,
      added(0, callItem(0)),
      added(1, callItem(1)),
      args(0, '{"a"'),
      args(1, '{"b":1}'),
      args(0, ":0}"),
      done(1, callItem(1, '{"b":1}')),
      done(0, callItem(0, '{"a":0}')),
      added(2, callItem(2)),
      done(2, callItem(2)),
      COMPLETED,
    ];
    for (const event of wire) seen.push([...decoder.push({ event: event.type, data: JSON.stringify(event) })]);
    seen.push([...decoder.finish()]);
    expect(seen[3]).toEqual([{ kind: "arguments", text: '{"a"' }]);
    expect(seen[4]).toEqual([]);
    const events = seen.flat();
    assertOrder(events);
    expect(fold(events).choices[0]).toMatchObject({
      stop: "tool_calls",
      blocks: [
        { id: "call_0", arguments: '{"a":0}' },
        { id: "call_1", arguments: '{"b":1}' },
        { id: "call_2", arguments: "{}" },
      ],
    });
  });

  it("takes arguments before the name, whole arguments, missing ids and no arguments", () => {
    const events = streamed(
      sse([
        CREATED,
        args(0, '{"x"'),
        args(0, ":1}"),
        done(0, callItem(0, '{"x":1}')),
        added(1, { type: "function_call", name: "g" }),
        { type: "response.function_call_arguments.done", output_index: 1, arguments: '{"y":2}' },
        done(1, { type: "function_call", name: "g", arguments: '{"y":2}' }),
        done(2, callItem(2, "")),
        COMPLETED,
      ]),
    );
    assertOrder(events);
    expect(fold(events).choices[0]?.blocks).toMatchObject([
      { name: "f0", id: "call_0", arguments: '{"x":1}' },
      { name: "g", id: "call_1", arguments: '{"y":2}' },
      { name: "f2", arguments: "{}" },
    ]);
  });

  it("takes text that was never announced, and answers told only by their items or their end", () => {
    const said = (events: AnswerEvent[]) => fold(events).choices[0]?.blocks;
    const bare = streamed(sse([CREATED, text("Hel"), text("lo"), COMPLETED]));
    assertOrder(bare);
    expect(said(bare)).toMatchObject([{ kind: "text", text: "Hello" }]);
    const items = streamed(sse([CREATED, ...OUTPUT.map((item, index) => done(index, item)), COMPLETED]));
    assertOrder(items);
    expect(fold(items)).toEqual(fold(whole(RESPONSE)));
    expect(fold(streamed(sse([COMPLETED])))).toEqual(fold(whole(RESPONSE)));
  });

  it("reads raw reasoning, apart from the summary", () => {
    const wire = [
      CREATED,
      added(0, { type: "reasoning", id: "rs_1", summary: [] }),
      { type: "response.reasoning_text.delta", output_index: 0, content_index: 0, delta: "Ra" },
      { type: "response.reasoning_text.delta", output_index: 0, content_index: 0, delta: "w." },
      { type: "response.reasoning_text.done", output_index: 0, content_index: 0, text: "Raw." },
      done(0, { type: "reasoning", id: "rs_1", summary: [], content: [{ type: "reasoning_text", text: "Raw." }] }),
      COMPLETED,
    ];
    expect(fold(streamed(sse(wire))).choices[0]?.blocks).toMatchObject([
      { kind: "thinking", text: "Raw.", id: "rs_1" },
    ]);
  });

  it("keeps the usage of an incomplete answer, and ignores a [DONE]", () => {
    const response = { ...RESPONSE, status: "incomplete", incomplete_details: { reason: "max_output_tokens" } };
    const events = streamed(`${sse([CREATED, text("x"), { type: "response.incomplete", response }])}data: [DONE]\n\n`);
    assertOrder(events);
    expect(fold(events).choices[0]?.stop).toBe("length");
    expect(fold(events).usage.input).toBe(20);
  });

  it.each<[string, Wire, object]>([
    [
      "flat",
      { type: "error", code: "server_error", message: "M" },
      { status: 500, code: "server_error", message: "M" },
    ],
    [
      "nested",
      { type: "error", error: { type: "invalid_request_error", code: "context_length_exceeded", message: "M" } },
      { status: 400, type: "invalid_request_error", code: "context_length_exceeded" },
    ],
    [
      "failed",
      { type: "response.failed", response: { status: "failed", error: { code: "rate_limit_exceeded", message: "M" } } },
      { status: 429, code: "rate_limit_exceeded" },
    ],
  ])("reads an error at any place: %s", (_name, wire, error) => {
    for (const before of [[], [CREATED], [CREATED, text("x")]]) {
      const events = streamed(sse([...before, wire, COMPLETED]));
      expect(events.at(-1)).toMatchObject({ kind: "error", error });
      expect(events.filter((event) => event.kind === "end")).toEqual([]);
    }
  });

  it("reads an error frame without a type, and refuses garbage", () => {
    const events = streamed('data: {"error":{"message":"M","type":"server_error"}}\n\n');
    expect(events.at(-1)).toMatchObject({ kind: "error", error: { status: 500, message: "M" } });
    const decoder = targetCodec.streamDecoder(ENCODED);
    expect(() => decoder.push({ event: "", data: "<html>" })).toThrow(DecodeError);
  });

  it("does not take an early end for success", () => {
    expect(streamed(sse([CREATED, text("x")])).at(-1)).toMatchObject({ kind: "error", error: { status: 502 } });
  });

  it("costs time linear in the size of a call of one-byte fragments", () => {
    const seconds = (size: number): number => {
      const decoder = targetCodec.streamDecoder(ENCODED);
      const fragment = { event: "", data: JSON.stringify(args(1, "x")) };
      const before = performance.now();
      // The first item holds the second back, so that all of it is kept until the end.
      for (const event of [CREATED, added(0, callItem(0)), added(1, callItem(1))]) {
        decoder.push({ event: "", data: JSON.stringify(event) });
      }
      for (let index = 0; index < size; index++) decoder.push(fragment);
      for (const event of [done(1, callItem(1)), done(0, callItem(0)), COMPLETED]) {
        decoder.push({ event: "", data: JSON.stringify(event) });
      }
      return performance.now() - before;
    };
    seconds(10_000);
    const small = Math.min(seconds(10_000), seconds(10_000));
    expect(Math.min(seconds(80_000), seconds(80_000))).toBeLessThan(Math.max(small, 5) * 8 * 4);
  });
});

describe("decodeError", () => {
  it.each<[number, object | null, string, object]>([
    [
      429,
      { error: { message: "M", type: "tokens", param: null, code: "rate_limit_exceeded" } },
      "",
      { status: 429, type: "tokens", code: "rate_limit_exceeded", message: "M" },
    ],
    [400, { message: "M", code: 7 }, "", { type: "upstream_error", code: "7", message: "M" }],
    [422, { detail: "D" }, "", { message: "D" }],
    [500, { error: "E" }, "", { message: "E", code: null }],
    [502, null, " Bad gateway ", { status: 502, type: "upstream_error", code: null, message: "Bad gateway" }],
    [503, null, "", { message: "The upstream answered with status 503." }],
  ])("%d %j", (status, body, plain, expected) => {
    expect(targetCodec.decodeError(status, body as never, plain)).toMatchObject(expected);
  });
});
