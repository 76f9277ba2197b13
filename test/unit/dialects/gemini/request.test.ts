import { GoogleGenAI } from "@google/genai";
import { afterEach, describe, expect, it, vi } from "vitest";
import { targetCodec } from "../../../../src/dialects/gemini/codec.js";
import { LossList, type JsonObject, type SemanticRequest } from "../../../../src/dialects/semantic.js";
import { isFailure } from "../../../../src/errors.js";
import {
  assistant,
  call,
  encode,
  image,
  request,
  result,
  sampling,
  text,
  thinking,
  tool,
  traits,
  user,
} from "./semantic.js";

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

describe("gemini requests: contents", () => {
  it("has roles user and model, merges turns of one role, and puts the system text beside them", () => {
    const { body, losses } = made(G25, {
      system: [text("be brief"), text("be kind")],
      turns: [user(text("a")), user(text("b")), assistant(text("c")), user(text("d"))],
    });
    expect(body).toEqual({
      systemInstruction: { parts: [{ text: "be brief" }, { text: "be kind" }] },
      contents: [
        { role: "user", parts: [{ text: "a" }, { text: "b" }] },
        { role: "model", parts: [{ text: "c" }] },
        { role: "user", parts: [{ text: "d" }] },
      ],
    });
    expect(losses).toEqual([]);
  });

  it("takes a system text alone as the user's, and refuses nothing at all", () => {
    expect(made(G25, { system: [text("go")], turns: [] }).body.contents).toEqual([
      { role: "user", parts: [{ text: "go" }] },
    ]);
    const refused = targetCodec.encodeRequest(request({ turns: [user(text(""))] }), traits(G25), new LossList());
    expect(isFailure(refused) && refused.param).toBe("messages");
  });

  it("sends data inline and addresses as files with a media type", () => {
    const { body, losses } = made(G25, {
      turns: [
        user(
          image({ data: "AAAA", mediaType: "image/png" }),
          image({ url: "data:image/webp;base64,BBBB" }),
          image({ url: "https://x.example/cat.GIF?size=2" }),
          image({ url: "gs://bucket/thing" }),
          image({ fileId: "files/abc" }),
          image({ fileId: "file-of-another-vendor" }),
          { kind: "audio", source: { data: "CCCC", url: null, fileId: null, mediaType: "audio/mpeg" } },
        ),
      ],
    });
    expect((body.contents as JsonObject[])[0]?.parts).toEqual([
      { inlineData: { mimeType: "image/png", data: "AAAA" } },
      { inlineData: { mimeType: "image/webp", data: "BBBB" } },
      { fileData: { mimeType: "image/gif", fileUri: "https://x.example/cat.GIF?size=2" } },
      { fileData: { mimeType: "image/jpeg", fileUri: "gs://bucket/thing" } },
      { fileData: { mimeType: "image/jpeg", fileUri: "files/abc" } },
      { inlineData: { mimeType: "audio/mpeg", data: "CCCC" } },
    ]);
    expect(losses).toEqual(["image"]);
  });

  it("sends documents by value or as text, and reports what describes them", () => {
    const source = { data: "JVBE", url: null, fileId: null, mediaType: "" };
    const document = {
      kind: "document",
      source,
      text: null,
      title: "t",
      context: null,
      citations: true,
      cache: null,
    } as const;
    const { body, losses } = made(G25, {
      turns: [user(document, { ...document, text: "plain", title: null, citations: false })],
    });
    expect((body.contents as JsonObject[])[0]?.parts).toEqual([
      { inlineData: { mimeType: "application/pdf", data: "JVBE" } },
      { text: "plain" },
    ]);
    expect(losses).toEqual(["document_title", "citations"]);
  });

  it("names the function of a result by the call, in the calls' order and before the rest of the turn", () => {
    const { body } = made(G25, {
      turns: [
        user(text("go")),
        assistant(call("c1", "first", '{"a":1}'), call("c2", "second")),
        user(text("and?"), result("c2", "two", { isError: true }), result("c1", "one")),
      ],
    });
    expect((body.contents as JsonObject[]).slice(1)).toEqual([
      {
        role: "model",
        parts: [
          { functionCall: { id: "c1", name: "first", args: { a: 1 } } },
          { functionCall: { id: "c2", name: "second", args: {} } },
        ],
      },
      {
        role: "user",
        parts: [
          { functionResponse: { id: "c1", name: "first", response: { output: "one" } } },
          { functionResponse: { id: "c2", name: "second", response: { error: "two" } } },
          { text: "and?" },
        ],
      },
    ]);
  });

  it("keeps images of results: inside for generation 3, beside for older ones", () => {
    const picture = image({ data: "AA", mediaType: "image/png" });
    const turns = [assistant(call("c", "look")), user(result("c", "", { content: [text("see"), picture as never] }))];
    const inline = { inlineData: { mimeType: "image/png", data: "AA" } };
    const response = { id: "c", name: "look", response: { output: "see" } };
    expect((made(G25, { turns }).body.contents as JsonObject[])[1]?.parts).toEqual([
      { functionResponse: response },
      inline,
    ]);
    expect((made(G3, { turns }).body.contents as JsonObject[])[1]?.parts).toEqual([
      { functionResponse: { ...response, parts: [inline] } },
    ]);
  });

  it("says so when a result answers no call", () => {
    const { body, losses } = made(G25, { turns: [user(result("lost", "x"))] });
    expect(JSON.stringify(body)).toContain('"name":"unknown_function"');
    expect(losses).toEqual(["tool_result_name"]);
  });

  it("returns signatures with the calls and thoughts they came with", () => {
    const { body, losses } = made(G3, {
      turns: [
        user(text("go")),
        assistant(
          thinking({ text: "hm", signature: "S1", origin: "gemini" }),
          text("answer"),
          thinking({ signature: "S2", origin: "gemini" }),
          call("c", "f", "{}", { signature: "S3" }),
          call("d", "f"),
        ),
      ],
    });
    expect((body.contents as JsonObject[])[1]?.parts).toEqual([
      { text: "hm", thought: true, thoughtSignature: "S1" },
      { text: "answer" },
      { text: "", thoughtSignature: "S2" },
      { functionCall: { id: "c", name: "f", args: {} }, thoughtSignature: "S3" },
      { functionCall: { id: "d", name: "f", args: {} } },
    ]);
    expect(losses).toEqual([]);
  });

  it("stands in for a missing signature where the model checks it, on the first call of a step only", () => {
    const turns = [user(text("go")), assistant(call("c", "f"), call("d", "f"))];
    const newer = made(G3, { turns });
    expect(JSON.stringify(newer.body).match(/thoughtSignature/g)).toHaveLength(1);
    expect(newer.losses).toEqual(["thought_signature"]);
    expect(JSON.stringify(made("gemini-flash-latest", { turns }).body)).toContain("skip_thought_signature_validator");
    expect(JSON.stringify(made(G25, { turns }).body)).not.toContain("thoughtSignature");
  });

  it("drops other vendors' thinking with a loss and keeps unclaimed thinking", () => {
    const { body, losses } = made(G25, {
      turns: [
        assistant(
          thinking({ text: "theirs", signature: "x", origin: "anthropic-messages" }),
          thinking({ text: "whose", signature: "y" }),
          text("ok"),
        ),
      ],
    });
    expect((body.contents as JsonObject[])[0]?.parts).toEqual([{ text: "whose", thought: true }, { text: "ok" }]);
    expect(losses).toEqual(["thinking", "thinking_signature"]);
  });

  it("sends arguments that are no object under a name, and ids it made up itself not at all", () => {
    const { body } = made(G25, {
      turns: [
        assistant(
          call("call_unnamed_r_0", "f", "[1]"),
          call("b", "f", "not json"),
          call("c", "f", "free", { flavour: "custom" }),
          call("d", "f", ""),
        ),
      ],
    });
    expect((body.contents as JsonObject[])[0]?.parts).toEqual([
      { functionCall: { name: "f", args: { input: [1] } } },
      { functionCall: { id: "b", name: "f", args: { input: "not json" } } },
      { functionCall: { id: "c", name: "f", args: { input: "free" } } },
      { functionCall: { id: "d", name: "f", args: {} } },
    ]);
  });

  it("returns its own foreign parts, forgets its metadata, and reports other wires' parts", () => {
    const own = { executableCode: { code: "1+1", language: "PYTHON" } };
    const { body, losses } = made(G25, {
      turns: [
        assistant(
          { kind: "foreign", wire: "gemini", type: "executableCode", raw: own },
          { kind: "foreign", wire: "gemini", type: "groundingMetadata", raw: { groundingMetadata: {} } },
          { kind: "foreign", wire: "anthropic-messages", type: "server_tool_use", raw: {} },
          { kind: "foreign", wire: "x", type: "text of the client's\r\n", raw: {} },
        ),
      ],
    });
    expect((body.contents as JsonObject[])[0]?.parts).toEqual([own]);
    expect(losses).toEqual(["server_tool_use", "foreign_block"]);
  });
});

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
