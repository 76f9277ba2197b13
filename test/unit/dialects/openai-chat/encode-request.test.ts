import { describe, expect, it } from "vitest";
import type { TargetTraits } from "../../../../src/dialects/codec.js";
import { targetCodec } from "../../../../src/dialects/openai-chat/codec.js";
import {
  type Block,
  type DocumentBlock,
  type JsonObject,
  LossList,
  type MediaSource,
  type SemanticRequest,
  type TextBlock,
  type ThinkingBlock,
  type ToolCallBlock,
  type ToolResultBlock,
  type Turn,
} from "../../../../src/dialects/semantic.js";
import { isFailure } from "../../../../src/errors.js";
import { decoded, fixture, PIXEL, TRAITS } from "./sample.js";

const BASE: SemanticRequest = { ...decoded({}).request, origin: "anthropic-messages" };
const NOTHING: MediaSource = { data: null, url: null, fileId: null, mediaType: "" };
const IMAGE: Block & { kind: "image" } = {
  kind: "image",
  source: { ...NOTHING, data: PIXEL, mediaType: "image/png" },
  detail: null,
  cache: null,
};

function text(said: string, cache: TextBlock["cache"] = null): TextBlock {
  return { kind: "text", text: said, cache, annotations: [] };
}

function user(...blocks: Block[]): Turn {
  return { role: "user", blocks, name: null };
}

function assistant(...blocks: Block[]): Turn {
  return { role: "assistant", blocks, name: null };
}

function call(id: string, fields: Partial<ToolCallBlock> = {}): ToolCallBlock {
  return {
    kind: "tool_call",
    id,
    name: "f",
    arguments: "{}",
    signature: "",
    flavour: "function",
    cache: null,
    ...fields,
  };
}

function result(callId: string, ...content: ToolResultBlock["content"]): ToolResultBlock {
  return { kind: "tool_result", callId, name: "", content, isError: false, cache: null };
}

function thinking(fields: Partial<ThinkingBlock>): ThinkingBlock {
  return { kind: "thinking", text: "hm", signature: "", encrypted: "", id: "", origin: "openai-chat", ...fields };
}

function encoded(request: Partial<SemanticRequest>, traits: Partial<TargetTraits> = {}) {
  const losses = new LossList();
  const made = targetCodec.encodeRequest({ ...BASE, ...request }, { ...TRAITS, ...traits }, losses);
  if (isFailure(made)) throw new Error(made.message);
  return { ...made, losses: losses.names };
}

function messages(turns: readonly Turn[], traits: Partial<TargetTraits> = {}): JsonObject[] {
  return encoded({ turns }, traits).body.messages as JsonObject[];
}

