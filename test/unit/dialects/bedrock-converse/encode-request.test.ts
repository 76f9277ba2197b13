import { describe, expect, it } from "vitest";
import { targetCodec } from "../../../../src/dialects/bedrock-converse/codec.js";
import { type Block, LossList, NO_SAMPLING, type Reasoning } from "../../../../src/dialects/semantic.js";
import { CLAUDE, call, encode, request, result, TRAITS, text, tool, turn } from "./requests.js";
import { sentBySdk } from "./sdk.js";

const PNG = "iVBORw0KGgoAAAANSUhEUg==";

function image(data: string | null, url: string | null, mediaType = "image/png"): Block {
  return { kind: "image", source: { data, url, fileId: null, mediaType }, detail: null, cache: null };
}

function document(title: string | null, more: object = {}): Block {
  const source = { data: "JVBERi0xLjQK", url: null, fileId: null, mediaType: "application/pdf" };
  return { kind: "document", source, text: null, title, context: null, citations: false, cache: null, ...more };
}

function reasoning(more: Partial<Reasoning>): Reasoning {
  return { enabled: true, effort: null, budgetTokens: null, adaptive: false, summary: null, ...more };
}

describe("what the vendor's SDK would send", () => {
  it("is what we send, for a request that uses everything", async () => {
    const thinking = { kind: "thinking", id: "", text: "Hm.", signature: "c2ln", encrypted: "" } as const;
    const { body, losses } = encode({
      system: [text("Be brief.", null), text("Be kind.", "1h")],
      turns: [
        turn(
          "user",
          text("Look:"),
          image(PNG, null),
          document("Q3 report.pdf", { context: "finance", citations: true }),
        ),
        turn(
          "assistant",
          { ...thinking, origin: "anthropic-messages" },
          call("tooluse_1", "weather", '{"city":"Bonn"}'),
        ),
        turn("user", { ...(result("tooluse_1", "rain", true) as object), cache: { ttl: "5m" } } as Block),
        turn("assistant", { ...thinking, text: "", signature: "", encrypted: "cmVk", origin: "bedrock-converse" }),
        turn("user", { kind: "audio", source: { data: "AAAA", url: null, fileId: null, mediaType: "audio/wav" } }),
      ],
      tools: [tool("weather", { strict: true, cache: { ttl: null } })],
      toolChoice: { kind: "auto" },
      sampling: { ...NO_SAMPLING, temperature: 0.5, topP: 0.9, topK: 40 },
      stop: ["END"],
      format: { kind: "schema", name: "out", description: "d", schema: { type: "object" }, strict: true },
      metadata: { team: "blue" },
      serviceTier: "flex",
      extras: {
        guardrailConfig: { guardrailIdentifier: "g", guardrailVersion: "1" },
        performanceConfig: { latency: "optimized" },
      },
    });
    expect(losses).toEqual([]);
    expect(await sentBySdk(body)).toEqual(body);
    expect(body).toMatchObject({
      system: [
        { text: "Be brief." },
        { cachePoint: { type: "default" } },
        { text: "Be kind." },
        { cachePoint: { type: "default", ttl: "1h" } },
      ],
      inferenceConfig: { maxTokens: 100, temperature: 0.5, topP: 0.9, stopSequences: ["END"] },
      additionalModelRequestFields: { top_k: 40 },
      guardrailConfig: { guardrailIdentifier: "g" },
      performanceConfig: { latency: "optimized" },
    });
  });
});

