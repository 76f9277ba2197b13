import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bridgeFor } from "../../../src/dialects/bridge.js";
import { DIALECTS, type DialectId, OPERATIONS, type Operation, TARGET_WIRES } from "../../../src/dialects/dialect.js";
import { dialectOf } from "../../../src/dialects/registry.js";
import { parseSse } from "../../../src/dialects/sse.js";
import { ERRORS, type ErrorCode, failure } from "../../../src/errors.js";
import { CHAT_FRAMES, MESSAGES_FRAMES, RESPONSE, responsesFrames } from "./streams.js";

describe("the registry and the bridges", () => {
  it("knows every dialect by its id", () => {
    for (const id of DIALECTS) expect(dialectOf(id).id).toBe(id);
  });

  it("passes on the diagonal, and translates conversations off it", () => {
    const passing: string[] = [];
    const translated: string[] = [];
    for (const operation of OPERATIONS) {
      for (const client of DIALECTS) {
        for (const target of [...DIALECTS, ...TARGET_WIRES]) {
          const bridge = bridgeFor(operation, client, target);
          if (bridge === null) continue;
          expect(bridge).toMatchObject({ operation, client, target });
          (bridge.kind === "passthrough" ? passing : translated).push(`${operation} ${client} ${target}`);
        }
      }
    }
    expect(passing).toEqual([
      "chat openai-chat openai-chat",
      "messages anthropic-messages anthropic-messages",
      "count_tokens anthropic-messages anthropic-messages",
      "responses openai-responses openai-responses",
      "input_tokens openai-responses openai-responses",
      "completions openai-completions openai-completions",
      "embeddings openai-embeddings openai-embeddings",
      "rerank rerank rerank",
      "images openai-images openai-images",
      "image_edits openai-images openai-images",
      "image_variations openai-images openai-images",
      "transcriptions openai-audio openai-audio",
      "translations openai-audio openai-audio",
      "speech openai-audio openai-audio",
      "moderations openai-moderations openai-moderations",
      "responses_items openai-responses openai-responses",
      "files openai-files openai-files",
      "batches openai-files openai-files",
      "fine_tuning openai-files openai-files",
      "tokenize tokenize tokenize",
      "passthrough raw raw",
    ]);
    // Six wires carry a conversation; three client dialects are among them, completions is not. Four count one.
    // One wire carries prompts, five carry vectors, three rankings, two images.
    expect(translated).toHaveLength(5 + 5 + 5 + 6 + 3 + 3 + 1 + 5 + 3 + 2);
    expect(translated).toContain("messages anthropic-messages gemini");
    expect(translated).toContain("completions openai-completions openai-chat");
  });
});

describe("errors", () => {
  const codes = Object.keys(ERRORS) as ErrorCode[];
  const odd = 'line\r\nbreak "quoted" \u2028 é';

  it.each(codes)("%s in every dialect, whole and streamed", (code) => {
    for (const id of DIALECTS) {
      const dialect = dialectOf(id);
      const policy = { id: "p", name: "n" };
      const budget = { scope: "key", limit_usd: 1, spent_usd: 1.5, resets_at: null };
      const refused = { ...failure(code, odd, "messages[0]"), policy, budget };
      const whole = JSON.parse(dialect.renderError(refused, "req-1"));
      if (id === "anthropic-messages") {
        expect(whole).toEqual({
          type: "error",
          error: { type: expect.any(String), message: odd, policy, budget },
          request_id: "req-1",
        });
      } else {
        const error = { message: odd, type: ERRORS[code].type, param: "messages[0]", code, policy, budget };
        // Its vendor's message stands at the top.
        expect(whole).toEqual(id === "rerank" ? { id: "req-1", message: odd, error } : { error });
      }
      const frame = dialect.renderStreamError(refused, "req-1");
      expect(frame.endsWith("\n\n")).toBe(true);
      expect(frame).not.toContain("\r");
      const events = parseSse(Buffer.from(frame));
      expect(events).toHaveLength(1);
      const data = JSON.parse(events[0]?.data ?? "");
      if (id === "openai-responses")
        expect(data).toMatchObject({ type: "error", code, message: odd, error: whole.error });
      else expect(data).toEqual(whole);
      const named = id === "openai-responses" || id === "anthropic-messages";
      expect(events[0]?.event).toBe(named ? "error" : "");
    }
  });

  it("leaves out a policy and a budget that there are none of", () => {
    const error = JSON.parse(dialectOf("openai-chat").renderError(failure("timeout"), "r")).error;
    expect(Object.keys(error)).toEqual(["message", "type", "param", "code"]);
    const messages = JSON.parse(dialectOf("anthropic-messages").renderError(failure("timeout"), "r")).error;
    expect(Object.keys(messages)).toEqual(["type", "message"]);
  });

  it.each<[ErrorCode, string]>([
    ["invalid_request_error", "invalid_request_error"],
    ["invalid_api_key", "authentication_error"],
    ["permission_denied", "permission_error"],
    ["model_not_found", "not_found_error"],
    ["method_not_allowed", "invalid_request_error"],
    ["request_too_large", "request_too_large"],
    ["content_filter", "invalid_request_error"],
    ["rate_limit_exceeded", "rate_limit_error"],
    ["budget_exceeded", "rate_limit_error"],
    ["internal_error", "api_error"],
    ["transport_error", "api_error"],
    ["overloaded", "overloaded_error"],
    ["timeout", "timeout_error"],
  ])("%s is Anthropic's %s", (code, type) => {
    expect(JSON.parse(dialectOf("anthropic-messages").renderError(failure(code), "r")).error.type).toBe(type);
  });
});

