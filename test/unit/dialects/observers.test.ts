import { describe, expect, it } from "vitest";
import type { DialectId, Operation } from "../../../src/dialects/dialect.js";
import { dialectOf } from "../../../src/dialects/registry.js";
import { UsageTally } from "../../../src/dialects/usage-tally.js";
import {
  CHAT_FRAMES,
  CHAT_USAGE,
  choice,
  chunk,
  MESSAGES_FRAMES,
  RESPONSE,
  responsesFrames,
  runTap,
  type TapOptions,
} from "./streams.js";

function stream(frames: readonly string[], options: TapOptions = {}) {
  return runTap([Buffer.from(frames.map((frame) => `${frame}\n\n`).join(""))], options);
}

const CHAT_TALLY = {
  ...new UsageTally(),
  inputTokens: 12,
  outputTokens: 34,
  cacheReadTokens: 5,
  cacheWriteTokens: -1,
  inputAudioTokens: 0,
  reasoningTokens: 7,
  responseModel: "up-1",
  responseId: "chatcmpl-1",
  finishReason: "stop",
  streamError: "",
  losses: [],
};

describe("chat and completions streams", () => {
  it.each<[string, readonly string[]]>([
    ["in a last chunk without choices", CHAT_FRAMES],
    [
      "in a last chunk with choices",
      [
        chunk({ choices: [choice({ content: "a" }, null)] }),
        chunk({ choices: [choice({}, "stop")], usage: CHAT_USAGE }),
      ],
    ],
    [
      "on every chunk, growing",
      [
        chunk({ choices: [choice({ content: "a" }, null)], usage: { prompt_tokens: 12, completion_tokens: 1 } }),
        chunk({ choices: [choice({}, "stop")], usage: { ...CHAT_USAGE, completion_tokens: 20 } }),
        chunk({ choices: [], usage: CHAT_USAGE }),
      ],
    ],
    [
      "after the terminator",
      [chunk({ choices: [choice({}, "stop")] }), "data: [DONE]", chunk({ choices: [], usage: CHAT_USAGE })],
    ],
    [
      "in two parts",
      [
        chunk({ choices: [choice({}, "stop")], usage: CHAT_USAGE }),
        chunk({ choices: [], usage: { completion_tokens: 34 } }),
      ],
    ],
    [
      "with spaces in the JSON",
      [
        `data:${JSON.stringify(JSON.parse(CHAT_FRAMES[4]?.slice(5) ?? ""), null, 1).replaceAll("\n", "")}`,
        CHAT_FRAMES[5] as string,
      ],
    ],
  ])("usage %s", (_name, frames) => {
    for (const dialect of ["openai-chat", "openai-completions"] as const) {
      expect({ ...stream(frames, { dialect }).tally }).toEqual(CHAT_TALLY);
    }
  });

  it("shows a chunk with choices and usage also to those who asked for none", () => {
    const frames = [
      chunk({ choices: [choice({}, "stop")], usage: CHAT_USAGE }),
      chunk({ choices: [], usage: CHAT_USAGE }),
    ];
    expect(stream(frames, { usageAsked: false }).output).toBe(`${frames[0]}\n\n`);
    expect(stream(frames, { usageAsked: true }).output).toBe(`${frames[0]}\n\n${frames[1]}\n\n`);
  });

  it("knows the look-alikes' names for cached tokens", () => {
    const usage = { prompt_tokens: 9, completion_tokens: 1, prompt_cache_hit_tokens: 4, prompt_cache_miss_tokens: 5 };
    expect(stream([chunk({ choices: [], usage })]).tally.cacheReadTokens).toBe(4);
    expect(stream([chunk({ choices: [], usage: { prompt_tokens: 9, cached_tokens: 3 } })]).tally.cacheReadTokens).toBe(
      3,
    );
  });

  it("takes no nonsense for a count", () => {
    const usage = {
      prompt_tokens: "9",
      completion_tokens: -1,
      prompt_tokens_details: [],
      completion_tokens_details: null,
    };
    expect(stream([chunk({ choices: [], usage })]).tally).toMatchObject({ inputTokens: -1, outputTokens: -1 });
  });

  it.each<[string, string]>([
    ['data: {"error":{"message":"m","type":"server_error","code":"c"}}', "server_error"],
    ['data: {"error": {"message":"m","code":429}}', "429"],
    ['data: {"error":"overloaded"}', "error"],
    ['event: error\ndata: {"type":"busy"}', "busy"],
    ["event: error\ndata: not json", "error"],
    [`data: {"error":{"type":"${"x".repeat(100)}"}}`, "x".repeat(64)],
  ])("error %s", (frame, name) => {
    for (const frames of [[frame], [...CHAT_FRAMES.slice(0, 3), frame]]) {
      const { failed, terminal, tally, output } = stream(frames, { usageAsked: false });
      expect({ failed, terminal, error: tally.streamError }).toEqual({ failed: true, terminal: false, error: name });
      expect(output).toContain(frame);
    }
  });

  it("takes error: null and broken chunks for what they are", () => {
    const frames = ['data: {"error":null,"choices":[]}', 'data: {"usage":{', "data: [DONE]"];
    expect(stream(frames)).toMatchObject({ failed: false, terminal: true });
  });
});