describe("messages", () => {
  it("of one role that stand side by side are one", () => {
    const { body } = encode({
      turns: [turn("user", text("a")), turn("user", text("b")), turn("assistant", text("c"))],
    });
    expect(body.messages).toEqual([
      { role: "user", content: [{ text: "a" }, { text: "b" }] },
      { role: "assistant", content: [{ text: "c" }] },
    ]);
  });

  it("hold tool results first, their status where it is an error, images in them kept", () => {
    const content = [text("see"), image(PNG, null)] as never;
    const { body, losses } = encode({
      turns: [
        turn("assistant", call("a", "x", "{}"), call("b", "x", "")),
        turn("user", text("and now?"), { ...(result("a", "") as object), content } as Block),
        turn("user", result("b", "broken", true)),
      ],
      tools: [tool("x")],
    });
    expect(losses).toEqual([]);
    expect(body.messages).toEqual([
      {
        role: "assistant",
        content: [
          { toolUse: { toolUseId: "a", name: "x", input: {} } },
          { toolUse: { toolUseId: "b", name: "x", input: {} } },
        ],
      },
      {
        role: "user",
        content: [
          {
            toolResult: {
              toolUseId: "a",
              content: [{ text: "see" }, { image: { format: "png", source: { bytes: PNG } } }],
            },
          },
          { toolResult: { toolUseId: "b", content: [{ text: "broken" }], status: "error" } },
          { text: "and now?" },
        ],
      },
    ]);
  });

  it("hold no blank text, and no turn without content", () => {
    const { body, losses } = encode({
      turns: [turn("user", text("a")), turn("assistant", text("")), turn("user", text(" "))],
    });
    expect(body.messages).toEqual([{ role: "user", content: [{ text: "a" }] }]);
    expect(losses).toEqual(["blank_text"]);
  });

  it("keep arguments that are no object, and say so", () => {
    const { body, losses } = encode({ turns: [turn("assistant", call("a", "x", "[1"))] });
    expect(body.messages).toMatchObject([{ content: [{ toolUse: { input: { arguments: "[1" } } }] }]);
    expect(losses).toContain("tool_arguments");
  });

  it("carry foreign blocks of this wire, and lose those of another", () => {
    const raw = { searchResult: { source: "s", title: "t", content: [{ text: "x" }] } };
    const { body, losses } = encode({
      turns: [
        turn(
          "user",
          { kind: "foreign", wire: "bedrock-converse", type: "searchResult", raw },
          { kind: "foreign", wire: "anthropic-messages", type: "Server Tool\r\nUse", raw: {} },
        ),
      ],
    });
    expect(body.messages).toEqual([{ role: "user", content: [raw] }]);
    expect(losses).toEqual(["server_tool__use"]);
  });
});

describe("media", () => {
  it("by address are refused, naming the field", () => {
    for (const block of [
      image(null, "https://example.com/a.png"),
      document(null, { source: { ...SOURCE, fileId: "f" } }),
    ]) {
      const refused = targetCodec.encodeRequest(request({ turns: [turn("user", block)] }), TRAITS, new LossList());
      expect(refused).toMatchObject({ code: "unsupported_operation", param: "messages" });
    }
    const inside = { ...(result("a", "x") as object), content: [image(null, "https://example.com/a.png")] } as Block;
    const refused = targetCodec.encodeRequest(request({ turns: [turn("user", inside)] }), TRAITS, new LossList());
    expect(refused).toMatchObject({ code: "unsupported_operation" });
  });

  it("in S3 and in data URLs are taken", () => {
    const { body } = encode({
      turns: [turn("user", image(null, "s3://bucket/a.jpg", ""), image(null, `data:image/webp;base64,${PNG}`, ""))],
    });
    expect(body.messages).toEqual([
      {
        role: "user",
        content: [
          { image: { format: "jpeg", source: { s3Location: { uri: "s3://bucket/a.jpg" } } } },
          { image: { format: "webp", source: { bytes: PNG } } },
        ],
      },
    ]);
  });

  it("are recognised by their bytes, and lost when the format is unknown", () => {
    const { body, losses } = encode({
      turns: [turn("user", text("a"), image(PNG, null, ""), image("Qk0=", null, "image/bmp"))],
    });
    expect(body.messages).toMatchObject([{ content: [{}, { image: { format: "png" } }] }]);
    expect(losses).toEqual(["image"]);
  });

  it("documents have clean, unique names, and text beside them", () => {
    const plain = { source: { ...SOURCE, data: null }, text: "body" };
    const { body } = encode({
      turns: [turn("user", document("a/b..pdf"), document("a b pdf"), document(null, plain))],
    });
    expect(body.messages).toEqual([
      {
        role: "user",
        content: [
          { document: { format: "pdf", name: "a b pdf", source: { bytes: "JVBERi0xLjQK" } } },
          { document: { format: "pdf", name: "a b pdf 2", source: { bytes: "JVBERi0xLjQK" } } },
          { document: { format: "txt", name: "document", source: { text: "body" } } },
          { text: "a b pdf" },
        ],
      },
    ]);
  });
});

const SOURCE = { data: null, url: null, fileId: null, mediaType: "" };

