import { describe, expect, it } from "vitest";
import type { DialectId } from "../../../src/dialects/dialect.js";
import { readFrame } from "../../../src/dialects/frame-texts.js";
import { spliceTexts, textsOf } from "../../../src/dialects/text-spans.js";
import { textsOfDialect } from "../../../src/dialects/texts.js";

function requestTexts(id: DialectId, body: unknown): string[] | undefined {
  const bytes = typeof body === "string" ? Buffer.from(body) : Buffer.from(JSON.stringify(body));
  return textsOf(bytes, textsOfDialect(id).request)?.spans.map(({ text }) => text);
}

function answerTexts(id: DialectId, body: unknown): string[] | undefined {
  return textsOf(Buffer.from(JSON.stringify(body)), textsOfDialect(id).answer!)?.spans.map(({ text }) => text);
}

const IMAGE = { type: "image_url", image_url: { url: "data:hidden" } };

describe("the texts of requests", () => {
  it("chat: contents, parts, results, reasoning, arguments, descriptions", () => {
    const body = {
      model: "no",
      user: "no",
      messages: [
        { role: "system", content: "1" },
        { role: "user", name: "no", content: [{ type: "text", text: "2" }, IMAGE, "3"] },
        {
          role: "assistant",
          content: null,
          refusal: "4",
          reasoning_content: "5",
          tool_calls: [{ id: "no", type: "function", function: { name: "no", arguments: '{"q":"6"}' } }],
        },
        { role: "tool", tool_call_id: "no", content: "7" },
      ],
      prediction: { type: "content", content: "8" },
      tools: [{ type: "function", function: { name: "no", description: "9", parameters: { type: "no" } } }],
    };
    expect(requestTexts("openai-chat", body)).toEqual(["1", "2", "3", "4", "5", '{"q":"6"}', "7", "8", "9"]);
  });

  it("messages: system, blocks in blocks, inputs, text documents but no data", () => {
    const body = {
      system: [{ type: "text", text: "1" }],
      messages: [
        { role: "user", content: "2" },
        {
          role: "assistant",
          content: [
            { type: "thinking", thinking: "3", signature: "no" },
            { type: "tool_use", id: "no", name: "no", input: { a: ["4", { b: "5" }], n: 1 } },
          ],
        },
        {
          role: "user",
          content: [
            { type: "tool_result", tool_use_id: "no", content: [{ type: "text", text: "6" }] },
            { type: "tool_result", tool_use_id: "no", content: "7" },
            { type: "document", title: "8", source: { type: "text", media_type: "no", data: "9" } },
            { type: "document", source: { data: "no", type: "base64" } },
            { type: "document", source: { type: "content", content: [{ type: "text", text: "10" }] } },
          ],
        },
      ],
      tools: [{ name: "no", description: "11", input_schema: {} }],
    };
    const wanted = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"];
    expect(requestTexts("anthropic-messages", body)).toEqual(wanted);
  });

  it("responses: instructions, input as text or items", () => {
    expect(requestTexts("openai-responses", { instructions: "1", input: "2" })).toEqual(["1", "2"]);
    const input = [
      { role: "user", content: "1" },
      {
        type: "message",
        role: "user",
        content: [
          { type: "input_text", text: "2" },
          { type: "input_image", image_url: "no" },
        ],
      },
      { type: "function_call", call_id: "no", name: "no", arguments: '{"a":3}' },
      { type: "function_call_output", call_id: "no", output: "4" },
      { type: "function_call_output", call_id: "no", output: [{ type: "input_text", text: "5" }] },
      { type: "reasoning", summary: [{ type: "summary_text", text: "6" }], encrypted_content: "no" },
    ];
    expect(requestTexts("openai-responses", { input })).toEqual(["1", "2", '{"a":3}', "4", "5", "6"]);
  });

  it("completions, embeddings, tokenize: text, texts, and numbers that nobody can read", () => {
    expect(requestTexts("openai-completions", { prompt: "1", suffix: "2" })).toEqual(["1", "2"]);
    expect(requestTexts("openai-embeddings", { input: ["1", "2"] })).toEqual(["1", "2"]);
    expect(requestTexts("tokenize", { prompt: "1" })).toEqual(["1"]);
    const shape = textsOfDialect("openai-embeddings").request;
    for (const input of ["[1,2]", "[[1,2],[3]]"]) {
      expect(textsOf(Buffer.from(`{"input":${input}}`), shape)).toEqual({ spans: [], unreadable: true });
    }
    expect(textsOf(Buffer.from('{"input":["a"]}'), shape)?.unreadable).toBe(false);
  });

  it("reads what an evader may hope that nobody reads", () => {
    const twice = '{"messages":[{"content":"bad","content":"good"}],"messages":[{"content":"other"}]}';
    expect(requestTexts("openai-chat", twice)).toEqual(["bad", "good", "other"]);
    expect(requestTexts("openai-chat", '{"m\\u0065ssages":[{"cont\\u0065nt":"b\\u0061d"}]}')).toEqual(["bad"]);
    // Not quite JSON, which an upstream may read all the same.
    expect(requestTexts("openai-chat", '{"messages":[{"content":"b\\x61d\nline \\u0062"}]}')).toEqual([
      "bx61d\nline b",
    ]);
  });

  it("says when a body cannot be read to its end", () => {
    for (const broken of ["", "{", '{"messages":[}', '{"messages":[{"content":"a"}]} x', `{"a":${"[".repeat(600)}`]) {
      expect(requestTexts("openai-chat", broken)).toBeUndefined();
    }
  });

  it("puts other texts in place and leaves every other byte", () => {
    const body = Buffer.from('{ "x":1.50, "messages" : [ {"content":"a\\u0041", "z":"é"} , {"content":["b"]}] }');
    const { spans } = textsOf(body, textsOfDialect("openai-chat").request)!;
    expect(spliceTexts(body, spans, ['"q"\n', null]).toString()).toBe(
      '{ "x":1.50, "messages" : [ {"content":"\\"q\\"\\n", "z":"é"} , {"content":["b"]}] }',
    );
    expect(spliceTexts(body, spans, [null, null])).toBe(body);
  });
});

