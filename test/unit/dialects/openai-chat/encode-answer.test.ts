import { describe, expect, it } from "vitest";
import type { AnswerBlock } from "../../../../src/dialects/answer-fold.js";
import { clientCodec } from "../../../../src/dialects/openai-chat/codec.js";
import { type JsonObject, LossList, type StopReason } from "../../../../src/dialects/semantic.js";
import { CALL, deltas, events, foldedByClient, message, TEXT, THINKING } from "./said-answer.js";
import { chunksOf, contextOf, dataOf, decoded, PIXEL, streamed, USAGE } from "./sample.js";

describe("a whole chat answer", () => {
  it("has the full shape", () => {
    const answer = clientCodec.encodeAnswer(
      events({ blocks: [THINKING, TEXT], usage: USAGE }),
      contextOf(),
      new LossList(),
    );
    expect(answer).toEqual({
      id: "msg_1",
      object: "chat.completion",
      created: 1_700_000_000,
      model: "asked-model",
      service_tier: "default",
      system_fingerprint: "fp_translated",
      choices: [
        {
          index: 0,
          message: {
            role: "assistant",
            content: 'Hello\r\n\n\u2028 "there"',
            refusal: null,
            annotations: [],
            reasoning_content: "hm, well",
            reasoning_details: [
              {
                type: "reasoning.text",
                text: "hm, well",
                signature: "sig",
                id: null,
                format: "anthropic-claude-v1",
                index: 0,
              },
            ],
          },
          logprobs: null,
          finish_reason: "stop",
        },
      ],
      usage: {
        prompt_tokens: 12,
        completion_tokens: 5,
        total_tokens: 17,
        prompt_tokens_details: { cached_tokens: 4, cache_write_tokens: 2, audio_tokens: 0 },
        completion_tokens_details: {
          reasoning_tokens: 3,
          audio_tokens: 0,
          accepted_prediction_tokens: 0,
          rejected_prediction_tokens: 0,
        },
      },
    });
  });

  it("holds all text blocks in order, and null where there are only calls", () => {
    expect(message(events({ blocks: [TEXT, { ...TEXT, text: "!" }] })).content).toBe(`${TEXT.text}!`);
    const called = message(events({ blocks: [CALL, { ...CALL, id: "call_2", arguments: "{}" }] }));
    expect(called.content).toBeNull();
    expect(called.tool_calls).toEqual([
      { id: "call_1", type: "function", function: { name: "look", arguments: '{"at":1}' } },
      { id: "call_2", type: "function", function: { name: "look", arguments: "{}" } },
    ]);
  });

  it.each<[StopReason, readonly AnswerBlock[], string]>([
    ["stop", [TEXT], "stop"],
    ["stop_sequence", [TEXT], "stop"],
    ["pause", [TEXT], "stop"],
    ["length", [TEXT], "length"],
    ["length", [CALL], "length"],
    ["tool_calls", [CALL], "tool_calls"],
    ["stop", [CALL], "tool_calls"],
    ["content_filter", [TEXT], "content_filter"],
    ["error", [TEXT], "error"],
  ])("says %s with its finish_reason, whole and streamed", (stop, blocks, expected) => {
    const said = events({ blocks, stop });
    expect(
      (clientCodec.encodeAnswer(said, contextOf(), new LossList()).choices as JsonObject[])[0]?.finish_reason,
    ).toBe(expected);
    const finishes = chunksOf(streamed(said)).flatMap((chunk) => chunk.choices as JsonObject[]);
    expect(finishes.map((choice) => choice.finish_reason).filter((reason) => reason !== null)).toEqual([expected]);
  });

  it("turns citations of every kind into the one annotation that clients know", () => {
    const annotation = {
      kind: "url",
      url: "https://a.example",
      title: "A",
      citedText: "",
      start: -1,
      end: -1,
      raw: null,
    };
    const cited: AnswerBlock = {
      ...TEXT,
      text: "cited",
      annotations: [
        { ...annotation, kind: "url" },
        { ...annotation, kind: "document", url: "", title: "Paper", citedText: "words", start: 1, end: 3 },
        { ...annotation, kind: "foreign", url: "", title: "", raw: { type: "strange" } },
      ],
    };
    const expected = [
      { type: "url_citation", url_citation: { start_index: 2, end_index: 7, title: "A", url: "https://a.example" } },
      {
        type: "url_citation",
        url_citation: { start_index: 3, end_index: 5, title: "Paper", url: "", cited_text: "words" },
      },
    ];
    const said = events({ blocks: [{ ...TEXT, text: "ab" }, cited] });
    expect(message(said).annotations).toEqual(expected);
    expect(deltas(said).filter((delta) => delta.annotations !== undefined)).toEqual([{ annotations: expected }]);
  });

  it("carries images, sound, signatures of calls, and blocks of other wires", () => {
    const source = { data: PIXEL, url: null, fileId: null, mediaType: "image/png" };
    const blocks: AnswerBlock[] = [
      {
        kind: "foreign",
        wire: "anthropic-messages",
        type: "server_tool_use",
        raw: { type: "server_tool_use", id: "s" },
      },
      { kind: "image", source, detail: null, cache: null },
      { kind: "audio", source: { ...source, mediaType: "audio/wav" } },
      { ...CALL, signature: "thought" },
    ];
    const expected = {
      images: [{ index: 0, type: "image_url", image_url: { url: `data:image/png;base64,${PIXEL}` } }],
      audio: { id: "audio_req1", data: PIXEL, expires_at: 0, transcript: "" },
      extra_content: { "anthropic-messages": [{ type: "server_tool_use", id: "s" }] },
    };
    const said = events({ blocks });
    expect(message(said)).toMatchObject(expected);
    expect(message(said).tool_calls).toMatchObject([{ extra_content: { google: { thought_signature: "thought" } } }]);
    expect(deltas(said).filter((delta) => delta.images !== undefined)).toEqual([expected]);
  });

  it("answers a caller of the legacy form in it", () => {
    const { request } = decoded({ functions: [{ name: "look" }] });
    const context = contextOf({ request });
    const said = events({ blocks: [CALL], stop: "tool_calls" });
    const [choice] = clientCodec.encodeAnswer(said, context, new LossList()).choices as JsonObject[];
    const expected = { name: "look", arguments: '{"at":1}' };
    expect(choice).toMatchObject({
      finish_reason: "function_call",
      message: { content: null, function_call: expected },
    });
    expect(choice?.message).not.toHaveProperty("tool_calls");
    const calls = deltas(said, context).map((delta) => delta.function_call as JsonObject | undefined);
    expect(calls.map((call) => call?.arguments ?? "").join("")).toBe(expected.arguments);
    expect(calls.some((call) => call?.name === "look")).toBe(true);
  });

  it("is the error envelope when the answer failed inside", () => {
    const error = { status: 529, type: "overloaded_error", code: null, message: "busy" };
    expect(clientCodec.encodeAnswer([{ kind: "error", error }], contextOf(), new LossList())).toEqual({
      error: { message: "busy", type: "overloaded_error", param: null, code: null },
    });
  });
});

