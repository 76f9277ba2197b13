/** Every provider's own token counter through the built gateway, for callers of both dialects; and tokenize. */
import Anthropic from "@anthropic-ai/sdk";
import { decode } from "gpt-tokenizer/encoding/o200k_base";
import OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Answer, BEARER, call, eventOf } from "./calls.js";
import { type CloudUpstream, json, startCloudUpstream } from "./cloud-upstream.js";
import { KEY, type RunningGateway, sha256, startGateway } from "./gateway.js";

const STRICT = "sk-strict-counter";
let upstream: CloudUpstream;
let gateway: RunningGateway;
let anthropic: Anthropic;
let openai: OpenAI;

function providerKeys(url: string): Record<string, unknown>[] {
  const aws = { access_key_id: "AKIDEXAMPLE", secret_access_key: "aws-very-secret-key" };
  const google = { access_token: "google-token", project: "acme", region: "us-east5" };
  return [
    { name: "bedrock", provider: "bedrock", api_base: url, region: "us-west-2", api_key: aws },
    { name: "bedrock-anthropic", provider: "bedrock-anthropic", api_base: url, region: "us-west-2", api_key: aws },
    { name: "vertex", provider: "vertex", api_base: url, api_key: google },
    { name: "vertex-anthropic", provider: "vertex-anthropic", api_base: url, api_key: google },
    { name: "gemini", provider: "gemini", api_base: url, api_key: "gemini-key" },
    { name: "openai", provider: "openai", api_base: `${url}/v1`, api_key: "openai-key" },
    { name: "anthropic", provider: "anthropic", api_base: url, api_key: "anthropic-key" },
    { name: "vllm", provider: "vllm", api_base: `${url}/v1` },
    { name: "groq", provider: "groq", api_base: url, api_key: "groq-key" },
    { name: "simulator", provider: "simulator" },
  ];
}

beforeAll(async () => {
  upstream = await startCloudUpstream();
  const keys = providerKeys(upstream.url);
  const anyone = { allowed_models: ["*"] };
  const resources = {
    _format_version: "1",
    provider_keys: keys,
    models: keys.map(({ name, provider }) => ({ name: `${name}/*`, provider, model_name: "*", provider_key: name })),
    api_keys: [
      { name: "tester", key_hash: sha256(KEY), ...anyone },
      { name: "strict", key_hash: sha256(STRICT), strict: true, ...anyone },
    ],
  };
  gateway = await startGateway({ resources });
  anthropic = new Anthropic({ apiKey: KEY, authToken: null, baseURL: gateway.url, maxRetries: 0 });
  openai = new OpenAI({ apiKey: KEY, baseURL: `${gateway.url}/v1`, maxRetries: 0 });
});
afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
});
beforeEach(() => {
  upstream.taken();
});

const HELLO = [{ role: "user" as const, content: "Hello" }];
const TOOL = { type: "object" as const, properties: { city: { type: "string" } } };

/** Provider, its model, the counter's path, what the counter answers. */
const COUNTERS: readonly (readonly [string, string, string, object])[] = [
  ["gemini", "gemini-2.5-pro", "/v1beta/models/gemini-2.5-pro:countTokens", { totalTokens: 42 }],
  [
    "vertex",
    "gemini-2.5-pro",
    "/v1/projects/acme/locations/us-east5/publishers/google/models/gemini-2.5-pro:countTokens",
    { totalTokens: 42, totalBillableCharacters: 9 },
  ],
  ["bedrock", "us.amazon.nova-lite-v1:0", "/model/amazon.nova-lite-v1%3A0/count-tokens", { inputTokens: 42 }],
  [
    "bedrock-anthropic",
    "us.anthropic.claude-x-v1.0",
    "/model/anthropic.claude-x-v1.0/count-tokens",
    { inputTokens: 42 },
  ],
  [
    "vertex-anthropic",
    "claude-x@1",
    "/v1/projects/acme/locations/us-east5/publishers/anthropic/models/count-tokens:rawPredict",
    { input_tokens: 42 },
  ],
  ["anthropic", "claude-x", "/v1/messages/count_tokens", { input_tokens: 42 }],
  ["openai", "gpt-x", "/v1/responses/input_tokens", { object: "response.input_tokens", input_tokens: 42 }],
];

const messages = (model: string, more: object = {}, headers: Record<string, string> = BEARER): Promise<Answer> =>
  call(`${gateway.url}/v1/messages/count_tokens`, { body: { model, messages: HELLO, ...more }, headers });

