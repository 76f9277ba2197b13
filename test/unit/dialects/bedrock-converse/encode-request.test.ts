import { describe, expect, it } from "vitest";
import { type Block, NO_SAMPLING, type Reasoning } from "../../../../src/dialects/semantic.js";
import { CLAUDE, call, document, encode, image, PNG, result, text, tool, turn } from "./requests.js";
import { sentBySdk } from "./sdk.js";

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
        turn("user", { ...result("tooluse_1", "rain", true), cache: { ttl: "5m" } } as Block),
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
        "performance_config",
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
