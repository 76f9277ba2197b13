import type { ResponseCreateParams } from "openai/resources/responses/responses";
import { describe, expect, it } from "vitest";
import {
  type Block,
  type HostedTool,
  NO_SAMPLING,
  type SemanticRequest,
  type Tool,
} from "../../../../src/dialects/semantic.js";
import { semanticRequest, text, user } from "../semantic-request.js";
import { encode } from "./samples.js";

const NONE = { data: null, url: null, fileId: null, mediaType: "" };
const TEXT = text("hi");

function request(fields: Partial<SemanticRequest> = {}): SemanticRequest {
  return semanticRequest({ origin: "anthropic-messages", model: "asked", turns: [user(TEXT)], ...fields });
}

function input(blocks: readonly Block[], role: "user" | "assistant" = "user") {
  const { body, losses } = encode(request({ turns: [{ role, blocks, name: null }] }));
  return { items: body.input, losses };
}

function tool(name: string): Tool {
  return { kind: "function", name, description: "D", parameters: { type: "object", x: 1 }, strict: null, cache: null };
}

function hosted(wire: string, type: string, raw: object): HostedTool {
  return { kind: "hosted", wire, type, name: type, raw: { type, ...raw } };
}

describe("encodeRequest", () => {
  it("says everything that the wire can say", () => {
    const { body, losses } = encode(
      request({
        stream: true,
        system: [
          { kind: "text", text: "A", cache: null, annotations: [] },
          { kind: "text", text: "B", cache: null, annotations: [] },
        ],
        tools: [tool("f")],
        toolChoice: { kind: "tool", name: "f" },
        parallelToolCalls: false,
        sampling: { ...NO_SAMPLING, temperature: 0.5, topP: 0.9, logprobs: true, topLogprobs: 2 },
        maxOutputTokens: 100,
        reasoning: { enabled: true, effort: "high", budgetTokens: null, adaptive: false, summary: "auto" },
        format: { kind: "schema", name: "a b", description: "D", schema: { type: "object" }, strict: true },
        verbosity: "low",
        user: "u",
        metadata: { a: "b" },
        serviceTier: "standard_only",
        promptCacheKey: "k",
        modalities: ["text"],
      }),
    );
    const expected: ResponseCreateParams = {
      model: "up-model",
      stream: true,
      store: false,
      instructions: "A\n\nB",
      input: [{ type: "message", role: "user", content: [{ type: "input_text", text: "hi" }] }],
      tools: [{ type: "function", name: "f", description: "D", parameters: { type: "object", x: 1 }, strict: false }],
      tool_choice: { type: "function", name: "f" },
      parallel_tool_calls: false,
      temperature: 0.5,
      top_p: 0.9,
      top_logprobs: 2,
      max_output_tokens: 100,
      reasoning: { effort: "high", summary: "auto" },
      include: ["reasoning.encrypted_content", "message.output_text.logprobs"],
      text: {
        format: { type: "json_schema", name: "a_b", description: "D", schema: { type: "object" }, strict: true },
        verbosity: "low",
      },
      safety_identifier: "u",
      metadata: { a: "b" },
      service_tier: "default",
      prompt_cache_key: "k",
    };
    expect(body).toEqual(expected);
    expect(losses).toEqual([]);
  });

  it("reports what it cannot say", () => {
    const { body, losses } = encode(
      request({
        system: [{ kind: "text", text: "A", cache: { ttl: "1h" }, annotations: [] }],
        sampling: {
          ...NO_SAMPLING,
          topK: 1,
          seed: 2,
          frequencyPenalty: 1,
          presencePenalty: 1,
          logitBias: { 5: 1 },
          count: 2,
        },
        stop: ["END"],
        maxOutputTokens: 3,
        serviceTier: "batchy",
        modalities: ["audio"],
        toolChoice: { kind: "tool", name: "gone" },
        tools: [hosted("anthropic-messages", "bash_20250124", {})],
        extras: { mystery: 1, "We\nird": 2, store: false },
      }),
    );
    expect([...losses].sort()).toEqual([
      "cache_control",
      "extra_field",
      "frequency_penalty",
      "logit_bias",
      "max_output_tokens",
      "modalities",
      "mystery",
      "n",
      "presence_penalty",
      "seed",
      "service_tier",
      "stop",
      "tool_bash_20250124",
      "tool_choice",
      "top_k",
    ]);
    expect(body.max_output_tokens).toBe(16);
    expect(body.tools).toBeUndefined();
    expect(body.tool_choice).toBeUndefined();
  });

  it("keeps a tool loop in order, with ids and custom tools", () => {
    const long = "toolu_".padEnd(80, "x");
    const call = {
      kind: "tool_call",
      name: "f",
      arguments: "",
      signature: "",
      flavour: "function",
      cache: null,
    } as const;
    const result = { kind: "tool_result", name: "", isError: false, cache: null } as const;
    const { body, losses } = encode(
      request({
        turns: [
          {
            role: "assistant",
            name: null,
            blocks: [
              { kind: "thinking", text: "T", signature: "", encrypted: "enc", id: "rs_1", origin: "openai-responses" },
              { ...TEXT },
              { ...call, id: long },
              { ...call, id: "c2", name: "patch", arguments: "raw", flavour: "custom" },
            ],
          },
          {
            role: "user",
            name: null,
            blocks: [
              { ...result, callId: long, content: [TEXT as never] },
              {
                ...result,
                callId: "c2",
                content: [
                  TEXT as never,
                  { kind: "image", source: { ...NONE, url: "https://a.example" }, detail: null, cache: null },
                ],
              },
              TEXT,
            ],
          },
        ],
      }),
    );
    expect(losses).toEqual([]);
    const short = long.slice(0, 64);
    expect(body.input).toEqual([
      { type: "reasoning", id: "rs_1", summary: [{ type: "summary_text", text: "T" }], encrypted_content: "enc" },
      { type: "message", role: "assistant", content: [{ type: "output_text", text: "hi", annotations: [] }] },
      { type: "function_call", call_id: short, name: "f", arguments: "{}" },
      { type: "custom_tool_call", call_id: "c2", name: "patch", input: "raw" },
      { type: "function_call_output", call_id: short, output: "hi" },
      {
        type: "custom_tool_call_output",
        call_id: "c2",
        output: [
          { type: "input_text", text: "hi" },
          { type: "input_image", image_url: "https://a.example", detail: "auto" },
        ],
      },
      { type: "message", role: "user", content: [{ type: "input_text", text: "hi" }] },
    ]);
    expect(body.include).toEqual(["reasoning.encrypted_content"]);
  });

  it("writes media, and what cannot go is a loss", () => {
    const image = { kind: "image", detail: "low", cache: null } as const;
    const document = {
      kind: "document",
      text: null,
      title: null,
      context: null,
      citations: false,
      cache: null,
    } as const;
    expect(
      input([
        { ...image, source: { ...NONE, data: "aGk=", mediaType: "image/gif" } },
        { ...document, source: { ...NONE, data: "JVBE", mediaType: "application/pdf" }, title: "a.pdf" },
        { ...document, source: { ...NONE, url: "https://a.example/b.pdf" } },
        { ...document, source: NONE, text: "body", title: "Title", context: "Context" },
      ]),
    ).toEqual({
      losses: [],
      items: [
        {
          type: "message",
          role: "user",
          content: [
            { type: "input_image", image_url: "data:image/gif;base64,aGk=", detail: "low" },
            { type: "input_file", filename: "a.pdf", file_data: "data:application/pdf;base64,JVBE" },
            { type: "input_file", file_url: "https://a.example/b.pdf" },
            { type: "input_text", text: "Title\n\nContext\n\nbody" },
          ],
        },
      ],
    });
    const lost = input([
      { ...image, source: { ...NONE, fileId: "file_of_another_vendor" } },
      { ...document, source: { ...NONE, fileId: "x" }, citations: true },
      { kind: "audio", source: { ...NONE, data: "x" } },
      { kind: "foreign", wire: "anthropic-messages", type: "server_tool_use", raw: {} },
      { kind: "thinking", text: "T", signature: "s", encrypted: "", id: "", origin: "anthropic-messages" },
    ]);
    expect(lost.items).toEqual([]);
    expect([...lost.losses].sort()).toEqual(["audio", "citations", "document", "image", "server_tool_use", "thinking"]);
  });

  it("maps the tools that other wires have of their own", () => {
    const { body, losses } = encode(
      request({
        tools: [
          hosted("anthropic-messages", "web_search_20250305", {
            allowed_domains: ["a.example"],
            user_location: { type: "approximate", city: "B" },
            max_uses: 3,
          }),
          hosted("anthropic-messages", "code_execution_20250825", {}),
          {
            ...hosted("openai-chat", "custom", {
              custom: {
                name: "patch",
                format: { type: "grammar", grammar: { syntax: "lark", definition: "start: /x/" } },
              },
            }),
            name: "patch",
          },
        ],
        toolChoice: { kind: "allowed", names: ["patch"], required: true },
        extras: { web_search_options: { user_location: { type: "approximate", approximate: { city: "C" } } } },
      }),
    );
    expect(body.tools).toEqual([
      {
        type: "web_search",
        filters: { allowed_domains: ["a.example"] },
        user_location: { type: "approximate", city: "B" },
      },
      { type: "code_interpreter", container: { type: "auto" } },
      { type: "custom", name: "patch", format: { type: "grammar", syntax: "lark", definition: "start: /x/" } },
      { type: "web_search", user_location: { type: "approximate", city: "C" } },
    ]);
    expect(body.tool_choice).toEqual({
      type: "allowed_tools",
      mode: "required",
      tools: [{ type: "custom", name: "patch" }],
    });
    expect(losses).toEqual(["web_search_options"]);
  });

  it("sends names that the wire takes, and remembers the caller's", () => {
    const { body, encoded } = encode(
      request({ tools: [tool("a.b"), tool("a_b")], toolChoice: { kind: "tool", name: "a.b" } }),
    );
    expect((body.tools as { name: string }[]).map((sent) => sent.name)).toEqual(["a_b_2", "a_b"]);
    expect(body.tool_choice).toEqual({ type: "function", name: "a_b_2" });
    expect([...encoded.renamed]).toEqual([["a_b_2", "a.b"]]);
  });

  it("hashes a user's id that is too long for the wire", () => {
    const { body } = encode(request({ user: "u".repeat(65) }));
    expect(body.safety_identifier).toMatch(/^[0-9a-f]{64}$/);
    expect(encode(request({ user: "u".repeat(65) })).body).toEqual(body);
  });

  it.each<[number, string]>([
    [1024, "low"],
    [10_000, "medium"],
    [32_000, "high"],
  ])("a thinking budget of %d tokens is effort %s", (budgetTokens, effort) => {
    const reasoning = { enabled: true, effort: null, budgetTokens, adaptive: false, summary: "summarized" };
    const { body, losses } = encode(request({ reasoning }));
    expect(body.reasoning).toEqual({ effort, summary: "auto" });
    expect(losses).toEqual(["reasoning_budget"]);
  });
});