describe("a chat stream", () => {
  it("says the role on the first chunk only, then text, reason, usage and the terminator", () => {
    const stream = streamed(events({ blocks: [TEXT], usage: USAGE }));
    const chunks = chunksOf(stream);
    const head = {
      id: "msg_1",
      object: "chat.completion.chunk",
      created: 1_700_000_000,
      model: "asked-model",
      service_tier: "default",
      system_fingerprint: "fp_translated",
    };
    const choice = (delta: JsonObject, finish_reason: string | null = null) => ({
      ...head,
      choices: [{ index: 0, delta, logprobs: null, finish_reason }],
      usage: null,
    });
    expect(chunks).toEqual([
      choice({ role: "assistant", content: "", refusal: null }),
      choice({ content: TEXT.text }),
      choice({}, "stop"),
      { ...head, choices: [], usage: expect.objectContaining({ prompt_tokens: 12, total_tokens: 17 }) },
    ]);
    expect(dataOf(stream).at(-1)).toBe("[DONE]");
  });

  it("hides usage from a caller that did not ask", () => {
    const stream = streamed(events({ blocks: [TEXT], usage: USAGE }), contextOf({ usageAsked: false }));
    expect(stream).not.toContain("usage");
  });

  it("counts calls, not blocks, and gives a call without arguments an empty object", () => {
    const said = events({ blocks: [THINKING, TEXT, CALL, { ...CALL, id: "call_2", arguments: "" }] });
    const calls = deltas(said).flatMap((delta) => (delta.tool_calls ?? []) as JsonObject[]);
    expect(calls).toEqual([
      { index: 0, id: "call_1", type: "function", function: { name: "look", arguments: "" } },
      { index: 0, function: { arguments: '{"at":1}' } },
      { index: 1, id: "call_2", type: "function", function: { name: "look", arguments: "" } },
      { index: 1, function: { arguments: "{}" } },
    ]);
  });

  it("gives free text of custom calls as it is", () => {
    const said = events({ blocks: [{ ...CALL, flavour: "custom", arguments: "ls" }] });
    expect(deltas(said).flatMap((delta) => (delta.tool_calls ?? []) as JsonObject[])).toEqual([
      { index: 0, id: "call_1", type: "custom", custom: { name: "look", input: "" } },
      { index: 0, custom: { input: "ls" } },
    ]);
  });

  it("gives thinking as it comes, and its proof when it ends", () => {
    const encrypted: AnswerBlock = { ...THINKING, text: "", signature: "", encrypted: "xyz", id: "rs_1" };
    const said = deltas(events({ blocks: [THINKING, encrypted, TEXT] }));
    expect(said.slice(1, 4)).toEqual([
      { reasoning_content: "hm, well" },
      { reasoning_details: [expect.objectContaining({ type: "reasoning.text", signature: "sig", index: 0 })] },
      {
        reasoning_details: [
          { type: "reasoning.encrypted", data: "xyz", id: "rs_1", format: "anthropic-claude-v1", index: 1 },
        ],
      },
    ]);
  });

  it.each([
    [
      "another wire's is named as such",
      "gemini",
      [expect.objectContaining({ text: "hm, well", format: "google-gemini-v1" })],
    ],
    ["this wire's own needs no entry", "openai-chat", undefined],
  ])("says whose thinking without a proof is: %s", (_name, origin, details) => {
    const plain: AnswerBlock = { ...THINKING, signature: "", id: "", origin };
    const said = deltas(events({ blocks: [plain, TEXT] }));
    expect(said.find((delta) => delta.reasoning_details !== undefined)?.reasoning_details).toEqual(details);
  });

  it("ends with the error and without a terminator when the answer fails", () => {
    const error = { status: 500, type: "server_error", code: "x", message: "broke\n\ndata: [DONE]" };
    const stream = streamed([
      { kind: "start", id: "a", model: "m", created: 1 },
      { kind: "text_start" },
      { kind: "text", text: "a" },
      { kind: "error", error },
      { kind: "end" },
    ]);
    const last = dataOf(stream).at(-1) as string;
    expect(JSON.parse(last)).toEqual({
      error: { message: "broke\n\ndata: [DONE]", type: "server_error", param: null, code: "x" },
    });
  });

  it("says log probabilities of the text, and two candidates", async () => {
    const content = [{ token: "a", logprob: -1, bytes: null, top_logprobs: [] }];
    const said = events({ blocks: [TEXT], logprobs: { content } }, { blocks: [CALL], stop: "tool_calls" });
    const folded = await foldedByClient(streamed(said));
    expect(folded.choices.map((choice) => [choice.index, choice.finish_reason, choice.logprobs])).toEqual([
      [0, "stop", { content, refusal: null }],
      [1, "tool_calls", null],
    ]);
  });
});
