/** The unmodified `openai` client through the built gateway. */
import OpenAI, { AzureOpenAI } from "openai";
import type { RunnableToolFunctionWithParse } from "openai/lib/RunnableFunction";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { eventOf, lastRequest } from "./calls.js";
import { KEY, oneProvider, type RunningGateway, startGateway } from "./gateway.js";

const WEATHER = {
  type: "object" as const,
  properties: { city: { type: "string" as const, default: "Vienna" } },
  required: ["city"],
};
const SAY_HELLO = [{ role: "user" as const, content: "Hello there" }];

let upstream: FakeUpstream;
let gateway: RunningGateway;
let client: OpenAI;

beforeAll(async () => {
  upstream = await startFakeUpstream();
  gateway = await startGateway({ resources: oneProvider(upstream.url) });
  client = new OpenAI({ apiKey: KEY, baseURL: `${gateway.url}/v1`, maxRetries: 0 });
});
afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
});
beforeEach(() => upstream.reset());

interface Seen {
  readonly response: Response;
  readonly input: number | undefined;
  readonly output: number | undefined;
  readonly operation: string;
}

/** What the client was told, what the upstream dealt out and what was recorded are the same. */
async function expectSameUsage({ response, input, output, operation }: Seen) {
  const dealt = lastRequest(upstream);
  expect(dealt.inputTokens).toBeGreaterThan(0);
  expect({ input, output }).toEqual({ input: dealt.inputTokens, output: dealt.outputTokens });
  const event = await eventOf(gateway, response.headers.get("x-weir-request-id"));
  expect(event).toMatchObject({
    operation,
    api_key: "tester",
    input_tokens: dealt.inputTokens,
    output_tokens: dealt.outputTokens,
    estimated: false,
    complete: true,
    status: 200,
    error: "",
  });
  return event;
}

describe("chat completions", () => {
  test("whole", async () => {
    const call = client.chat.completions.create({ model: "gpt-alias", messages: SAY_HELLO });
    const { data, response } = await call.withResponse();
    expect(data.choices[0]?.message.content).toBe("You said: Hello there");
    expect(lastRequest(upstream).model).toBe("gpt-upstream");
    const seen = { response, input: data.usage?.prompt_tokens, output: data.usage?.completion_tokens };
    const event = await expectSameUsage({ ...seen, operation: "chat" });
    expect(event).toMatchObject({ model: "gpt-alias", upstream_model: "gpt-upstream", streamed: false });
    expect(event.user_agent).toContain("OpenAI/JS");
  });

  test("streamed, with usage asked for", async () => {
    const { data, response } = await client.chat.completions
      .create({ model: "gpt-x", messages: SAY_HELLO, stream: true, stream_options: { include_usage: true } })
      .withResponse();
    let text = "";
    let usage: OpenAI.CompletionUsage | null | undefined;
    for await (const chunk of data) {
      text += chunk.choices[0]?.delta.content ?? "";
      usage = chunk.usage ?? usage;
    }
    expect(text).toBe("You said: Hello there");
    const seen = { response, input: usage?.prompt_tokens, output: usage?.completion_tokens };
    expect(await expectSameUsage({ ...seen, operation: "chat" })).toMatchObject({ streamed: true });
  });

  test("streamed, without asking for usage: none is shown, all is recorded", async () => {
    const { data, response } = await client.chat.completions
      .create({ model: "gpt-x", messages: SAY_HELLO, stream: true })
      .withResponse();
    let shown = 0;
    for await (const chunk of data) {
      expect(chunk.choices).toHaveLength(1);
      if (chunk.usage) shown += 1;
    }
    expect(shown).toBe(0);
    const dealt = lastRequest(upstream);
    await expectSameUsage({ response, input: dealt.inputTokens, output: dealt.outputTokens, operation: "chat" });
  });

  test("the client's own stream helper puts the answer together", async () => {
    const runner = client.chat.completions.stream({ model: "gpt-x", messages: SAY_HELLO, n: 2 });
    const whole = await runner.finalChatCompletion();
    const said = whole.choices.map((choice) => choice.message.content);
    expect(said).toEqual(["You said: Hello there", "You said: Hello there"]);
    expect(whole.choices.map((choice) => choice.finish_reason)).toEqual(["stop", "stop"]);
  });

  test.each([false, true])("a tool loop of two turns, streamed: %s", async (stream) => {
    const asked: unknown[] = [];
    const tool: RunnableToolFunctionWithParse<object> = {
      type: "function",
      function: {
        name: "weather",
        description: "How is the weather?",
        parameters: WEATHER,
        parse: (text) => JSON.parse(text),
        function: (input) => {
          asked.push(input);
          return "21 degrees";
        },
      },
    };
    const messages = [{ role: "user" as const, content: "Please call weather" }];
    const runner = stream
      ? client.chat.completions.runTools({ model: "gpt-x", messages, tools: [tool], stream: true })
      : client.chat.completions.runTools({ model: "gpt-x", messages, tools: [tool] });
    expect(await runner.finalContent()).toBe("The tool answered: 21 degrees");
    expect(asked).toEqual([{ city: "Vienna" }]);
    expect(upstream.requests()).toHaveLength(2);
  });

  test("a parallel call of two tools keeps both", async () => {
    const named = (name: string) => ({ type: "function" as const, function: { name, parameters: WEATHER } });
    const stream = client.chat.completions.stream({
      model: "gpt-x",
      messages: [{ role: "user", content: "call weather and call tides" }],
      tools: [named("weather"), named("tides")],
    });
    const whole = await stream.finalChatCompletion();
    const calls = whole.choices[0]?.message.tool_calls ?? [];
    expect(calls.map((made) => [made.function.name, JSON.parse(made.function.arguments)])).toEqual([
      ["weather", { city: "Vienna" }],
      ["tides", { city: "Vienna" }],
    ]);
    expect(whole.choices[0]?.finish_reason).toBe("tool_calls");
  });

  test("structured output is parsed by the client", async () => {
    const schema = { type: "object", properties: { level: { type: "integer" } }, required: ["level"] };
    const response_format = { type: "json_schema" as const, json_schema: { name: "gauge", schema, strict: true } };
    const answer = await client.chat.completions.parse({ model: "gpt-x", messages: SAY_HELLO, response_format });
    expect(JSON.parse(answer.choices[0]?.message.content ?? "")).toEqual({ level: 1 });
  });
});

