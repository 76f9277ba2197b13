import { describe, expect, it } from "vitest";
import type { DialectId, Operation } from "../../../src/dialects/dialect.js";
import { type SimulatedAnswer, simulate } from "../../../src/providers/simulator/simulate.js";
import { piecesOf, sample } from "../../../src/providers/simulator/turn.js";

const DIALECT_OF: Readonly<Record<string, DialectId>> = {
  chat: "openai-chat",
  messages: "anthropic-messages",
  count_tokens: "anthropic-messages",
  responses: "openai-responses",
  input_tokens: "openai-responses",
  completions: "openai-completions",
  embeddings: "openai-embeddings",
  tokenize: "tokenize",
};

// biome-ignore lint/suspicious/noExplicitAny: answers are read field by field, as a client would.
type Json = any;

function ask(operation: Operation, body: object): SimulatedAnswer {
  return simulate(
    operation,
    DIALECT_OF[operation] as DialectId,
    Buffer.from(JSON.stringify({ model: "simulator", ...body })),
  );
}

function whole(answer: SimulatedAnswer): Json {
  expect(answer.frames).toHaveLength(1);
  return JSON.parse(answer.frames[0] as string);
}

function events(answer: SimulatedAnswer): Json[] {
  return answer.frames.flatMap((frame) => {
    expect(frame).toMatch(/^(event: [\w.]+\n)?data: .*\n\n$/);
    const data = /^data: (.*)$/m.exec(frame)?.[1] as string;
    return data === "[DONE]" ? [] : [JSON.parse(data)];
  });
}

const WEATHER = {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer" } },
  required: ["city"],
};
const SAID = "hello from the other side of a rather long river";
const USER = [{ role: "user", content: SAID }];
const REQUESTS: Readonly<Record<string, object>> = {
  chat: { messages: USER },
  messages: { messages: USER, max_tokens: 100 },
  responses: { input: SAID },
  completions: { prompt: SAID },
};

describe.each(Object.keys(REQUESTS) as Operation[])("%s", (operation) => {
  const request = REQUESTS[operation] as object;

  it("tells the same text and the same usage streamed and not", () => {
    const once = ask(operation, request);
    const streamed = ask(operation, { ...request, stream: true });
    expect(once.contentType).toBe("application/json");
    expect(streamed.contentType).toMatch(/^text\/event-stream/);
    expect(streamed.usage).toEqual(once.usage);
    const text = JSON.stringify(whole(once));
    expect(text).toContain(`You said: ${SAID}`);
    const joined = events(streamed)
      .map((event) => event.choices?.[0]?.delta?.content ?? event.choices?.[0]?.text ?? event.delta?.text ?? "")
      .join("");
    if (operation === "responses") {
      const deltas = events(streamed).filter((event) => event.type === "response.output_text.delta");
      expect(deltas.map((event) => event.delta).join("")).toBe(`You said: ${SAID}`);
    } else expect(joined).toBe(`You said: ${SAID}`);
  });

  it.each([{}, { reasoning_tokens: 7, cache_read_tokens: 5, cache_write_tokens: 3 }, { words: 0 }, { words: 300 }])(
    "deals its output tokens out frame by frame: %j",
    (simulator) => {
      for (const stream of [false, true]) {
        const answer = ask(operation, { ...request, max_tokens: 500, stream, metadata: { simulator } });
        expect(answer.frameTokens).toHaveLength(answer.frames.length);
        expect(answer.frameTokens.reduce((sum, count) => sum + count, 0)).toBe(answer.usage.outputTokens);
      }
    },
  );

  it("cuts at the caller's cap and says so", () => {
    const cap = operation === "responses" ? { max_output_tokens: 3 } : { max_tokens: 3 };
    for (const stream of [false, true]) {
      const answer = ask(operation, { ...request, ...cap, stream });
      expect(answer.usage.outputTokens).toBe(3);
      expect(answer.frames.join("")).toMatch(/"length"|"max_tokens"|"max_output_tokens"/);
    }
  });

  it("bounds what a request may script, and takes it as a string too", () => {
    const simulator = { delay_ms: 1e9, gap_ms: 1e9, words: 1e9 };
    for (const form of [simulator, JSON.stringify(simulator)]) {
      const answer = ask(operation, { ...request, max_tokens: undefined, metadata: { simulator: form } });
      expect(answer.delayMs).toBe(60_000);
      expect(answer.gapMs).toBe(10_000);
      expect(answer.usage.outputTokens).toBeLessThanOrEqual(10_000);
    }
    expect(ask(operation, { ...request, metadata: { simulator: "nonsense" } }).delayMs).toBe(0);
  });
});

