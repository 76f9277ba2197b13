import { createOpenAI } from "@ai-sdk/openai";
import { describe, expect, it } from "vitest";
import { clientCodec } from "../../../../src/dialects/openai-responses/codec.js";
import { type AnswerEvent, LossList } from "../../../../src/dialects/semantic.js";
import {
  accumulated,
  call,
  context,
  END,
  json,
  sdk,
  sseOf,
  START,
  STOP,
  STOPPED,
  text,
  thinking,
  USAGE,
  wireEvents,
} from "./samples.js";

const REQUEST = {
  model: "asked",
  input: "hi",
  instructions: "Be brief.",
  tools: [
    { type: "function", name: "look", parameters: { type: "object" }, strict: true },
    { type: "custom", name: "patch" },
    { type: "web_search" },
  ],
  tool_choice: { type: "function", name: "look" },
  parallel_tool_calls: false,
  text: { format: { type: "json_schema", name: "n", schema: { type: "object" } }, verbosity: "low" },
  reasoning: { effort: "high", summary: "auto" },
  metadata: { a: "b" },
  max_output_tokens: 50,
  temperature: 0.2,
};

const CALLED: AnswerEvent = { kind: "stop", reason: "tool_calls", sequence: null, native: "tool_use" };

const EVERYTHING: AnswerEvent[] = [
  START,
  ...thinking("Let me\nsee.", "SIG=="),
  ...text("Hel", "lo \r\n\u2028 wörld"),
  { kind: "text_start" },
  { kind: "text", text: "cited" },
  {
    kind: "annotation",
    annotation: {
      kind: "url",
      url: "https://a.example",
      title: "A",
      citedText: "c",
      start: -1,
      end: -1,
      raw: { type: "web_search_result_location" },
    },
  },
  STOP,
  ...call({ id: "toolu_1", name: "look" }, '{"a"', ":1}"),
  ...call({ id: "toolu_2", name: "look" }),
  ...call({ id: "toolu_3", name: "patch", flavour: "custom" }, "*** ", "Begin"),
  ...call({ id: "toolu_4", name: "patch" }, '{"inp', 'ut":"*** End"}'),
  { kind: "media", source: { data: "iVBOR", url: null, fileId: null, mediaType: "image/webp" } },
  CALLED,
  USAGE,
  END,
];

