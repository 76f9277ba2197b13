import { describe, expect, it } from "vitest";
import { type AnswerRules, answerFilter } from "../../../src/providers/answer-filter.js";
import { eventFrame, exceptionFrame } from "./framing/frames.js";

const EVENT_STREAM = "application/vnd.amazon.eventstream";
const PLAIN: AnswerRules = { dialect: "openai-chat", errors: null, overrides: null };

function filtered(
  rules: AnswerRules,
  head: { status?: number; contentType: string },
  pieces: readonly Buffer[],
): string {
  const filter = answerFilter(rules, { status: 200, requestId: "r1", ...head });
  if (filter === null) throw new Error("no filter");
  return [...pieces.map((piece) => filter.push(piece)), filter.end()].join("");
}

/** Every way of cutting bytes in two. */
function cuts(bytes: Buffer): Buffer[][] {
  return Array.from({ length: bytes.length + 1 }, (_, at) => [bytes.subarray(0, at), bytes.subarray(at)]);
}

describe("an answer of the usual kind", () => {
  it("needs no filter", () => {
    for (const status of [200, 400, 500]) {
      expect(answerFilter(PLAIN, { status, contentType: "application/json", requestId: "r" })).toBeNull();
    }
    expect(answerFilter(PLAIN, { status: 200, contentType: "text/event-stream", requestId: "r" })).toBeNull();
  });
});

describe("an event stream", () => {
  it("becomes server-sent events named as its own", () => {
    const bytes = Buffer.concat([
      eventFrame("messageStart", { role: "assistant" }),
      exceptionFrame("throttlingException", { message: "slow down" }),
    ]);
    const rules: AnswerRules = { dialect: "bedrock-converse", errors: null, overrides: null };
    for (const pieces of cuts(bytes)) {
      expect(filtered(rules, { contentType: EVENT_STREAM }, pieces)).toBe(
        'event: messageStart\ndata: {"role":"assistant"}\n\nevent: throttlingException\ndata: {"message":"slow down"}\n\n',
      );
    }
  });

  it("of an invoked model becomes the model's own stream", () => {
    const event = { type: "message_stop" };
    const chunk = eventFrame("chunk", { bytes: Buffer.from(JSON.stringify(event)).toString("base64") });
    const rules: AnswerRules = { dialect: "anthropic-messages", errors: "bedrock-converse", overrides: null };
    expect(filtered(rules, { contentType: EVENT_STREAM }, [chunk])).toBe(
      'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    );
  });

  it("must not end inside a frame", () => {
    const rules: AnswerRules = { dialect: "bedrock-converse", errors: null, overrides: null };
    const bytes = eventFrame("messageStart", {});
    expect(() => filtered(rules, { contentType: EVENT_STREAM }, [bytes.subarray(0, 20)])).toThrow();
  });
});

describe("an error of another wire", () => {
  const rules: AnswerRules = { dialect: "anthropic-messages", errors: "bedrock-converse", overrides: null };
  const head = { status: 429, contentType: "application/json" };

  it("gets the envelope of the dialect", () => {
    expect(JSON.parse(filtered(rules, head, [Buffer.from('{"message":"Too many"}')]))).toEqual({
      type: "error",
      error: { type: "rate_limit_error", message: "Too many" },
      request_id: "r1",
    });
    const google = Buffer.from('[{"error":{"code":403,"status":"PERMISSION_DENIED","message":"No"}}]');
    expect(JSON.parse(filtered({ ...rules, errors: "gemini" }, { ...head, status: 403 }, [google]))).toMatchObject({
      error: { type: "permission_error", message: "No" },
    });
    expect(JSON.parse(filtered(rules, { ...head, status: 502 }, [Buffer.from("<html>")]))).toMatchObject({
      error: { message: "<html>" },
    });
  });

  it("stays as it is when it has that envelope", () => {
    const text = '{"type":"error", "error":{"type":"overloaded_error","message":"m"}}';
    expect(filtered(rules, { ...head, status: 529 }, [Buffer.from(text)])).toBe(text);
  });
});

describe("changes to chat answers", () => {
  const overrides = { reasoningField: "thoughts", contentListToString: true, streamDoneMarker: "[END]" };
  const rules: AnswerRules = { ...PLAIN, overrides };

  it("rename reasoning and join parts of a whole answer", () => {
    const message = { thoughts: "why", content: [{ type: "text", text: "a" }, "b", { type: "image" }] };
    const answer = { choices: [{ message, finish_reason: "stop" }] };
    const changed = filtered(rules, { contentType: "application/json" }, [Buffer.from(JSON.stringify(answer))]);
    expect(JSON.parse(changed).choices[0].message).toEqual({ reasoning_content: "why", content: "ab" });
    const parts = [
      { type: "thinking", thinking: [{ type: "text", text: "hm" }] },
      { type: "text", text: "c" },
    ];
    const thinking = { choices: [{ message: { content: parts } }] };
    expect(
      JSON.parse(filtered(rules, { contentType: "application/json" }, [Buffer.from(JSON.stringify(thinking))]))
        .choices[0].message,
    ).toEqual({ reasoning_content: "hm", content: "c" });
  });

  it("keep the bytes of what needs none", () => {
    const text = '{ "choices" : [ { "message" : { "content" : "x" } } ] }';
    expect(filtered(rules, { contentType: "application/json" }, [Buffer.from(text)])).toBe(text);
    expect(filtered(rules, { contentType: "application/json" }, [Buffer.from("[1]")])).toBe("[1]");
  });

  it("are made to streams, however these are cut", () => {
    const stream = Buffer.from(
      ': hello\n\ndata: {"choices":[{"delta":{"thoughts":"ü"}}]}\n\ndata:  {"choices":[{"delta":{"content":"x"}}]}\n\ndata: [END]\n\n',
    );
    for (const pieces of cuts(stream)) {
      expect(filtered(rules, { contentType: "text/event-stream" }, pieces)).toBe(
        ': hello\n\ndata: {"choices":[{"delta":{"reasoning_content":"ü"}}]}\n\ndata:  {"choices":[{"delta":{"content":"x"}}]}\n\ndata: [DONE]\n\n',
      );
    }
  });

  it("end a stream that has no end of its own, if it came to one", () => {
    const endless: AnswerRules = { ...PLAIN, overrides: { ...overrides, streamDoneMarker: "" } };
    const head = { contentType: "text/event-stream" };
    const finished = Buffer.from('data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n');
    const cut = Buffer.from('data: {"choices":[{"delta":{"content":"x"}}]}\n\n');
    expect(filtered(endless, head, [finished])).toBe(`${finished}data: [DONE]\n\n`);
    expect(filtered(endless, head, [finished, Buffer.from("data: [DONE]\n\n")])).toBe(`${finished}data: [DONE]\n\n`);
    expect(filtered(endless, head, [cut])).toBe(cut.toString());
  });
});