describe("usage in the stream of a chat", () => {
  const usages = (more: object): Json[] => {
    const asked = ask("chat", { messages: USER, stream: true, ...more });
    return events(asked).map((event) => [event.choices.length, event.usage]);
  };
  const said = {
    prompt_tokens: expect.any(Number),
    completion_tokens: ask("chat", { messages: USER }).usage.outputTokens,
  };
  const script = (usage: string) => ({ metadata: { simulator: { usage } } });

  it("comes only when asked for, last and without choices", () => {
    expect(usages({}).every(([, usage]) => usage === undefined)).toBe(true);
    const asked = usages({ stream_options: { include_usage: true } });
    expect(asked.at(-1)).toEqual([0, expect.objectContaining(said)]);
    expect(asked.slice(0, -1).every(([, usage]) => usage === null)).toBe(true);
  });

  it("comes in the variants that are met in the wild", () => {
    expect(usages({ stream_options: { include_usage: true }, ...script("none") }).every(([, u]) => !u)).toBe(true);
    const everywhere = usages(script("on_every_chunk")).map(([, usage]) => usage.completion_tokens);
    expect(everywhere).toEqual([...everywhere].sort((a, b) => a - b));
    expect(everywhere.at(-1)).toBe(said.completion_tokens);
    for (const variant of ["with_choices", "after_stop"]) {
      const list = usages(script(variant));
      expect(list.at(-1)).toEqual([1, expect.objectContaining(said)]);
      expect(list.slice(0, -1).every(([, usage]) => usage === undefined)).toBe(true);
    }
  });
});

describe("usage in the stream of messages", () => {
  it.each(["usual", "on_every_chunk", "after_stop"])("is cumulative and ends right: %s", (usage) => {
    const simulator = { usage, cache_read_tokens: 5, cache_write_tokens: 3 };
    const answer = ask("messages", { messages: USER, stream: true, metadata: { simulator } });
    const list = events(answer);
    expect(list[0].message.usage).toMatchObject({ cache_read_input_tokens: 5, cache_creation_input_tokens: 3 });
    expect(list[0].message.usage.input_tokens + 8).toBe(answer.usage.inputTokens);
    const deltas = list.filter((event) => event.type === "message_delta");
    expect(deltas.at(-1).usage.output_tokens).toBe(answer.usage.outputTokens);
    expect(deltas.filter((event) => event.delta.stop_reason === "end_turn")).toHaveLength(1);
    expect(list.at(-1)).toEqual({ type: "message_stop" });
  });
});

