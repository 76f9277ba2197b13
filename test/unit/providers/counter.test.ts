import { Readable } from "node:stream";
import { BedrockRuntimeClient, CountTokensCommand, type CountTokensInput } from "@aws-sdk/client-bedrock-runtime";
import { GoogleGenAI } from "@google/genai";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { ProviderKeyResource } from "../../../src/config/resources.js";
import type { DialectId, Operation } from "../../../src/dialects/dialect.js";
import { translateRequest } from "../../../src/dialects/hub.js";
import { isFailure } from "../../../src/errors.js";
import { CATALOG } from "../../../src/providers/catalog.js";
import { CONVERSE_COUNTER, INVOKE_COUNTER, RESPONSES_COUNTER } from "../../../src/providers/catalog-counters.js";
import { cannotCount, countIn, counterRequest } from "../../../src/providers/counter.js";
import { providerKeyProblem, type Target, targetFor } from "../../../src/providers/target.js";
import { traitsOf } from "../../../src/providers/traits.js";
import { providerKey } from "./keys.js";

// biome-ignore lint/suspicious/noExplicitAny: bodies are looked into field by field.
type Json = any;

const COUNTS = { count_tokens: "anthropic-messages", input_tokens: "openai-responses" } as const;
const CLOUDS: Readonly<Record<string, Partial<ProviderKeyResource>>> = {
  bedrock: { credential: { access_key_id: "AKID", secret_access_key: "s" }, region: "us-east-1" },
  vertex: { credential: { access_token: "t", project: "acme", region: "us-east5" } },
};

function keyOf(provider: string, differs: Partial<ProviderKeyResource> = {}): ProviderKeyResource {
  const cloud = CLOUDS[provider.replace("-anthropic", "")];
  return providerKey(provider, { ...(cloud === undefined ? {} : { apiKey: "", ...cloud }), ...differs });
}

function counterAt(key: ProviderKeyResource, operation: keyof typeof COUNTS): Target {
  const found = targetFor({ providerKey: key, entry: { provider: key.provider } }, operation, COUNTS[operation]);
  if (found === null) throw new Error(providerKeyProblem(key) ?? "no counter");
  return found;
}

/** What the counter of a target is sent for a caller's request. */
function sent(target: Target, model: string, body: object): Json {
  const { client } = target.bridge;
  const traits = traitsOf(target, model);
  const bytes = Buffer.from(JSON.stringify(body));
  const job = { client, wire: target.dialect, body: bytes, traits, stream: false };
  const translation = target.bridge.kind === "hub" ? translateRequest(job) : { body: bytes };
  if (isFailure(translation)) throw new Error(translation.message);
  const request = target.bodyFor(Buffer.from(translation.body), [], model);
  if (isFailure(request)) throw new Error(request.message);
  return JSON.parse(request.toString("utf8"));
}

const SCHEMA = { type: "object", properties: { city: { type: "string" } } };
const MESSAGES = {
  model: "m",
  system: "Be brief.",
  messages: [{ role: "user", content: "Weather?" }],
  tools: [{ name: "weather", description: "d", input_schema: SCHEMA }],
};
const RESPONSES = {
  model: "m",
  instructions: "Be brief.",
  input: "Weather?",
  tools: [{ type: "function", name: "weather", parameters: SCHEMA }],
};

afterEach(() => vi.unstubAllGlobals());

