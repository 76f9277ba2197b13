/** A gateway that was given nothing: it says how to use it, and what it says works. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import Anthropic from "@anthropic-ai/sdk";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText } from "ai";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { eventOf, lastRequest, received } from "./calls.js";
import { type RunningGateway, startGateway } from "./gateway.js";

const run = promisify(execFile);
const OPENAI_SECRET = "sk-openai-of-the-environment";
const ANTHROPIC_SECRET = "sk-ant-of-the-environment";

/** What the gateway printed for its user: the key, and the line to paste. */
function printed(gateway: RunningGateway): { key: string; curl: string; text: string } {
  const text = gateway.stderr();
  const key = /API key:\s+(\S+)/.exec(text)?.[1] ?? "";
  const curl = text.split("\n").find((line) => line.startsWith("curl ")) ?? "";
  return { key, curl, text };
}

describe("with nothing in the environment", () => {
  let gateway: RunningGateway;
  let key: string;

  beforeAll(async () => {
    gateway = await startGateway();
    await gateway.until(() => printed(gateway).curl !== "");
    ({ key } = printed(gateway));
  });
  afterAll(() => gateway?.dispose());

  test("the printed line, run by a shell as it stands, answers 200", async () => {
    const { curl } = printed(gateway);
    expect(curl).toContain(`${gateway.url}/v1/chat/completions`);
    const { stdout } = await run("sh", ["-c", `${curl} -s -w '\\n%{http_code}'`]);
    const [body, status] = stdout.split("\n");
    expect(status).toBe("200");
    expect(JSON.parse(body ?? "")).toMatchObject({
      object: "chat.completion",
      model: "simulator",
      choices: [{ message: { role: "assistant", content: "You said: Hello" } }],
    });
  });

  test("the key is made for this start, and is long", async () => {
    expect(key.length).toBeGreaterThanOrEqual(32);
    const other = await startGateway();
    try {
      await other.until(() => printed(other).curl !== "");
      expect(printed(other).key).not.toBe(key);
    } finally {
      await other.dispose();
    }
  });

  test("the simulator answers in every dialect, streamed and not", async () => {
    const openai = new OpenAI({ apiKey: key, baseURL: `${gateway.url}/v1`, maxRetries: 0 });
    const anthropic = new Anthropic({ apiKey: key, authToken: null, baseURL: gateway.url, maxRetries: 0 });
    const model = "simulator";
    const messages = [{ role: "user" as const, content: "Hello" }];
    const said = "You said: Hello";
    const chat = await openai.chat.completions.create({ model, messages }).withResponse();
    expect(chat.data.choices[0]?.message.content).toBe(said);
    const chatStream = await openai.chat.completions.stream({ model, messages }).finalChatCompletion();
    expect(chatStream.choices[0]?.message.content).toBe(said);
    expect((await openai.responses.create({ model, input: "Hello" })).output_text).toBe(said);
    expect((await openai.responses.stream({ model, input: "Hello" }).finalResponse()).output_text).toBe(said);
    expect((await openai.responses.inputTokens.count({ model, input: "Hello" })).input_tokens).toBeGreaterThan(0);
    expect((await openai.completions.create({ model, prompt: "Hello" })).choices[0]?.text).toContain("Hello");
    expect((await openai.embeddings.create({ model, input: "Hello" })).data[0]?.embedding).toHaveLength(64);
    const asked = { model, messages, max_tokens: 50 };
    expect((await anthropic.messages.create(asked)).content).toEqual([{ type: "text", text: said }]);
    expect((await anthropic.messages.stream(asked).finalMessage()).content).toEqual([{ type: "text", text: said }]);
    expect((await anthropic.messages.countTokens({ model, messages })).input_tokens).toBeGreaterThan(0);
    const vercel = createOpenAI({ apiKey: key, baseURL: `${gateway.url}/v1` });
    expect((await generateText({ model: vercel(model), prompt: "Hello", maxRetries: 0 })).text).toBe(said);
    const event = await eventOf(gateway, chat.response.headers.get("x-weir-request-id"));
    expect(event).toMatchObject({
      provider: "simulator",
      api_key: "default",
      input_tokens: chat.data.usage?.prompt_tokens,
      output_tokens: chat.data.usage?.completion_tokens,
      complete: true,
    });
    expect(await gateway.events()).toHaveLength(12);
  });

  test("a tool loop works with the simulator alone", async () => {
    const openai = new OpenAI({ apiKey: key, baseURL: `${gateway.url}/v1`, maxRetries: 0 });
    const runner = openai.chat.completions.runTools({
      model: "simulator",
      messages: [{ role: "user", content: "call now" }],
      tools: [
        {
          type: "function",
          function: {
            name: "now",
            description: "What time is it?",
            parameters: { type: "object", properties: {} },
            function: () => "noon",
          },
        },
      ],
    });
    expect(await runner.finalContent()).toBe("The tool answered: noon");
  });

  test("only the simulator is there, and only for the printed key", async () => {
    const openai = new OpenAI({ apiKey: key, baseURL: `${gateway.url}/v1`, maxRetries: 0 });
    const ids = (await openai.models.list()).data.map((model) => model.id);
    expect(ids).toContain("simulator");
    expect(ids.filter((id) => !id.startsWith("simulator"))).toEqual([]);
    const chat = openai.chat.completions;
    const messages = [{ role: "user" as const, content: "Hello" }];
    await expect(chat.create({ model: "gpt-x", messages })).rejects.toBeInstanceOf(OpenAI.NotFoundError);
    const stranger = new OpenAI({ apiKey: "sk-other", baseURL: `${gateway.url}/v1`, maxRetries: 0 });
    await expect(stranger.models.list()).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
  });

  test("it drains like any other", async () => {
    expect(await gateway.end("SIGTERM")).toEqual({ code: 0, signal: null });
  });
});