describe("thinking in the history", () => {
  const block = { kind: "thinking", id: "", text: "Hm.", signature: "c2ln", encrypted: "", origin: "" } as const;

  it("goes back with its signature, redacted thinking as it came", () => {
    const turns = [
      turn(
        "assistant",
        { ...block, origin: "bedrock-converse" },
        { ...block, text: "", signature: "", encrypted: "cmVk" },
      ),
    ];
    expect(encode({ turns }).body.messages).toEqual([
      {
        role: "assistant",
        content: [
          { reasoningContent: { reasoningText: { text: "Hm.", signature: "c2ln" } } },
          { reasoningContent: { redactedContent: "cmVk" } },
        ],
      },
    ]);
  });

  it("of another vendor, or without proof for Claude, is a loss", () => {
    for (const origin of ["gemini", "openai-responses"]) {
      expect(encode({ turns: [turn("assistant", { ...block, origin }, text("a"))] }).losses).toEqual(["thinking"]);
    }
    const bare = { ...block, signature: "", origin: "bedrock-converse" };
    expect(encode({ turns: [turn("assistant", bare, text("a"))] }).losses).toEqual(["thinking"]);
    expect(encode({ turns: [turn("assistant", bare)] }, { model: "openai.gpt-oss-120b-1:0" }).body.messages).toEqual([
      { role: "assistant", content: [{ reasoningContent: { reasoningText: { text: "Hm." } } }] },
    ]);
  });
});

describe("cache marks", () => {
  it("are cache points where the model has a cache, else a loss", () => {
    const turns = [turn("user", text("a", null), text("b", "2h"))];
    const marked = encode({ turns });
    expect(marked.body.messages).toMatchObject([
      {
        content: [
          { text: "a" },
          { cachePoint: { type: "default" } },
          { text: "b" },
          { cachePoint: { type: "default" } },
        ],
      },
    ]);
    expect(marked.losses).toEqual(["cache_ttl"]);
    const plain = encode({ turns }, { model: "meta.llama3-1-8b-instruct-v1:0" });
    expect(plain.body.messages).toEqual([{ role: "user", content: [{ text: "a" }, { text: "b" }] }]);
    expect(plain.losses).toEqual(["cache_control"]);
  });
});

describe("tools", () => {
  const tools = [tool("weather"), tool("clock", { description: "", parameters: null })];

  it("keep every key of their schema", () => {
    expect(encode({ tools }).body.toolConfig).toEqual({
      tools: [
        {
          toolSpec: {
            name: "weather",
            description: "Does weather.",
            inputSchema: {
              json: { type: "object", properties: { city: { type: "string" } }, additionalProperties: false },
            },
          },
        },
        { toolSpec: { name: "clock", inputSchema: { json: { type: "object", properties: {} } } } },
      ],
    });
  });

  it("are chosen by auto, any and name", () => {
    const choice = (toolChoice: never): unknown =>
      (encode({ tools, toolChoice }).body.toolConfig as never)["toolChoice"];
    expect(choice({ kind: "auto" } as never)).toEqual({ auto: {} });
    expect(choice({ kind: "any" } as never)).toEqual({ any: {} });
    expect(choice({ kind: "tool", name: "clock" } as never)).toEqual({ tool: { name: "clock" } });
    expect(choice({ kind: "allowed", names: ["clock"], required: true } as never)).toEqual({ any: {} });
  });

  it("that are allowed are the only ones sent", () => {
    const toolChoice = { kind: "allowed", names: ["clock"], required: false } as const;
    expect(encode({ tools, toolChoice }).body.toolConfig).toMatchObject({
      tools: [{ toolSpec: { name: "clock" } }],
      toolChoice: { auto: {} },
    });
  });

  it("go away with the choice none, unless the history holds tool blocks", () => {
    const toolChoice = { kind: "none" } as const;
    const without = encode({ tools, toolChoice });
    expect(without.body.toolConfig).toBeUndefined();
    expect(without.losses).toEqual([]);
    const turns = [
      turn("user", text("a")),
      turn("assistant", call("a", "clock", "{}")),
      turn("user", result("a", "12")),
    ];
    const withHistory = encode({ tools, toolChoice, turns });
    expect(withHistory.body.toolConfig).not.toHaveProperty("toolChoice");
    expect(withHistory.body.toolConfig).toMatchObject({ tools: [{}, {}] });
    expect(withHistory.losses).toEqual(["tool_choice"]);
  });

  it("are made up when only the history knows them", () => {
    const turns = [
      turn("user", text("a")),
      turn("assistant", call("a", "clock", "{}")),
      turn("user", result("a", "12")),
    ];
    const { body, losses } = encode({ turns });
    expect(body.toolConfig).toEqual({
      tools: [{ toolSpec: { name: "clock", inputSchema: { json: { type: "object" } } } }],
    });
    expect(losses).toEqual(["tool_choice"]);
  });

  it("have names and ids that the wire takes, and one name stays one name", () => {
    const turns = [
      turn("assistant", call("id|1", "get.weather", "{}"), call("id_1", "get_weather", "{}")),
      turn("user", result("id|1", "a"), result("id_1", "b")),
    ];
    const long = "n".repeat(70);
    const { body, encoded } = encode({ turns, tools: [tool("get.weather"), tool("get_weather"), tool(long)] });
    expect([...encoded.renamed]).toEqual([
      ["get_weather_2", "get.weather"],
      ["n".repeat(64), long],
    ]);
    expect(body.messages).toMatchObject([
      {
        content: [
          { toolUse: { toolUseId: "id_1_2", name: "get_weather_2" } },
          { toolUse: { toolUseId: "id_1", name: "get_weather" } },
        ],
      },
      { content: [{ toolResult: { toolUseId: "id_1_2" } }, { toolResult: { toolUseId: "id_1" } }] },
    ]);
  });

  it("that vendors run, and the ban on parallel calls, are losses", () => {
    const hosted = {
      kind: "hosted",
      wire: "openai-responses",
      type: "web_search",
      name: "web_search",
      raw: {},
    } as const;
    expect(encode({ tools: [hosted] }).losses).toEqual(["web_search"]);
    expect(encode({ tools, parallelToolCalls: false }).losses).toEqual(["parallel_tool_calls"]);
    expect(encode({ tools, parallelToolCalls: true }).losses).toEqual([]);
  });
});

