import { describe, expect, it } from "vitest";
import type { Block, JsonObject, SemanticRequest } from "../../../../src/dialects/semantic.js";
import { decoded, fixture, PIXEL, refused } from "./sample.js";

function turnBlocks(messages: JsonObject[]): (readonly Block[])[] {
  return decoded({ messages }).request.turns.map((turn) => turn.blocks);
}

function textBlock(text: string): Block {
  return { kind: "text", text, cache: null, annotations: [] };
}

describe("a chat request with everything", () => {
  const { request, losses } = decoded(fixture("openai-chat/full"));

  it("keeps system and developer text in order, marks included", () => {
    expect(request.system).toEqual([
      textBlock("Be brief."),
      { kind: "text", text: "Be kind.", cache: { ttl: "1h" }, annotations: [] },
    ]);
  });

  it("reads every content part of a user turn", () => {
    const [user] = request.turns;
    const none = { data: null, url: null, fileId: null, mediaType: "" };
    expect(user).toEqual({
      role: "user",
      name: "ann",
      blocks: [
        { kind: "text", text: "What is in these?", cache: { ttl: null }, annotations: [] },
        { kind: "image", source: { ...none, data: PIXEL, mediaType: "image/png" }, detail: "low", cache: null },
        { kind: "image", source: { ...none, url: "https://example.com/cat.webp" }, detail: null, cache: null },
        { kind: "audio", source: { ...none, data: "UklGRg==", mediaType: "audio/wav" } },
        {
          kind: "document",
          source: { ...none, data: "JVBERi0=", mediaType: "application/pdf" },
          text: null,
          title: "paper.pdf",
          context: null,
          citations: false,
          cache: null,
        },
        {
          kind: "document",
          source: { ...none, fileId: "file-1" },
          text: null,
          title: null,
          context: null,
          citations: false,
          cache: null,
        },
        {
          kind: "foreign",
          wire: "openai-chat",
          type: "video_url",
          raw: { type: "video_url", video_url: { url: "https://example.com/film.mp4" } },
        },
      ],
    });
  });

  it("reads signed thinking, text and calls of an assistant turn", () => {
    expect(request.turns[1]?.blocks).toEqual([
      {
        kind: "thinking",
        text: "I need the tools.",
        signature: "sig-1",
        encrypted: "",
        id: "",
        origin: "anthropic-messages",
      },
      textBlock("Let me look."),
      {
        kind: "tool_call",
        id: "call_a",
        name: "look",
        arguments: '{"at":"image"}',
        signature: "thought-1",
        flavour: "function",
        cache: null,
      },
      {
        kind: "tool_call",
        id: "call_b",
        name: "shell",
        arguments: "ls -l",
        signature: "",
        flavour: "custom",
        cache: null,
      },
    ]);
  });

  it("folds consecutive tool messages into one user turn, images inside them kept", () => {
    const results = request.turns[2];
    expect(results?.role).toBe("user");
    expect(
      results?.blocks.map((block) => block.kind === "tool_result" && [block.callId, block.content.length]),
    ).toEqual([
      ["call_a", 1],
      ["call_b", 2],
    ]);
    expect(request.turns.map((turn) => turn.role)).toEqual(["user", "assistant", "user", "user", "assistant"]);
    expect(request.turns[4]?.blocks).toEqual([textBlock("Well"), { kind: "refusal", text: "no" }]);
  });

  it("keeps tools with every key of their schema, and tools of other types", () => {
    expect(request.tools).toEqual([
      {
        kind: "function",
        name: "look",
        description: "Looks.",
        parameters: { type: "object", properties: { at: { type: "string" } }, "x-key": 1 },
        strict: true,
        cache: { ttl: null },
      },
      {
        kind: "hosted",
        wire: "openai-chat",
        type: "custom",
        name: "shell",
        raw: { type: "custom", custom: { name: "shell", format: { type: "text" } } },
      },
      { kind: "hosted", wire: "openai-chat", type: "web_search", name: "", raw: { type: "web_search", filters: {} } },
    ]);
    expect(request.toolChoice).toEqual({ kind: "allowed", names: ["look"], required: true });
    expect(request.parallelToolCalls).toBe(false);
  });

  it("reads sampling, limits, reasoning, format and the rest", () => {
    const expected: Partial<SemanticRequest> = {
      origin: "openai-chat",
      model: "asked-model",
      stream: true,
      maxOutputTokens: 900,
      stop: ["END", "STOP"],
      reasoning: { enabled: true, effort: "high", budgetTokens: null, adaptive: false, summary: null },
      format: { kind: "schema", name: "reply", description: "A reply.", schema: { type: "object" }, strict: true },
      verbosity: "low",
      user: "u-1",
      metadata: { trace: "t" },
      serviceTier: "flex",
      promptCacheKey: "pk",
      modalities: ["text", "audio"],
      sampling: {
        temperature: 0.5,
        topP: 0.9,
        topK: 40,
        seed: 42,
        frequencyPenalty: 0.1,
        presencePenalty: -0.1,
        logitBias: { "50256": -100 },
        logprobs: true,
        topLogprobs: 3,
        count: 2,
      },
    };
    expect(request).toMatchObject(expected);
  });

  it("carries unknown fields and drops nothing without saying so", () => {
    expect(request.extras).toEqual({
      safety_identifier: "s-1",
      audio: { voice: "alloy", format: "wav" },
      prediction: { type: "content", content: "x" },
      web_search_options: { search_context_size: "low" },
      store: true,
      a_field_of_next_year: { deep: [1] },
    });
    expect(losses).toEqual([]);
  });
});

