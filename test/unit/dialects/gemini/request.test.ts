import { GoogleGenAI } from "@google/genai";
import { afterEach, describe, expect, it, vi } from "vitest";
import { targetCodec } from "../../../../src/dialects/gemini/codec.js";
import type { JsonObject, SemanticRequest } from "../../../../src/dialects/semantic.js";
import { assistant, call, encode, image, result, sampling, text, tool, user } from "./semantic.js";

const G2 = "gemini-2.0-flash";
const G25 = "gemini-2.5-flash";
const G3 = "gemini-3-flash-preview";
const WEATHER = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};

const made = (model: string, fields: Partial<SemanticRequest>) => encode(targetCodec, model, fields);

afterEach(() => vi.unstubAllGlobals());

/** What the vendor's own client sends for the same request. */
async function sentBySdk(parameters: Parameters<GoogleGenAI["models"]["generateContent"]>[0]): Promise<JsonObject> {
  let sent = "";
  vi.stubGlobal("fetch", async (_url: string, options: { body: string }) => {
    sent = options.body;
    return new Response(JSON.stringify({ candidates: [] }), { headers: { "content-type": "application/json" } });
  });
  await new GoogleGenAI({ apiKey: "k", vertexai: false }).models.generateContent(parameters);
  return JSON.parse(sent) as JsonObject;
}

describe("gemini requests: tools", () => {
  it("declares functions in one list, with JSON Schema as it is from 2.5 on", () => {
    const { body, losses } = made(G25, { tools: [tool("a", WEATHER, { description: "d" }), tool("b")] });
    expect(body.tools).toEqual([
      { functionDeclarations: [{ name: "a", description: "d", parametersJsonSchema: WEATHER }, { name: "b" }] },
    ]);
    expect(body.toolConfig).toEqual({ functionCallingConfig: { mode: "AUTO" } });
    expect(losses).toEqual([]);
  });

  it("declares them in the older form before that", () => {
    const { body, losses } = made(G2, { tools: [tool("a", WEATHER), tool("b", { type: "object", properties: {} })] });
    expect(body.tools).toEqual([
      {
        functionDeclarations: [
          { name: "a", parameters: { type: "OBJECT", properties: { city: { type: "STRING" } }, required: ["city"] } },
          { name: "b" },
        ],
      },
    ]);
    expect(losses).toEqual([]);
  });

  it("maps every tool choice", () => {
    const tools = [tool("a"), tool("b")];
    const config = (toolChoice: SemanticRequest["toolChoice"]) => made(G25, { tools, toolChoice }).body.toolConfig;
    expect(config({ kind: "auto" })).toEqual({ functionCallingConfig: { mode: "AUTO" } });
    expect(config({ kind: "none" })).toEqual({ functionCallingConfig: { mode: "NONE" } });
    expect(config({ kind: "any" })).toEqual({ functionCallingConfig: { mode: "ANY" } });
    expect(config({ kind: "tool", name: "b" })).toEqual({
      functionCallingConfig: { mode: "ANY", allowedFunctionNames: ["b"] },
    });
    expect(config({ kind: "allowed", names: ["a"], required: true })).toEqual({
      functionCallingConfig: { mode: "ANY", allowedFunctionNames: ["a"] },
    });
    const optional = made(G25, { tools, toolChoice: { kind: "allowed", names: ["b"], required: false } });
    expect(optional.body.tools).toEqual([{ functionDeclarations: [{ name: "b" }] }]);
    const without = made(G25, { toolChoice: { kind: "any" }, parallelToolCalls: false });
    expect(without.body.toolConfig).toBeUndefined();
    expect(without.losses).toEqual(["parallel_tool_calls", "tool_choice"]);
  });

  it("changes names that the wire refuses everywhere, and remembers them", () => {
    const { body, renamed } = made(G25, {
      tools: [tool("1 st/tool"), tool("_1_st_tool"), tool("fine-name.x:y")],
      toolChoice: { kind: "tool", name: "1 st/tool" },
      turns: [user(text("go")), assistant(call("c", "1 st/tool")), user(result("c", "r"))],
    });
    expect([...renamed]).toEqual([["_1_st_tool_2", "1 st/tool"]]);
    expect(JSON.stringify(body).match(/_1_st_tool_2/g)).toHaveLength(4);
    expect(JSON.stringify(body)).toContain("fine-name.x:y");
  });

  it("passes its own tools through by name and maps what other vendors call the same", () => {
    const hosted = (type: string, raw: JsonObject) => ({ kind: "hosted", wire: "w", type, name: "", raw }) as const;
    const { body, losses } = made(G25, {
      tools: [
        tool("googleSearch"),
        hosted("", { codeExecution: {} }),
        hosted("web_fetch_20250910", { type: "web_fetch_20250910", name: "web_fetch", max_uses: 3 }),
        hosted("computer_use", { type: "computer_use" }),
      ],
    });
    expect(body.tools).toEqual([{ googleSearch: {} }, { codeExecution: {} }, { urlContext: {} }]);
    expect(losses).toEqual(["web_fetch_20250910_options", "computer_use"]);
    expect(made(G25, { extras: { web_search_options: {} } }).body.tools).toEqual([{ googleSearch: {} }]);
  });

  it("keeps search beside functions only where the model can", () => {
    const tools = [tool("f"), { kind: "hosted", wire: "w", type: "web_search", name: "", raw: {} } as const];
    const older = made(G25, { tools });
    expect(older.body.tools).toEqual([{ functionDeclarations: [{ name: "f" }] }]);
    expect(older.losses).toEqual(["google_search"]);
    const newer = made(G3, { tools });
    expect(newer.body.tools).toEqual([{ functionDeclarations: [{ name: "f" }] }, { googleSearch: {} }]);
    expect(newer.body.toolConfig).toMatchObject({ includeServerSideToolInvocations: true });
  });
});