describe("messages streams", () => {
  const options: TapOptions = { dialect: "anthropic-messages" };

  it("sums the prompt's parts and keeps what later events leave out", () => {
    const { tally, terminal, failed } = stream(MESSAGES_FRAMES, options);
    expect({ ...tally }).toEqual({
      ...new UsageTally(),
      inputTokens: 17,
      outputTokens: 25,
      cacheReadTokens: 4,
      cacheWriteTokens: 3,
      reasoningTokens: -1,
      responseModel: "up-2",
      responseId: "msg_1",
      finishReason: "end_turn",
      streamError: "",
      losses: [],
    });
    expect({ terminal, failed }).toEqual({ terminal: true, failed: false });
  });

  it("sets counts that come again, and takes those that come only at the end", () => {
    const delta = (usage: object) =>
      `event: message_delta\ndata: ${JSON.stringify({ type: "message_delta", delta: { stop_reason: "max_tokens" }, usage })}`;
    const again = [
      ...MESSAGES_FRAMES.slice(0, 5),
      delta({ input_tokens: 11, cache_read_input_tokens: 6, cache_creation_input_tokens: null, output_tokens: 40 }),
      delta({ output_tokens: 41 }),
    ];
    expect(stream(again, options).tally).toMatchObject({
      inputTokens: 20,
      outputTokens: 41,
      finishReason: "max_tokens",
    });
    const late = [
      'event: message_start\ndata: {"type":"message_start","message":{"id":"i","model":"m"}}',
      delta({ cache_read_input_tokens: 6 }),
      delta({ input_tokens: 1, output_tokens: 2 }),
    ];
    expect(stream(late, options).tally).toMatchObject({ inputTokens: 7, outputTokens: 2, cacheReadTokens: 6 });
  });

  it.each<[string, string]>([
    ['event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"m"}}', "overloaded_error"],
    ['data: {"error":{"type":"x"}}', "x"],
    ["event: error\ndata: oops", "error"],
  ])("error %s", (frame, name) => {
    const { failed, terminal, tally } = stream([...MESSAGES_FRAMES.slice(0, 4), frame], options);
    expect({ failed, terminal, error: tally.streamError }).toEqual({ failed: true, terminal: false, error: name });
  });

  it("does not take a tool's error block for an error of the stream", () => {
    const block =
      'event: content_block_start\ndata: {"type":"content_block_start","index":1,"content_block":{"type":"tool_result","content":{"type":"error","error":"x"}}}';
    expect(stream([...MESSAGES_FRAMES.slice(0, 4), block], options).failed).toBe(false);
  });
});

