/** The unmodified `openai` client, in its three dialects, on an upstream that has messages only. */
import OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { eventOf, lastRequest, received } from "./calls.js";
import { KEY, type RunningGateway, startGateway } from "./gateway.js";
import { acrossDialects, bodiesOf, expectSameUsage, failureOf } from "./hub-gateway.js";

const HELLO = { model: "claude-x", messages: [{ role: "user" as const, content: "Hello there" }] };
const CITY = { type: "object", properties: { city: { type: "string", default: "Vienna" } }, required: ["city"] };

let upstream: FakeUpstream;
let gateway: RunningGateway;
let client: OpenAI;

beforeAll(async () => {
  upstream = await startFakeUpstream();
  gateway = await startGateway({ resources: acrossDialects(upstream.url) });
  client = new OpenAI({ apiKey: KEY, baseURL: `${gateway.url}/v1`, maxRetries: 0 });
});
afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
});
beforeEach(() => upstream.reset());

async function readAll(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}

const idOf = (response: Response) => response.headers.get("x-weir-request-id");

describe("chat", () => {
  test("whole: text, usage with its cache, names and headers", async () => {
    upstream.script({ cache_read_tokens: 50, cache_write_tokens: 20 });
    const { data, response } = await client.chat.completions.create(HELLO).withResponse();
    expect(data.choices).toEqual([
      {
        index: 0,
        message: { role: "assistant", content: "You said: Hello there", refusal: null, annotations: [] },
        logprobs: null,
        finish_reason: "stop",
      },
    ]);
    expect(data).toMatchObject({ object: "chat.completion", model: "claude-x" });
    expect(data.usage?.prompt_tokens_details).toMatchObject({ cached_tokens: 50 });
    expect(data.usage?.total_tokens).toBe((data.usage?.prompt_tokens ?? 0) + (data.usage?.completion_tokens ?? 0));
    expect(response.headers.get("x-weir-losses")).toBeNull();
    const told = { input: data.usage?.prompt_tokens, output: data.usage?.completion_tokens };
    const event = await expectSameUsage(gateway, upstream, idOf(response), told);
    expect(event).toMatchObject({
      operation: "chat",
      target_dialect: "anthropic-messages",
      cache_read_tokens: 50,
      cache_write_tokens: 20,
      losses: [],
    });
    const asked = lastRequest(upstream);
    expect(asked.path).toBe("/v1/messages");
    expect(received(asked, "x-api-key")).toEqual(["sk-upstream-messages"]);
    expect(received(asked, "authorization")).toEqual([]);
    expect(received(asked, "anthropic-version")).toEqual(["2023-06-01"]);
  });

  test.each([true, false])("streamed, usage asked for: %s", async (asked) => {
    const options = asked ? { stream_options: { include_usage: true } } : {};
    const { data, response } = await client.chat.completions
      .create({ ...HELLO, stream: true, ...options })
      .withResponse();
    let text = "";
    let told: { input: number; output: number } | null = null;
    for await (const chunk of data) {
      text += chunk.choices[0]?.delta.content ?? "";
      expect(chunk.model).toBe("claude-x");
      if (chunk.usage) told = { input: chunk.usage.prompt_tokens, output: chunk.usage.completion_tokens };
    }
    expect(text).toBe("You said: Hello there");
    expect(told !== null).toBe(asked);
    expect(await expectSameUsage(gateway, upstream, idOf(response), told)).toMatchObject({ streamed: true });
  });

  test("a loop of tools over three turns, streamed, parallel calls and calls without arguments among them", async () => {
    const tools: OpenAI.ChatCompletionTool[] = [
      { type: "function", function: { name: "weather", parameters: CITY } },
      { type: "function", function: { name: "now", parameters: { type: "object", properties: {} } } },
    ];
    const messages: OpenAI.ChatCompletionMessageParam[] = [];
    const ids = new Set<string>();
    for (const wanted of [["weather"], ["weather", "now"], ["now"]]) {
      messages.push({ role: "user", content: wanted.map((name) => `call ${name}`).join(", ") });
      const called = await client.chat.completions.stream({ ...HELLO, messages, tools }).finalMessage();
      expect(called.tool_calls?.map((call) => call.type === "function" && call.function.name)).toEqual(wanted);
      messages.push(called);
      for (const call of called.tool_calls ?? []) {
        if (call.type !== "function") throw new Error("not a function");
        expect(JSON.parse(call.function.arguments)).toEqual(call.function.name === "now" ? {} : { city: "Vienna" });
        ids.add(call.id);
        messages.push({ role: "tool", tool_call_id: call.id, content: `${call.function.name} it is` });
      }
      const said = await client.chat.completions.stream({ ...HELLO, messages, tools }).finalMessage();
      expect(said.content).toContain(`${wanted.at(-1)} it is`);
      messages.push(said);
    }
    expect(ids.size).toBe(4);
    const last = bodiesOf(upstream).at(-1);
    const blocks = last.messages.flatMap((message: { content: object[] }) => message.content);
    const used = blocks.filter((block: { type: string }) => block.type === "tool_use");
    const results = blocks.filter((block: { type: string }) => block.type === "tool_result");
    expect(used.map((block: { id: string }) => block.id)).toEqual([...ids]);
    expect(results.map((block: { tool_use_id: string }) => block.tool_use_id)).toEqual([...ids]);
  });

  test("structured output", async () => {
    const answer = await client.chat.completions.create({
      ...HELLO,
      response_format: { type: "json_schema", json_schema: { name: "place", schema: CITY, strict: true } },
    });
    expect(answer.choices[0]?.finish_reason).toBe("stop");
    expect(answer.choices[0]?.message.tool_calls).toBeUndefined();
    const { output_config, tool_choice } = bodiesOf(upstream)[0];
    expect(output_config?.format?.type ?? tool_choice?.type).toMatch(/json_schema|tool/);
  });

  test("the cap on tokens ends an answer with its reason", async () => {
    const answer = await client.chat.completions.create({ ...HELLO, max_completion_tokens: 2 });
    expect(answer.choices[0]?.finish_reason).toBe("length");
    expect(bodiesOf(upstream)[0].max_tokens).toBe(2);
  });
});