describe("responses", () => {
  test("whole", async () => {
    const { data, response } = await client.responses.create({ model: "gpt-alias", input: "Hello" }).withResponse();
    expect(data.output_text).toBe("You said: Hello");
    expect(lastRequest(upstream).model).toBe("gpt-upstream");
    const seen = { response, input: data.usage?.input_tokens, output: data.usage?.output_tokens };
    await expectSameUsage({ ...seen, operation: "responses" });
  });

  test("streamed", async () => {
    const { data, response } = await client.responses
      .create({ model: "gpt-x", input: "Hello", stream: true })
      .withResponse();
    let text = "";
    let usage: OpenAI.Responses.ResponseUsage | undefined;
    for await (const event of data) {
      if (event.type === "response.output_text.delta") text += event.delta;
      if (event.type === "response.completed") usage = event.response.usage;
    }
    expect(text).toBe("You said: Hello");
    await expectSameUsage({
      response,
      input: usage?.input_tokens,
      output: usage?.output_tokens,
      operation: "responses",
    });
  });

  test("the client's own stream helper, through a tool loop of two turns", async () => {
    const tools = [{ type: "function" as const, name: "weather", parameters: WEATHER, strict: false }];
    const input: OpenAI.Responses.ResponseInput = [{ role: "user", content: "call weather" }];
    const first = await client.responses.stream({ model: "gpt-x", input, tools }).finalResponse();
    const made = first.output[0];
    if (made?.type !== "function_call") throw new Error("no call");
    expect(JSON.parse(made.arguments)).toEqual({ city: "Vienna" });
    const { call_id, name, arguments: text } = made;
    input.push({ type: "function_call", call_id, name, arguments: text });
    input.push({ type: "function_call_output", call_id, output: "21 degrees" });
    const second = await client.responses.stream({ model: "gpt-x", input, tools }).finalResponse();
    expect(second.output_text).toBe("The tool answered: 21 degrees");
  });

  test("input tokens are counted by the upstream", async () => {
    const { data, response } = await client.responses.inputTokens
      .count({ model: "gpt-alias", input: "How long is this?" })
      .withResponse();
    const asked = lastRequest(upstream);
    expect(asked).toMatchObject({ path: "/v1/responses/input_tokens", model: "gpt-upstream" });
    expect(data).toEqual({ object: "response.input_tokens", input_tokens: asked.inputTokens });
    expect(await eventOf(gateway, response.headers.get("x-weir-request-id"))).toMatchObject({
      operation: "input_tokens",
      status: 200,
    });
  });
});

