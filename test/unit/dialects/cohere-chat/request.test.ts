import { CohereClientV2 } from "cohere-ai";
import { describe, expect, it } from "vitest";
import { targetCodec } from "../../../../src/dialects/cohere-chat/codec.js";
import { type JsonObject, LossList, type SemanticRequest } from "../../../../src/dialects/semantic.js";
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
} from "../gemini/semantic.js";

const MODEL = "command-a-03-2025";
const SCHEMA = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const made = (fields: Partial<SemanticRequest>) => encode(targetCodec, MODEL, fields);

describe("cohere-chat requests", () => {
  it("writes every role, results first, calls and thinking with their turn", () => {
    const { body, losses } = made({
      system: [text("be brief")],
      turns: [
        user(text("look"), image({ data: "AAAA", mediaType: "image/png" }), image({ url: "https://x.example/a.png" })),
        assistant(
          thinking({ text: "hm", origin: "cohere-chat" }),
          thinking({ text: "I will look.", origin: "cohere-chat", id: "tool_plan" }),
          call("c1", "weather", '{"city":"Rome"}'),
          call("c2", "now", ""),
        ),
        user(text("and?"), result("c1", "sunny"), result("c2", "broken", { isError: true })),
        assistant(text("It is sunny.")),
      ],
    });
    expect(body).toEqual({
      model: MODEL,
      stream: false,
      messages: [
        { role: "system", content: "be brief" },
        {
          role: "user",
          content: [
            { type: "text", text: "look" },
            { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } },
            { type: "image_url", image_url: { url: "https://x.example/a.png" } },
          ],
        },
        {
          role: "assistant",
          content: [{ type: "thinking", thinking: "hm" }],
          tool_plan: "I will look.",
          tool_calls: [
            { id: "c1", type: "function", function: { name: "weather", arguments: '{"city":"Rome"}' } },
            { id: "c2", type: "function", function: { name: "now", arguments: "{}" } },
          ],
        },
        { role: "tool", tool_call_id: "c1", content: "sunny" },
        { role: "tool", tool_call_id: "c2", content: [{ type: "document", document: { data: { error: "broken" } } }] },
        { role: "user", content: "and?" },
        { role: "assistant", content: "It is sunny." },
      ],
    });
    expect(losses).toEqual([]);
  });

  it("puts documents of text beside the messages, and reports what the wire cannot take", () => {
    const source = { data: "JVBE", url: null, fileId: null, mediaType: "application/pdf" };
    const document = {
      kind: "document",
      source,
      text: null,
      title: null,
      context: null,
      citations: true,
      cache: null,
    } as const;
    const { body, losses } = made({
      turns: [
        user(
          text("read", { cache: { ttl: null } }),
          { ...document, text: "Emperors are tallest.", title: "Birds" },
          document,
          image({ fileId: "file-1" }),
          { kind: "audio", source },
        ),
        assistant(
          thinking({ text: "x", signature: "s", origin: "anthropic-messages" }),
          { kind: "foreign", wire: "w", type: "server_tool_use", raw: {} },
          call("c", "f", "{}", { signature: "s" }),
        ),
        user(result("c", "", { content: [image({ data: "A" }) as never, { ...document, text: "d" }] })),
      ],
      extras: { documents: ["mine"] },
    });
    expect(body.documents).toEqual(["mine", { data: { title: "Birds", text: "Emperors are tallest." } }]);
    expect((body.messages as JsonObject[]).at(-1)?.content).toEqual([
      { type: "document", document: { data: { text: "d" } } },
    ]);
    expect(losses).toEqual([
      "cache_control",
      "document",
      "image",
      "audio",
      "thinking",
      "server_tool_use",
      "thought_signature",
    ]);
  });

  it("maps every tool choice by showing only what may be called", () => {
    const tools = [tool("a", SCHEMA, { description: "d", strict: true }), tool("b", null, { strict: true })];
    const tried = (toolChoice: SemanticRequest["toolChoice"]) => {
      const { body } = made({ tools, toolChoice });
      const names = (body.tools as { function: { name: string } }[]).map((one) => one.function.name);
      return [body.tool_choice, names];
    };
    expect(tried(null)).toEqual([undefined, ["a", "b"]]);
    expect(tried({ kind: "auto" })).toEqual([undefined, ["a", "b"]]);
    expect(tried({ kind: "none" })).toEqual(["NONE", ["a", "b"]]);
    expect(tried({ kind: "any" })).toEqual(["REQUIRED", ["a", "b"]]);
    expect(tried({ kind: "tool", name: "b" })).toEqual(["REQUIRED", ["b"]]);
    expect(tried({ kind: "allowed", names: ["a"], required: false })).toEqual([undefined, ["a"]]);
    const { body, losses } = made({ tools });
    expect(body.strict_tools).toBe(true);
    expect(body.tools).toEqual([
      { type: "function", function: { name: "a", description: "d", parameters: SCHEMA } },
      { type: "function", function: { name: "b", parameters: { type: "object", properties: {} } } },
    ]);
    expect(losses).toEqual([]);
    const hosted = { kind: "hosted", wire: "w", type: "web_search", name: "", raw: {} } as const;
    const mixed = made({ tools: [...tools, tool("c"), hosted], parallelToolCalls: false });
    expect(mixed.body.strict_tools).toBeUndefined();
    expect(mixed.losses).toEqual(["web_search", "strict", "parallel_tool_calls"]);
  });

  it("changes names that the wire refuses and remembers them", () => {
    const { body, renamed } = made({
      tools: [tool("my-tool")],
      turns: [user(text("x")), assistant(call("c", "my-tool"))],
    });
    expect([...renamed]).toEqual([["my_tool", "my-tool"]]);
    expect(JSON.stringify(body)).not.toContain("my-tool");
  });

  it("holds the sampler inside the wire's ranges", () => {
    const fine = made({
      sampling: sampling({
        temperature: 0.3,
        topP: 0.9,
        topK: 10,
        seed: 4,
        frequencyPenalty: 0.5,
        presencePenalty: 0.1,
        logprobs: true,
      }),
      maxOutputTokens: 99,
      stop: ["x"],
    });
    expect(fine.body).toMatchObject({
      temperature: 0.3,
      p: 0.9,
      k: 10,
      seed: 4,
      frequency_penalty: 0.5,
      presence_penalty: 0.1,
      logprobs: true,
      max_tokens: 99,
      stop_sequences: ["x"],
    });
    expect(fine.losses).toEqual([]);
    const outside = made({
      sampling: sampling({
        topP: 1,
        topK: 900,
        frequencyPenalty: -1,
        presencePenalty: 2,
        count: 3,
        topLogprobs: 2,
        logitBias: {},
      }),
      stop: ["1", "2", "3", "4", "5", "6"],
    });
    expect(outside.body).toMatchObject({ p: 0.99, k: 500, frequency_penalty: 0, presence_penalty: 1 });
    expect(outside.losses).toEqual([
      "logit_bias",
      "top_logprobs",
      "n",
      "stop",
      "top_p",
      "top_k",
      "frequency_penalty",
      "presence_penalty",
    ]);
  });

  it("holds answers to JSON, through a tool where tools stand beside", () => {
    const format = { kind: "schema", name: "out", description: null, schema: SCHEMA, strict: null } as const;
    expect(made({ format: { kind: "json" } }).body.response_format).toEqual({ type: "json_object" });
    expect(made({ format }).body.response_format).toEqual({ type: "json_object", json_schema: SCHEMA });
    const byTool = made({ format, tools: [tool("f")] });
    expect(byTool.formatTool).toBe("out");
    expect(byTool.body).toMatchObject({ tool_choice: "REQUIRED" });
    expect(byTool.body.response_format).toBeUndefined();
    const forbidden = made({ format, tools: [tool("f")], toolChoice: { kind: "none" } });
    expect((forbidden.body.tools as unknown[]).length).toBe(1);
    expect(made({ format: { kind: "json" }, tools: [tool("f")] }).losses).toEqual(["response_format"]);
  });

  it("holds the tool that stands for a strict form to its schema, where the caller's own tools allow", () => {
    const format = { kind: "schema", name: "out", description: null, schema: SCHEMA, strict: true } as const;
    const strict = tool("f", SCHEMA, { strict: true });
    expect(made({ format }).losses).toEqual([]);
    expect(made({ format, tools: [strict] })).toMatchObject({ body: { strict_tools: true }, losses: [] });
    expect(made({ format: { ...format, strict: null }, tools: [strict] }).body.strict_tools).toBe(true);
    const mixed = made({ format, tools: [tool("f")] });
    expect([mixed.body.strict_tools, mixed.losses]).toEqual([undefined, ["strict"]]);
  });

  it("switches thinking, and passes the wire's own fields", () => {
    const reasoning = { enabled: true, effort: null, budgetTokens: 500, adaptive: false, summary: null };
    expect(made({ reasoning }).body.thinking).toEqual({ type: "enabled", token_budget: 500 });
    expect(made({ reasoning: { ...reasoning, enabled: false } }).body.thinking).toEqual({ type: "disabled" });
    const effort = made({ reasoning: { ...reasoning, budgetTokens: null, effort: "high" } });
    expect(effort.body.thinking).toEqual({ type: "enabled" });
    expect(effort.losses).toEqual(["reasoning_effort"]);
    const { body, losses } = made({ extras: { safety_mode: "STRICT", seeds: 1 }, user: "u", modalities: ["audio"] });
    expect(body.safety_mode).toBe("STRICT");
    expect(losses).toEqual(["seeds", "user", "modalities"]);
  });

  it("refuses nothing at all", () => {
    const refused = targetCodec.encodeRequest(request({ turns: [] }), traits(MODEL), new LossList());
    expect(isFailure(refused) && refused.param).toBe("messages");
  });

  it("sends what the vendor's own client sends", async () => {
    let sent: JsonObject = {};
    const fetched = async (_url: unknown, options?: { body?: unknown }) => {
      sent = JSON.parse(String(options?.body)) as JsonObject;
      return Response.json({ id: "i", finish_reason: "COMPLETE", message: { role: "assistant", content: [] } });
    };
    const client = new CohereClientV2({ token: "t", fetch: fetched as never });
    await client.chat({
      model: MODEL,
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "a" },
            { type: "image_url", imageUrl: { url: "https://x.example/a.png", detail: "low" } },
          ],
        },
        {
          role: "assistant",
          toolPlan: "plan",
          toolCalls: [{ id: "c", type: "function", function: { name: "f", arguments: "{}" } }],
        },
        { role: "tool", toolCallId: "c", content: [{ type: "document", document: { data: { error: "e" } } }] },
      ],
      tools: [{ type: "function", function: { name: "f", parameters: SCHEMA } }],
      strictTools: true,
      toolChoice: "REQUIRED",
      documents: [{ data: { title: "T", text: "x" } }],
      maxTokens: 5,
      stopSequences: ["s"],
      frequencyPenalty: 0.1,
      presencePenalty: 0.2,
      k: 3,
      p: 0.5,
      thinking: { type: "enabled", tokenBudget: 9 },
    });
    const picture = { ...image({ url: "https://x.example/a.png" }), detail: "low" } as never;
    const document = { kind: "document", text: "x", title: "T", context: null, citations: false, cache: null } as const;
    const source = { data: null, url: null, fileId: null, mediaType: "" };
    const { body } = made({
      turns: [
        user(text("a"), picture, { ...document, source }),
        assistant(thinking({ text: "plan", id: "tool_plan" }), call("c", "f")),
        user(result("c", "e", { isError: true })),
      ],
      tools: [tool("f", SCHEMA, { strict: true })],
      toolChoice: { kind: "any" },
      maxOutputTokens: 5,
      stop: ["s"],
      sampling: sampling({ frequencyPenalty: 0.1, presencePenalty: 0.2, topK: 3, topP: 0.5 }),
      reasoning: { enabled: true, effort: null, budgetTokens: 9, adaptive: false, summary: null },
    });
    expect(body).toEqual({ ...sent, stream: false });
  });
});
