import type { ResponseCreateParams, ResponseInputItem } from "openai/resources/responses/responses";
import { describe, expect, it } from "vitest";
import { stateField, stateFieldIn } from "../../../../src/dialects/openai-responses/state.js";
import { decode, refused } from "./samples.js";

const PNG = "iVBORw0KGgo=";

function turns(input: string | ResponseInputItem[] | object[]) {
  return decode({ model: "m", input }).request.turns;
}

describe("decodeRequest: fields", () => {
  const FULL: ResponseCreateParams = {
    model: "m",
    instructions: "Be brief.",
    input: "hello",
    stream: true,
    tools: [
      {
        type: "function",
        name: "look",
        description: "Looks.",
        parameters: { type: "object", properties: { at: { type: "string" } }, $defs: {} },
        strict: true,
      },
      { type: "custom", name: "patch", description: "Patches.", format: { type: "text" } },
      { type: "web_search" },
    ],
    tool_choice: "required",
    parallel_tool_calls: false,
    temperature: 0.5,
    top_p: 0.9,
    top_logprobs: 3,
    max_output_tokens: 99,
    reasoning: { effort: "high", summary: "auto" },
    text: {
      format: { type: "json_schema", name: "answer", schema: { type: "object" }, strict: true, description: "D" },
      verbosity: "low",
    },
    user: "old",
    safety_identifier: "u1",
    metadata: { a: "b" },
    service_tier: "flex",
    prompt_cache_key: "k",
    store: false,
    include: ["reasoning.encrypted_content", "message.output_text.logprobs"],
    truncation: "disabled",
  };

  it("finds a place for every field", () => {
    const { request, losses } = decode(FULL);
    expect(losses).toEqual([]);
    expect(request).toMatchObject({
      origin: "openai-responses",
      model: "m",
      stream: true,
      system: [{ kind: "text", text: "Be brief." }],
      turns: [{ role: "user", blocks: [{ kind: "text", text: "hello" }] }],
      toolChoice: { kind: "any" },
      parallelToolCalls: false,
      sampling: { temperature: 0.5, topP: 0.9, logprobs: true, topLogprobs: 3, topK: null },
      maxOutputTokens: 99,
      stop: [],
      reasoning: { enabled: true, effort: "high", budgetTokens: null, adaptive: false, summary: "auto" },
      format: { kind: "schema", name: "answer", description: "D", schema: { type: "object" }, strict: true },
      verbosity: "low",
      user: "u1",
      metadata: { a: "b" },
      serviceTier: "flex",
      promptCacheKey: "k",
      extras: { user: "old" },
      answerHints: { instructions: "Be brief." },
    });
    expect(request.tools).toEqual([
      {
        kind: "function",
        name: "look",
        description: "Looks.",
        parameters: { type: "object", properties: { at: { type: "string" } }, $defs: {} },
        strict: true,
        cache: null,
      },
      expect.objectContaining({ kind: "hosted", wire: "openai-responses", type: "custom", name: "patch" }),
      { kind: "hosted", wire: "openai-responses", type: "web_search", name: "web_search", raw: { type: "web_search" } },
    ]);
  });

  it("keeps what has no place, and takes null for absent", () => {
    const { request, losses } = decode({
      model: "m",
      input: "x",
      client_metadata: { installation: "1" },
      previous_response_id: "resp_1",
      truncation: "auto",
      store: true,
      conversation: null,
      temperature: null,
      tools: null,
      brand_new: [1],
      include: ["reasoning.encrypted_content", "web_search_call.action.sources"],
    });
    expect(losses).toEqual([]);
    expect(request.extras).toEqual({
      client_metadata: { installation: "1" },
      previous_response_id: "resp_1",
      truncation: "auto",
      store: true,
      brand_new: [1],
      include: ["web_search_call.action.sources"],
    });
    expect(stateField(request)).toBe("previous_response_id");
  });

  it("names the field that needs stored state", () => {
    const state = (body: object) => stateField(decode({ model: "m", ...body }).request);
    expect(state({ input: "x" })).toBeNull();
    expect(state({ input: "x", conversation: "c" })).toBe("conversation");
    expect(state({ prompt: { id: "p" } })).toBe("prompt");
    expect(state({ input: [{ type: "item_reference", id: "msg_1" }] })).toBe("input");
    expect(state({ input: [{ id: "rs_1" }] })).toBe("input");
  });

  it.each<[object, string | null]>([
    [{ input: "x" }, null],
    [{ input: "an item_reference", previous_response_id: null }, null],
    [{ input: [{ role: "user", content: "what is an item_reference?" }], metadata: { conversation: "c" } }, null],
    [{ input: "x", previous_response_id: "resp_1" }, "previous_response_id"],
    [{ input: "x", conversation: { id: "conv_1" } }, "conversation"],
    [{ prompt: { id: "p" } }, "prompt"],
    [{ input: [{ type: "item_reference", id: "msg_1" }] }, "input"],
  ])("names it in the bytes too: %j", (body, field) => {
    expect(stateFieldIn(Buffer.from(JSON.stringify({ model: "m", ...body })))).toBe(field);
  });

  it.each<[object, object | null]>([
    ["auto" as never, { kind: "auto" }],
    ["none" as never, { kind: "none" }],
    [
      { type: "function", name: "f" },
      { kind: "tool", name: "f" },
    ],
    [
      { type: "custom", name: "c" },
      { kind: "tool", name: "c" },
    ],
    [{ type: "web_search" }, { kind: "tool", name: "web_search" }],
    [
      { type: "mcp", server_label: "s" },
      { kind: "tool", name: "s" },
    ],
    [
      {
        type: "allowed_tools",
        mode: "required",
        tools: [{ type: "function", name: "f" }, { type: "web_search" }],
      },
      { kind: "allowed", names: ["f", "web_search"], required: true },
    ],
  ])("tool_choice %j", (tool_choice, meant) => {
    expect(decode({ model: "m", input: "x", tool_choice }).request.toolChoice).toEqual(meant);
  });

  it("reads the formats of answers and an effort of none", () => {
    const format = (value: object) => decode({ model: "m", input: "x", text: { format: value } }).request.format;
    expect(format({ type: "text" })).toBeNull();
    expect(format({ type: "json_object" })).toEqual({ kind: "json" });
    const off = decode({ model: "m", input: "x", reasoning: { effort: "none", context: "auto" } });
    expect(off.request.reasoning).toMatchObject({ enabled: false, effort: "none" });
    expect(off.losses).toEqual(["reasoning_options"]);
  });
});

