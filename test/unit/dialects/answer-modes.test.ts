import { describe, expect, it } from "vitest";
import { asStream, asWhole, type ModeRequest, withoutUsage, withUsage } from "../../../src/dialects/answer-modes.js";
import type { DialectId } from "../../../src/dialects/dialect.js";
import { splitLastTurn } from "../../../src/dialects/last-turn.js";

const VIEW = {
  model: "alias",
  modelSpan: null,
  stream: true,
  usageAsked: true,
  streamOptionsSpan: null,
  maxOutputTokens: -1,
};
const CALL = { id: "call_1", type: "function", function: { name: "look", arguments: '{"at":"sky"}' } };
const USAGE = { prompt_tokens: 7, completion_tokens: 5, total_tokens: 12 };

function request(dialect: DialectId, body: unknown, usageAsked = true): ModeRequest {
  const view = { ...VIEW, usageAsked };
  return { dialect, body: Buffer.from(JSON.stringify(body)), view, requestId: "req", created: 1 };
}

interface Case {
  readonly dialect: DialectId;
  readonly body: unknown;
  readonly answer: unknown;
}

const CASES: Readonly<Record<string, Case>> = {
  "a chat": {
    dialect: "openai-chat",
    body: { model: "m", messages: [{ role: "user", content: "hi" }] },
    answer: {
      id: "c1",
      object: "chat.completion",
      created: 5,
      model: "gpt-x",
      choices: [
        { index: 0, message: { role: "assistant", content: "Hello", tool_calls: [CALL] }, finish_reason: "tool_calls" },
        { index: 1, message: { role: "assistant", content: "Hallo" }, finish_reason: "length" },
      ],
      usage: USAGE,
    },
  },
  "a chat in the legacy form": {
    dialect: "openai-chat",
    body: { model: "m", messages: [{ role: "user", content: "hi" }], functions: [{ name: "look" }] },
    answer: {
      id: "c1",
      created: 5,
      model: "gpt-x",
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: null, function_call: CALL.function },
          finish_reason: "function_call",
        },
      ],
      usage: USAGE,
    },
  },
  messages: {
    dialect: "anthropic-messages",
    body: { model: "m", max_tokens: 9, messages: [{ role: "user", content: "hi" }] },
    answer: {
      id: "msg_1",
      type: "message",
      role: "assistant",
      model: "claude-x",
      content: [
        { type: "thinking", thinking: "Hm.", signature: "proof" },
        { type: "text", text: "Hello" },
        { type: "tool_use", id: "t1", name: "look", input: { at: "sky" } },
      ],
      stop_reason: "tool_use",
      stop_sequence: null,
      usage: { input_tokens: 7, output_tokens: 5 },
    },
  },
  "a response": {
    dialect: "openai-responses",
    body: { model: "m", input: "hi" },
    answer: {
      id: "resp_1",
      object: "response",
      created_at: 5,
      status: "completed",
      model: "gpt-x",
      output: [
        {
          type: "message",
          id: "i1",
          status: "completed",
          role: "assistant",
          content: [{ type: "output_text", text: "Hello", annotations: [] }],
        },
        {
          type: "function_call",
          id: "f1",
          call_id: "call_1",
          name: "look",
          arguments: '{"at":"sky"}',
          status: "completed",
        },
      ],
      usage: { input_tokens: 7, output_tokens: 5, total_tokens: 12 },
    },
  },
  "a completion of several prompts, echoed, with probabilities": {
    dialect: "openai-completions",
    body: { model: "m", prompt: ["hi", "ho"], echo: true, logprobs: 1 },
    answer: {
      id: "cmpl-1",
      object: "text_completion",
      created: 5,
      model: "gpt-x",
      choices: [
        {
          index: 0,
          text: "hi there",
          finish_reason: "stop",
          logprobs: {
            tokens: ["hi", " there"],
            token_logprobs: [null, -0.5],
            top_logprobs: [{}, { " there": -0.5, " you": -1 }],
            text_offset: [0, 2],
          },
        },
        { index: 1, text: "ho ho", finish_reason: "length", logprobs: null },
      ],
      usage: USAGE,
    },
  },
};

// biome-ignore lint/suspicious/noExplicitAny: an answer is looked into field by field.
function parsed(bytes: Buffer | null): any {
  return JSON.parse(bytes?.toString("utf8") ?? "null");
}

describe("an answer told as a stream, and that one told whole", () => {
  it.each(Object.entries(CASES))("says the same: %s", (_name, { dialect, body, answer }) => {
    const asked = request(dialect, body);
    const stream = asStream(Buffer.from(JSON.stringify(answer)), asked);
    expect(stream).not.toBeNull();
    expect(parsed(asWhole(stream!, asked))).toMatchObject(answer as object);
  });

  it("is null for what is none", () => {
    const { dialect, body } = CASES["a chat"]!;
    const asked = request(dialect, body);
    for (const text of ["", "[]", "{}", '{"choices":1}']) expect(asStream(Buffer.from(text), asked), text).toBeNull();
    expect(asWhole(Buffer.from("data: oops\n\n"), asked)).toBeNull();
    expect(asWhole(Buffer.from('data: {"error":{"message":"no"}}\n\n'), asked)).toBeNull();
    expect(asStream(Buffer.from("{}"), request("openai-embeddings", { input: "x" }))).toBeNull();
  });
});

