/** Requests of other dialects as upstreams of this wire get them: wire facts, section 2. */
import { transformJSONSchema } from "@anthropic-ai/sdk/lib/transform-json-schema";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { modelGeneration } from "../../../../src/dialects/anthropic-messages/model-generation.js";
import { AcceptedNames } from "../../../../src/dialects/anthropic-messages/tool-names.js";
import {
  type Block,
  type FunctionTool,
  type JsonObject,
  NO_SAMPLING,
  type Reasoning,
  type Tool,
} from "../../../../src/dialects/semantic.js";
import { assistant, encode, request, text, traits, user } from "./support.js";

const NO_SOURCE = { data: null, url: null, fileId: null, mediaType: "" };
const LATEST = traits("claude-opus-4-8");

function tool(name: string, changes: Partial<FunctionTool> = {}): FunctionTool {
  return {
    kind: "function",
    name,
    description: null,
    parameters: { type: "object", properties: {} },
    strict: null,
    cache: null,
    ...changes,
  };
}

function call(id: string, name: string, args = "{}"): Block {
  return { kind: "tool_call", id, name, arguments: args, signature: "", flavour: "function", cache: null };
}

function result(callId: string, ...content: (Block & { kind: "text" | "image" | "document" })[]): Block {
  return { kind: "tool_result", callId, name: "", content, isError: false, cache: null };
}

function image(changes: Partial<typeof NO_SOURCE> | { data: string; mediaType: string } | { url: string }): Block & {
  kind: "image";
} {
  return { kind: "image", source: { ...NO_SOURCE, ...changes }, detail: null, cache: null } as Block & {
    kind: "image";
  };
}

function contentOf(blocks: Block[]): { content: JsonObject[]; losses: readonly string[] } {
  const { body, losses } = encode(request({ turns: [user(...blocks)] }));
  const messages = body.messages as { content: JsonObject[] }[];
  return { content: messages[0]?.content ?? [], losses };
}

function reasoning(changes: Partial<Reasoning>): Reasoning {
  return { enabled: true, effort: null, budgetTokens: null, adaptive: false, summary: null, ...changes };
}

describe("max_tokens", () => {
  it("is the caller's, else the model's", () => {
    expect(encode(request({ maxOutputTokens: 7 })).body.max_tokens).toBe(7);
    expect(encode(request()).body.max_tokens).toBe(4096);
  });
});

describe("turns", () => {
  it("merge where one role speaks twice, results of tools first", () => {
    const { body } = encode(
      request({
        system: [{ ...text("one"), cache: { ttl: null } }, text("two")],
        turns: [
          user(text("a")),
          user(text("b")),
          assistant(call("c1", "f", '{"x":1}')),
          assistant(call("c2", "f", "")),
          user(text("and then")),
          user(result("c1", text("1"))),
          user({ ...result("c2", image({ data: "aGk=", mediaType: "image/png" })), isError: true } as Block),
        ],
      }),
    );
    expect(body.system).toEqual([
      { type: "text", text: "one", cache_control: { type: "ephemeral" } },
      { type: "text", text: "two" },
    ]);
    expect(body.messages).toEqual([
      {
        role: "user",
        content: [
          { type: "text", text: "a" },
          { type: "text", text: "b" },
        ],
      },
      {
        role: "assistant",
        content: [
          { type: "tool_use", id: "c1", name: "f", input: { x: 1 } },
          { type: "tool_use", id: "c2", name: "f", input: {} },
        ],
      },
      {
        role: "user",
        content: [
          { type: "tool_result", tool_use_id: "c1", content: [{ type: "text", text: "1" }] },
          {
            type: "tool_result",
            tool_use_id: "c2",
            content: [{ type: "image", source: { type: "base64", media_type: "image/png", data: "aGk=" } }],
            is_error: true,
          },
          { type: "text", text: "and then" },
        ],
      },
    ]);
  });

  it("leave out what the wire refuses: empty turns and blank text", () => {
    const { body, losses } = encode(request({ turns: [user(text("a")), assistant(text("")), user(text(" \n"))] }));
    expect(body.messages).toEqual([{ role: "user", content: [{ type: "text", text: "a" }] }]);
    expect(losses).toEqual(["blank_text"]);
  });

  it("let the user say what would otherwise be a system text without messages", () => {
    const { body, losses } = encode(request({ system: [text("do it")], turns: [] }));
    expect(body.messages).toEqual([{ role: "user", content: [{ type: "text", text: "do it" }] }]);
    expect([body.system, losses]).toEqual([undefined, ["system"]]);
  });

  it("put arguments that are no object under a name", () => {
    const turns = [assistant(call("c", "f", '{"cut":'), call("d", "f", "null"))];
    const { body, losses } = encode(request({ turns }));
    expect(body.messages).toMatchObject([{ content: [{ input: { raw_arguments: '{"cut":' } }, { input: {} }] }]);
    expect(losses).toEqual(["tool_arguments"]);
  });
});