describe("gemini requests: configuration", () => {
  it("maps sampling, stops, candidates, log probabilities and modalities", () => {
    const { body, losses } = made(G25, {
      sampling: sampling({
        temperature: 0.5,
        topP: 0.9,
        topK: 20,
        seed: 7,
        frequencyPenalty: 0.1,
        presencePenalty: 0.2,
        count: 2,
        logprobs: true,
        topLogprobs: 3,
        logitBias: { "1": 2 },
      }),
      maxOutputTokens: 100,
      stop: ["a", "b", "c", "d", "e", "f"],
      modalities: ["text", "image"],
    });
    expect(body.generationConfig).toEqual({
      temperature: 0.5,
      topP: 0.9,
      topK: 20,
      seed: 7,
      frequencyPenalty: 0.1,
      presencePenalty: 0.2,
      candidateCount: 2,
      maxOutputTokens: 100,
      stopSequences: ["a", "b", "c", "d", "e"],
      responseLogprobs: true,
      logprobs: 3,
      responseModalities: ["TEXT", "IMAGE"],
    });
    expect(losses).toEqual(["logit_bias", "stop"]);
  });

  it("holds answers to JSON by schema: as it is, in the older form, or through a tool beside functions", () => {
    const format = { kind: "schema", name: "out", description: null, schema: WEATHER, strict: true } as const;
    expect(made(G25, { format: { kind: "json" } }).body.generationConfig).toEqual({
      responseMimeType: "application/json",
    });
    expect(made(G25, { format }).body.generationConfig).toEqual({
      responseMimeType: "application/json",
      responseJsonSchema: WEATHER,
    });
    expect(made(G2, { format }).body.generationConfig).toEqual({
      responseMimeType: "application/json",
      responseSchema: { type: "OBJECT", properties: { city: { type: "STRING" } }, required: ["city"] },
    });
    const byTool = made(G25, { format, tools: [tool("out")] });
    expect(byTool.formatTool).toBe("out_2");
    expect(byTool.body.toolConfig).toEqual({ functionCallingConfig: { mode: "ANY" } });
    expect(byTool.body.generationConfig).toBeUndefined();
    const both = made(G3, { format, tools: [tool("out")] });
    expect(both.formatTool).toBe("");
    expect(both.body.generationConfig).toMatchObject({ responseJsonSchema: WEATHER });
    expect(made(G25, { format: { kind: "json" }, tools: [tool("x")] }).losses).toEqual(["response_format"]);
  });

  const reasoning = { enabled: true, effort: null, budgetTokens: null, adaptive: false, summary: null };
  it.each([
    [G25, { effort: "low" }, { includeThoughts: true, thinkingBudget: 1024 }, []],
    [G25, { effort: "xhigh" }, { includeThoughts: true, thinkingBudget: 24576 }, []],
    ["gemini-2.5-pro", { effort: "max" }, { includeThoughts: true, thinkingBudget: 32768 }, []],
    [G25, { budgetTokens: 5000 }, { includeThoughts: true, thinkingBudget: 5000 }, []],
    [G25, { budgetTokens: 90000 }, { includeThoughts: true, thinkingBudget: 24576 }, ["reasoning_budget"]],
    [G25, { adaptive: true }, { includeThoughts: true, thinkingBudget: -1 }, []],
    [G25, { enabled: false }, { thinkingBudget: 0 }, []],
    ["gemini-2.5-pro", { effort: "none" }, { thinkingBudget: 128 }, ["reasoning"]],
    [G25, {}, { includeThoughts: true }, []],
    [G25, { summary: "omitted" }, { includeThoughts: false }, []],
    [G3, { effort: "minimal" }, { includeThoughts: true, thinkingLevel: "MINIMAL" }, []],
    [G3, { effort: "medium" }, { includeThoughts: true, thinkingLevel: "MEDIUM" }, []],
    [G3, { effort: "max" }, { includeThoughts: true, thinkingLevel: "HIGH" }, ["reasoning_effort"]],
    [G3, { budgetTokens: 8000 }, { includeThoughts: true, thinkingLevel: "MEDIUM" }, ["reasoning_budget"]],
    [G3, { enabled: false }, { thinkingLevel: "MINIMAL" }, ["reasoning"]],
    [G3, { adaptive: true }, { includeThoughts: true }, []],
    ["gemini-3-pro-preview", { effort: "minimal" }, { includeThoughts: true, thinkingLevel: "LOW" }, []],
    [G2, { effort: "high" }, undefined, ["reasoning"]],
    [G2, { enabled: false }, undefined, []],
  ])("steers the thinking of %s by %j", (model, fields, expected, lost) => {
    const { body, losses } = made(model, { reasoning: { ...reasoning, ...fields } });
    expect((body.generationConfig as JsonObject | undefined)?.thinkingConfig).toEqual(expected);
    expect(losses).toEqual(lost);
  });

  it("passes its own fields of the caller through and reports the rest", () => {
    const { body, losses } = made(G25, {
      user: "u",
      metadata: {},
      promptCacheKey: "k",
      verbosity: "low",
      serviceTier: "flex",
      system: [text("s", { cache: { ttl: null } })],
      extras: {
        safety_settings: [{ category: "c" }],
        cachedContent: "cachedContents/1",
        generationConfig: { mediaResolution: "MEDIA_RESOLUTION_LOW" },
        prediction: {},
        store: false,
        "odd name": 1,
      },
    });
    expect(body).toMatchObject({
      safetySettings: [{ category: "c" }],
      cachedContent: "cachedContents/1",
      serviceTier: "flex",
      generationConfig: { mediaResolution: "MEDIA_RESOLUTION_LOW" },
    });
    expect(losses).toEqual([
      "cache_control",
      "prediction",
      "extra_field",
      "user",
      "metadata",
      "prompt_cache_key",
      "verbosity",
    ]);
  });
});