describe("messages of a chat request", () => {
  it("puts later system turns to the others, with a loss", () => {
    const { request, losses } = decoded({
      messages: [
        { role: "user", content: "a" },
        { role: "system", content: "late" },
      ],
    });
    expect(request.system).toEqual([textBlock("late")]);
    expect(losses).toEqual(["system_position"]);
  });

  it("reads the legacy form of functions and calls", () => {
    const { request } = decoded({
      functions: [{ name: "look", parameters: { type: "object" } }],
      function_call: { name: "look" },
      messages: [
        { role: "user", content: "a" },
        { role: "assistant", content: null, function_call: { name: "look", arguments: "" } },
        { role: "function", name: "look", content: "seen" },
      ],
    });
    expect(request.tools).toMatchObject([{ kind: "function", name: "look" }]);
    expect(request.toolChoice).toEqual({ kind: "tool", name: "look" });
    expect(request.answerHints).toEqual({ functions: true });
    expect(request.turns[1]?.blocks).toMatchObject([{ kind: "tool_call", id: "call_1", arguments: "{}" }]);
    expect(request.turns[2]?.blocks).toMatchObject([{ kind: "tool_result", callId: "call_1", name: "look" }]);
    expect(request.extras).toEqual({});
  });

  it("puts thinking back to its place among the other blocks", () => {
    const [blocks] = turnBlocks([
      {
        role: "assistant",
        content: "hm",
        reasoning_details: [
          { type: "reasoning.text", text: "one", signature: "s1", format: "anthropic-claude-v1", index: 0 },
          { type: "reasoning.encrypted", data: "xx", format: "anthropic-claude-v1", index: 2 },
        ],
        tool_calls: [{ id: "c", type: "function", function: { name: "f", arguments: "{}" } }],
      },
    ]);
    expect(blocks?.map((block) => block.kind)).toEqual(["thinking", "text", "thinking", "tool_call"]);
    expect(blocks?.[2]).toMatchObject({ encrypted: "xx", origin: "anthropic-messages" });
  });

  it("reads the other spellings of thinking", () => {
    const spellings: JsonObject[] = [
      { reasoning_content: "t" },
      { reasoning: "t" },
      { reasoning_details: [{ type: "reasoning.summary", summary: "t", format: "openai-responses-v1" }] },
      { thinking_blocks: [{ type: "thinking", thinking: "t", signature: "s" }] },
      { content: [{ type: "thinking", thinking: "t", signature: "s" }] },
      { content: [{ type: "thinking", thinking: [{ type: "text", text: "t" }] }] },
    ];
    const origins = spellings.map((spelling) => {
      const [blocks] = turnBlocks([{ role: "assistant", ...spelling }]);
      expect(blocks).toMatchObject([{ kind: "thinking", text: "t" }]);
      return (blocks![0] as { origin: string }).origin;
    });
    expect(origins).toEqual([
      "openai-chat",
      "openai-chat",
      "openai-responses",
      "anthropic-messages",
      "anthropic-messages",
      "openai-chat",
    ]);
  });

  it("takes data URIs of PDF as documents, text files as text, and bare file data by the file's name", () => {
    const parts = [
      { type: "image_url", image_url: { url: "data:application/pdf;base64,JVBERi0=" } },
      { type: "file", file: { file_data: "data:text/plain;base64,aGk=", filename: "a.txt" } },
      { type: "file", file: { file_data: "JVBERi0=\n", filename: "b.pdf" } },
      { type: "image_url", image_url: "data:image/svg+xml,%3Csvg%2F%3E" },
    ];
    const [blocks] = turnBlocks([{ role: "user", content: parts }]);
    expect(blocks?.map((block) => block.kind)).toEqual(["document", "document", "document", "image"]);
    expect(blocks?.[1]).toMatchObject({ text: "hi", source: { data: null } });
    expect(blocks?.[2]).toMatchObject({ source: { data: "JVBERi0=", mediaType: "application/pdf" } });
    expect(blocks?.[3]).toMatchObject({
      source: { data: Buffer.from("<svg/>").toString("base64"), mediaType: "image/svg+xml" },
    });
  });

  it("names fields of messages and parts of results that have no place", () => {
    const { losses } = decoded({
      messages: [
        { role: "user", content: "a", strange: 1 },
        { role: "tool", tool_call_id: "c", content: [{ type: "video_url", video_url: {} }] },
      ],
    });
    expect(losses).toEqual(["message_fields", "video_url"]);
  });

  it("never lets a client's text become the name of a loss", () => {
    const content = [{ type: "x\r\nset-cookie: a" }];
    expect(decoded({ messages: [{ role: "system", content }] }).losses).toEqual(["content_part"]);
  });
});