describe("images and documents", () => {
  it.each(["image/jpeg", "image/png", "image/gif", "image/webp"])("%s goes by value", (mediaType) => {
    expect(contentOf([image({ data: "aGk=", mediaType })])).toEqual({
      content: [{ type: "image", source: { type: "base64", media_type: mediaType, data: "aGk=" } }],
      losses: [],
    });
  });

  it("goes by address", () => {
    expect(contentOf([image({ url: "https://e.x/a.png" })]).content).toEqual([
      { type: "image", source: { type: "url", url: "https://e.x/a.png" } },
    ]);
  });

  it("are a loss in other types, and as files of another vendor", () => {
    const file = { ...image({}), source: { ...NO_SOURCE, fileId: "file-1" } } as Block;
    const blocks = [text("x"), image({ data: "aGk=", mediaType: "image/tiff" }), file];
    expect(contentOf(blocks)).toMatchObject({ content: [{ type: "text" }], losses: ["image"] });
  });

  it("PDFs are documents, however they came", () => {
    const source = { ...NO_SOURCE, data: "JVBERg==", mediaType: "application/pdf" };
    const document: Block = {
      kind: "document",
      source,
      text: null,
      title: "t.pdf",
      context: null,
      citations: false,
      cache: null,
    };
    const pdf = { type: "base64", media_type: "application/pdf", data: "JVBERg==" };
    expect(contentOf([document, image({ data: "JVBERg==", mediaType: "application/pdf" })])).toEqual({
      content: [
        { type: "document", source: pdf, title: "t.pdf" },
        { type: "document", source: pdf },
      ],
      losses: [],
    });
  });

  it("text files are read, others are a loss", () => {
    const base = { kind: "document", text: null, title: null, context: null, citations: false, cache: null } as const;
    const csv = { ...NO_SOURCE, data: Buffer.from("a,b").toString("base64"), mediaType: "text/csv" };
    const zip = { ...NO_SOURCE, data: "aGk=", mediaType: "application/zip" };
    expect(
      contentOf([
        { ...base, source: csv },
        { ...base, source: zip },
      ]),
    ).toEqual({
      content: [{ type: "document", source: { type: "text", media_type: "text/plain", data: "a,b" } }],
      losses: ["document"],
    });
  });

  it("sound, other wires' blocks and details are losses", () => {
    const blocks: Block[] = [
      text("x"),
      { kind: "audio", source: { ...NO_SOURCE, data: "aGk=", mediaType: "audio/wav" } },
      { kind: "foreign", wire: "openai-responses", type: "web_search_call", raw: {} },
      { kind: "foreign", wire: "openai-responses", type: "Bad Name!", raw: {} },
      { ...image({ url: "https://e.x" }), detail: "high" } as Block,
    ];
    expect(contentOf(blocks).losses).toEqual(["audio", "web_search_call", "foreign_block", "image_detail"]);
  });

  it("pictures in the model's own turns are a loss, refusals are its words", () => {
    const turns = [user(text("q")), assistant(image({ url: "https://e.x" }), { kind: "refusal", text: "No." })];
    const { body, losses } = encode(request({ turns }));
    expect(body.messages).toMatchObject([{}, { content: [{ type: "text", text: "No." }] }]);
    expect(losses).toEqual(["image"]);
  });
});