describe("structured output", () => {
  const schema = { type: "object", properties: { a: { type: "number" } } };
  const format = { kind: "schema", name: "out", description: null, schema, strict: true } as const;

  it("is the wire's own where the model has it", () => {
    expect(encode({ format }).body.outputConfig).toEqual({
      textFormat: { type: "json_schema", structure: { jsonSchema: { schema: JSON.stringify(schema), name: "out" } } },
    });
  });

  it("is a forced tool elsewhere", () => {
    const { body, encoded } = encode({ format }, { structuredOutput: "tool" });
    expect(encoded.formatTool).toBe("out");
    expect(body.toolConfig).toMatchObject({
      tools: [{ toolSpec: { name: "out", strict: true, inputSchema: { json: schema } } }],
      toolChoice: { tool: { name: "out" } },
    });
    const beside = encode({ format, tools: [tool("out")] }, { structuredOutput: "tool" });
    expect(beside.encoded.formatTool).toBe("out_2");
    expect(beside.body.toolConfig).toMatchObject({ toolChoice: { any: {} } });
    const insisting = encode({ format, tools: [tool("x")], toolChoice: { kind: "any" } }, { structuredOutput: "tool" });
    expect(insisting.encoded.formatTool).toBe("");
    expect(insisting.losses).toEqual(["response_format"]);
  });

  it("without a schema is asked for in words", () => {
    const { body, losses } = encode({ format: { kind: "json" } });
    expect(body.system).toEqual([{ text: expect.stringContaining("JSON") }]);
    expect(losses).toEqual(["response_format"]);
  });
});