describe("a stream of responses told from a whole answer", () => {
  it("names the items by their own ids throughout", () => {
    const { dialect, body, answer } = CASES["a response"]!;
    const text = asStream(Buffer.from(JSON.stringify(answer)), request(dialect, body))?.toString() ?? "";
    const ids = [...text.matchAll(/"item_id":"([^"]*)"/g)].map((match) => match[1]);
    expect(new Set(ids)).toEqual(new Set(["i1", "f1"]));
    expect(text).not.toContain("_req_");
  });

  it("is one of whole events, however the answer was printed", () => {
    const { dialect, body, answer } = CASES["a response"]!;
    const stream = asStream(Buffer.from(JSON.stringify(answer, null, 2)), request(dialect, body));
    expect(parsed(asWhole(stream!, request(dialect, body)))).toEqual(answer);
  });
});

describe("the whole answer of a stream of responses", () => {
  it("is the one in its last event, to the byte", () => {
    const response = '{"id":"r","status":"completed", "output":[],"unknown":{"x":1.0}}';
    const stream = `event: response.created\ndata: {"type":"response.created","response":{"id":"r"}}\n\nevent: response.completed\ndata: {"type":"response.completed","response":${response}}\n\n`;
    expect(asWhole(Buffer.from(stream), request("openai-responses", { input: "hi" }))?.toString()).toBe(response);
  });
});

describe("usage in a stream", () => {
  const chunk =
    '{"id":"c","object":"chat.completion.chunk","created":5,"model":"m","choices":[{"index":0,"delta":{"content":"[DONE]"}}]}';
  const usage = { input: 7, output: 5, cacheRead: 2, cacheWrite: -1, reasoning: 1 };
  const plain = Buffer.from(`data: ${chunk}\n\ndata: [DONE]\n\n`);

  it("is added before the end, and taken away again", () => {
    const { dialect, body } = CASES["a chat"]!;
    const told = withUsage(plain, usage);
    const events = told.toString().split("\n\n");
    expect(JSON.parse(events[1]!.slice(6))).toMatchObject({
      id: "c",
      model: "m",
      choices: [],
      usage: { prompt_tokens: 7, completion_tokens: 5, total_tokens: 12 },
    });
    expect(events[2]).toBe("data: [DONE]");
    expect(withoutUsage(told, request(dialect, body)).equals(plain)).toBe(true);
  });

  it("is left alone where a stream has no place for it", () => {
    const other = Buffer.from("event: message_stop\ndata: {}\n\n");
    expect(withUsage(other, usage)).toBe(other);
  });
});

describe("what the user said last", () => {
  const split = (dialect: DialectId, body: unknown) => {
    const found = splitLastTurn(dialect, Buffer.from(JSON.stringify(body)));
    return found && { text: found.text, rest: JSON.parse(found.rest.toString()) };
  };
  const turn = (content: unknown, role = "user") => ({ role, content });

  it("stands apart from the rest", () => {
    const before = [turn("Be brief.", "system"), turn("One?"), turn("1", "assistant")];
    expect(split("openai-chat", { messages: [...before, turn("Two?")], seed: 1 })).toEqual({
      text: "Two?",
      rest: { messages: [...before, turn("")], seed: 1 },
    });
    const parts = [
      { type: "text", text: "What is" },
      { type: "image", source: { type: "url", url: "u" } },
      { type: "text", text: "this?" },
    ];
    expect(split("anthropic-messages", { system: "s", messages: [turn(parts)] })?.text).toBe("What is\nthis?");
    expect(split("openai-responses", { instructions: "i", input: "Two?" })).toEqual({
      text: "Two?",
      rest: { instructions: "i", input: "" },
    });
    expect(split("openai-responses", { input: [turn([{ type: "input_text", text: "Two?" }])] })?.text).toBe("Two?");
    expect(split("openai-completions", { prompt: "Two?" })?.text).toBe("Two?");
  });

  it("is nothing where another spoke last, or a tool, or nobody in words", () => {
    expect(split("openai-chat", { messages: [turn("x"), turn("y", "assistant")] })).toBeNull();
    expect(split("openai-chat", { messages: [turn("x"), turn("42", "tool")] })).toBeNull();
    expect(
      split("anthropic-messages", { messages: [turn([{ type: "tool_result", tool_use_id: "t", content: "42" }])] }),
    ).toBeNull();
    expect(split("openai-chat", { messages: [turn(" ")] })).toBeNull();
    expect(split("openai-chat", { messages: [] })).toBeNull();
    expect(split("openai-completions", { prompt: [1, 2] })).toBeNull();
    expect(split("openai-embeddings", { input: "x" })).toBeNull();
  });
});