describe("sampling", () => {
  const sampling = { ...NO_SAMPLING, temperature: 1.5, topK: 5 };

  it("is clamped, which is a loss", () => {
    const { body, losses } = encode(request({ sampling }));
    expect(body).toMatchObject({ temperature: 1, top_k: 5 });
    expect(losses).toEqual(["temperature"]);
  });

  it("passes within the wire's bounds", () => {
    const { body, losses } = encode(request({ sampling: { ...NO_SAMPLING, temperature: 0.2 }, stop: ["a", " "] }));
    expect(body).toMatchObject({ temperature: 0.2, stop_sequences: ["a"] });
    expect(losses).toEqual(["stop"]);
  });

  it("keeps one of temperature and top_p where the model takes but one", () => {
    const both = request({ sampling: { ...NO_SAMPLING, temperature: 0.2, topP: 0.5 } });
    expect(encode(both, traits("claude-opus-4-1-20250805"))).toMatchObject({ losses: ["top_p"] });
    expect(encode(both, traits("claude-3-7-sonnet-latest")).body).toMatchObject({ temperature: 0.2, top_p: 0.5 });
  });

  it("is a loss on models that have none", () => {
    const { body, losses } = encode(request({ sampling }), LATEST);
    expect([body.temperature, body.top_k, losses]).toEqual([undefined, undefined, ["temperature", "top_k"]]);
  });

  it("what the wire has no word for is a loss", () => {
    const { losses } = encode(
      request({
        sampling: {
          ...NO_SAMPLING,
          seed: 1,
          frequencyPenalty: 1,
          presencePenalty: -1,
          logitBias: { "1": 2 },
          logprobs: true,
          count: 2,
        },
        verbosity: "high",
        promptCacheKey: "k",
        modalities: ["text", "audio"],
        metadata: { a: "b" },
        serviceTier: "flex",
        extras: { store: true, "Odd Name": 1 },
      }),
    );
    expect([...losses].sort()).toEqual([
      "frequency_penalty",
      "logit_bias",
      "logprobs",
      "metadata",
      "modalities",
      "n",
      "presence_penalty",
      "prompt_cache_key",
      "seed",
      "service_tier",
      "store",
      "unknown_field",
      "verbosity",
    ]);
  });

  it("says nothing of what asks for nothing", () => {
    const quiet = { ...NO_SAMPLING, frequencyPenalty: 0, presencePenalty: 0, logprobs: false, count: 1, topP: 1 };
    const { losses, body } = encode(
      request({ sampling: quiet, user: "u", serviceTier: "default", modalities: ["text"] }),
    );
    expect(losses).toEqual([]);
    expect(body).toMatchObject({ metadata: { user_id: "u" }, service_tier: "standard_only" });
  });
});

