/** The unmodified `ai` package, in every dialect it speaks, on upstreams that speak another. */
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import {
  APICallError,
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
import { lastRequest } from "./calls.js";
import { KEY, type RunningGateway, startGateway } from "./gateway.js";
import { acrossDialects, expectSameUsage, failureOf } from "./hub-gateway.js";

// It does not know the models of a fake upstream, and would say so at every call.
Object.assign(globalThis, { AI_SDK_LOG_WARNINGS: false });

const CITY = {
  type: "object",
  properties: { city: { type: "string", default: "Vienna" } },
  required: ["city"],
} as const;

let upstream: FakeUpstream;
let gateway: RunningGateway;

beforeAll(async () => {
  upstream = await startFakeUpstream();
  gateway = await startGateway({ resources: acrossDialects(upstream.url) });
});
afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
});
beforeEach(() => upstream.reset());

const openai = () => createOpenAI({ apiKey: KEY, baseURL: `${gateway.url}/v1` });
const anthropic = () => createAnthropic({ apiKey: KEY, baseURL: `${gateway.url}/v1` });

const MODELS: readonly [name: string, model: () => LanguageModel, path: string][] = [
  ["openai(), which is responses, on messages", () => openai()("claude-x"), "/v1/messages"],
  ["openai(), which is responses, on chat", () => openai()("chat-x"), "/v1/chat/completions"],
  ["openai.chat() on messages", () => openai().chat("claude-x"), "/v1/messages"],
  ["anthropic() on chat", () => anthropic()("chat-x"), "/v1/chat/completions"],
  ["openai.completion() on messages", () => openai().completion("claude-x"), "/v1/messages"],
  ["openai.completion() on chat", () => openai().completion("chat-x"), "/v1/chat/completions"],
];
const CONVERSATIONS = MODELS.filter(([name]) => !name.includes("completion"));

describe.each(MODELS)("%s", (_name, model, path) => {
  test("generateText", async () => {
    const result = await generateText({ model: model(), prompt: "Hello there", maxRetries: 0 });
    expect(result.text).toContain("Hello there");
    expect(lastRequest(upstream).path).toBe(path);
    const { inputTokens: input, outputTokens: output } = result.usage;
    const requestId = result.response.headers?.["x-weir-request-id"];
    await expectSameUsage(gateway, upstream, requestId, { input, output });
  });

  test("streamText", async () => {
    const result = streamText({ model: model(), prompt: "Hello there", maxRetries: 0 });
    let text = "";
    for await (const part of result.textStream) text += part;
    expect(text).toContain("Hello there");
    const { inputTokens: input, outputTokens: output } = await result.usage;
    const requestId = (await result.response).headers?.["x-weir-request-id"];
    await expectSameUsage(gateway, upstream, requestId, { input, output });
  });

  test("the upstream's error is the client's own, with its status and message", async () => {
    upstream.script({ status: 429, headers: { "retry-after": "7" } });
    const failed = await failureOf(generateText({ model: model(), prompt: "Hello", maxRetries: 0 }));
    if (!APICallError.isInstance(failed)) throw failed;
    expect(failed).toMatchObject({ statusCode: 429, isRetryable: true });
    expect(failed.message).toContain("The fake upstream answers 429.");
    expect(failed.responseHeaders?.["retry-after"]).toBe("7");
  });
});

describe.each(CONVERSATIONS)("%s", (_name, model) => {
  test.each([false, true])("a loop of tools, streamed: %s", async (streamed) => {
    const asked: unknown[] = [];
    const execute = async (input: unknown) => {
      asked.push(input);
      return "21 degrees";
    };
    const tools = { weather: tool({ description: "Weather", inputSchema: jsonSchema(CITY), execute }) };
    const options = { model: model(), prompt: "call weather", tools, stopWhen: stepCountIs(3), maxRetries: 0 };
    const result = streamed ? streamText(options) : await generateText(options);
    expect(await result.text).toContain("21 degrees");
    expect(asked).toEqual([{ city: "Vienna" }]);
    expect(upstream.requests()).toHaveLength(2);
  });

  test("generateObject", async () => {
    const options = { model: model(), schema: jsonSchema<{ city: string }>(CITY), prompt: "Where?", maxRetries: 0 };
    expect((await generateObject(options)).object).toEqual({ city: "Vienna" });
  });
});