describe("tools", () => {
  const chatTools = [{ type: "function", function: { name: "weather", parameters: WEATHER } }];
  const speak = (content: string, more: object = {}) =>
    whole(ask("chat", { messages: [{ role: "user", content }], tools: chatTools, ...more })).choices[0];

  it("are called when asked for in words, or when forced", () => {
    expect(speak("hello").finish_reason).toBe("stop");
    for (const said of ["please use a tool", "Call WEATHER now"]) expect(speak(said).finish_reason).toBe("tool_calls");
    expect(speak("use a tool", { tool_choice: "none" }).finish_reason).toBe("stop");
    expect(speak("hi", { tool_choice: "required" }).finish_reason).toBe("tool_calls");
    const named = speak("hi", { tool_choice: { type: "function", function: { name: "weather" } } });
    expect(named.message.content).toBeNull();
    expect(named.message.tool_calls).toEqual([
      {
        id: expect.stringMatching(/^call_\w{24}$/),
        type: "function",
        function: { name: "weather", arguments: expect.any(String) },
      },
    ]);
    expect(JSON.parse(named.message.tool_calls[0].function.arguments)).toEqual({ city: "sample", days: 1 });
  });

  it("are answered in text once their result is there", () => {
    const calls = [{ id: "c", type: "function", function: { name: "weather", arguments: "{}" } }];
    const messages = [
      { role: "user", content: "use a tool" },
      { role: "assistant", content: null, tool_calls: calls },
      { role: "tool", tool_call_id: "c", content: "sunny" },
    ];
    const answer = whole(ask("chat", { messages, tools: chatTools, tool_choice: "required" }));
    expect(answer.choices[0].message.content).toBe("The tool answered: sunny");
    const blocks = [{ type: "tool_result", tool_use_id: "t", content: [{ type: "text", text: "sunny" }] }];
    const message = whole(
      ask("messages", { messages: [...messages.slice(0, 1), { role: "user", content: blocks }], max_tokens: 99 }),
    );
    expect(message.content[0].text).toBe("The tool answered: sunny");
    const items = [{ type: "function_call_output", call_id: "c", output: "sunny" }];
    expect(whole(ask("responses", { input: items })).output[0].content[0].text).toBe("The tool answered: sunny");
  });

  it("are streamed in parallel where several are named", () => {
    const tools = ["weather", "clock"].map((name) => ({ name, input_schema: WEATHER }));
    const said = [{ role: "user", content: "call weather and call clock" }];
    const list = events(ask("messages", { messages: said, tools, max_tokens: 99, stream: true }));
    const starts = list.filter((event) => event.type === "content_block_start");
    expect(starts.map((event) => [event.index, event.content_block.name])).toEqual([
      [0, "weather"],
      [1, "clock"],
    ]);
    const text = list.filter((event) => event.index === 1 && event.delta).map((event) => event.delta.partial_json);
    expect(JSON.parse(text.join(""))).toEqual({ city: "sample", days: 1 });
    expect(list.at(-2).delta.stop_reason).toBe("tool_use");
  });
});

describe("the events of a response", () => {
  it("come in the vendor's order, numbered on", () => {
    const list = events(ask("responses", { input: "hi", stream: true }));
    expect(list.map((event) => event.sequence_number)).toEqual(list.map((_, i) => i));
    const order = list
      .map((event) => event.type.replace("response.", ""))
      .filter((type, i, all) => type !== all[i - 1]);
    expect(order).toEqual([
      "created",
      "in_progress",
      "output_item.added",
      "content_part.added",
      "output_text.delta",
      "output_text.done",
      "content_part.done",
      "output_item.done",
      "completed",
    ]);
    expect(list.at(-1).response.usage.output_tokens).toBe(
      list.filter((event) => event.type.endsWith("text.delta")).length,
    );
  });
});

describe("embeddings", () => {
  it("are the same for the same input, of length one, as floats and as base64", () => {
    const floats = whole(ask("embeddings", { input: ["a", "b", "a"], dimensions: 12 }));
    expect(floats.data.map((item: Json) => item.index)).toEqual([0, 1, 2]);
    expect(floats.data[0].embedding).toEqual(floats.data[2].embedding);
    expect(floats.data[0].embedding).not.toEqual(floats.data[1].embedding);
    expect(floats.data[0].embedding).toHaveLength(12);
    expect(Math.hypot(...floats.data[0].embedding)).toBeCloseTo(1, 5);
    const packed = whole(ask("embeddings", { input: "a", dimensions: 12, encoding_format: "base64" }));
    const bytes = Buffer.from(packed.data[0].embedding, "base64");
    expect(Array.from({ length: 12 }, (_, i) => bytes.readFloatLE(i * 4))).toEqual(floats.data[0].embedding);
  });

  it("take tokens, and count them", () => {
    expect(whole(ask("embeddings", { input: [1, 2, 3] })).usage).toEqual({ prompt_tokens: 3, total_tokens: 3 });
    expect(whole(ask("embeddings", { input: [[1, 2], [3]] })).data).toHaveLength(2);
  });
});