describe("tools", () => {
  it("keep every key of their schema, and strict", () => {
    const parameters = {
      type: "object",
      properties: { a: { $ref: "#/$defs/x" } },
      $defs: { x: { type: "string" } },
      y: 1,
    };
    const tools = [
      tool("f", { description: "d", parameters, strict: true, cache: { ttl: "1h" } }),
      tool("g", { parameters: null }),
    ];
    expect(encode(request({ tools })).body.tools).toEqual([
      {
        name: "f",
        description: "d",
        input_schema: parameters,
        strict: true,
        cache_control: { type: "ephemeral", ttl: "1h" },
      },
      { name: "g", input_schema: { type: "object", properties: {} } },
    ]);
  });

  it.each([
    [{ kind: "auto" }, { type: "auto" }],
    [{ kind: "none" }, { type: "none" }],
    [{ kind: "any" }, { type: "any" }],
    [
      { kind: "tool", name: "f" },
      { type: "tool", name: "f" },
    ],
  ] as const)("are chosen: %j", (toolChoice, choice) => {
    expect(encode(request({ tools: [tool("f")], toolChoice })).body.tool_choice).toEqual(choice);
  });

  it("one at a time", () => {
    const one = { tools: [tool("f")], parallelToolCalls: false };
    expect(encode(request(one)).body.tool_choice).toEqual({ type: "auto", disable_parallel_tool_use: true });
    expect(encode(request({ ...one, toolChoice: { kind: "any" } })).body.tool_choice).toEqual({
      type: "any",
      disable_parallel_tool_use: true,
    });
    expect(encode(request({ parallelToolCalls: false })).body.tool_choice).toBeUndefined();
  });

  it("only the allowed ones are shown", () => {
    const { body, losses } = encode(
      request({ tools: [tool("f"), tool("g")], toolChoice: { kind: "allowed", names: ["g"], required: true } }),
    );
    expect(body).toMatchObject({ tools: [{ name: "g" }], tool_choice: { type: "any" } });
    expect((body.tools as unknown[]).length).toBe(1);
    expect(losses).toEqual([]);
  });

  it("are not forced on models that refuse it", () => {
    const { body, losses } = encode(
      request({ tools: [tool("f")], toolChoice: { kind: "any" } }),
      traits("claude-opus-5-5"),
    );
    expect([body.tool_choice, losses]).toEqual([{ type: "auto" }, ["tool_choice"]]);
  });

  it("whose names the wire refuses are renamed everywhere", () => {
    const tools = [tool("my.tool"), tool("my_tool"), tool("x".repeat(130))];
    const turns = [assistant(call("functions.f:0", "my.tool")), user(result("functions.f:0", text("r")))];
    const encoded = encode(request({ tools, turns, toolChoice: { kind: "tool", name: "my.tool" } }));
    expect(encoded.body).toMatchObject({
      tools: [{ name: "my_tool_2" }, { name: "my_tool" }, { name: "x".repeat(128) }],
      tool_choice: { name: "my_tool_2" },
      messages: [
        { content: [{ id: "functions_f_0", name: "my_tool_2" }] },
        { content: [{ tool_use_id: "functions_f_0" }] },
      ],
    });
    expect([...encoded.renamed]).toEqual([
      ["my_tool_2", "my.tool"],
      ["x".repeat(128), "x".repeat(130)],
    ]);
  });

  it("get names that are accepted, one each (property)", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string({ maxLength: 8 }), { maxLength: 12 }), (wanted) => {
        const names = new AcceptedNames(4);
        names.reserve(wanted);
        const given = wanted.map((name) => names.name(name));
        expect(new Set(given).size).toBe(wanted.length);
        for (const name of given) expect(name).toMatch(/^[a-zA-Z0-9_-]{1,4}$/);
        expect(wanted.map((name) => names.name(name))).toEqual(given);
        for (const [index, name] of wanted.entries()) {
          if (/^[a-zA-Z0-9_-]{1,4}$/.test(name)) expect(given[index]).toBe(name);
        }
      }),
    );
  });

  it("that another vendor runs become this one's where it has the like, else a loss", () => {
    const hosted = (type: string, raw: JsonObject): Tool => ({
      kind: "hosted",
      wire: "openai-responses",
      type,
      name: "",
      raw,
    });
    const { body, losses } = encode(
      request({
        tools: [
          hosted("web_search_preview", {
            type: "web_search_preview",
            search_context_size: "low",
            user_location: { type: "approximate", city: "Rome" },
            filters: { allowed_domains: ["a.b"] },
          }),
          hosted("file_search", { type: "file_search" }),
        ],
      }),
    );
    expect(body.tools).toEqual([
      {
        type: "web_search_20250305",
        name: "web_search",
        allowed_domains: ["a.b"],
        user_location: { type: "approximate", city: "Rome" },
      },
    ]);
    expect(losses).toEqual(["web_search_options", "tool_file_search"]);
  });
});