describe("responses", () => {
  test("whole, with an image and a cap", async () => {
    const url = "data:image/png;base64,iVBORw0KGgo=";
    const { data, response } = await client.responses
      .create({
        model: "claude-x",
        instructions: "Be brief.",
        input: [
          {
            role: "user",
            content: [
              { type: "input_image", image_url: url, detail: "auto" },
              { type: "input_text", text: "Hello there" },
            ],
          },
        ],
        max_output_tokens: 100,
      })
      .withResponse();
    expect(data.output_text).toContain("Hello there");
    expect(data).toMatchObject({
      object: "response",
      status: "completed",
      model: "claude-x",
      instructions: "Be brief.",
    });
    const told = { input: data.usage?.input_tokens, output: data.usage?.output_tokens };
    expect(await expectSameUsage(gateway, upstream, idOf(response), told)).toMatchObject({ operation: "responses" });
    const [sent] = bodiesOf(upstream);
    expect(sent.system).toEqual([{ type: "text", text: "Be brief." }]);
    expect(sent.messages[0].content[0]).toMatchObject({
      type: "image",
      source: { type: "base64", data: "iVBORw0KGgo=" },
    });
  });

  test("streamed, put together by the client", async () => {
    const stream = client.responses.stream({ model: "claude-x", input: "Hello there" });
    const numbers: number[] = [];
    for await (const event of stream) numbers.push(event.sequence_number);
    const final = await stream.finalResponse();
    expect(final.output_text).toBe("You said: Hello there");
    expect(final.status).toBe("completed");
    expect(numbers).toEqual(numbers.map((_, index) => index));
    const { inputTokens, outputTokens } = lastRequest(upstream);
    expect(final.usage).toMatchObject({ input_tokens: inputTokens, output_tokens: outputTokens });
  });

  test("a loop of tools over three turns, streamed", async () => {
    const tools: OpenAI.Responses.Tool[] = [{ type: "function", name: "weather", parameters: CITY, strict: false }];
    const input: OpenAI.Responses.ResponseInputItem[] = [];
    const ids = new Set<string>();
    for (const turn of [1, 2, 3]) {
      input.push({ role: "user", content: "call weather" });
      const called = await client.responses.stream({ model: "claude-x", input, tools }).finalResponse();
      const [call] = called.output;
      if (call?.type !== "function_call") throw new Error("no function was called");
      expect(JSON.parse(call.arguments)).toEqual({ city: "Vienna" });
      ids.add(call.call_id);
      // The client's own type of answers is not its type of input, though the vendor takes one as the other.
      input.push(...(called.output as OpenAI.Responses.ResponseInputItem[]));
      input.push({ type: "function_call_output", call_id: call.call_id, output: `${turn} degrees` });
      const said = await client.responses.stream({ model: "claude-x", input, tools }).finalResponse();
      expect(said.output_text).toBe(`The tool answered: ${turn} degrees`);
      input.push(...(said.output as OpenAI.Responses.ResponseInputItem[]));
    }
    expect(ids.size).toBe(3);
  });
});

describe("completions", () => {
  test("whole", async () => {
    const { data, response } = await client.completions
      .create({ model: "claude-x", prompt: "Hello there" })
      .withResponse();
    expect(data).toMatchObject({ object: "text_completion", model: "claude-x" });
    expect(data.choices[0]).toMatchObject({ text: "You said: Hello there", finish_reason: "stop" });
    const told = { input: data.usage?.prompt_tokens, output: data.usage?.completion_tokens };
    expect(await expectSameUsage(gateway, upstream, idOf(response), told)).toMatchObject({ operation: "completions" });
  });

  test.each(["claude-x", "chat-x"])("streamed from %s", async (model) => {
    const request = { model, prompt: "Hello there", stream: true, stream_options: { include_usage: true } } as const;
    const { data, response } = await client.completions.create(request).withResponse();
    let text = "";
    let told: { input: number; output: number } | null = null;
    for await (const { choices, usage } of data) {
      text += choices[0]?.text ?? "";
      if (usage) told = { input: usage.prompt_tokens, output: usage.completion_tokens };
    }
    expect(text).toBe("You said: Hello there");
    expect(told).not.toBeNull();
    await expectSameUsage(gateway, upstream, idOf(response), told);
  });
});