describe("with the usual variables in the environment", () => {
  let upstream: FakeUpstream;
  let gateway: RunningGateway;

  beforeAll(async () => {
    upstream = await startFakeUpstream();
    const environment = {
      OPENAI_API_KEY: OPENAI_SECRET,
      OPENAI_BASE_URL: `${upstream.url}/v1`,
      ANTHROPIC_API_KEY: ANTHROPIC_SECRET,
      ANTHROPIC_BASE_URL: upstream.url,
    };
    gateway = await startGateway({ environment });
    await gateway.until(() => printed(gateway).curl !== "");
  });
  afterAll(async () => {
    await gateway?.dispose();
    await upstream?.close();
  });

  test("their models are reachable under their own names", async () => {
    const { key } = printed(gateway);
    const openai = new OpenAI({ apiKey: key, baseURL: `${gateway.url}/v1`, maxRetries: 0 });
    const anthropic = new Anthropic({ apiKey: key, authToken: null, baseURL: gateway.url, maxRetries: 0 });
    const messages = [{ role: "user" as const, content: "Hello" }];
    for (const model of ["gpt-4o", "gpt-of-next-year"]) {
      const answer = await openai.chat.completions.create({ model, messages });
      expect(answer.choices[0]?.message.content).toBe("You said: Hello");
      expect(lastRequest(upstream)).toMatchObject({ model, path: "/v1/chat/completions" });
      expect(received(lastRequest(upstream), "authorization")).toEqual([`Bearer ${OPENAI_SECRET}`]);
    }
    await openai.embeddings.create({ model: "text-embedding-3-small", input: "Hello" });
    expect(lastRequest(upstream).path).toBe("/v1/embeddings");
    const message = await anthropic.messages.create({ model: "claude-of-next-year", max_tokens: 50, messages });
    expect(message.content).toEqual([{ type: "text", text: "You said: Hello" }]);
    expect(lastRequest(upstream)).toMatchObject({ model: "claude-of-next-year", path: "/v1/messages" });
    expect(received(lastRequest(upstream), "x-api-key")).toEqual([ANTHROPIC_SECRET]);
    const simulated = await openai.chat.completions.create({ model: "simulator", messages });
    expect(simulated.choices[0]?.message.content).toBe("You said: Hello");
  });

  test("it names the providers that it found, and prints no secret of theirs", async () => {
    const { text } = printed(gateway);
    expect(text).toContain("openai");
    expect(text).toContain("anthropic");
    await gateway.end("SIGTERM");
    const written = gateway.stdout() + gateway.stderr() + JSON.stringify(await gateway.events());
    for (const secret of [OPENAI_SECRET, ANTHROPIC_SECRET]) expect(written).not.toContain(secret);
  });
});

test("a listener on every address still prints a line that works", async () => {
  const gateway = await startGateway({ config: { listen: "0.0.0.0:0" } });
  try {
    await gateway.until(() => printed(gateway).curl !== "");
    const { stdout } = await run("sh", ["-c", `${printed(gateway).curl} -s -o /dev/null -w '%{http_code}'`]);
    expect(stdout).toBe("200");
  } finally {
    await gateway.dispose();
  }
});