describe("a chat request for an upstream", () => {
  it("says what a request of this wire said, to a target that takes it all", () => {
    const { request } = decoded(fixture("openai-chat/full"));
    const { body, losses } = encoded(request, { provider: "openrouter", model: "asked-model" });
    const { messages: _, ...sent } = body;
    const { messages: __, max_tokens: ___, reasoning_effort, tools, ...said } = fixture("openai-chat/full");
    expect(sent).toEqual({ ...said, tools, reasoning: { effort: reasoning_effort } });
    // Marks on parts take the one form that this target knows.
    expect((body.messages as JsonObject[])[1]).toMatchObject({ role: "user", name: "ann" });
    expect(losses).toEqual([]);
  });

  it("names the cap as the target does, and asks a stream for its usage", () => {
    expect(encoded({ maxOutputTokens: 9 }).body).toMatchObject({ max_completion_tokens: 9 });
    expect(encoded({ maxOutputTokens: 9 }, { maxTokensField: "max_tokens" }).body).toMatchObject({ max_tokens: 9 });
    expect(encoded({}).body).toEqual({ model: "upstream-model", messages: [] });
    expect(encoded({ stream: true }).body).toMatchObject({ stream: true, stream_options: { include_usage: true } });
  });

  it("joins system text into one turn, in parts where marks need them and the target has them", () => {
    const system = [text("a", { ttl: null }), text("b")];
    expect(encoded({ system })).toMatchObject({
      body: { messages: [{ role: "system", content: "a\n\nb" }] },
      losses: ["cache_control"],
    });
    const kept = encoded({ system }, { provider: "openrouter" });
    expect(kept.losses).toEqual([]);
    expect(kept.body.messages).toEqual([
      {
        role: "system",
        content: [
          { type: "text", text: "a", cache_control: { type: "ephemeral" } },
          { type: "text", text: "b" },
        ],
      },
    ]);
  });

  it("puts results of calls first, then the rest of the user's turn, and images of results after them", () => {
    const turns = [
      assistant(call("c1"), call("c2")),
      user(text("and?"), result("c1", text("one"), IMAGE)),
      user({ ...result("c2", text("two")), isError: true }, IMAGE),
    ];
    const image = { type: "image_url", image_url: { url: `data:image/png;base64,${PIXEL}` } };
    expect(messages(turns).slice(1)).toEqual([
      { role: "tool", tool_call_id: "c1", content: "one" },
      { role: "tool", tool_call_id: "c2", content: "Error: two" },
      {
        role: "user",
        content: [{ type: "text", text: "Result of the call c1:" }, image, { type: "text", text: "and?" }],
      },
      { role: "user", content: [image] },
    ]);
    expect(messages([assistant(call("c1")), user(result("c1", IMAGE))]).slice(1)).toEqual([
      { role: "tool", tool_call_id: "c1", content: "The result is in the next message." },
      { role: "user", content: [{ type: "text", text: "Result of the call c1:" }, image] },
    ]);
  });

  it("keeps the calls of one step in one message, whatever turns they came in", () => {
    const turns = [
      assistant(thinking({})),
      assistant(text("a")),
      assistant(call("c1")),
      assistant(call("c2", { arguments: "" })),
    ];
    expect(messages(turns, { provider: "deepseek" })).toEqual([
      {
        role: "assistant",
        content: "a",
        reasoning_content: "hm",
        tool_calls: [
          { id: "c1", type: "function", function: { name: "f", arguments: "{}" } },
          { id: "c2", type: "function", function: { name: "f", arguments: "{}" } },
        ],
      },
    ]);
    expect(messages([assistant(call("c1"))])[0]).toMatchObject({ content: null });
  });

  it("sends images, documents and sound, and says what has no form here", () => {
    const document: DocumentBlock = {
      kind: "document",
      source: { ...NOTHING, data: "JVBERi0=", mediaType: "application/pdf" },
      text: null,
      title: "p.pdf",
      context: "about",
      citations: false,
      cache: null,
    };
    const blocks: Block[] = [
      { ...IMAGE, source: { ...NOTHING, url: "https://a.example/b.png" }, detail: "high" },
      document,
      { ...document, source: NOTHING, text: "plain", title: "T", context: null, citations: true },
      { kind: "audio", source: { ...NOTHING, data: "UklG", mediaType: "audio/mpeg" } },
      { ...document, source: { ...NOTHING, url: "https://a.example/c.pdf" }, context: null },
      { ...document, source: { ...NOTHING, fileId: "file_1" }, context: null },
      { ...IMAGE, source: { ...NOTHING, fileId: "file_1" } },
      { kind: "audio", source: { ...NOTHING, url: "https://a.example/d.mp3" } },
      { kind: "foreign", wire: "anthropic-messages", type: "search_result", raw: { type: "search_result" } },
      { kind: "foreign", wire: "openai-chat", type: "video_url", raw: { type: "video_url", video_url: {} } },
    ];
    const { body, losses } = encoded({ turns: [user(...blocks)] });
    expect((body.messages as JsonObject[])[0]?.content).toEqual([
      { type: "image_url", image_url: { url: "https://a.example/b.png", detail: "high" } },
      { type: "text", text: "about" },
      { type: "file", file: { file_data: "data:application/pdf;base64,JVBERi0=", filename: "p.pdf" } },
      { type: "text", text: "T\n\nplain" },
      { type: "input_audio", input_audio: { data: "UklG", format: "mp3" } },
      { type: "video_url", video_url: {} },
    ]);
    expect(losses).toEqual(["citations", "document", "image", "audio", "search_result"]);
  });

  it("gives thinking back where the target takes it", () => {
    const own = [assistant(thinking({}), text("a"))];
    const signed = [assistant(thinking({ signature: "s", origin: "anthropic-messages" }), text("a"))];
    expect(encoded({ turns: own }).losses).toEqual(["thinking"]);
    expect(messages(own, { provider: "vllm" })[0]).toMatchObject({ reasoning_content: "hm" });
    expect(encoded({ turns: signed }, { provider: "vllm" }).losses).toEqual(["thinking"]);
    expect(messages(signed, { provider: "openrouter" })[0]?.reasoning_details).toEqual([
      { type: "reasoning.text", text: "hm", signature: "s", id: null, format: "anthropic-claude-v1", index: 0 },
    ]);
  });

  it("returns signatures of calls to those who want them", () => {
    const turns = [assistant(call("c", { signature: "t" }))];
    expect(messages(turns, { provider: "gemini" })[0]?.tool_calls).toMatchObject([
      { extra_content: { google: { thought_signature: "t" } } },
    ]);
    expect(encoded({ turns }).losses).toEqual(["thought_signature"]);
  });

  it("changes names and ids that the wire refuses, the same way everywhere", () => {
    const name = "mcp.server/tool ".repeat(8);
    const tool = { kind: "function", name, description: null, parameters: null, strict: null, cache: null } as const;
    const turns = [assistant(call("x".repeat(50), { name })), user(result("x".repeat(50), text("r")))];
    const made = encoded({ turns, tools: [tool], toolChoice: { kind: "tool", name } });
    const [sent] = [...made.renamed.keys()];
    expect(sent).toMatch(/^[a-zA-Z0-9_-]{1,64}$/);
    expect(made.renamed.get(sent as string)).toBe(name);
    const [asked, answered] = made.body.messages as JsonObject[];
    const [first] = asked!.tool_calls as JsonObject[];
    expect(first).toMatchObject({ function: { name: sent } });
    expect((first!.id as string).length).toBeLessThanOrEqual(40);
    expect(answered?.tool_call_id).toBe(first?.id);
    expect(made.body).toMatchObject({
      tools: [{ function: { name: sent, parameters: { type: "object", properties: {} } } }],
      tool_choice: { type: "function", function: { name: sent } },
    });
    const [nine] = messages([assistant(call("toolu_123"))], { provider: "mistral" })[0]!.tool_calls as JsonObject[];
    expect(nine?.id).toMatch(/^[a-zA-Z0-9]{9}$/);
  });
});