describe("the texts of answers", () => {
  it("are what the model has written", () => {
    const message = { role: "assistant", content: "1", tool_calls: [{ function: { arguments: "2" } }] };
    expect(answerTexts("openai-chat", { id: "no", choices: [{ message }, { message: { content: "3" } }] })).toEqual([
      "1",
      "2",
      "3",
    ]);
    expect(answerTexts("openai-completions", { choices: [{ text: "1" }] })).toEqual(["1"]);
    expect(answerTexts("anthropic-messages", { id: "no", content: [{ type: "text", text: "1" }] })).toEqual(["1"]);
    const output = [{ type: "message", id: "no", content: [{ type: "output_text", text: "1" }] }];
    expect(answerTexts("openai-responses", { instructions: "no", output })).toEqual(["1"]);
    // An upstream that answers in another form must not get around the rules.
    expect(answerTexts("openai-chat", { content: [{ text: "1" }], n: 2 })).toEqual(["1"]);
  });
});

describe("the texts of events", () => {
  function read(id: DialectId, event: unknown) {
    const { texts, closed } = readFrame(Buffer.from(JSON.stringify(event)), textsOfDialect(id).frame!);
    return { texts: texts.map(({ channel, text }) => [channel, text]), closed };
  }

  it("chat: a channel for each choice and kind, by the index that the event says", () => {
    const event = {
      choices: [
        { delta: { content: "a", reasoning_content: "b" }, index: 3, finish_reason: null },
        { index: 0, delta: { tool_calls: [{ index: 2, function: { arguments: "c" } }] }, finish_reason: "stop" },
      ],
    };
    expect(read("openai-chat", event)).toEqual({
      texts: [
        ["3/delta/content", "a"],
        ["3/delta/reasoning_content", "b"],
        ["0/delta/tool_calls/2/function/arguments", "c"],
      ],
      closed: ["0/"],
    });
    expect(readFrame(Buffer.from("[DONE]"), textsOfDialect("openai-chat").frame!)).toEqual({ texts: [], closed: [] });
  });

  it("messages: a block's text is one channel from start to stop", () => {
    const start = { type: "content_block_start", index: 1, content_block: { type: "text", text: "a" } };
    const delta = { type: "content_block_delta", index: 1, delta: { type: "text_delta", text: "b" } };
    const json = { type: "content_block_delta", index: 2, delta: { type: "input_json_delta", partial_json: "{" } };
    const cited = { type: "content_block_delta", index: 1, delta: { citation: { cited_text: "c" } } };
    expect(read("anthropic-messages", start).texts).toEqual([["1/text", "a"]]);
    expect(read("anthropic-messages", delta).texts).toEqual([["1/text", "b"]]);
    expect(read("anthropic-messages", json).texts).toEqual([["2/partial_json", "{"]]);
    expect(read("anthropic-messages", cited).texts).toEqual([[null, "c"]]);
    expect(read("anthropic-messages", { type: "content_block_stop", index: 1 }).closed).toEqual(["1/"]);
  });

  it("responses: deltas are pieces, what closes a part is whole", () => {
    const place = { item_id: "i", output_index: 0, content_index: 1 };
    const delta = { type: "response.output_text.delta", ...place, delta: "a" };
    const done = { type: "response.output_text.done", ...place, text: "ab" };
    const channel = "response.output_text/i/0/1//";
    expect(read("openai-responses", delta)).toEqual({ texts: [[channel, "a"]], closed: [] });
    expect(read("openai-responses", done)).toEqual({ texts: [[null, "ab"]], closed: [channel] });
    const completed = { type: "response.completed", response: { output: [{ content: [{ text: "ab" }] }] } };
    expect(read("openai-responses", completed)).toEqual({ texts: [[null, "ab"]], closed: [] });
  });
});

describe("objects that tell their type", () => {
  const inSource = (source: object) => ({
    messages: [{ role: "user", content: [{ type: "document", source }] }],
  });

  it.each(["constructor", "toString", "__proto__", "hasOwnProperty"])("hold no text where it is %s", (type) => {
    expect(requestTexts("anthropic-messages", inSource({ type, data: "x" }))).toEqual([]);
  });

  it("are all text where they are nested beyond sense, in little time", { timeout: 5_000 }, () => {
    const open = '{"type":"document","source":{"content":[';
    const close = '],"type":"content"}}';
    const filling = Array.from({ length: 200_000 }, () => "[]").join(",");
    const nested = `${open.repeat(100)}{"deep":"x"},${filling}${close.repeat(100)}`;
    const body = Buffer.from(`{"messages":[{"role":"user","content":[${nested}]}]}`);
    const texts = textsOf(body, textsOfDialect("anthropic-messages").request);
    expect(texts?.spans.some(({ text }) => text === "x")).toBe(true);
  });
});