describe("fields of a chat request", () => {
  it.each([
    ["auto", { kind: "auto" }],
    ["none", { kind: "none" }],
    ["required", { kind: "any" }],
    [
      { type: "function", function: { name: "f" } },
      { kind: "tool", name: "f" },
    ],
    [
      { type: "custom", custom: { name: "c" } },
      { kind: "tool", name: "c" },
    ],
    [
      {
        type: "allowed_tools",
        allowed_tools: { mode: "auto", tools: [{ type: "function", function: { name: "f" } }] },
      },
      { kind: "allowed", names: ["f"], required: false },
    ],
  ])("reads the tool choice %j", (choice, expected) => {
    expect(decoded({ tool_choice: choice }).request.toolChoice).toEqual(expected);
  });

  it.each([
    [{ reasoning_effort: "none" }, { enabled: false, effort: "none" }],
    [{ reasoning_effort: "minimal" }, { enabled: true, effort: "minimal" }],
    [{ thinking: { type: "enabled", budget_tokens: 2000 } }, { enabled: true, budgetTokens: 2000 }],
    [{ thinking: { type: "disabled" } }, { enabled: false, effort: null }],
    [{ thinking: { type: "adaptive" } }, { enabled: true, adaptive: true }],
    [{ reasoning: { max_tokens: 500 } }, { enabled: true, budgetTokens: 500 }],
    [{ reasoning: { enabled: false } }, { enabled: false }],
  ])("reads reasoning %j", (body, expected) => {
    expect(decoded(body).request.reasoning).toMatchObject(expected);
  });

  it("reads response formats", () => {
    expect(decoded({ response_format: { type: "text" } }).request.format).toBeNull();
    expect(decoded({ response_format: { type: "json_object" } }).request.format).toEqual({ kind: "json" });
    const unknown = decoded({ response_format: { type: "grammar" } });
    expect([unknown.request.format, unknown.losses]).toEqual([null, ["response_format"]]);
  });

  it("takes null for absent, everywhere", () => {
    const body = Object.fromEntries(
      Object.keys(fixture("openai-chat/full"))
        .filter((name) => name !== "messages" && name !== "model")
        .map((name) => [name, null]),
    );
    expect(decoded(body).request).toEqual(decoded({}).request);
  });

  it("takes one stop sequence, the older cap, and a safety identifier as the user", () => {
    const { request } = decoded({ stop: "END", max_tokens: 5, safety_identifier: "s" });
    expect(request).toMatchObject({ stop: ["END"], maxOutputTokens: 5, user: "s", extras: {} });
  });
});

describe("malformed chat requests", () => {
  it.each<[string, JsonObject]>([
    ["messages", { messages: "hi" }],
    ["messages[0]", { messages: ["hi"] }],
    ["messages[0].role", { messages: [{ content: "hi" }] }],
    ["messages[0].role", { messages: [{ role: "robot", content: "hi" }] }],
    ["messages[0].content", { messages: [{ role: "user", content: 5 }] }],
    ["messages[0].content", { messages: [{ role: "user" }] }],
    [
      "messages[1].content[0]",
      {
        messages: [
          { role: "system", content: "" },
          { role: "user", content: ["hi"] },
        ],
      },
    ],
    ["messages[0].content[0].type", { messages: [{ role: "user", content: [{ text: "hi" }] }] }],
    ["messages[0].content[0].text", { messages: [{ role: "user", content: [{ type: "text", text: 1 }] }] }],
    ["messages[0].content[0].image_url", { messages: [{ role: "user", content: [{ type: "image_url" }] }] }],
    ["messages[0].content[0].file.file_data", { messages: [{ role: "user", content: [{ type: "file", file: {} }] }] }],
    ["messages[0].tool_call_id", { messages: [{ role: "tool", content: "x" }] }],
    ["messages[0].tool_calls", { messages: [{ role: "assistant", tool_calls: {} }] }],
    [
      "messages[0].tool_calls[0].function.name",
      { messages: [{ role: "assistant", tool_calls: [{ id: "c", type: "function", function: {} }] }] },
    ],
    ["tools", { tools: {} }],
    ["tools[0].function.name", { tools: [{ type: "function", function: {} }] }],
    ["tool_choice", { tool_choice: "maybe" }],
    ["tool_choice", { tool_choice: 3 }],
    ["temperature", { temperature: "hot" }],
    ["max_tokens", { max_tokens: "many" }],
    ["stop", { stop: 1 }],
    ["stop[1]", { stop: ["a", 1] }],
    ["stream", { stream: "yes" }],
    ["response_format.type", { response_format: {} }],
    ["response_format.json_schema", { response_format: { type: "json_schema" } }],
    ["metadata", { metadata: [] }],
  ])("names %s", (param, body) => {
    expect(refused(body)).toMatchObject({ code: "invalid_request_error", param });
  });
});
