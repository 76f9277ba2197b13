/** The vendors' own clients are the judges of the shapes. */
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import Anthropic from "@anthropic-ai/sdk";
import { embed, generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../../fake-upstream/fake-upstream.js";

let fake: FakeUpstream;
let openai: OpenAI;
let anthropic: Anthropic;

beforeAll(async () => {
  // The client warns of every model name that it does not know.
  Object.assign(globalThis, { AI_SDK_LOG_WARNINGS: false });
  fake = await startFakeUpstream();
  openai = new OpenAI({ apiKey: "k", baseURL: `${fake.url}/v1`, maxRetries: 0 });
  anthropic = new Anthropic({ apiKey: "k", baseURL: fake.url, maxRetries: 0 });
});

afterAll(() => fake.close());

const model = "simulator";
const parameters = { type: "object" as const, properties: { city: { type: "string" as const } }, required: ["city"] };

describe("openai", () => {
  const messages = [{ role: "user" as const, content: "use a tool" }];
  const tools = [{ type: "function" as const, function: { name: "weather", parameters } }];

  it("chats", async () => {
    const answer = await openai.chat.completions.create({ model, messages });
    expect(answer.choices[0]?.message.content).toBe("You said: use a tool");
    const stream = openai.chat.completions.stream({ model, messages, stream_options: { include_usage: true } });
    const final = await stream.finalChatCompletion();
    expect(final.choices[0]?.message.content).toBe("You said: use a tool");
    expect(final.usage).toEqual(answer.usage);
  });

  it("calls tools in a stream", async () => {
    const final = await openai.chat.completions.stream({ model, messages, tools }).finalChatCompletion();
    const call = final.choices[0]?.message.tool_calls?.[0];
    expect(final.choices[0]?.finish_reason).toBe("tool_calls");
    expect(call?.type === "function" && JSON.parse(call.function.arguments)).toEqual({ city: "sample" });
  });

  it("responds", async () => {
    const answer = await openai.responses.create({ model, input: "hi" });
    expect(answer.output_text).toBe("You said: hi");
    const final = await openai.responses.stream({ model, input: "hi" }).finalResponse();
    expect(final.output_text).toBe("You said: hi");
    expect(final.usage).toEqual(answer.usage);
    const named = [{ type: "function" as const, name: "weather", parameters, strict: false }];
    const called = await openai.responses.stream({ model, input: "use a tool", tools: named }).finalResponse();
    expect(called.output[0]).toMatchObject({ type: "function_call", name: "weather", arguments: '{"city":"sample"}' });
  });

  it("completes, embeds and lists", async () => {
    const answer = await openai.completions.create({ model, prompt: "once" });
    expect(answer.choices[0]?.text).toBe("You said: once");
    const parts: string[] = [];
    for await (const part of await openai.completions.create({ model, prompt: "once", stream: true })) {
      parts.push(part.choices[0]?.text ?? "");
    }
    expect(parts.join("")).toBe("You said: once");
    const packed = await openai.embeddings.create({ model, input: "a", dimensions: 8 });
    const floats = await openai.embeddings.create({ model, input: "a", dimensions: 8, encoding_format: "float" });
    expect(Array.from(packed.data[0]?.embedding ?? [])).toEqual(floats.data[0]?.embedding);
    expect((await openai.models.list()).data[0]?.id).toBe("simulator");
  });
});

describe("anthropic", () => {
  const messages = [{ role: "user" as const, content: "use a tool" }];
  const tools = [{ name: "weather", input_schema: parameters }];

  it("sends messages", async () => {
    const answer = await anthropic.messages.create({ model, messages, max_tokens: 100 });
    expect(answer.content[0]).toMatchObject({ type: "text", text: "You said: use a tool" });
    const final = await anthropic.messages.stream({ model, messages, max_tokens: 100 }).finalMessage();
    expect(final.content[0]).toMatchObject({ type: "text", text: "You said: use a tool" });
    expect(final.usage.output_tokens).toBe(answer.usage.output_tokens);
    expect(final.stop_reason).toBe("end_turn");
  });

  it("calls tools and counts tokens", async () => {
    const final = await anthropic.messages.stream({ model, messages, tools, max_tokens: 100 }).finalMessage();
    expect(final.content).toMatchObject([{ type: "tool_use", name: "weather", input: { city: "sample" } }]);
    const answer = await anthropic.messages.create({ model, messages, tools, max_tokens: 100 });
    expect(answer.content[0]).toMatchObject({ type: "tool_use", input: { city: "sample" } });
    const count = await anthropic.messages.countTokens({ model, messages, tools });
    expect(count.input_tokens).toBe(answer.usage.input_tokens);
  });
});

describe("ai", () => {
  const weather = tool({ inputSchema: jsonSchema<{ city: string }>(parameters), execute: async () => "sunny" });
  const models = () => {
    const provider = createOpenAI({ apiKey: "k", baseURL: `${fake.url}/v1` });
    return {
      chat: provider.chat(model),
      responses: provider.responses(model),
      completion: provider.completion(model),
      messages: createAnthropic({ apiKey: "k", baseURL: `${fake.url}/v1` })(model),
    };
  };

  it.each(["chat", "responses", "completion", "messages"] as const)("writes and streams by %s", async (kind) => {
    const answer = await generateText({ model: models()[kind], prompt: "hi", maxRetries: 0 });
    expect(answer.text).toMatch(/^You said: /);
    const stream = streamText({ model: models()[kind], prompt: "hi", maxRetries: 0 });
    expect(await stream.text).toBe(answer.text);
    expect((await stream.usage).outputTokens).toBe(answer.usage.outputTokens);
    expect(answer.usage.outputTokens).toBeGreaterThan(0);
  });

  it.each(["chat", "responses", "messages"] as const)("goes round the tool loop by %s", async (kind) => {
    const options = { model: models()[kind], prompt: "use a tool", tools: { weather }, maxRetries: 0 };
    const answer = await generateText({ ...options, stopWhen: stepCountIs(3) });
    expect(answer.text).toBe("The tool answered: sunny");
    const stream = streamText({ ...options, stopWhen: stepCountIs(3) });
    expect(await stream.text).toBe("The tool answered: sunny");
    expect((await stream.steps)[0]?.toolCalls[0]?.input).toEqual({ city: "sample" });
  });

  it("embeds", async () => {
    const provider = createOpenAI({ apiKey: "k", baseURL: `${fake.url}/v1` });
    const { embedding } = await embed({ model: provider.embedding(model), value: "a", maxRetries: 0 });
    expect(embedding).toHaveLength(64);
  });
});