describe("tools of a chat request for an upstream", () => {
  const tool = (name: string) =>
    ({
      kind: "function",
      name,
      description: "d",
      parameters: { type: "object", $defs: {} },
      strict: true,
      cache: null,
    }) as const;
  const tools = [tool("f"), tool("g")];

  it.each([
    [{ kind: "auto" }, "auto"],
    [{ kind: "none" }, "none"],
    [{ kind: "any" }, "required"],
    [
      { kind: "tool", name: "g" },
      { type: "function", function: { name: "g" } },
    ],
    [
      { kind: "allowed", names: ["g"], required: true },
      {
        type: "allowed_tools",
        allowed_tools: { mode: "required", tools: [{ type: "function", function: { name: "g" } }] },
      },
    ],
  ] as const)("says the choice %j", (toolChoice, expected) => {
    expect(encoded({ tools, toolChoice }).body.tool_choice).toEqual(expected);
  });

  it("sends only the allowed tools to a target that cannot be told", () => {
    const { body, losses } = encoded(
      { tools, toolChoice: { kind: "allowed", names: ["g"], required: false } },
      { provider: "vllm" },
    );
    expect(body).toMatchObject({ tools: [{ function: { name: "g" } }], tool_choice: "auto" });
    expect(losses).toEqual([]);
  });

  it("keeps schema and strictness, and says nothing about tools where there are none", () => {
    expect(encoded({ tools: [tool("f")], parallelToolCalls: false }).body).toMatchObject({
      tools: [
        {
          type: "function",
          function: { name: "f", description: "d", parameters: { type: "object", $defs: {} }, strict: true },
        },
      ],
      parallel_tool_calls: false,
    });
    const { body } = encoded({ toolChoice: { kind: "auto" }, parallelToolCalls: true });
    expect(body).toEqual({ model: "upstream-model", messages: [] });
  });

  it("hands the strictness of a form on to the tool that stands for it", () => {
    const format = { kind: "schema", name: "out", description: null, schema: {}, strict: true } as const;
    const { body } = encoded({ format }, { structuredOutput: "tool" });
    expect(body).toMatchObject({ tools: [{ function: { name: "out", strict: true } }] });
    const { body: open } = encoded({ format: { ...format, strict: null } }, { structuredOutput: "tool" });
    expect((open.tools as { function: object }[])[0]?.function).not.toHaveProperty("strict");
  });

  it("nests custom tools of the newer API, and names hosted ones that it cannot send", () => {
    const custom = {
      kind: "hosted",
      wire: "openai-responses",
      type: "custom",
      name: "sql",
      raw: { type: "custom", name: "sql", format: { type: "grammar", syntax: "lark", definition: "d" } },
    } as const;
    const search = {
      kind: "hosted",
      wire: "anthropic-messages",
      type: "web_search_20250305",
      name: "web_search",
      raw: {},
    } as const;
    const made = encoded({ tools: [custom, search], toolChoice: { kind: "tool", name: "sql" } });
    expect(made.body.tools).toEqual([
      {
        type: "custom",
        custom: { name: "sql", format: { type: "grammar", grammar: { syntax: "lark", definition: "d" } } },
      },
    ]);
    expect(made.body.tool_choice).toEqual({ type: "custom", custom: { name: "sql" } });
    expect(made.losses).toEqual(["web_search_20250305"]);
    expect(encoded({ tools: [custom] }, { provider: "vllm" }).losses).toEqual(["custom"]);
  });

  it("asks for a format natively, or by a forced tool", () => {
    const format = {
      kind: "schema",
      name: "reply",
      description: null,
      schema: { type: "object" },
      strict: true,
    } as const;
    expect(encoded({ format }).body.response_format).toEqual({
      type: "json_schema",
      json_schema: { name: "reply", schema: { type: "object" }, strict: true },
    });
    expect(encoded({ format: { kind: "json" } }).body.response_format).toEqual({ type: "json_object" });
    const forced = encoded({ format }, { structuredOutput: "tool" });
    expect(forced.formatTool).toBe("reply");
    expect(forced.body).toMatchObject({
      tools: [{ type: "function", function: { name: "reply", parameters: { type: "object" } } }],
      tool_choice: { type: "function", function: { name: "reply" } },
    });
    expect(encoded({ format, tools }, { structuredOutput: "tool" }).body).toMatchObject({ tool_choice: "required" });
  });
});