describe("encodeAnswer", () => {
  const answer = clientCodec.encodeAnswer(EVERYTHING, context(REQUEST), new LossList());

  it("has every field that strict clients look for", () => {
    expect(answer).toMatchObject({
      id: "resp_req-1",
      object: "response",
      created_at: 1_700_000_000,
      status: "completed",
      model: "asked-model",
      error: null,
      incomplete_details: null,
      instructions: "Be brief.",
      background: false,
      max_output_tokens: 50,
      parallel_tool_calls: false,
      previous_response_id: null,
      reasoning: { effort: "high", summary: "auto" },
      store: false,
      temperature: 0.2,
      top_p: 1,
      text: { format: { type: "json_schema", name: "n", schema: { type: "object" } }, verbosity: "low" },
      tool_choice: { type: "function", name: "look" },
      truncation: "disabled",
      metadata: { a: "b" },
      usage: {
        input_tokens: 30,
        input_tokens_details: { cached_tokens: 8, cache_write_tokens: 2 },
        output_tokens: 12,
        output_tokens_details: { reasoning_tokens: 5 },
        total_tokens: 42,
      },
    });
    expect(json(answer).tools).toEqual([
      { ...REQUEST.tools[0], description: null },
      { type: "custom", name: "patch" },
      { type: "web_search" },
    ]);
  });

  it("holds the items in order", () => {
    const output = json(answer).output as { type: string; id: string }[];
    expect(output.map((item) => item.type)).toEqual([
      "reasoning",
      "message",
      "function_call",
      "function_call",
      "custom_tool_call",
      "custom_tool_call",
      "image_generation_call",
    ]);
    expect(new Set(output.map((item) => item.id)).size).toBe(output.length);
    expect(output).toMatchObject([
      { id: expect.stringMatching(/^rs_/), summary: [{ type: "summary_text", text: "Let me\nsee." }] },
      {
        id: expect.stringMatching(/^msg_/),
        role: "assistant",
        status: "completed",
        content: [
          { type: "output_text", text: "Hello \r\n\u2028 wörld", annotations: [], logprobs: [] },
          {
            type: "output_text",
            text: "cited",
            annotations: [{ type: "url_citation", url: "https://a.example", title: "A", start_index: 0, end_index: 5 }],
          },
        ],
      },
      {
        id: expect.stringMatching(/^fc_/),
        call_id: "toolu_1",
        name: "look",
        arguments: '{"a":1}',
        status: "completed",
      },
      { call_id: "toolu_2", arguments: "{}" },
      { id: expect.stringMatching(/^ctc_/), call_id: "toolu_3", name: "patch", input: "*** Begin" },
      { call_id: "toolu_4", name: "patch", input: "*** End" },
      { id: expect.stringMatching(/^ig_/), result: "iVBOR", output_format: "webp", status: "completed" },
    ]);
  });

  it.each<[AnswerEvent, string, string | null]>([
    [STOPPED, "completed", null],
    [{ ...STOPPED, reason: "stop_sequence" } as AnswerEvent, "completed", null],
    [{ ...STOPPED, reason: "pause" } as AnswerEvent, "completed", null],
    [{ ...STOPPED, reason: "length" } as AnswerEvent, "incomplete", "max_output_tokens"],
    [{ ...STOPPED, reason: "content_filter" } as AnswerEvent, "incomplete", "content_filter"],
  ])("stop %j is %s %s", (stop, status, reason) => {
    const events = [START, ...text("x"), stop, END];
    const cut = json(clientCodec.encodeAnswer(events, context(), new LossList()));
    expect(cut.status).toBe(status);
    expect(cut.incomplete_details).toEqual(reason === null ? null : { reason });
    expect((cut.output as { status: string }[])[0]?.status).toBe(status);
    expect(wireEvents(sseOf(events)).at(-1)?.type).toBe(`response.${status}`);
  });

  it("refusals, log probabilities, usage that nobody told", () => {
    const token = { token: "x", logprob: -0.1, bytes: [120], top_logprobs: [] };
    const events: AnswerEvent[] = [
      START,
      { kind: "text_start" },
      { kind: "text", text: "x" },
      { kind: "logprobs", logprobs: { content: [token] } },
      STOP,
      { kind: "refusal_start" },
      { kind: "refusal", text: "no" },
      STOP,
      STOPPED,
      END,
    ];
    const refusal = json(clientCodec.encodeAnswer(events, context(), new LossList()));
    expect(refusal.usage).toBeNull();
    expect(refusal.output).toMatchObject([
      {
        content: [
          { text: "x", logprobs: [token] },
          { type: "refusal", refusal: "no" },
        ],
      },
    ]);
    expect(accumulated(sseOf(events)).output).toEqual(refusal.output);
  });
});

