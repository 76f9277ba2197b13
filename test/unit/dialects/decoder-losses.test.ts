/** What an upstream says and no event can say is a loss with a name, whole and streamed alike. */
import { describe, expect, it } from "vitest";
import { foldAnswer } from "../../../src/dialects/answer-fold.js";
import type { EncodedRequest, WireEvent } from "../../../src/dialects/codec.js";
import { targetCodecOf } from "../../../src/dialects/codecs.js";
import type { WireId } from "../../../src/dialects/dialect.js";
import type { AnswerEvent, JsonObject } from "../../../src/dialects/semantic.js";

const PLAIN: EncodedRequest = { body: {}, renamed: new Map(), formatTool: "", headers: [] };

function wholeOf(wire: WireId, body: JsonObject): AnswerEvent[] {
  return targetCodecOf(wire).decodeAnswer(body, PLAIN);
}

function streamOf(wire: WireId, payloads: readonly JsonObject[]): AnswerEvent[] {
  const decoder = targetCodecOf(wire).streamDecoder(PLAIN);
  const named = ({ event, ...data }: JsonObject): WireEvent => {
    const text = typeof data.done === "string" ? data.done : JSON.stringify(data);
    return { event: String(event ?? data.type ?? ""), data: text };
  };
  const events = payloads.flatMap((payload) => [...decoder.push(named(payload))]);
  return [...events, ...decoder.finish()];
}

function losses(events: readonly AnswerEvent[]): readonly string[] {
  expect(events.at(-1)?.kind).toBe("end");
  return (foldAnswer(events).losses ?? []).toSorted();
}

function foreignTypes(events: readonly AnswerEvent[]): string[] {
  return events.flatMap((event) =>
    event.kind === "foreign" ? [`${event.block.type}${event.block.told === true ? " (told)" : ""}`] : [],
  );
}

describe("openai-chat", () => {
  const whole = (message: JsonObject, more: JsonObject = {}) =>
    wholeOf("openai-chat", { id: "c", choices: [{ index: 0, message, finish_reason: "stop" }], ...more });
  const stream = (delta: JsonObject, more: JsonObject = {}) =>
    streamOf("openai-chat", [
      { id: "c", choices: [{ index: 0, delta }], ...more },
      { id: "c", choices: [{ index: 0, delta: {}, finish_reason: "stop" }] },
      { done: "[DONE]" },
    ]);

  it.each<[string, JsonObject, string[]]>([
    ["members of the vendor", { role: "assistant", refusal: null, annotations: [], function_call: null }, []],
    ["empty members of others", { provider_specific_fields: {}, token_ids: null, matched: [], note: "" }, []],
    [
      "members of others",
      { executed_tools: [{ type: "python" }], context: { intent: "x" } },
      ["context", "executed_tools"],
    ],
    ["names that are none", { "X-Secret: 1": "a" }, ["message_field"]],
  ])("%s", (_name, fields, names) => {
    const message = { content: "Hi", ...fields };
    expect(losses(whole(message))).toEqual(names);
    expect(losses(stream(message))).toEqual(names);
  });

  it("lists beside the choices", () => {
    const beside = { images: [{ image_url: "https://e.x/a.png" }], related_questions: ["Why?"] };
    expect(losses(whole({ content: "Hi" }, beside))).toEqual(["images", "related_questions"]);
    expect(losses(stream({ content: "Hi" }, beside))).toEqual(["images", "related_questions"]);
  });

  it("another vendor's parts of thinking, streamed; their text alone is no loss", () => {
    const signed = [{ type: "thinking", thinking: "hm", signature: "s" }];
    expect(losses(stream({ reasoning_content: "hm", thinking_blocks: signed }))).toEqual(["thinking_blocks"]);
    const plain = [{ type: "thinking", thinking: "hm" }];
    expect(losses(stream({ reasoning_content: "hm", thinking_blocks: plain }))).toEqual([]);
    expect(losses(stream({ thinking_blocks: plain }))).toEqual(["thinking_blocks"]);
  });

  it.each<[string, JsonObject, string[]]>([
    [
      "results",
      { search_results: [{ title: "T", url: "https://e.x", date: null }], citations: ["https://e.x"] },
      ["T https://e.x"],
    ],
    ["addresses", { citations: ["https://e.x", "https://e.y"] }, [" https://e.x", " https://e.y"]],
  ])("sources beside the choices are citations of the text: %s", (_name, more, sources) => {
    for (const events of [whole({ content: "Hi [1]" }, more), stream({ content: "Hi [1]" }, more)]) {
      const [block] = foldAnswer(events).choices[0]?.blocks ?? [];
      if (block?.kind !== "text") throw new Error("no text");
      expect(block.annotations.map(({ title, url }) => `${title} ${url}`)).toEqual(sources);
      expect(losses(events)).toEqual([]);
    }
  });

  it("its own annotations count before such sources", () => {
    const annotations = [
      { type: "url_citation", url_citation: { url: "https://own.x", title: "", start_index: 0, end_index: 2 } },
    ];
    for (const events of [
      whole({ content: "Hi", annotations }, { citations: ["https://e.x"] }),
      stream({ content: "Hi", annotations }, { citations: ["https://e.x"] }),
    ]) {
      expect(foldAnswer(events).choices[0]?.blocks).toMatchObject([{ annotations: [{ url: "https://own.x" }] }]);
    }
  });
});

