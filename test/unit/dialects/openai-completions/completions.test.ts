import OpenAI from "openai";
import type { Completion } from "openai/resources";
import { describe, expect, it } from "vitest";
import { type AnswerBlock, answerEvents } from "../../../../src/dialects/answer-fold.js";
import type { CodecContext } from "../../../../src/dialects/codec.js";
import { clientCodec } from "../../../../src/dialects/openai-completions/codec.js";
import {
  type AnswerEvent,
  type JsonObject,
  LossList,
  type SemanticRequest,
  type StopReason,
} from "../../../../src/dialects/semantic.js";
import { type Failure, isFailure } from "../../../../src/errors.js";
import { chunksOf, dataOf, fixture, USAGE } from "../openai-chat/sample.js";

function decode(body: JsonObject): { result: SemanticRequest | Failure; losses: readonly string[] } {
  const losses = new LossList();
  return { result: clientCodec.decodeRequest({ model: "m", prompt: "Hi", ...body }, losses), losses: losses.names };
}

function contextOf(body: JsonObject = {}): CodecContext {
  const { result } = decode(body);
  if (isFailure(result)) throw new Error(result.message);
  return { model: "asked-model", requestId: "req1", created: 5, usageAsked: true, request: result };
}

const BLOCKS: readonly AnswerBlock[] = [
  { kind: "thinking", text: "hm", signature: "", encrypted: "", id: "", origin: "" },
  { kind: "text", text: "there ", cache: null, annotations: [] },
  { kind: "text", text: "was\r\n", cache: null, annotations: [] },
];
const LOGPROBS = {
  content: [
    { token: "there ", logprob: -0.5, bytes: null, top_logprobs: [{ token: "there ", logprob: -0.5, bytes: null }] },
    { token: "was", logprob: -1, bytes: null, top_logprobs: [] },
  ],
};

function events(stop: StopReason = "stop", logprobs: JsonObject | null = null): AnswerEvent[] {
  const choice = { blocks: BLOCKS, stop, sequence: null, native: "", logprobs };
  const choices = [
    { ...choice, index: 0 },
    { ...choice, index: 1 },
  ];
  return answerEvents({ id: "a1", model: "upstream", created: 0, choices, usage: USAGE, error: null });
}

function streamed(said: readonly AnswerEvent[], context: CodecContext): string {
  const encoder = clientCodec.streamEncoder(context, new LossList());
  return said.map((event) => encoder.push(event)).join("");
}

describe("a completions request", () => {
  it("is one user turn with everything that has a place, and losses for the rest", () => {
    const { result, losses } = decode(fixture("openai-completions/full"));
    expect(result).toMatchObject({
      origin: "openai-completions",
      model: "asked-model",
      stream: true,
      system: [],
      turns: [{ role: "user", blocks: [{ kind: "text", text: "Once upon a time" }] }],
      maxOutputTokens: 16,
      stop: ["\n"],
      user: "u-1",
      sampling: {
        temperature: 0.2,
        topP: 0.8,
        count: 2,
        seed: 7,
        frequencyPenalty: 0.5,
        presencePenalty: 0.4,
        logitBias: { "1": 2 },
        logprobs: true,
        topLogprobs: 2,
      },
      extras: { guided_regex: "a+", suffix: "The end." },
      answerHints: { echo: "Once upon a time" },
    });
    expect(losses).toEqual(["best_of"]);
  });

  it.each<[string, JsonObject, string]>([
    ["unsupported_operation", { prompt: [1, 2] }, "prompt"],
    ["unsupported_operation", { prompt: [[1], [2]] }, "prompt"],
    ["unsupported_operation", { prompt: ["a", "b"] }, "prompt"],
    ["invalid_request_error", { prompt: 5 }, "prompt"],
    ["invalid_request_error", { prompt: null }, "prompt"],
    ["invalid_request_error", { prompt: [] }, "prompt[0]"],
    ["invalid_request_error", { logprobs: true }, "logprobs"],
    ["invalid_request_error", { echo: "yes" }, "echo"],
  ])("refuses with %s: %j", (code, body, param) => {
    expect(decode(body).result).toMatchObject({ code, param });
  });
});

describe("a completions answer", () => {
  it("has the full shape, whole", () => {
    const answer = clientCodec.encodeAnswer(events("length", LOGPROBS), contextOf({ echo: true }), new LossList());
    const logprobs = {
      tokens: ["there ", "was"],
      token_logprobs: [-0.5, -1],
      top_logprobs: [{ "there ": -0.5 }, {}],
      text_offset: [2, 8],
    };
    expect(answer).toEqual({
      id: "a1",
      object: "text_completion",
      created: 5,
      model: "asked-model",
      system_fingerprint: "fp_translated",
      choices: [0, 1].map((index) => ({ text: "Hithere was\r\n", index, logprobs, finish_reason: "length" })),
      usage: expect.objectContaining({ prompt_tokens: 12, completion_tokens: 5, total_tokens: 17 }),
    });
  });

  it.each<[StopReason, string]>([
    ["stop", "stop"],
    ["stop_sequence", "stop"],
    ["length", "length"],
    ["content_filter", "content_filter"],
    ["tool_calls", "stop"],
  ])("says %s as %s", (stop, expected) => {
    const answer = clientCodec.encodeAnswer(events(stop), contextOf(), new LossList());
    expect((answer.choices as JsonObject[])[0]?.finish_reason).toBe(expected);
  });

  it("folds from its stream to the same text, reasons, probabilities and usage", async () => {
    const context = contextOf({ echo: true });
    const stream = streamed(events("stop", LOGPROBS), context);
    expect(dataOf(stream).at(-1)).toBe("[DONE]");
    const client = new OpenAI({
      apiKey: "none",
      baseURL: "http://localhost/v1",
      fetch: async () => new Response(stream, { headers: { "content-type": "text/event-stream" } }),
    });
    const chunks: Completion[] = [];
    for await (const chunk of await client.completions.create({ model: "m", prompt: "", stream: true }))
      chunks.push(chunk);
    const whole = clientCodec.encodeAnswer(events("stop", LOGPROBS), context, new LossList()) as unknown as Completion;
    for (const expected of whole.choices) {
      const own = chunks.flatMap((chunk) => chunk.choices).filter((choice) => choice.index === expected.index);
      expect(own.map((choice) => choice.text).join("")).toBe(expected.text);
      expect(own.map((choice) => choice.finish_reason).filter((reason) => reason !== null)).toEqual(["stop"]);
      expect(own.find((choice) => choice.logprobs !== null)?.logprobs).toEqual(expected.logprobs);
    }
    expect(chunks.at(-1)?.usage).toEqual(whole.usage);
    expect(chunksOf(streamed(events(), { ...context, usageAsked: false })).some((chunk) => "usage" in chunk)).toBe(
      false,
    );
  });

  it("ends a failed stream with the error and no terminator", () => {
    const error = { status: 500, type: "server_error", code: null, message: "m" };
    const stream = streamed(
      [{ kind: "start", id: "", model: "", created: 0 }, { kind: "error", error }, { kind: "end" }],
      contextOf(),
    );
    expect(dataOf(stream)).toEqual(['{"error":{"message":"m","type":"server_error","param":null,"code":null}}']);
  });
});