describe("gemini requests: the vendor's client as the judge", () => {
  it("sends what it sends", async () => {
    const { body } = made(G25, {
      system: [text("be brief")],
      turns: [
        user(text("look"), image({ data: "AAAA", mediaType: "image/png" })),
        assistant(call("c", "f", '{"city":"Rome"}', { signature: "c2ln" })),
        user(result("c", "sunny")),
      ],
      tools: [tool("f", WEATHER, { description: "d" })],
      toolChoice: { kind: "tool", name: "f" },
      sampling: sampling({ temperature: 0, topP: 0.5, topK: 3, seed: 1 }),
      maxOutputTokens: 9,
      stop: ["x"],
      reasoning: { enabled: true, effort: null, budgetTokens: 2000, adaptive: false, summary: null },
    });
    const parameters = {
      model: G25,
      contents: [
        { role: "user", parts: [{ text: "look" }, { inlineData: { mimeType: "image/png", data: "AAAA" } }] },
        {
          role: "model",
          parts: [{ functionCall: { id: "c", name: "f", args: { city: "Rome" } }, thoughtSignature: "c2ln" }],
        },
        { role: "user", parts: [{ functionResponse: { id: "c", name: "f", response: { output: "sunny" } } }] },
      ],
      config: {
        systemInstruction: { parts: [{ text: "be brief" }] },
        tools: [{ functionDeclarations: [{ name: "f", description: "d", parametersJsonSchema: WEATHER }] }],
        toolConfig: { functionCallingConfig: { mode: "ANY" as never, allowedFunctionNames: ["f"] } },
        temperature: 0,
        topP: 0.5,
        topK: 3,
        seed: 1,
        maxOutputTokens: 9,
        stopSequences: ["x"],
        thinkingConfig: { includeThoughts: true, thinkingBudget: 2000 },
      },
    };
    const sent = await sentBySdk(parameters);
    // The SDK gives a system instruction the role of a user, which the wire ignores.
    expect(sent).toMatchObject(body as Record<string, unknown>);
  });
});