describe.each(COUNTERS)("%s", (provider, model, path, counted) => {
  test("counts for messages callers", async () => {
    upstream.on(path, (_request, response) => json(response, 200, counted));
    const tools = [{ name: "weather", input_schema: TOOL }];
    const asked = anthropic.messages.countTokens({ model: `${provider}/${model}`, messages: HELLO, tools });
    const { data, response } = await asked.withResponse();
    expect(data).toEqual({ input_tokens: 42 });
    expect(response.headers.get("x-weir-estimated")).toBeNull();
    expect(response.headers.get("x-weir-served-by")).toBe(provider);
    const requests = upstream.taken();
    expect(requests.map(({ url }) => url)).toEqual([path]);
    const inside = JSON.stringify(requests[0]?.body).replace(/"body":"([^"]*)"/, (_, text: string) => atob(text));
    expect(inside).toContain("Hello");
    expect(inside).toContain("weather");
    const event = await eventOf(gateway, response.headers.get("x-weir-request-id"));
    const told = { status: 200, upstream_status: 200, complete: true, input_tokens: 0, estimated: false };
    expect(event).toMatchObject({ ...told, operation: "count_tokens", provider, upstream_model: model });
  });

  test("counts for responses callers", async () => {
    upstream.on(path, (_request, response) => json(response, 200, counted));
    const asked = openai.responses.inputTokens.count({ model: `${provider}/${model}`, input: "Hello" });
    const { data, response } = await asked.withResponse();
    expect(data).toEqual({ object: "response.input_tokens", input_tokens: 42 });
    expect(response.headers.get("x-weir-estimated")).toBeNull();
    expect(upstream.taken()).toHaveLength(1);
  });

  test("too busy to count: the caller reads it in its own envelope", async () => {
    upstream.on(path, (_request, response) => {
      response.setHeader("retry-after", "7");
      json(response, 429, { error: { message: "Slow down", type: "x", status: "RESOURCE_EXHAUSTED" } });
    });
    const native = provider === "openai" ? "messages" : "responses";
    if (native === "messages") {
      const answer = await messages(`${provider}/${model}`);
      expect(answer.json()).toMatchObject({ type: "error", error: { type: "rate_limit_error", message: "Slow down" } });
      expect([answer.status, answer.headers["retry-after"]]).toEqual([429, "7"]);
      return;
    }
    const failed = openai.responses.inputTokens.count({ model: `${provider}/${model}`, input: "Hello" });
    await expect(failed).rejects.toMatchObject({ status: 429 });
  });
});

describe("a provider that turns out not to count", () => {
  const path = "/count-tokens";

  test.each([
    [400, { message: "The provided model doesn't support counting tokens." }],
    [403, { message: "not authorized to perform: bedrock:CountTokens" }],
    [404, {}],
  ])("%i: the gateway counts, and says so", async (status, body) => {
    upstream.on(path, (_request, response) => {
      response.setHeader("x-amzn-errortype", "ValidationException");
      json(response, status, body);
    });
    for (const provider of ["bedrock", "bedrock-anthropic"]) {
      const answer = await messages(`${provider}/anthropic.claude-${status}`);
      expect(answer.status).toBe(200);
      expect(answer.headers["x-weir-estimated"]).toBe("true");
      expect(answer.headers["x-weir-attempts"]).toBe("1");
      expect(answer.headers).not.toHaveProperty("x-amzn-errortype");
      expect(answer.json().input_tokens).toBeGreaterThan(0);
      const event = await eventOf(gateway, String(answer.headers["x-weir-request-id"]));
      expect(event).toMatchObject({ status: 200, upstream_status: status, error: "", input_tokens: 0 });
    }
  });

  test.each(["bedrock", "bedrock-anthropic"])("%s is not asked again for a while", async (provider) => {
    upstream.on(path, (_request, response) => json(response, 404, {}));
    const ask = (model: string) => messages(`${provider}/anthropic.${model}`);
    const first = await ask("claude-gone");
    expect(upstream.taken()).toHaveLength(1);
    const second = await ask("claude-gone");
    expect(upstream.taken()).toHaveLength(0);
    expect([second.status, second.headers["x-weir-estimated"]]).toEqual([200, "true"]);
    expect(second.json()).toEqual(first.json());
    await ask("claude-gone-too");
    expect(upstream.taken()).toHaveLength(1);
  });

  test("a request that is wrong is told so, on the wire of another dialect and inside the envelope", async () => {
    upstream.on(path, (_request, response) => {
      response.setHeader("x-amzn-errortype", "ValidationException");
      json(response, 400, { message: "roles must alternate" });
    });
    for (const provider of ["bedrock", "bedrock-anthropic"]) {
      const answer = await messages(`${provider}/anthropic.claude-x`);
      expect(answer.status).toBe(400);
      const error = { type: "invalid_request_error", message: "roles must alternate" };
      expect(answer.json()).toMatchObject({ type: "error", error });
    }
  });

  test.each([
    ["no count", {}],
    ["no JSON", null],
  ])("%s in a good answer is a broken answer", async (_name, body) => {
    upstream.on(path, (_request, response) => json(response, 200, body));
    expect((await messages("bedrock/anthropic.claude-x")).status).toBe(502);
  });

  test("a native counter's refusal passes as it is", async () => {
    upstream.on("/v1/messages/count_tokens", (_request, response) => json(response, 404, { odd: 1 }));
    const answer = await messages("anthropic/claude-none");
    expect([answer.status, answer.text]).toEqual([404, '{"odd":1}']);
  });

  test("a large prompt is translated and estimated on the pool", async () => {
    upstream.on(path, (_request, response) => json(response, 404, {}));
    const prompt = [{ role: "user", content: "word ".repeat(100_000) }];
    const answer = await messages("bedrock/anthropic.claude-large", { messages: prompt });
    expect(answer.headers["x-weir-estimated"]).toBe("true");
    expect(Math.abs(Number(answer.json().input_tokens) - 100_000)).toBeLessThan(1000);
  });
});