describe("completions", () => {
  test("whole", async () => {
    const { data, response } = await client.completions.create({ model: "gpt-alias", prompt: "Once" }).withResponse();
    expect(data.choices[0]?.text).toContain("Once");
    const seen = { response, input: data.usage?.prompt_tokens, output: data.usage?.completion_tokens };
    await expectSameUsage({ ...seen, operation: "completions" });
  });

  test("streamed", async () => {
    const { data, response } = await client.completions
      .create({ model: "gpt-x", prompt: "Once", stream: true, stream_options: { include_usage: true } })
      .withResponse();
    let text = "";
    let usage: OpenAI.CompletionUsage | null | undefined;
    for await (const chunk of data) {
      text += chunk.choices[0]?.text ?? "";
      usage = chunk.usage ?? usage;
    }
    expect(text).toContain("Once");
    const seen = { response, input: usage?.prompt_tokens, output: usage?.completion_tokens };
    await expectSameUsage({ ...seen, operation: "completions" });
  });
});

describe("embeddings", () => {
  test("the client's own default, which is base64 on the wire, and floats are the same numbers", async () => {
    const request = { model: "text-embedding-small", input: ["one", "two words"], dimensions: 8 };
    const { data: packed, response } = await client.embeddings.create(request).withResponse();
    expect(JSON.parse(lastRequest(upstream).body.toString())).toMatchObject({ encoding_format: "base64" });
    expect(packed.data.map((entry) => entry.embedding.length)).toEqual([8, 8]);
    await expectSameUsage({ response, input: packed.usage.prompt_tokens, output: 0, operation: "embeddings" });
    const plain = await client.embeddings.create({ ...request, encoding_format: "float" });
    expect(JSON.parse(lastRequest(upstream).body.toString())).toMatchObject({ encoding_format: "float" });
    for (const [index, entry] of packed.data.entries()) {
      const numbers = plain.data[index]?.embedding ?? [];
      for (const [place, value] of entry.embedding.entries())
        expect(value).toBeCloseTo(numbers[place] ?? Number.NaN, 6);
    }
  });
});

test("the client for Azure names its deployment in the path and its key in api-key", async () => {
  const azure = new AzureOpenAI({
    apiKey: KEY,
    endpoint: gateway.url,
    apiVersion: "2024-10-21",
    deployment: "gpt-alias",
    maxRetries: 0,
  });
  const answer = await azure.chat.completions.create({ model: "", messages: SAY_HELLO });
  expect(answer.choices[0]?.message.content).toBe("You said: Hello there");
  expect(lastRequest(upstream)).toMatchObject({ path: "/v1/chat/completions", model: "gpt-upstream" });
});

describe("models", () => {
  test("list and retrieve", async () => {
    const names: string[] = [];
    for await (const model of client.models.list()) names.push(model.id);
    expect(names).toEqual(["gpt-alias", "gpt-*", "text-embedding-*", "claude-*"]);
    expect(await client.models.retrieve("gpt-alias")).toMatchObject({ id: "gpt-alias", object: "model" });
    await expect(client.models.retrieve("nothing")).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  });
});