test("responses on an upstream that has chat only", async () => {
  const { data, response } = await client.responses.create({ model: "chat-x", input: "Hello there" }).withResponse();
  expect(data.output_text).toBe("You said: Hello there");
  const told = { input: data.usage?.input_tokens, output: data.usage?.output_tokens };
  const event = await expectSameUsage(gateway, upstream, idOf(response), told);
  expect(event).toMatchObject({ operation: "responses", target_dialect: "openai-chat" });
});

describe("errors arrive as the client's own classes", () => {
  const ANSWERS = [
    [400, "invalid_request_error", OpenAI.BadRequestError],
    [401, "authentication_error", OpenAI.AuthenticationError],
    [429, "rate_limit_error", OpenAI.RateLimitError],
    [529, "overloaded_error", OpenAI.InternalServerError],
  ] as const;
  test.each(ANSWERS)("the upstream's %i", async (status, type, kind) => {
    const body = { type: "error", error: { type, message: `No, ${status}.` }, request_id: "r" };
    upstream.script({ status, body, headers: { "retry-after": "7" }, times: 2 });
    for (const call of [
      client.chat.completions.create(HELLO),
      client.responses.create({ model: "claude-x", input: "x" }),
    ]) {
      const failed = await failureOf(call);
      expect(failed).toBeInstanceOf(kind);
      if (!(failed instanceof OpenAI.APIError)) throw failed;
      expect(failed).toMatchObject({ status, type });
      expect(failed.message).toContain(`No, ${status}.`);
      expect(failed.headers?.get("retry-after")).toBe("7");
      const event = await eventOf(gateway, failed.headers?.get("x-weir-request-id"));
      expect(event).toMatchObject({ status, upstream_status: status, error: "upstream_error" });
    }
  });

  test("an upstream's page that is no JSON becomes the message", async () => {
    upstream.script({ status: 503, body: "<h1>Away</h1>", content_type: "text/html" });
    const failed = await failureOf(client.chat.completions.create(HELLO));
    expect(failed).toMatchObject({ status: 503, message: expect.stringContaining("Away") });
  });

  test.each(["json", "binary"] as const)("an upstream's garbage (%s) is a 502", async (garbage) => {
    upstream.script({ garbage });
    const failed = await failureOf(client.chat.completions.create(HELLO));
    expect(failed).toMatchObject({ status: 502, code: "upstream_decode_error" });
  });

  test("a malformed request names its field, and reaches nobody", async () => {
    const messages = [{ role: "user" as const, content: [{ type: "text", text: 7 }] }];
    const failed = await failureOf(client.chat.completions.create({ ...HELLO, messages } as never));
    expect(failed).toMatchObject({ status: 400, param: "messages[0].content[0].text" });
    expect(upstream.requests()).toHaveLength(0);
  });

  const BREAKS = [
    ["breaks off", { close_after_frames: 5, words: 30 }],
    ["says so itself", { error_frame_after: 5, words: 30 }],
    ["ends without its last event", { end_without_terminator: true, words: 30 }],
  ] as const;
  describe.each(BREAKS)("inside a stream, when the upstream %s", (_name, behaviour) => {
    test("chat", async () => {
      upstream.script(behaviour);
      const stream = await client.chat.completions.create({ ...HELLO, stream: true });
      const failed = await failureOf(readAll(stream));
      expect(failed).toBeInstanceOf(OpenAI.APIError);
    });

    test("responses", async () => {
      upstream.script(behaviour);
      const stream = await client.responses.create({ model: "claude-x", input: "x", stream: true });
      const failed = await failureOf(readAll(stream));
      expect(failed).toBeInstanceOf(OpenAI.APIError);
    });
  });
});

test("a client that gives up is recorded, and its upstream let go", async () => {
  upstream.script({ words: 200, gap_ms: 20 });
  const { data, response } = await client.chat.completions.create({ ...HELLO, stream: true }).withResponse();
  for await (const chunk of data) if (chunk.choices[0]?.delta.content) break;
  await upstream.until((stats) => stats.aborted === 1);
  const event = await eventOf(gateway, idOf(response));
  expect(event).toMatchObject({ status: 499, error: "client_closed_request", complete: false });
  expect(event.input_tokens).toBe(lastRequest(upstream).inputTokens);
  expect(event.output_tokens).toBeGreaterThan(0);
});