describe("counting", () => {
  it("agrees with the usage of the answer", () => {
    const body = { messages: USER, system: "be brief", max_tokens: 9 };
    expect(whole(ask("count_tokens", body))).toEqual({ input_tokens: ask("messages", body).usage.inputTokens });
    const input = { input: SAID, instructions: "be brief" };
    expect(whole(ask("input_tokens", input))).toEqual({
      object: "response.input_tokens",
      input_tokens: ask("responses", input).usage.inputTokens,
    });
  });

  it("names tokens, the same for the same text", () => {
    const told = whole(ask("tokenize", { prompt: "same same", return_token_strs: true }));
    expect(told).toMatchObject({ count: 3, token_strs: ["same", " sam", "e"] });
    expect(told.tokens).toHaveLength(3);
    expect(whole(ask("tokenize", { prompt: "same" })).tokens).toEqual([told.tokens[0]]);
    expect(whole(ask("tokenize", { messages: USER })).token_strs).toBeNull();
  });
});

describe("odd requests", () => {
  it.each(["", "[]", "null", "{", '"text"'])("that are no JSON object are refused: %j", (body) => {
    const chat = simulate("chat", "openai-chat", Buffer.from(body));
    expect([chat.status, whole(chat).error.type]).toEqual([400, "invalid_request_error"]);
    const messages = simulate("messages", "anthropic-messages", Buffer.from(body));
    expect([messages.status, whole(messages).type]).toEqual([400, "error"]);
  });

  it("of an operation in another's dialect are refused", () => {
    expect(simulate("chat", "anthropic-messages", Buffer.from("{}")).status).toBe(400);
    expect(simulate("models", "openai-chat", Buffer.from("{}")).status).toBe(400);
  });

  it("never make it throw", () => {
    for (const operation of Object.keys(DIALECT_OF) as Operation[]) {
      for (const value of [null, 1, "x", [], [null], [[]], {}, { a: 1 }]) {
        for (const stream of [false, true]) {
          const names = "messages input prompt tools tool_choice metadata text response_format n stream_options".split(
            " ",
          );
          const body = Object.fromEntries(names.map((name) => [name, value]));
          expect(ask(operation, { ...body, stream }).status).toBe(200);
        }
      }
    }
  });

  it("get several answers where they want several", () => {
    const choices = whole(ask("completions", { prompt: ["a", "b"], n: 2 })).choices;
    expect(choices.map((choice: Json) => choice.index)).toEqual([0, 1, 2, 3]);
    const chat = ask("chat", { messages: USER, n: 3, stream: true });
    expect(chat.usage.outputTokens).toBe(3 * ask("chat", { messages: USER }).usage.outputTokens);
  });
});

describe("made-up words", () => {
  it("are pieces that join to the text, surrogate pairs whole", () => {
    for (const text of ["", " a  b ", "𝒳".repeat(40), `x${" ".repeat(50)}y\n\n`, "aVeryLongWordWithoutAnyBlank"]) {
      expect(piecesOf(text).join("")).toBe(text);
      for (const piece of piecesOf(text)) expect(() => encodeURIComponent(piece)).not.toThrow();
    }
  });

  it("follow a schema", () => {
    const schema = {
      type: "object",
      properties: {
        kind: { enum: ["a", "b"] },
        maybe: { type: ["null", "boolean"] },
        when: { type: "string", format: "date" },
        list: { type: "array", items: { $ref: "#/$defs/item" }, minItems: 2 },
        either: { anyOf: [{ type: "null" }, { const: 5 }] },
        self: { $ref: "#" },
      },
      $defs: { item: { type: "number", minimum: 3 } },
    };
    const made = sample(schema, schema, 0) as Json;
    expect(made).toMatchObject({ kind: "a", maybe: true, when: "2024-05-01", list: [3, 3], either: 5 });
    const answer = ask("chat", {
      messages: USER,
      response_format: { type: "json_schema", json_schema: { schema: WEATHER } },
    });
    expect(JSON.parse(whole(answer).choices[0].message.content)).toEqual({ city: "sample", days: 1 });
  });
});