describe("responses streams", () => {
  const options: TapOptions = { dialect: "openai-responses" };

  it.each<[string, object, string, string]>([
    ["response.completed", {}, "completed", ""],
    [
      "response.incomplete",
      { status: "incomplete", incomplete_details: { reason: "max_output_tokens" } },
      "max_output_tokens",
      "",
    ],
    ["response.failed", { status: "failed", error: { code: "rate_limit", message: "m" } }, "failed", "rate_limit"],
  ])("%s", (type, fields, finish, error) => {
    const outcome = stream(responsesFrames(type, { ...RESPONSE, ...fields }), options);
    expect({ ...outcome.tally }).toEqual({
      ...new UsageTally(),
      inputTokens: 20,
      outputTokens: 9,
      cacheReadTokens: 8,
      cacheWriteTokens: -1,
      reasoningTokens: 2,
      responseModel: "up-3",
      responseId: "resp_1",
      finishReason: finish,
      streamError: error,
      losses: [],
    });
    expect(outcome).toMatchObject({ terminal: true, failed: error !== "" });
  });

  it.each<[string, string]>([
    ['event: error\ndata: {"type":"error","code":"server_error","message":"m","param":null}', "server_error"],
    ['event: error\ndata: {"type":"error","error":{"type":"t","code":"c"}}', "t"],
    ['data: {"error":{"type":"x"}}', "x"],
  ])("error %s", (frame, name) => {
    const frames = responsesFrames("response.completed", RESPONSE).slice(0, 3);
    const { failed, terminal, tally } = stream([...frames, frame], options);
    expect({ failed, terminal, error: tally.streamError }).toEqual({ failed: true, terminal: false, error: name });
    expect(tally.responseId).toBe("resp_1");
  });
});

describe("whole answers", () => {
  const cases: readonly [DialectId, Operation, object, object][] = [
    [
      "openai-chat",
      "chat",
      {
        id: "chatcmpl-1",
        model: "up-1",
        choices: [{ message: { content: 'a "finish_reason":"no" b' }, finish_reason: "stop" }],
        usage: CHAT_USAGE,
      },
      CHAT_TALLY,
    ],
    [
      "openai-completions",
      "completions",
      { id: "chatcmpl-1", model: "up-1", choices: [{ text: "a", finish_reason: "stop" }], usage: CHAT_USAGE },
      CHAT_TALLY,
    ],
    [
      "openai-embeddings",
      "embeddings",
      { object: "list", data: [{ embedding: [0.1, -2e-5] }], model: "e", usage: { prompt_tokens: 8, total_tokens: 8 } },
      { inputTokens: 8, outputTokens: 0, responseModel: "e" },
    ],
    [
      "anthropic-messages",
      "messages",
      {
        id: "msg_1",
        model: "up-2",
        content: [{ type: "text", text: "usage" }],
        stop_reason: "tool_use",
        usage: {
          input_tokens: 10,
          cache_creation_input_tokens: 3,
          cache_creation: { ephemeral_5m_input_tokens: 1, ephemeral_1h_input_tokens: 2 },
          cache_read_input_tokens: 4,
          output_tokens: 6,
        },
      },
      {
        inputTokens: 17,
        outputTokens: 6,
        cacheReadTokens: 4,
        cacheWriteTokens: 3,
        cacheWriteHourTokens: 2,
        responseModel: "up-2",
        responseId: "msg_1",
        finishReason: "tool_use",
      },
    ],
    ["anthropic-messages", "count_tokens", { input_tokens: 77 }, { inputTokens: 77, outputTokens: 0 }],
    ["openai-responses", "input_tokens", { object: "x", input_tokens: 78 }, { inputTokens: 78, outputTokens: 0 }],
    [
      "openai-responses",
      "responses",
      { ...RESPONSE, status: "incomplete", incomplete_details: { reason: "content_filter" } },
      { inputTokens: 20, outputTokens: 9, cacheReadTokens: 8, reasoningTokens: 2, finishReason: "content_filter" },
    ],
    ["openai-chat", "chat", { error: { message: "no" } }, { inputTokens: -1, outputTokens: -1, finishReason: "" }],
  ];

  it.each(cases)("%s %s", (dialect, operation, answer, expected) => {
    for (const text of [JSON.stringify(answer), JSON.stringify(answer, null, 2)]) {
      const bytes = Buffer.from(text);
      for (const size of [1, 7, bytes.length]) {
        const tally = new UsageTally();
        const observer = dialectOf(dialect).answerObserver(operation, tally);
        for (let at = 0; at < bytes.length; at += size) observer.feed(bytes.subarray(at, at + size));
        observer.finish();
        expect({ ...tally }).toMatchObject(expected);
      }
    }
  });
});