describe("counters of other wires", () => {
  it("Gemini's gets the whole request with the model's name inside", () => {
    const target = counterAt(keyOf("gemini"), "count_tokens");
    expect(target.path("gemini-2.5-pro", false)).toBe("/v1beta/models/gemini-2.5-pro:countTokens");
    const { generateContentRequest: request, ...rest } = sent(target, "gemini-2.5-pro", MESSAGES);
    expect(rest).toEqual({});
    expect(request).toMatchObject({
      model: "models/gemini-2.5-pro",
      contents: [{ role: "user", parts: [{ text: "Weather?" }] }],
      systemInstruction: { parts: [{ text: "Be brief." }] },
      tools: [{ functionDeclarations: [{ name: "weather" }] }],
    });
    expect(sent(target, "models/gemini-2.5-pro", MESSAGES).generateContentRequest.model).toBe("models/gemini-2.5-pro");
  });

  it("the cloud's form of it gets what the vendor's client would send", async () => {
    const target = counterAt(keyOf("vertex"), "input_tokens");
    const ours = sent(target, "gemini-2.5-pro", { ...RESPONSES, temperature: 0.5, tool_choice: "required" });
    let theirs = { url: "", body: {} as Json };
    vi.stubGlobal("fetch", async (url: string | URL, options: { body: string }) => {
      theirs = { url: String(url), body: JSON.parse(options.body) };
      return new Response('{"totalTokens":7}', { headers: { "content-type": "application/json" } });
    });
    const client = new GoogleGenAI({ vertexai: true, apiKey: "none" });
    const { contents, ...config } = ours;
    const answer = await client.models.countTokens({ model: "gemini-2.5-pro", contents, config });
    expect(answer.totalTokens).toBe(7);
    expect(ours).toEqual(theirs.body);
    expect(Object.keys(ours).sort()).toEqual(["contents", "generationConfig", "systemInstruction", "tools"]);
    const path = "/publishers/google/models/gemini-2.5-pro:countTokens";
    expect(theirs.url).toContain(path);
    expect(target.path("gemini-2.5-pro", false)).toBe(`/v1/projects/acme/locations/us-east5${path}`);
  });

  it("OpenAI's gets what its own callers may send", () => {
    const target = counterAt(keyOf("openai"), "count_tokens");
    expect(target.path("gpt-5", false)).toBe("/v1/responses/input_tokens");
    const body = sent(target, "gpt-5", { ...MESSAGES, tool_choice: { type: "any" } });
    expect(body).toMatchObject({ model: "gpt-5", instructions: "Be brief.", tool_choice: "required" });
    const known = RESPONSES_COUNTER.reads ?? [];
    expect(Object.keys(body).filter((name) => !known.includes(name))).toEqual([]);
  });

  it.each(["anthropic", "vertex-anthropic"])("%s's gets no cap and no sampling", (provider) => {
    const target = counterAt(keyOf(provider), "input_tokens");
    const body = sent(target, "claude-sonnet-4-5", { ...RESPONSES, max_output_tokens: 9, temperature: 0.5 });
    expect(body).toMatchObject({
      model: "claude-sonnet-4-5",
      messages: [{ role: "user" }],
      tools: [{ name: "weather" }],
    });
    expect(body).not.toHaveProperty("max_tokens");
    expect(body).not.toHaveProperty("temperature");
    expect(body.anthropic_version).toBe(provider === "anthropic" ? undefined : "vertex-2023-10-16");
  });

  it("sends nothing that a key adds for models only", () => {
    const request = { ...keyOf("anthropic").request, defaultBodyFields: { temperature: 0.1 }, bodySet: { top_k: 3 } };
    const body = sent(counterAt(keyOf("anthropic", { request }), "input_tokens"), "claude-x", RESPONSES);
    expect(Object.keys(body)).not.toEqual(expect.arrayContaining(["temperature"]));
    expect(body).not.toHaveProperty("top_k");
  });
});

