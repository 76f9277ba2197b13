import { describe, expect, it } from "vitest";
import { clientCodec } from "../../../../src/dialects/anthropic-messages/codec.js";
import {
  mayCarryForeignThinking,
  readSignatureTag,
  tagSignature,
} from "../../../../src/dialects/anthropic-messages/signature-tag.js";
import { type JsonObject, LossList } from "../../../../src/dialects/semantic.js";
import { isFailure } from "../../../../src/errors.js";
import { decode, encode, fixture, traits } from "./support.js";

function base(changes: JsonObject = {}): JsonObject {
  return { model: "claude-sonnet-4-5", max_tokens: 100, messages: [], ...changes };
}

function user(...content: JsonObject[]): JsonObject {
  return base({ messages: [{ role: "user", content }] });
}

describe("decodeRequest", () => {
  it("reads every field of a full request", () => {
    const decoded = decode(fixture("full-request"));
    expect(decoded).toMatchObject({
      origin: "anthropic-messages",
      model: "claude-sonnet-4-5",
      stream: true,
      maxOutputTokens: 2048,
      stop: ["END"],
      toolChoice: { kind: "auto" },
      parallelToolCalls: false,
      user: "user-1",
      metadata: { account: "a-9" },
      serviceTier: "auto",
      reasoning: { enabled: true, budgetTokens: 1024, effort: "high", adaptive: false, summary: "summarized" },
    });
    expect(decoded.sampling).toMatchObject({ temperature: 0.7, topP: 0.9, topK: 40 });
    expect(decoded.system.map((block) => [block.text, block.cache])).toEqual([
      ["You are terse.", { ttl: "1h" }],
      ["Be kind.", { ttl: null }],
      ["From now on, in French.", { ttl: null }],
    ]);
    expect(decoded.format).toMatchObject({ kind: "schema", schema: { type: "object" } });
    expect(decoded.tools.map((tool) => [tool.kind, tool.name])).toEqual([
      ["function", "get_weather"],
      ["hosted", "web_search"],
      ["hosted", "bash"],
      ["hosted", ""],
    ]);
    expect(decoded.turns[0]?.blocks.map((block) => block.kind)).toEqual([
      "text",
      "image",
      "image",
      "image",
      "document",
      "document",
      "document",
      "document",
      "document",
      "document",
      "foreign",
    ]);
    expect(decoded.turns[0]?.blocks[6]).toMatchObject({ text: "one\ntwo" });
    expect(decoded.turns[1]?.blocks.map((block) => block.kind)).toEqual([
      "thinking",
      "thinking",
      "text",
      "foreign",
      "foreign",
      "tool_call",
      "tool_call",
    ]);
    expect(decoded.turns[2]?.blocks[0]).toMatchObject({
      kind: "tool_result",
      callId: "toolu_1",
      isError: false,
      content: [{ text: "21" }, { kind: "image" }, { kind: "document", text: "r" }, { kind: "document", text: "d" }],
    });
    expect(decoded.turns[2]?.blocks[1]).toMatchObject({ isError: true, content: [{ text: "x" }] });
  });

  it("keeps every field that nobody knows, in its own place", () => {
    const { extras } = decode(fixture("full-request"));
    expect(Object.keys(extras).sort()).toEqual([
      "a_field_of_next_year",
      "block_fields",
      "cache_control",
      "container",
      "context_management",
      "inference_geo",
      "later_system_turns",
      "mcp_servers",
      "output_config",
      "speed",
    ]);
    expect(extras.output_config).toEqual({ task_budget: { type: "tokens", total: 9000 } });
  });

  it("takes how calls are to be streamed for a hint: its own wire gets it back, for others nothing is lost", () => {
    const tools = [{ name: "now", input_schema: { type: "object" }, eager_input_streaming: true }];
    const decoded = decode({ model: "m", max_tokens: 9, messages: [{ role: "user", content: "Hi" }], tools });
    expect(decoded.extras).toEqual({});
    expect(encode(decoded, traits("claude-sonnet-4-5")).body.tools).toEqual(tools);
    expect(encode({ ...decoded, origin: "openai-chat" }, traits("claude-sonnet-4-5")).losses).toEqual([]);
  });

  it("gives a full request back as it came", () => {
    const body = fixture("full-request");
    const encoded = encode(decode(body), traits("claude-sonnet-4-5"));
    expect(encoded.body).toEqual(body);
    expect(encoded.losses).toEqual([]);
  });

  it("reads strings where blocks could stand", () => {
    const body = base({
      system: "Be brief",
      messages: [
        { role: "user", content: "Hi" },
        { role: "user", content: [{ type: "tool_result", tool_use_id: "t", content: "done" }] },
      ],
    });
    const decoded = decode(body);
    expect(decoded.system[0]?.text).toBe("Be brief");
    expect(decoded.turns[0]?.blocks).toMatchObject([{ kind: "text", text: "Hi" }]);
    expect(decoded.turns[1]?.blocks).toMatchObject([{ kind: "tool_result", content: [{ text: "done" }] }]);
  });

  it.each([
    [{ type: "any" }, { kind: "any" }],
    [{ type: "none" }, { kind: "none" }],
    [
      { type: "tool", name: "f" },
      { kind: "tool", name: "f" },
    ],
    [{ type: "of_next_year" }, null],
  ])("reads tool_choice %j", (choice, meaning) => {
    const decoded = decode(base({ tool_choice: choice }));
    expect(decoded.toolChoice).toEqual(meaning);
    expect(encode(decoded).body.tool_choice).toEqual(choice);
  });

  it.each([
    [{ type: "adaptive" }, { enabled: true, adaptive: true }],
    [
      { type: "adaptive", display: "omitted" },
      { adaptive: true, summary: "omitted" },
    ],
    [{ type: "disabled" }, { enabled: false }],
    [{ type: "between_tools" }, { enabled: true, adaptive: false }],
    [{ type: "enabled", budget_tokens: 2000, interleaved: true }, { budgetTokens: 2000 }],
  ])("reads thinking %j and gives it back", (thinking, meaning) => {
    const decoded = decode(base({ thinking }));
    expect(decoded.reasoning).toMatchObject(meaning);
    expect(encode(decoded).body.thinking).toEqual(thinking);
  });

  it("reads effort without thinking, and the older place of the format", () => {
    const schema = { type: "object", properties: {} };
    const decoded = decode(base({ output_config: { effort: "low" }, output_format: { type: "json_schema", schema } }));
    expect(decoded.reasoning).toEqual({
      enabled: true,
      effort: "low",
      adaptive: false,
      budgetTokens: null,
      summary: null,
    });
    const { body } = encode(decoded);
    expect(body.thinking).toBeUndefined();
    expect(body.output_config).toEqual({ effort: "low", format: { type: "json_schema", schema } });
  });

  it.each([
    [{ messages: "x" }, "messages"],
    [{ messages: ["x"] }, "messages[0]"],
    [{ messages: [{ role: "tool", content: "x" }] }, "messages[0].role"],
    [{ messages: [{ role: "user", content: 3 }] }, "messages[0].content"],
    [{ messages: [{ role: "user", content: [7] }] }, "messages[0].content[0]"],
    [{ messages: [{ role: "user", content: [{ text: "x" }] }] }, "messages[0].content[0].type"],
    [{ messages: [{ role: "user", content: [{ type: "text" }] }] }, "messages[0].content[0].text"],
    [{ messages: [{ role: "user", content: [{ type: "image" }] }] }, "messages[0].content[0].source"],
    [
      { messages: [{ role: "user", content: [{ type: "tool_result", tool_use_id: "t", content: [{}] }] }] },
      "messages[0].content[0].content[0].type",
    ],
    [{ system: 4 }, "system"],
    [{ system: [{ type: "image" }] }, "system[0].type"],
    [{ max_tokens: "9" }, "max_tokens"],
    [{ tools: {} }, "tools"],
    [{ tools: [{ input_schema: {} }] }, "tools[0].name"],
    [{ tool_choice: "auto" }, "tool_choice"],
    [{ stop_sequences: [1] }, "stop_sequences[0]"],
    [{ thinking: {} }, "thinking.type"],
    [{ model: 4 }, "model"],
  ])("refuses %j, naming the field", (changes, param) => {
    const failed = clientCodec.decodeRequest(base(changes as JsonObject), new LossList());
    expect(isFailure(failed) && [failed.code, failed.param]).toEqual(["invalid_request_error", param]);
  });

  it("never refuses what it does not know", () => {
    const body = user({ type: "hologram", data: [1] }, { type: "image", source: { type: "satellite" } });
    const decoded = decode({ ...body, tools: [{ type: "teleport_20300101", name: "t" }] });
    expect(decoded.turns[0]?.blocks).toMatchObject([
      { kind: "foreign", type: "hologram" },
      { kind: "foreign", type: "image" },
    ]);
    expect(encode(decoded).body.messages).toEqual(body.messages);
  });
});

