/** Sampling, the form of the answer and thinking, as each generation of models is asked for them. */
import { transformJSONSchema } from "@anthropic-ai/sdk/lib/transform-json-schema";
import { describe, expect, it } from "vitest";
import { modelGeneration } from "../../../../src/dialects/anthropic-messages/model-generation.js";
import {
  type Block,
  type FunctionTool,
  type JsonObject,
  NO_SAMPLING,
  type Reasoning,
} from "../../../../src/dialects/semantic.js";
import { assistant, encode, request, text, traits, user } from "./support.js";

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

function reasoning(changes: Partial<Reasoning>): Reasoning {
  return { enabled: true, effort: null, budgetTokens: null, adaptive: false, summary: null, ...changes };
}

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

  it("binds where it is the wire's own, and a tool does not: strictness is lost there", () => {
    const strict = request({ format: { ...format, strict: true } });
    expect(encode(strict, traits("claude-sonnet-4-5")).losses).not.toContain("strict");
    expect(encode(strict, traits("claude-sonnet-4-20250514")).losses).toContain("strict");
    const open = request({ format: { ...format, strict: null } });
    expect(encode(open, traits("claude-sonnet-4-20250514")).losses).not.toContain("strict");
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
    expect([body.thinking, losses]).toEqual([undefined, ["strict", "reasoning"]]);
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