describe("streamEncoder", () => {
  const sse = sseOf(EVERYTHING, context(REQUEST));

  it("says the events in the vendor's order, numbered from 0, without [DONE]", () => {
    const events = wireEvents(sseOf([START, ...text("Hi"), ...call({ id: "c", name: "f" }, "{}"), CALLED, USAGE, END]));
    expect(events.map((event) => event.type)).toEqual([
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.content_part.added",
      "response.output_text.delta",
      "response.output_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.output_item.added",
      "response.function_call_arguments.delta",
      "response.function_call_arguments.done",
      "response.output_item.done",
      "response.completed",
    ]);
    const numbers = wireEvents(sse).map((event) => event.sequence_number);
    expect(numbers).toEqual(numbers.map((_, index) => index));
    expect(sse).not.toContain("[DONE]");
  });

  it("says reasoning as a summary", () => {
    const events = wireEvents(sseOf([START, ...thinking("Hm.", "S"), STOPPED, END]));
    expect(events.map((event) => event.type).slice(2, -1)).toEqual([
      "response.output_item.added",
      "response.reasoning_summary_part.added",
      "response.reasoning_summary_text.delta",
      "response.reasoning_summary_text.done",
      "response.reasoning_summary_part.done",
      "response.output_item.done",
    ]);
  });

  it("means to the vendor's accumulator what the whole answer says", () => {
    const whole = json(clientCodec.encodeAnswer(EVERYTHING, context(REQUEST), new LossList()));
    expect(accumulated(sse).output).toEqual(whole.output);
    const last = wireEvents(sse).at(-1) as unknown as { response: object };
    expect(last.response).toEqual(whole);
  });

  it("is read by the vendor's SDK, streamed and whole", async () => {
    const client = sdk(sse, "text/event-stream");
    const final = await client.responses.stream({ model: "m", input: "x" }).finalResponse();
    expect(final.output_text).toBe("Hello \r\n\u2028 wörldcited");
    expect(final.status).toBe("completed");
    const body = JSON.stringify(clientCodec.encodeAnswer(EVERYTHING, context(REQUEST), new LossList()));
    const whole = await sdk(body, "application/json").responses.create({ model: "m", input: "x" });
    expect(whole.output_text).toBe(final.output_text);
    expect(whole.output).toEqual(json(final.output.map((item) => withoutParsed(item))) as never);
  });

  it("is read by the Vercel SDK, streamed and whole", async () => {
    const answer = (body: string, type: string) => {
      const fetch = async () => new Response(body, { status: 200, headers: { "content-type": type } });
      return createOpenAI({ apiKey: "none", baseURL: "http://127.0.0.1:9", fetch }).responses("m");
    };
    const prompt = [{ role: "user" as const, content: [{ type: "text" as const, text: "x" }] }];
    const { stream } = await answer(sse, "text/event-stream").doStream({ prompt });
    const parts: { type: string; delta?: string; toolCallId?: string }[] = [];
    for await (const part of stream as unknown as AsyncIterable<(typeof parts)[number]>) parts.push(part);
    expect(parts.filter((part) => part.type === "error")).toEqual([]);
    const said = parts.filter((part) => part.type === "text-delta").map((part) => part.delta);
    expect(said.join("")).toBe("Hello \r\n\u2028 wörldcited");
    const called = parts.filter((part) => part.type === "tool-call").map((part) => part.toolCallId);
    expect(called.filter((id) => id?.startsWith("toolu_"))).toEqual(["toolu_1", "toolu_2", "toolu_3", "toolu_4"]);
    expect(parts.at(-1)).toMatchObject({ type: "finish", finishReason: { unified: "tool-calls" } });
    const body = JSON.stringify(clientCodec.encodeAnswer(EVERYTHING, context(REQUEST), new LossList()));
    const whole = await answer(body, "application/json").doGenerate({ prompt });
    expect(whole.usage).toMatchObject({ inputTokens: { total: 30, cacheRead: 8 }, outputTokens: { total: 12 } });
  });

  it("ends in an error event and a failed response, and shows nothing of what was cut as done", async () => {
    const error = { status: 529, type: "overloaded_error", code: null, message: "Over\r\nloaded" };
    const events: AnswerEvent[] = [START, ...call({ id: "c", name: "f" }, '{"a'), { kind: "error", error }];
    const cut = sseOf([...events.slice(0, -2), { kind: "error", error }, END]);
    expect(wireEvents(cut).map((event) => event.type)).toEqual([
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.function_call_arguments.delta",
      "error",
      "response.failed",
    ]);
    expect(wireEvents(cut).at(-1)).toMatchObject({
      response: {
        status: "failed",
        error: { code: "server_error", message: "Over\r\nloaded" },
        output: [{ type: "function_call", status: "incomplete", arguments: '{"a' }],
      },
    });
    const stream = await sdk(cut, "text/event-stream").responses.create({ model: "m", input: "x", stream: true });
    const drain = async () => {
      for await (const event of stream) expect(event.type).not.toContain("done");
    };
    await expect(drain()).rejects.toThrow("Over");
  });

  it("refuses events after the end, and answers of other candidates", () => {
    const encoder = clientCodec.streamEncoder(context(), new LossList());
    for (const event of [START, ...text("a"), STOPPED, END]) encoder.push(event);
    expect(encoder.push({ kind: "text", text: "b" })).toBe("");
    const second: AnswerEvent[] = [START, ...text("a"), { kind: "choice", index: 1 }, ...text("b"), STOPPED, END];
    expect(sseOf(second)).not.toContain('"b"');
  });

  it("costs time linear in the size of a call of one-byte fragments", () => {
    const seconds = (size: number): number => {
      const encoder = clientCodec.streamEncoder(context(), new LossList());
      encoder.push(START);
      const before = performance.now();
      encoder.push({ kind: "tool_start", id: "c", name: "f", signature: "", flavour: "function" });
      for (let index = 0; index < size; index++) encoder.push({ kind: "arguments", text: "x" });
      encoder.push(STOP);
      encoder.push(END);
      return performance.now() - before;
    };
    seconds(20_000);
    const small = Math.min(seconds(20_000), seconds(20_000));
    expect(Math.min(seconds(160_000), seconds(160_000))).toBeLessThan(Math.max(small, 5) * 8 * 4);
  });
});

describe("encodeError", () => {
  it("keeps type, code and message", () => {
    expect(clientCodec.encodeError({ status: 429, type: "t", code: "c", message: "m" }, "r")).toEqual({
      error: { message: "m", type: "t", param: null, code: "c" },
    });
  });
});

function withoutParsed(item: object): object {
  const { parsed_arguments: _, ...rest } = item as { parsed_arguments?: unknown };
  const { content } = rest as { content?: { parsed?: unknown }[] };
  if (content === undefined) return rest;
  return { ...rest, content: content.map(({ parsed: _parsed, ...part }) => part) };
}