describe("the other fields of a chat request for an upstream", () => {
  const reasoning = { enabled: true, effort: null, budgetTokens: null, adaptive: false, summary: null };

  it.each([
    [{ effort: "high" }, { reasoning_effort: "high" }, []],
    [{ budgetTokens: 1024 }, { reasoning_effort: "low" }, ["reasoning_budget"]],
    [{ budgetTokens: 8000 }, { reasoning_effort: "medium" }, ["reasoning_budget"]],
    [{ budgetTokens: 32000 }, { reasoning_effort: "high" }, ["reasoning_budget"]],
    [{ adaptive: true }, {}, []],
    [{}, { reasoning_effort: "medium" }, []],
    [{ enabled: false }, {}, []],
    [{ enabled: false, effort: "none" }, { reasoning_effort: "none" }, []],
    [{ effort: "low", summary: "auto" }, { reasoning_effort: "low" }, ["reasoning_summary"]],
  ])("asks for reasoning %j", (asked, expected, losses) => {
    const made = encoded({ reasoning: { ...reasoning, ...asked } });
    expect(made.body).toEqual({ model: "upstream-model", messages: [], ...expected });
    expect(made.losses).toEqual(losses);
  });

  it("gives budgets to those who take them", () => {
    const made = encoded({ reasoning: { ...reasoning, budgetTokens: 99 } }, { provider: "openrouter" });
    expect(made.body.reasoning).toEqual({ max_tokens: 99, enabled: true });
    expect(made.losses).toEqual([]);
  });

  it("says what the target has no word for", () => {
    const made = encoded({
      sampling: { ...BASE.sampling, topK: 5, temperature: 1 },
      stop: ["a", "b", "c", "d", "e"],
      serviceTier: "batch",
      metadata: { a: "b" },
      extras: { context_management: {}, "strange field": 1 },
    });
    expect(made.body).toMatchObject({ temperature: 1, stop: ["a", "b", "c", "d"] });
    expect(made.losses).toEqual(["top_k", "stop", "service_tier", "metadata", "context_management", "extra_fields"]);
    const plain = encoded({ verbosity: "low", promptCacheKey: "k", serviceTier: "flex" }, { provider: "vllm" });
    expect(plain.losses).toEqual(["verbosity", "prompt_cache_key", "service_tier"]);
  });

  it("maps what has another word", () => {
    const made = encoded({
      serviceTier: "standard_only",
      user: "u",
      metadata: { a: "b" },
      extras: { store: true },
      origin: "openai-responses",
    });
    expect(made.body).toMatchObject({ service_tier: "default", user: "u", metadata: { a: "b" }, store: true });
    expect(made.losses).toEqual([]);
  });
});