describe("openai-responses", () => {
  const text = { type: "output_text", text: "Hi", annotations: [] };
  const finish = (item: JsonObject) => ({ id: "r", status: "completed", output: [item] });
  const stream = (item: JsonObject) =>
    streamOf("openai-responses", [
      { type: "response.created", response: { id: "r" } },
      { type: "response.output_item.added", output_index: 0, item: { ...item, content: [] } },
      ...(item.type === "message"
        ? [{ type: "response.output_text.delta", output_index: 0, content_index: 0, delta: "Hi" }]
        : []),
      { type: "response.output_item.done", output_index: 0, item },
      { type: "response.completed", response: finish(item) },
    ]);

  it.each<[string, JsonObject, string[]]>([
    ["the answer itself", { type: "message", id: "m", content: [text], phase: "final_answer" }, []],
    ["a remark on the way", { type: "message", id: "m", content: [text], phase: "commentary" }, ["phase"]],
    ["a picture", { type: "image_generation_call", id: "i", result: "AAAA" }, []],
    [
      "a picture of other words",
      { type: "image_generation_call", id: "i", result: "AAAA", revised_prompt: "A red cat" },
      ["revised_prompt"],
    ],
  ])("%s", (_name, item, names) => {
    expect(losses(wholeOf("openai-responses", finish(item)))).toEqual(names);
    expect(losses(stream(item))).toEqual(names);
  });
});