describe("the form of the answer", () => {
  const schema = {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    type: "object",
    properties: {
      n: { type: "integer", minimum: 1, description: "count" },
      at: { type: "string", format: "date" },
      re: { type: "string", pattern: "^a" },
      l: { type: "array", items: { $ref: "#/$defs/p" }, minItems: 2 },
      e: { enum: ["a", null] },
      o: { oneOf: [{ type: "null" }, { type: "object", properties: {} }] },
    },
    $defs: { p: { type: "object", properties: { x: { type: "number" } }, required: ["x"] } },
    required: ["n"],
  };
  const format = { kind: "schema", name: "my answer", description: "words", schema, strict: true } as const;

  it("is native where the model has it, within the vendor's subset", () => {
    const { body, losses, formatTool } = encode(request({ format }), LATEST);
    const sent = (body.output_config as { format: { schema: JsonObject } }).format;
    expect(sent).toMatchObject({ type: "json_schema", schema: { additionalProperties: false } });
    expect([formatTool, body.tool_choice, losses]).toEqual(["", undefined, ["response_schema"]]);
    // The SDK writes its schemas into the same subset; both must agree but for the words of descriptions.
    const wordless = (value: unknown): unknown =>
      JSON.parse(JSON.stringify(value, (key, held) => (key === "description" ? undefined : held)));
    expect(wordless(sent.schema)).toEqual(wordless(transformJSONSchema(schema as never)));
    expect(JSON.stringify(sent.schema)).toContain("count\\n(minimum: 1)");
  });

  it("is a forced tool elsewhere", () => {
    for (const target of [
      traits("claude-sonnet-4-20250514"),
      traits("claude-haiku-4-5", { structuredOutput: "tool" }),
    ]) {
      const { body, formatTool, renamed } = encode(request({ format }), target);
      expect(formatTool).toBe("answer_my_answer");
      expect(body).toMatchObject({
        tools: [{ name: formatTool, input_schema: schema }],
        tool_choice: { type: "tool", name: formatTool },
      });
      expect([body.output_config, renamed.size]).toEqual([undefined, 0]);
    }
  });

  it("is one tool of several beside the caller's own", () => {
    const { body } = encode(request({ format, tools: [tool("f")] }), traits("claude-3-5-haiku-latest"));
    expect(body).toMatchObject({ tools: [{ name: "f" }, { name: "answer_my_answer" }], tool_choice: { type: "any" } });
  });

  it("rules thinking out where the tool is forced", () => {
    const { body, losses } = encode(
      request({ format, reasoning: reasoning({ effort: "low" }) }),
      traits("claude-haiku-4-5", { structuredOutput: "tool" }),
    );
    expect([body.thinking, losses]).toEqual([undefined, ["reasoning"]]);
  });

  it("stays native where no tool may be forced", () => {
    const target = traits("claude-sonnet-5-5", { structuredOutput: "tool" });
    expect(encode(request({ format }), target)).toMatchObject({ formatTool: "", body: { output_config: {} } });
  });

  it("is asked for in words where there is no schema", () => {
    const { body, losses } = encode(request({ format: { kind: "json" }, system: [text("s")] }));
    expect(body.system).toMatchObject([{ text: "s" }, { text: expect.stringContaining("JSON object") }]);
    expect(losses).toEqual(["response_format"]);
  });
});

