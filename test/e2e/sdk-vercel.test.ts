/** The unmodified `ai` package with `@ai-sdk/openai` and `@ai-sdk/anthropic` through the built gateway. */
import { type AnthropicProvider, createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI, type OpenAIProvider } from "@ai-sdk/openai";
import {
  APICallError,
  embedMany,
  generateObject,
  generateText,
  jsonSchema,
  type LanguageModel,
  stepCountIs,
  streamText,
  tool,
} from "ai";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { eventOf, lastRequest } from "./calls.js";
import { KEY, oneProvider, type RunningGateway, startGateway } from "./gateway.js";

// It does not know the models of a fake upstream, and would say so at every call.
Object.assign(globalThis, { AI_SDK_LOG_WARNINGS: false });

let upstream: FakeUpstream;
let gateway: RunningGateway;
let openai: OpenAIProvider;
let anthropic: AnthropicProvider;

beforeAll(async () => {
  upstream = await startFakeUpstream();
  gateway = await startGateway({ resources: oneProvider(upstream.url) });
  openai = createOpenAI({ apiKey: KEY, baseURL: `${gateway.url}/v1` });
  anthropic = createAnthropic({ apiKey: KEY, baseURL: `${gateway.url}/v1` });
});
afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
});
beforeEach(() => upstream.reset());

const MODELS: readonly [name: string, model: () => LanguageModel, operation: string, path: string][] = [
  ["openai(), which is responses", () => openai("gpt-x"), "responses", "/v1/responses"],
  ["openai.chat()", () => openai.chat("gpt-x"), "chat", "/v1/chat/completions"],
  ["openai.completion()", () => openai.completion("gpt-x"), "completions", "/v1/completions"],
  ["anthropic()", () => anthropic("claude-x"), "messages", "/v1/messages"],
];
const CONVERSATIONS = MODELS.filter(([, , operation]) => operation !== "completions");

interface Told {
  readonly inputTokens: number | undefined;
  readonly outputTokens: number | undefined;
}

/** What the client was told, what the upstream dealt out and what was recorded are the same. */
async function expectSameUsage(headers: Readonly<Record<string, string>> | undefined, told: Told, operation: string) {
  const { inputTokens, outputTokens } = lastRequest(upstream);
  expect(inputTokens).toBeGreaterThan(0);
  expect(told).toMatchObject({ inputTokens, outputTokens });
  const event = await eventOf(gateway, headers?.["x-weir-request-id"]);
  const seen = { operation, input_tokens: inputTokens, output_tokens: outputTokens };
  expect(event).toMatchObject({ ...seen, estimated: false, complete: true, status: 200 });
}

describe.each(MODELS)("%s", (_name, model, operation, path) => {
  test("generateText", async () => {
    const result = await generateText({ model: model(), prompt: "Hello there", maxRetries: 0 });
    expect(result.text).toContain("Hello there");
    expect(lastRequest(upstream).path).toBe(path);
    await expectSameUsage(result.response.headers, result.usage, operation);
  });

  test("streamText", async () => {
    const result = streamText({ model: model(), prompt: "Hello there", maxRetries: 0 });
    let text = "";
    for await (const part of result.textStream) text += part;
    expect(text).toContain("Hello there");
    await expectSameUsage((await result.response).headers, await result.usage, operation);
  });

  test("an unknown key is the client's own error", async () => {
    const headers = { authorization: "Bearer sk-wrong", "x-api-key": "sk-wrong" };
    const asked = generateText({ model: model(), prompt: "Hello", maxRetries: 0, headers });
    const failed = await asked.catch((caught: unknown) => caught);
    if (!APICallError.isInstance(failed)) throw failed;
    expect(failed).toMatchObject({ statusCode: 401, isRetryable: false });
    expect(failed.message).toContain("API key");
    expect(upstream.requests()).toHaveLength(0);
  });

  test("the upstream's error and its retry-after are the client's own error", async () => {
    const error = { type: "vendor_type", message: "Slow down, please.", code: "vendor_code", param: null };
    const body = operation === "messages" ? { type: "error", error } : { error };
    upstream.script({ status: 429, body, headers: { "retry-after": "3" } });
    const asked = generateText({ model: model(), prompt: "Hello", maxRetries: 0 });
    const failed = await asked.catch((caught: unknown) => caught);
    if (!APICallError.isInstance(failed)) throw failed;
    expect(failed).toMatchObject({ statusCode: 429, isRetryable: true, message: "Slow down, please." });
    expect(JSON.parse(failed.responseBody ?? "")).toEqual(body);
    expect(failed.responseHeaders?.["retry-after"]).toBe("3");
  });
});

describe.each(CONVERSATIONS)("tools with %s", (_name, model) => {
  const weather = (asked: unknown[]) =>
    tool({
      description: "How is the weather?",
      inputSchema: jsonSchema<{ city: string }>({
        type: "object",
        properties: { city: { type: "string", default: "Vienna" } },
        required: ["city"],
        additionalProperties: false,
      }),
      execute: async (input) => {
        asked.push(input);
        return "21 degrees";
      },
    });

  test("generateText, two turns", async () => {
    const asked: unknown[] = [];
    const result = await generateText({
      model: model(),
      prompt: "call weather",
      tools: { weather: weather(asked) },
      stopWhen: stepCountIs(3),
      maxRetries: 0,
    });
    expect(asked).toEqual([{ city: "Vienna" }]);
    expect(result.steps).toHaveLength(2);
    expect(result.steps[0]?.finishReason).toBe("tool-calls");
    expect(result.text).toContain("21 degrees");
  });

  test("streamText, two turns", async () => {
    const asked: unknown[] = [];
    const result = streamText({
      model: model(),
      prompt: "call weather",
      tools: { weather: weather(asked) },
      stopWhen: stepCountIs(3),
      maxRetries: 0,
    });
    expect(await result.text).toContain("21 degrees");
    expect(asked).toEqual([{ city: "Vienna" }]);
    expect(await result.steps).toHaveLength(2);
    const dealt = upstream.requests().reduce((sum, request) => sum + request.outputTokens, 0);
    expect(await result.totalUsage).toMatchObject({ outputTokens: dealt });
  });

  test("generateObject", async () => {
    const schema = jsonSchema<{ level: number }>({
      type: "object",
      properties: { level: { type: "number" } },
      required: ["level"],
      additionalProperties: false,
    });
    const { object } = await generateObject({ model: model(), prompt: "How high?", schema, maxRetries: 0 });
    expect(object).toEqual({ level: 1 });
  });

  test("an error inside a stream is told as one", async () => {
    upstream.script({ close_after_frames: 5, words: 30 });
    const errors: unknown[] = [];
    const result = streamText({
      model: model(),
      prompt: "Hello",
      maxRetries: 0,
      onError: ({ error }) => {
        errors.push(error);
      },
    });
    await result.consumeStream({ onError: () => {} });
    expect(errors).toHaveLength(1);
    expect(JSON.stringify(errors[0])).toMatch(/transport_error|api_error/);
  });
});

test("embedMany", async () => {
  const model = openai.embedding("text-embedding-small");
  const result = await embedMany({ model, values: ["one", "two words", "three of them"], maxRetries: 0 });
  expect(result.embeddings.map((vector) => vector.length)).toEqual([64, 64, 64]);
  expect(result.usage.tokens).toBe(lastRequest(upstream).inputTokens);
  const event = await eventOf(gateway, result.responses?.[0]?.headers?.["x-weir-request-id"]);
  expect(event).toMatchObject({ operation: "embeddings", input_tokens: result.usage.tokens, output_tokens: 0 });
});