describe("signatures of other vendors", () => {
  it("are unwrapped from thinking, with their origin", () => {
    const carried = { origin: "openai-responses", signature: "s\n√", encrypted: "e", id: "rs_1" };
    const signature = tagSignature(carried);
    expect(signature).toMatch(/^weir\.openai-responses\.[A-Za-z0-9_-]+$/);
    expect(readSignatureTag(signature)).toEqual(carried);
    const body = base({
      messages: [{ role: "assistant", content: [{ type: "thinking", thinking: "hm", signature }] }],
    });
    const decoded = decode(body);
    expect(decoded.turns[0]?.blocks).toEqual([{ kind: "thinking", text: "hm", ...carried }]);
    // They mean nothing to this vendor, which would refuse them.
    const encoded = encode(decoded);
    expect(encoded.losses).toEqual(["thinking"]);
    expect(JSON.stringify(encoded.body)).not.toContain("weir.");
  });

  it("come back to the call that they belong to", () => {
    const data = tagSignature({ origin: "tool-call", signature: "sig", encrypted: "", id: "call_2" });
    const decoded = decode(
      base({
        messages: [
          {
            role: "assistant",
            content: [
              { type: "tool_use", id: "call_1", name: "f", input: {} },
              { type: "redacted_thinking", data },
              { type: "tool_use", id: "call_2", name: "f", input: { a: 1 } },
            ],
          },
        ],
      }),
    );
    expect(decoded.turns[0]?.blocks).toMatchObject([
      { kind: "tool_call", id: "call_1", signature: "" },
      { kind: "tool_call", id: "call_2", signature: "sig", arguments: '{"a":1}' },
    ]);
  });

  it("leave this vendor's own signatures alone", () => {
    for (const own of ["", "EqQB/+==", "weir", "weir.x", "weir.X.y", "weir.a.!"]) {
      expect(readSignatureTag(own)).toBeNull();
    }
  });

  it("are found in raw bytes", () => {
    expect(mayCarryForeignThinking(Buffer.from('{"signature":"weir.gemini.e30"}'))).toBe(true);
    expect(mayCarryForeignThinking(Buffer.from('{"signature":"abc"}'))).toBe(false);
  });
});