describe("text for estimates", () => {
  const requestText = (id: DialectId, operation: Operation, body: unknown) =>
    dialectOf(id).requestText(Buffer.from(JSON.stringify(body)), operation);

  it("gathers what a model reads", () => {
    const messages = [
      { role: "system", content: "be brief" },
      {
        role: "user",
        content: [
          { type: "text", text: "look" },
          { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } },
        ],
      },
      { role: "assistant", content: null, tool_calls: [{ id: "c1", function: { name: "f", arguments: '{"a":1}' } }] },
    ];
    const text = requestText("openai-chat", "chat", {
      model: "m",
      messages,
      tools: [{ function: { name: "weather" } }],
    });
    expect(text).toBe('be brief\nlook\nf\n{"a":1}\n[{"function":{"name":"weather"}}]');
    expect(
      requestText("anthropic-messages", "count_tokens", { system: [{ text: "s" }], messages: [{ content: "u" }] }),
    ).toBe("s\nu");
    expect(requestText("openai-responses", "responses", { instructions: "i", input: "u" })).toBe("i\nu");
    expect(requestText("openai-completions", "completions", { prompt: [[1, 2, 3]] })).toBe(" a a a");
    expect(requestText("openai-embeddings", "embeddings", { input: ["x", "y"] })).toBe("x\ny");
  });

  it("gathers what a model has written", () => {
    const stream = (frames: readonly string[]) => Buffer.from(frames.map((frame) => `${frame}\n\n`).join(""));
    expect(dialectOf("openai-chat").answerText(stream(CHAT_FRAMES), true)).toBe(
      'say "usage":{ and "error":"x" é😀[DONE]',
    );
    expect(dialectOf("anthropic-messages").answerText(stream(MESSAGES_FRAMES), true)).toBe("Hi é");
    expect(
      dialectOf("openai-responses").answerText(stream(responsesFrames("response.completed", RESPONSE)), true),
    ).toBe("Hi é");
    const answer = { choices: [{ index: 0, message: { role: "assistant", content: "yes" }, finish_reason: null }] };
    expect(dialectOf("openai-chat").answerText(Buffer.from(JSON.stringify(answer)), false)).toBe("yes");
  });

  it("finds what it can in cut bytes", () => {
    const cut = Buffer.from('{"choices":[{"message":{"content":"half a \\"wor');
    expect(dialectOf("openai-chat").answerText(cut, false)).toBe('half a "wor');
    const frames = Buffer.from(
      'tail"}}]}\n\ndata: {"choices":[{"delta":{"content":"ok"}}]}\n\ndata: {"choices":[{"delta":{"content":"cu',
    );
    expect(dialectOf("openai-chat").answerText(frames, true)).toBe("okcu");
  });

  it("never throws", () => {
    fc.assert(
      fc.property(
        fc.uint8Array(),
        fc.json(),
        fc.boolean(),
        fc.constantFrom(...DIALECTS),
        (bytes, json, streamed, id) => {
          const dialect = dialectOf(id);
          for (const body of [Buffer.from(bytes), Buffer.from(json), Buffer.from(`data: ${json}\n\n`)]) {
            expect(typeof dialect.requestText(body, "chat")).toBe("string");
            expect(typeof dialect.answerText(body, streamed)).toBe("string");
          }
        },
      ),
    );
    const deep = Buffer.from(`{"messages":${"[".repeat(5000)}${"]".repeat(5000)}}`);
    expect(dialectOf("openai-chat").requestText(deep, "chat")).toBe("");
  });
});