describe("thinking", () => {
  it("has a budget on older models, below max_tokens", () => {
    for (const [effort, budget] of [
      ["minimal", 1024],
      ["low", 2048],
      ["medium", 8192],
      ["high", 16384],
    ] as const) {
      const wanted = request({ maxOutputTokens: 64000, reasoning: reasoning({ effort }) });
      expect(encode(wanted).body.thinking).toEqual({ type: "enabled", budget_tokens: budget });
    }
    const tight = encode(request({ maxOutputTokens: 2000, reasoning: reasoning({ effort: "high" }) }));
    expect(tight.body.thinking).toEqual({ type: "enabled", budget_tokens: 1500 });
    const tighter = encode(request({ maxOutputTokens: 1000, reasoning: reasoning({ effort: "high" }) }));
    expect([tighter.body.thinking, tighter.losses]).toEqual([undefined, ["reasoning"]]);
    const asked = encode(request({ maxOutputTokens: 4000, reasoning: reasoning({ budgetTokens: 9000 }) }));
    expect([asked.body.thinking, asked.losses]).toEqual([
      { type: "enabled", budget_tokens: 3000 },
      ["reasoning_budget"],
    ]);
  });

  it("is adaptive with an effort on newer ones", () => {
    for (const effort of ["low", "medium", "high", "xhigh", "max"]) {
      const { body, losses } = encode(request({ reasoning: reasoning({ effort }) }), LATEST);
      expect(body.thinking).toEqual({ type: "adaptive", display: "summarized" });
      expect([body.output_config, losses]).toEqual([{ effort }, []]);
    }
    const older = encode(request({ reasoning: reasoning({ effort: "xhigh" }) }), traits("claude-opus-4-6"));
    expect(older.body).toMatchObject({ thinking: { type: "adaptive" }, output_config: { effort: "high" } });
    expect(older.losses).toEqual(["reasoning_effort"]);
    const budget = encode(request({ reasoning: reasoning({ budgetTokens: 2000 }) }), LATEST);
    expect([budget.body.output_config, budget.losses]).toEqual([{ effort: "low" }, ["reasoning_budget"]]);
  });

  it("is switched off as each generation wants it", () => {
    const off = request({ reasoning: reasoning({ enabled: false, effort: "none" }) });
    expect(encode(off).body.thinking).toBeUndefined();
    expect(encode(off, LATEST).body.thinking).toEqual({ type: "disabled" });
    expect(encode(off, traits("claude-fable-5"))).toMatchObject({
      body: { output_config: { effort: "low" } },
      losses: ["reasoning"],
    });
    expect(encode(request({ reasoning: reasoning({}) }), traits("claude-3-5-haiku")).losses).toEqual(["reasoning"]);
  });

  it("forces the sampler to its defaults", () => {
    const sampling = { ...NO_SAMPLING, temperature: 0.5, topK: 3, topP: 0.5 };
    const { body, losses } = encode(
      request({ maxOutputTokens: 9000, sampling, reasoning: reasoning({ effort: "low" }) }),
    );
    expect([body.temperature, body.top_k, body.top_p]).toEqual([undefined, undefined, undefined]);
    expect(losses).toEqual(["temperature", "top_p", "top_k"]);
  });

  it("goes back only to the vendor that signed it", () => {
    const mine: Block = {
      kind: "thinking",
      text: "m",
      signature: "s",
      encrypted: "",
      id: "",
      origin: "anthropic-messages",
    };
    const hidden: Block = { ...mine, text: "", signature: "", encrypted: "e" };
    const other: Block = { ...mine, origin: "gemini" };
    const unsigned: Block = { ...mine, signature: "" };
    const { body, losses } = encode(request({ turns: [assistant(mine, hidden, other, unsigned, text("x"))] }));
    expect(body.messages).toMatchObject([
      {
        content: [
          { type: "thinking", thinking: "m", signature: "s" },
          { type: "redacted_thinking", data: "e" },
          { type: "text", text: "x" },
        ],
      },
    ]);
    expect(losses).toEqual(["thinking"]);
  });

  it("stops in a loop of tools whose call came without it", () => {
    const turns = [user(text("q")), assistant(call("c", "f")), user(result("c", text("r")))];
    const wanted = request({
      tools: [tool("f")],
      turns,
      maxOutputTokens: 9000,
      reasoning: reasoning({ effort: "low" }),
    });
    expect(encode(wanted)).toMatchObject({ losses: ["reasoning"] });
    expect(encode(wanted).body.thinking).toBeUndefined();
    expect(encode(wanted, LATEST).body.thinking).toMatchObject({ type: "adaptive" });
  });
});

describe("generations of models", () => {
  it.each([
    ["claude-3-opus-20240229", "none", "all"],
    ["claude-3-5-sonnet-20241022", "none", "all"],
    ["claude-instant-1.2", "none", "all"],
    ["claude-v2:1", "none", "all"],
    ["claude-3-7-sonnet-20250219", "budget", "all"],
    ["claude-sonnet-4-20250514", "budget", "all"],
    ["claude-opus-4-1@20250805", "budget", "one"],
    ["anthropic.claude-sonnet-4-5-20250929-v1:0", "budget", "one"],
    ["claude-haiku-4-5", "budget", "one"],
    ["us.anthropic.claude-opus-4-6-v1", "adaptive", "one"],
    ["anthropic/claude-sonnet-4.6", "adaptive", "one"],
    ["claude-opus-4-7", "adaptive", "none"],
    ["claude-4.7-opus", "adaptive", "none"],
    ["claude-sonnet-5", "adaptive", "none"],
    ["claude-mythos-preview", "adaptive", "none"],
    ["claude-of-the-future", "adaptive", "none"],
    ["kimi-k2", "budget", "all"],
  ])("%s thinks by %s and samples %s", (model, thinking, sampling) => {
    expect(modelGeneration(model)).toMatchObject({ thinking, sampling });
  });
});