describe("anthropic-messages", () => {
  const content = [{ type: "text", text: "Hi" }];
  const whole = (fields: JsonObject, blocks: JsonObject[] = content) =>
    wholeOf("anthropic-messages", { id: "m", type: "message", content: blocks, stop_reason: "end_turn", ...fields });
  const stream = ({ context_management, ...fields }: JsonObject, blocks: JsonObject[] = content) =>
    streamOf("anthropic-messages", [
      { type: "message_start", message: { id: "m", content: [] } },
      { type: "ping" },
      ...blocks.flatMap((content_block, index) => [
        { type: "content_block_start", index, content_block },
        { type: "content_block_stop", index },
      ]),
      {
        type: "message_delta",
        delta: { stop_reason: "end_turn", ...fields },
        ...(context_management ? { context_management } : {}),
      },
      { type: "message_stop" },
    ]);

  it.each<[string, JsonObject, string[]]>([
    ["nothing", { stop_details: null, container: null, context_management: { applied_edits: [] } }, []],
    ["a container", { container: { id: "c", expires_at: "x" } }, ["container"]],
    [
      "edits",
      { context_management: { applied_edits: [{ type: "clear_tool_uses_20250919" }] } },
      ["context_management"],
    ],
    [
      "details of a refusal",
      { stop_details: { type: "refusal", category: "bio", explanation: "No." } },
      ["stop_details"],
    ],
    ["empty details", { stop_details: { type: "refusal", category: null, explanation: null } }, []],
  ])("%s", (_name, fields, names) => {
    expect(losses(whole(fields))).toEqual(names);
    expect(losses(stream(fields))).toEqual(names);
  });

  it("what explains a refusal without words is its words", () => {
    const fields = {
      stop_reason: "refusal",
      stop_details: { type: "refusal", category: null, explanation: "Not that." },
    };
    for (const events of [whole(fields, []), stream(fields, [])]) {
      expect(foldAnswer(events).choices[0]?.blocks).toEqual([{ kind: "refusal", text: "Not that." }]);
      expect(losses(events)).toEqual([]);
    }
  });

  it("a call that the vendor's own code made", () => {
    const call = (type: string) => [
      { type: "tool_use", id: "t", name: "f", input: {}, caller: { type, tool_id: "s" } },
    ];
    expect(losses(whole({}, call("direct")))).toEqual([]);
    expect(losses(whole({}, call("code_execution_20250825")))).toEqual(["caller"]);
    expect(losses(stream({}, call("code_execution_20250825")))).toEqual(["caller"]);
  });

  it("deltas and events of a later version", () => {
    const events = streamOf("anthropic-messages", [
      { type: "message_start", message: { id: "m" } },
      { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
      { type: "content_block_delta", index: 0, delta: { type: "shade_delta", shade: 1 } },
      { type: "content_block_stop", index: 0 },
      { type: "weather", now: 1 },
      { type: "message_delta", delta: { stop_reason: "end_turn" } },
      { type: "message_stop" },
    ]);
    expect(losses(events)).toEqual(["shade_delta", "weather"]);
  });
});

describe("gemini", () => {
  const body = (fields: JsonObject, parts: JsonObject[] = [{ text: "Hi" }]) => ({
    candidates: [{ content: { role: "model", parts }, finishReason: "STOP", index: 0, ...fields }],
  });
  const both = (fields: JsonObject, parts?: JsonObject[]) => [
    wholeOf("gemini", body(fields, parts)),
    streamOf("gemini", [body(fields, parts)]),
  ];
  const chunks = [{ web: { uri: "https://e.x", title: "T" } }];
  const supports = [{ segment: { endIndex: 2 }, groundingChunkIndices: [0] }];

  it.each<[string, JsonObject, string[]]>([
    ["filters that found nothing", { safetyRatings: [{ category: "C", probability: "NEGLIGIBLE" }] }, []],
    ["a filter that found something", { safetyRatings: [{ category: "C", probability: "LOW" }] }, ["safetyRatings"]],
    ["a filter that stopped it", { safetyRatings: [{ category: "C", blocked: true }] }, ["safetyRatings"]],
    ["the end in words", { finishMessage: "Call f is malformed." }, ["finishMessage"]],
    [
      "sources that citations say",
      { groundingMetadata: { groundingChunks: chunks, groundingSupports: supports } },
      ["groundingMetadata (told)"],
    ],
    ["searches", { groundingMetadata: { groundingChunks: chunks, webSearchQueries: ["q"] } }, ["groundingMetadata"]],
    [
      "citations",
      { citationMetadata: { citationSources: [{ endIndex: 2, uri: "https://e.x" }] } },
      ["citationMetadata (told)"],
    ],
    ["licences", { citationMetadata: { citations: [{ uri: "https://e.x", license: "mit" }] } }, ["citationMetadata"]],
  ])("%s", (_name, fields, types) => {
    for (const events of both(fields)) {
      expect(foreignTypes(events)).toEqual(types);
      expect(losses(events)).toEqual([]);
    }
  });

  it("sources without a text to stand in are told by nothing", () => {
    const call = [{ functionCall: { name: "f", args: {} } }];
    for (const events of both({ groundingMetadata: { groundingChunks: chunks } }, call)) {
      expect(foreignTypes(events)).toEqual(["groundingMetadata"]);
    }
  });

  it("a part that is nothing but a signature is kept", () => {
    for (const events of both({}, [{ text: "Hi" }, { thoughtSignature: "c2ln" }])) {
      expect(foldAnswer(events).choices[0]?.blocks).toMatchObject([
        { kind: "text", text: "Hi" },
        { kind: "thinking", signature: "c2ln" },
      ]);
    }
  });
});

describe("bedrock-converse", () => {
  const trace = { guardrail: { inputAssessment: {} } };
  const message = { role: "assistant", content: [{ text: "Hi" }] };
  const stream = (metadata: JsonObject, ...before: JsonObject[]) =>
    streamOf("bedrock-converse", [
      ...before,
      { event: "messageStart", role: "assistant" },
      { event: "contentBlockDelta", contentBlockIndex: 0, delta: { text: "Hi" } },
      { event: "contentBlockStop", contentBlockIndex: 0 },
      { event: "messageStop", stopReason: "end_turn" },
      { event: "metadata", usage: {}, ...metadata },
    ]);

  it("what a guardrail tells of its work", () => {
    expect(losses(wholeOf("bedrock-converse", { output: { message }, stopReason: "end_turn", trace }))).toEqual([
      "trace",
    ]);
    expect(losses(stream({ trace }))).toEqual(["trace"]);
    expect(losses(stream({ trace: {} }))).toEqual([]);
  });

  it("events of a later version, not of the protocol", () => {
    expect(losses(stream({}, { event: "initial-response" }, { event: "weatherReport" }))).toEqual(["weather_report"]);
  });

  it("a picture without bytes", () => {
    const start = { event: "contentBlockStart", contentBlockIndex: 7, start: { image: { format: "png" } } };
    expect(losses(stream({}, start, { event: "contentBlockStop", contentBlockIndex: 7 }))).toEqual(["image"]);
  });
});

describe("cohere-chat", () => {
  const whole = (content: JsonObject[], more: JsonObject = {}) =>
    wholeOf("cohere-chat", { id: "c", message: { role: "assistant", content }, finish_reason: "COMPLETE", ...more });
  const stream = (...events: JsonObject[]) =>
    streamOf("cohere-chat", [
      { type: "message-start", id: "c" },
      ...events,
      { type: "message-end", delta: { finish_reason: "COMPLETE" } },
    ]);
  const start = (content: JsonObject) => ({ type: "content-start", index: 0, delta: { message: { content } } });

  it("content of a type that is not known", () => {
    expect(
      losses(
        whole([
          { type: "text", text: "Hi" },
          { type: "thinking", thinking: "hm" },
        ]),
      ),
    ).toEqual([]);
    expect(losses(whole([{ type: "picture", url: "https://e.x" }]))).toEqual(["picture"]);
    expect(losses(stream(start({ type: "picture" }), { type: "content-end", index: 0 }))).toEqual(["picture"]);
  });

  it("events of a later version", () => {
    expect(losses(stream({ type: "weather-report" }, { type: "citation-end", index: 0 }))).toEqual(["weather_report"]);
  });

  it("probabilities of several tokens that have one text", () => {
    const item = (logprobs: number[]) => ({ text: "Hi", token_ids: [1], logprobs });
    expect(losses(whole([{ type: "text", text: "Hi" }], { logprobs: [item([-1])] }))).toEqual([]);
    expect(losses(whole([{ type: "text", text: "Hi" }], { logprobs: [item([-1, -2])] }))).toEqual(["logprobs"]);
    const said = { type: "content-delta", index: 0, delta: { message: { content: { text: "Hi" } } } };
    expect(losses(stream(start({ type: "text", text: "" }), { ...said, logprobs: item([-1, -2]) }))).toEqual([
      "logprobs",
    ]);
  });
});