test("what the counter cannot be told is named, and refused in strict mode", async () => {
  upstream.on(":countTokens", (_request, response) => json(response, 200, { totalTokens: 5 }));
  const odd = { brand_new_field: 1 };
  const lenient = await messages("gemini/gemini-2.5-pro", odd);
  expect([lenient.status, lenient.headers["x-weir-losses"]]).toEqual([200, "brand_new_field"]);
  const strict = await messages("gemini/gemini-2.5-pro", odd, { authorization: `Bearer ${STRICT}` });
  expect(strict.status).toBe(400);
  expect(strict.text).toContain("brand_new_field");
});

test.each([
  ["previous_response_id", { previous_response_id: "resp_1" }],
  ["conversation", { conversation: "conv_1" }],
])("a prompt that leans on %s is not counted by halves", async (param, more) => {
  const body = { model: "groq/llama", input: "Hello", ...more };
  const answer = await call(`${gateway.url}/v1/responses/input_tokens`, { body });
  expect(answer.status).toBe(400);
  expect(answer.json()).toMatchObject({ error: { code: "unsupported_operation", param } });
});

describe("tokenize", () => {
  const tokenize = (body: object): Promise<Answer> => call(`${gateway.url}/tokenize`, { body });

  test("passes to the server that has it, at its root", async () => {
    const text = '{"count":2,"max_model_len":4096,"tokens":[9906,1917],"token_strs":null}';
    upstream.on("/tokenize", (_request, response) => {
      response.writeHead(200, { "content-type": "application/json" }).end(text);
    });
    const answer = await tokenize({ model: "vllm/llama", prompt: "Hello world", add_special_tokens: false });
    expect([answer.status, answer.text]).toEqual([200, text]);
    expect(answer.headers["x-weir-estimated"]).toBeUndefined();
    const [request] = upstream.taken();
    expect([request?.url, request?.text]).toEqual([
      "/tokenize",
      '{"model":"llama","prompt":"Hello world","add_special_tokens":false}',
    ]);
    const event = await eventOf(gateway, String(answer.headers["x-weir-request-id"]));
    expect(event).toMatchObject({ operation: "tokenize", client_dialect: "tokenize", status: 200, input_tokens: 0 });
  });

  test("elsewhere names the tokens of the gateway's own vocabulary, and says that it does", async () => {
    const prompt = "Grüße an die <|endoftext|> Welt \u{1f600}";
    const answer = await tokenize({ model: "groq/llama", prompt, return_token_strs: true });
    expect([answer.status, answer.headers["x-weir-estimated"]]).toEqual([200, "true"]);
    const { count, tokens, max_model_len, token_strs } = answer.json() as Record<string, never[]>;
    expect(decode(tokens as number[])).toBe(prompt);
    expect([count, token_strs?.length, max_model_len]).toEqual([tokens?.length, tokens?.length, null]);
    expect(upstream.taken()).toHaveLength(0);
  });

  test("takes messages, and a prompt too long to be spelled out", async () => {
    const chat = await tokenize({ model: "groq/llama", messages: HELLO });
    expect(chat.json()).toMatchObject({ count: 1, token_strs: null });
    const long = await tokenize({ model: "groq/llama", prompt: "word ".repeat(300_000) });
    expect(long.json()).toMatchObject({ tokens: null, token_strs: null });
    expect(Math.abs(Number(long.json().count) - 300_000)).toBeLessThan(1000);
  });

  test("is what the simulator can do too", async () => {
    const answer = await tokenize({ model: "simulator/any", prompt: "Hello world" });
    expect(answer.json()).toMatchObject({ count: 3, token_strs: null });
    expect(answer.headers["x-weir-estimated"]).toBeUndefined();
  });

  test("refuses what it cannot read, in the envelope of its dialect", async () => {
    const answer = await tokenize({ model: "groq/llama", prompt: ["a", "b"] });
    expect(answer.status).toBe(400);
    expect(answer.json()).toMatchObject({ error: { code: "invalid_request_error", param: "prompt" } });
  });
});