describe("decodeRequest: items", () => {
  it("reads messages, parts and media", () => {
    const input: ResponseInputItem[] = [
      { role: "developer", content: "Rules." },
      {
        type: "message",
        role: "user",
        content: [
          { type: "input_text", text: "See", prompt_cache_breakpoint: { mode: "explicit" } },
          { type: "input_image", image_url: `data:image/png;base64,${PNG}`, detail: "high" },
          { type: "input_image", image_url: "https://a.example/b.png", detail: "auto" },
          { type: "input_image", file_id: "file-1", detail: "auto" },
          { type: "input_file", filename: "a.pdf", file_data: "data:application/pdf;base64,JVBERg==" },
          { type: "input_file", file_url: "https://a.example/b.pdf" },
          { type: "input_file", filename: "n.txt", file_data: "aGk=" },
        ],
      },
      {
        type: "message",
        id: "msg_1",
        role: "assistant",
        status: "completed",
        content: [
          {
            type: "output_text",
            text: "Seen.",
            annotations: [{ type: "url_citation", start_index: 0, end_index: 4, title: "T", url: "https://t.example" }],
          },
          { type: "refusal", refusal: "No." },
        ],
      },
    ];
    const { request, losses } = decode({ model: "m", input });
    expect(losses).toEqual([]);
    expect(request.system.map((block) => block.text)).toEqual(["Rules."]);
    expect(request.turns.map((turn) => turn.role)).toEqual(["user", "assistant"]);
    expect(request.turns[0]?.blocks).toMatchObject([
      { kind: "text", text: "See", cache: { ttl: null } },
      { kind: "image", source: { data: PNG, mediaType: "image/png" }, detail: "high" },
      { kind: "image", source: { url: "https://a.example/b.png", data: null } },
      { kind: "image", source: { fileId: "file-1" } },
      { kind: "document", title: "a.pdf", source: { data: "JVBERg==", mediaType: "application/pdf" } },
      { kind: "document", source: { url: "https://a.example/b.pdf" } },
      { kind: "document", title: "n.txt", text: "hi", source: { data: null } },
    ]);
    expect(request.turns[1]?.blocks).toMatchObject([
      { kind: "text", text: "Seen.", annotations: [{ kind: "url", url: "https://t.example", start: 0, end: 4 }] },
      { kind: "refusal", text: "No." },
    ]);
  });

  it("makes one assistant turn of a step, and one user turn of its results", () => {
    const found = turns([
      { role: "user", content: "go" },
      { type: "reasoning", id: "rs_1", summary: [{ type: "summary_text", text: "Hm." }], encrypted_content: "enc" },
      { type: "message", role: "assistant", content: [{ type: "output_text", text: "Calling." }] },
      { type: "function_call", id: "fc_1", call_id: "c1", name: "f", arguments: '{"a":1}' },
      { type: "custom_tool_call", call_id: "c2", name: "patch", input: "*** Begin" },
      { type: "function_call_output", call_id: "c1", output: "one" },
      {
        type: "custom_tool_call_output",
        call_id: "c2",
        output: [
          { type: "input_text", text: "two" },
          { type: "input_image", image_url: "https://a.example/x.png" },
        ],
      },
      { role: "user", content: "and?" },
    ]);
    expect(found.map((turn) => [turn.role, turn.blocks.map((block) => block.kind)])).toEqual([
      ["user", ["text"]],
      ["assistant", ["thinking", "text", "tool_call", "tool_call"]],
      ["user", ["tool_result", "tool_result"]],
      ["user", ["text"]],
    ]);
    expect(found[1]?.blocks).toMatchObject([
      { text: "Hm.", encrypted: "enc", signature: "", id: "rs_1", origin: "openai-responses" },
      {},
      { id: "c1", name: "f", arguments: '{"a":1}', flavour: "function" },
      { id: "c2", name: "patch", arguments: "*** Begin", flavour: "custom" },
    ]);
    expect(found[2]?.blocks).toMatchObject([
      { callId: "c1", content: [{ kind: "text", text: "one" }] },
      { callId: "c2", content: [{ kind: "text" }, { kind: "image" }] },
    ]);
  });

  it("carries items that nobody else knows", () => {
    const shell = {
      type: "local_shell_call",
      id: "lsh_1",
      call_id: "c",
      status: "completed",
      action: { type: "exec" },
    };
    const found = turns([
      shell,
      { type: "web_search_call", id: "ws_1", status: "completed" },
      { type: "local_shell_call_output", id: "lsh_1", output: "ok" },
      { type: "something_new", x: 1 },
      { role: "user", content: [{ type: "input_hologram", y: 2 }] },
    ]);
    expect(found.map((turn) => [turn.role, turn.blocks.map((block) => block.kind)])).toEqual([
      ["assistant", ["foreign", "foreign"]],
      ["user", ["foreign"]],
      ["assistant", ["foreign"]],
      ["user", ["foreign"]],
    ]);
    expect(found[0]?.blocks[0]).toEqual({
      kind: "foreign",
      wire: "openai-responses",
      type: "local_shell_call",
      raw: shell,
    });
  });

  it("tells of system text that lost its place", () => {
    const { request, losses } = decode({
      model: "m",
      instructions: "A",
      input: [
        { role: "system", content: "B" },
        { role: "user", content: "x" },
        { role: "developer", content: [{ type: "input_text", text: "C" }] },
      ],
    });
    expect(request.system.map((block) => block.text)).toEqual(["A", "B", "C"]);
    expect(losses).toEqual(["system_position"]);
  });

  it.each<[object, string]>([
    [{ input: 5 }, "input"],
    [{ input: ["x"] }, "input[0]"],
    [{ input: [{ content: "x" }] }, "input[0].type"],
    [{ input: [{ role: "user" }] }, "input[0].content"],
    [{ input: [{ role: "robot", content: "x" }] }, "input[0].role"],
    [{ input: [{ role: 5, content: "x" }] }, "input[0].role"],
    [{ input: [{ role: "user", content: [{ text: "x" }] }] }, "input[0].content[0].type"],
    [{ input: [{ role: "user", content: [{ type: "input_text" }] }] }, "input[0].content[0].text"],
    [{ input: [{ role: "user", content: [{ type: "input_image" }] }] }, "input[0].content[0].image_url"],
    [{ input: [{ role: "user", content: [{ type: "input_file" }] }] }, "input[0].content[0].file_data"],
    [{ input: [{ type: "function_call", name: "f", arguments: "{}" }] }, "input[0].call_id"],
    [{ input: [{ type: "function_call", call_id: "c", name: "f", arguments: {} }] }, "input[0].arguments"],
    [{ input: [{ type: "function_call_output", call_id: "c", output: 1 }] }, "input[0].output"],
    [{ input: "x", instructions: 1 }, "instructions"],
    [{ input: "x", tools: {} }, "tools"],
    [{ input: "x", tools: [{ name: "f" }] }, "tools[0].type"],
    [{ input: "x", tools: [{ type: "function" }] }, "tools[0].name"],
    [{ input: "x", tools: [{ type: "function", name: "f", parameters: "{}" }] }, "tools[0].parameters"],
    [{ input: "x", tool_choice: "perhaps" }, "tool_choice"],
    [{ input: "x", tool_choice: { type: "function" } }, "tool_choice.name"],
    [{ input: "x", temperature: "hot" }, "temperature"],
    [{ input: "x", reasoning: "high" }, "reasoning"],
    [{ input: "x", text: { format: { type: "json_schema", name: "n" } } }, "text.format.schema"],
    [{ input: "x", text: { format: { type: "poem" } } }, "text.format.type"],
    [{ input: "x", stream: "yes" }, "stream"],
    [{ input: "x", metadata: [] }, "metadata"],
  ])("refuses %j at %s", (body, param) => {
    expect(refused({ model: "m", ...body })).toBe(param);
  });
});