describe("reasoning", () => {
  const fields = (more: Parameters<typeof encode>[0], model: string): unknown =>
    encode(more, { model }).body.additionalModelRequestFields;

  it("is a budget for Claude, below the output cap", () => {
    const given = { reasoning: reasoning({ budgetTokens: 3000 }), maxOutputTokens: 8000 };
    expect(fields(given, CLAUDE)).toEqual({ thinking: { type: "enabled", budget_tokens: 3000 } });
    const tight = encode({ reasoning: reasoning({ budgetTokens: 9000 }), maxOutputTokens: 2000 });
    expect(tight.body.additionalModelRequestFields).toEqual({ thinking: { type: "enabled", budget_tokens: 1999 } });
    expect(tight.losses).toEqual(["reasoning_budget"]);
    const none = encode({ reasoning: reasoning({ effort: "high" }), maxOutputTokens: 500 });
    expect(none.body.additionalModelRequestFields).toBeUndefined();
    expect(none.losses).toEqual(["reasoning"]);
  });

  it("leaves room for the answer when the caller gave no cap", () => {
    const { body } = encode({ reasoning: reasoning({ effort: "low" }), maxOutputTokens: null });
    expect(body.inferenceConfig).toEqual({ maxTokens: 4096 + 2048 });
  });

  it("is adaptive for newer Claude models, effort beside it", () => {
    const { body } = encode(
      { reasoning: reasoning({ effort: "high", summary: "auto" }) },
      { model: "global.anthropic.claude-opus-4-6-v1" },
    );
    expect(body.additionalModelRequestFields).toEqual({ thinking: { type: "adaptive", display: "summarized" } });
    expect(body.outputConfig).toEqual({ effort: "high" });
    const budget = { reasoning: reasoning({ budgetTokens: 2000 }), maxOutputTokens: 4000 };
    expect(fields(budget, "anthropic.claude-sonnet-4-6")).toEqual({
      thinking: { type: "enabled", budget_tokens: 2000 },
    });
    const refused = encode(budget, { model: "anthropic.claude-opus-4-7" });
    expect(refused.body.additionalModelRequestFields).toEqual({ thinking: { type: "adaptive" } });
    expect(refused.losses).toEqual(["reasoning_budget"]);
  });

  it("takes the sampling of a thinking Claude away, and yields to a forced tool", () => {
    const sampling = { ...NO_SAMPLING, temperature: 0.2, topK: 5, topP: 0.5 };
    const thinking = encode({ reasoning: reasoning({ effort: "low" }), maxOutputTokens: 4000, sampling });
    expect(thinking.body.inferenceConfig).toEqual({ maxTokens: 4000 });
    expect(thinking.losses).toEqual(["temperature", "top_p", "top_k"]);
    const tools = [tool("x")];
    const forced = encode({ reasoning: reasoning({}), maxOutputTokens: 9000, tools, toolChoice: { kind: "any" } });
    expect(forced.body.additionalModelRequestFields).toBeUndefined();
    expect(forced.losses).toEqual(["reasoning"]);
  });

  it("stops inside a tool loop whose calls came without thinking", () => {
    const turns = [turn("user", text("a")), turn("assistant", call("a", "x", "{}")), turn("user", result("a", "1"))];
    const loop = encode({ turns, tools: [tool("x")], reasoning: reasoning({ effort: "low" }), maxOutputTokens: 9000 });
    expect(loop.losses).toEqual(["reasoning"]);
  });

  it("is said to other families in their words, or lost", () => {
    const effort = { reasoning: reasoning({ effort: "medium" }) };
    expect(fields(effort, "openai.gpt-oss-120b-1:0")).toEqual({ reasoning_effort: "medium" });
    expect(fields(effort, "us.amazon.nova-2-lite-v1:0")).toEqual({
      reasoningConfig: { type: "enabled", maxReasoningEffort: "medium" },
    });
    expect(encode(effort, { model: "meta.llama3-1-8b-instruct-v1:0" }).losses).toEqual(["reasoning"]);
    expect(encode(effort, { model: "anthropic.claude-3-5-sonnet-20240620-v1:0" }).losses).toEqual(["reasoning"]);
    expect(encode({ reasoning: reasoning({ enabled: false }) }).losses).toEqual([]);
  });
});

describe("what Converse has no field for", () => {
  it("is reported", () => {
    const { losses } = encode({
      sampling: {
        ...NO_SAMPLING,
        temperature: 1.5,
        seed: 1,
        frequencyPenalty: 1,
        presencePenalty: 1,
        logitBias: {},
        logprobs: true,
        topLogprobs: 2,
        count: 2,
      },
      verbosity: "low",
      user: "u",
      promptCacheKey: "k",
      modalities: ["text", "audio"],
      metadata: { nested: {} },
      serviceTier: "scale",
      extras: { store: true, performanceConfig: "fast" },
      turns: [{ ...turn("user", text("a")), name: "bob" }],
    });
    expect([...losses].sort()).toEqual(
      [
        "temperature",
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "n",
        "verbosity",
        "user",
        "prompt_cache_key",
        "modalities",
        "metadata",
        "service_tier",
        "store",
        "performanceconfig",
        "name",
      ].sort(),
    );
  });

  it("top_k has as many places as families", () => {
    const topK = (model: string): unknown =>
      encode({ sampling: { ...NO_SAMPLING, topK: 9 } }, { model }).body.additionalModelRequestFields;
    expect(topK("us.amazon.nova-pro-v1:0")).toEqual({ inferenceConfig: { topK: 9 } });
    expect(topK("cohere.command-r-v1:0")).toEqual({ k: 9 });
    expect(topK("arn:aws:bedrock:us-east-1:1:application-inference-profile/ab12")).toEqual({ top_k: 9 });
    expect(topK("meta.llama3-1-8b-instruct-v1:0")).toBeUndefined();
  });
});