describe("CountTokens", () => {
  /** The body and the path that the vendor's client sends for this input, and what it reads from the answer. */
  async function bySdk(modelId: string, input: CountTokensInput): Promise<Json> {
    let seen: Json = {};
    const handle = async (request: { path: string; body: Uint8Array | string }): Promise<object> => {
      seen = { path: request.path, body: JSON.parse(Buffer.from(request.body).toString("utf8")) };
      const body = Readable.from([Buffer.from('{"inputTokens":12}')]);
      return { response: { statusCode: 200, headers: { "content-type": "application/json" }, body } };
    };
    const client = new BedrockRuntimeClient({
      region: "us-east-1",
      credentials: { accessKeyId: "AKID", secretAccessKey: "s" },
      requestHandler: { handle } as never,
    });
    const { inputTokens } = await client.send(new CountTokensCommand({ modelId, input }));
    return { ...seen, inputTokens };
  }

  it("gets a conversation as the vendor's client sends it", async () => {
    const target = counterAt(keyOf("bedrock"), "count_tokens");
    const ours = sent(target, "amazon.nova-lite-v1:0", MESSAGES);
    expect(Object.keys(ours.input.converse)).toEqual(["messages", "system", "toolConfig"]);
    const theirs = await bySdk("amazon.nova-lite-v1:0", ours.input);
    expect(ours).toEqual(theirs.body);
    expect(target.path("amazon.nova-lite-v1:0", false)).toBe(theirs.path);
    expect(theirs.inputTokens).toBe(12);
    expect(countIn(CONVERSE_COUNTER, Buffer.from('{"inputTokens":12}'))).toBe(12);
  });

  it("gets Claude's own words as InvokeModel would, with a cap", async () => {
    const target = counterAt(keyOf("bedrock-anthropic"), "count_tokens");
    const ours = sent(target, "anthropic.claude-x-v1:0", { ...MESSAGES, brand_new: 1 });
    const body = Buffer.from(ours.input.invokeModel.body, "base64");
    const theirs = await bySdk("anthropic.claude-x-v1:0", { invokeModel: { body } });
    expect(ours).toEqual(theirs.body);
    expect(target.path("anthropic.claude-x-v1:0", false)).toBe(theirs.path);
    const { model: _, ...said } = MESSAGES;
    const inner = JSON.parse(body.toString("utf8"));
    expect(inner).toEqual({ ...said, anthropic_version: "bedrock-2023-05-31", brand_new: 1, max_tokens: 1 });
  });

  it("gets a cap beyond the thinking, and the caller's own where there is one", () => {
    const capOf = (body: object): number => {
      const request = counterRequest(INVOKE_COUNTER, Buffer.from(JSON.stringify(body)), "m");
      const { body: inner } = JSON.parse(request.toString("utf8")).input.invokeModel;
      return JSON.parse(Buffer.from(inner, "base64").toString("utf8")).max_tokens;
    };
    expect(capOf({ thinking: { type: "enabled", budget_tokens: 5000 } })).toBe(6024);
    expect(capOf({ thinking: { type: "adaptive" } })).toBe(1);
    expect(capOf({ thinking: { type: "enabled", budget_tokens: 5000 }, max_tokens: 7 })).toBe(7);
    expect(capOf({})).toBe(1);
  });

  it("is asked for the model behind a profile across regions", () => {
    const target = counterAt(keyOf("bedrock"), "count_tokens");
    const path = (model: string): string => decodeURIComponent(target.path(model, false));
    expect(path("us.anthropic.claude-x-v1:0")).toBe("/model/anthropic.claude-x-v1:0/count-tokens");
    expect(path("global.anthropic.claude-x-v1:0")).toBe("/model/anthropic.claude-x-v1:0/count-tokens");
    expect(path("us.model")).toBe("/model/us.model/count-tokens");
    const arn = "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-x";
    expect(path(arn)).toBe(`/model/${arn}/count-tokens`);
  });
});

describe("a counter", () => {
  it("stands behind every way that is translated to be counted", () => {
    const served = CATALOG.filter((row) => row.family !== "simulator").flatMap((row) => [
      ...(row.serves.count_tokens ?? []),
      ...(row.serves.input_tokens ?? []),
    ]);
    expect(served.length).toBeGreaterThan(6);
    for (const way of served) expect(way.counter, way.path).toBeDefined();
  });

  it("leaves callers of the provider's own dialect their bytes", () => {
    const cases: [string, Operation, DialectId][] = [
      ["anthropic", "count_tokens", "anthropic-messages"],
      ["openai", "input_tokens", "openai-responses"],
      ["vllm", "tokenize", "tokenize"],
    ];
    for (const [provider, operation, dialect] of cases) {
      const key = keyOf(provider, { apiBase: "http://host/v1" });
      const target = targetFor({ providerKey: key, entry: { provider } }, operation, dialect);
      const body = Buffer.from('{ "model" : "m", "odd": 1e2 }');
      expect(target?.counter).toBeNull();
      expect(target?.bodyFor(body, [], "m")).toBe(body);
    }
  });

  it("answers with a count or with none", () => {
    const read = (text: string): number => countIn(CONVERSE_COUNTER, Buffer.from(text));
    expect(read('{"inputTokens":0}')).toBe(0);
    for (const text of ["", "null", "[1]", "{}", '{"inputTokens":"7"}', '{"inputTokens":-1}', '{"totalTokens":7}']) {
      expect(read(text), text).toBe(-1);
    }
  });

  it.each([
    [400, "The provided model doesn't support counting tokens.", true],
    [400, "Invocation of model ID x with on-demand throughput isn’t supported.", true],
    [400, "The provided model identifier is invalid.", true],
    [400, "Count tokens is not supported for this model", true],
    [400, "prompt is too long: 300000 tokens > 200000 maximum", true],
    [400, "Token counting is unsupported", true],
    [400, "messages: roles must alternate", false],
    [400, "messages.0: image/tiff is not supported", false],
    [400, "Malformed input request: #: extraneous key", false],
    [401, "The security token is invalid", false],
    [403, "is not authorized to perform: bedrock:CountTokens", true],
    [404, "", true],
    [405, "", true],
    [429, "Too many requests", false],
    [500, "model is not supported", false],
    [501, "", true],
  ])("that answers %i %j is missing: %s", (status, message, missing) => {
    expect(cannotCount(status, Buffer.from(JSON.stringify({ message })))).toBe(missing);
  });
});