describe("errors arrive as the client's own classes", () => {
  const ask = (model: string, apiKey = KEY, maxRetries = 0) =>
    new OpenAI({ apiKey, baseURL: `${gateway.url}/v1`, maxRetries }).chat.completions.create({
      model,
      messages: SAY_HELLO,
    });

  test("the gateway's own", async () => {
    const unknownKey = await ask("gpt-x", "sk-wrong").catch((error: unknown) => error);
    expect(unknownKey).toBeInstanceOf(OpenAI.AuthenticationError);
    expect(unknownKey).toMatchObject({ status: 401, type: "invalid_api_key", code: "invalid_api_key" });
    const unknownModel = await ask("nothing").catch((error: unknown) => error);
    expect(unknownModel).toBeInstanceOf(OpenAI.NotFoundError);
    expect(unknownModel).toMatchObject({ type: "model_not_found", code: "model_not_found", param: "model" });
    expect(upstream.requests()).toHaveLength(0);
  });

  const ANSWERS = [
    [400, OpenAI.BadRequestError],
    [401, OpenAI.AuthenticationError],
    [403, OpenAI.PermissionDeniedError],
    [404, OpenAI.NotFoundError],
    [409, OpenAI.ConflictError],
    [422, OpenAI.UnprocessableEntityError],
    [429, OpenAI.RateLimitError],
    [500, OpenAI.InternalServerError],
    [503, OpenAI.InternalServerError],
    [529, OpenAI.InternalServerError],
  ] as const;
  test.each(ANSWERS)("the upstream's %i, word for word, with retry-after", async (status, kind) => {
    const error = { message: `No, ${status}.`, type: "vendor_type", code: "vendor_code", param: "p", more: { a: 1 } };
    upstream.script({
      status,
      body: { error },
      headers: { "retry-after": "7", "x-ratelimit-remaining-requests": "0" },
    });
    const failed = await ask("gpt-x").catch((caught: unknown) => caught);
    expect(failed).toBeInstanceOf(kind);
    if (!(failed instanceof OpenAI.APIError)) throw failed;
    expect(failed).toMatchObject({ status, error, type: "vendor_type", code: "vendor_code", param: "p" });
    expect(failed.headers?.get("retry-after")).toBe("7");
    expect(failed.headers?.get("x-ratelimit-remaining-requests")).toBe("0");
    const event = await eventOf(gateway, failed.headers?.get("x-weir-request-id"));
    expect(event).toMatchObject({ status, upstream_status: status, error: "upstream_error", output_tokens: 0 });
  });

  test("the client's own retry is told when, and then succeeds", async () => {
    upstream.script({ status: 429, headers: { "retry-after-ms": "10" } });
    const answer = await ask("gpt-x", KEY, 1);
    expect(answer.choices[0]?.message.content).toBe("You said: Hello there");
    expect(upstream.requests()).toHaveLength(2);
  });

  test("inside a stream", async () => {
    upstream.script({ close_after_frames: 3, words: 30 });
    const stream = await client.chat.completions.create({ model: "gpt-x", messages: SAY_HELLO, stream: true });
    const read = async () => {
      for await (const chunk of stream) expect(chunk.object).toBe("chat.completion.chunk");
    };
    const failed = await read().catch((caught: unknown) => caught);
    expect(failed).toBeInstanceOf(OpenAI.APIError);
    expect(failed).toMatchObject({ code: "transport_error" });
  });

  test("inside a stream of responses", async () => {
    const broken = { close_after_frames: 5, words: 30 };
    upstream.script(broken, broken);
    const stream = await client.responses.create({ model: "gpt-x", input: "Hello", stream: true });
    const read = async () => {
      for await (const event of stream) expect(event.type).not.toBe("response.completed");
    };
    const failed = await read().catch((caught: unknown) => caught);
    expect(failed).toBeInstanceOf(OpenAI.APIError);
    expect(failed).toMatchObject({ code: "transport_error" });
    const helped = client.responses.stream({ model: "gpt-x", input: "Hello" }).finalResponse();
    await expect(helped).rejects.toBeInstanceOf(OpenAI.OpenAIError);
  });
});

test("a client that gives up is recorded, and its upstream let go", async () => {
  upstream.script({ words: 200, gap_ms: 20 });
  const { data, response } = await client.chat.completions
    .create({ model: "gpt-x", messages: SAY_HELLO, stream: true })
    .withResponse();
  for await (const chunk of data) if (chunk.choices[0]?.delta.content) break;
  await upstream.until((stats) => stats.aborted === 1);
  const event = await eventOf(gateway, response.headers.get("x-weir-request-id"));
  expect(event).toMatchObject({ status: 499, error: "client_closed_request", complete: false, estimated: true });
  expect(event.output_tokens).toBeGreaterThan(0);
});
