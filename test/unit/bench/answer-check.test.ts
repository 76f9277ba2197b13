import { describe, expect, it } from "vitest";
import { type AnswerCheck, answerChecks } from "../../../bench/load/answer-check.js";
import {
  expectedAnswer,
  requestBody,
  scriptOf,
  streamEvents,
  translatedAnswer,
  wholeAnswer,
} from "../../../bench/load/answers.js";
import type { ExpectedAnswer } from "../../../bench/load/plan.js";

function verdict(
  expected: ExpectedAnswer,
  body: string,
  cutAt = body.length,
): { verdict: string | null; events: number } {
  const check = answerChecks(expected)();
  // A first, broken answer: nothing of it may be left after reset.
  check.body(Buffer.from("data: x\n\nda"), 0, 11);
  check.reset();
  return judged(check, body, cutAt);
}

function judged(check: AnswerCheck, body: string, cutAt: number): { verdict: string | null; events: number } {
  const bytes = Buffer.from(body);
  if (cutAt > 0) check.body(bytes, 0, Math.min(cutAt, bytes.length));
  if (cutAt < bytes.length) check.body(bytes, cutAt, bytes.length);
  return { verdict: check.verdict(), events: check.events };
}

const EVENTS = streamEvents("chat", "burst-3", 3, true);
const EXACT = expectedAnswer("chat", "burst-3");
/** As the messages surface streams what the chat script says; its own script has another count of tokens. */
const MESSAGE_EVENTS = streamEvents("messages", "burst-3", 3, true).map((event) =>
  event.replace('"usage":{"output_tokens":3}', '"usage":{"input_tokens":19,"output_tokens":3}'),
);
const MEANT = translatedAnswer("burst-3");

describe("the scripted answers", () => {
  it("has so many deltas, a finish, usage when asked, and the terminator", () => {
    expect(EVENTS).toHaveLength(3 + 3);
    expect(streamEvents("chat", "burst-3", 3, false)).toHaveLength(3 + 2);
    expect(EVENTS.at(-1)).toBe("data: [DONE]\n\n");
    expect(JSON.parse(EVENTS.at(-2)?.slice(6) ?? "").usage.completion_tokens).toBe(3);
    expect(streamEvents("messages", "burst-3", 3, true)).toHaveLength(3 + 5);
  });

  it("are of a real answer's size, and all JSON", () => {
    for (const surface of ["chat", "messages", "embeddings"] as const) {
      const answer = wholeAnswer(surface, "whole");
      expect(JSON.parse(answer).model).toBe("whole");
      expect(answer.length).toBeGreaterThan(500);
      expect(answer.length).toBeLessThan(1000);
    }
    const ask = { surface: "chat", model: "burst-50", padBytes: 150_000, turns: 1 } as const;
    const body = requestBody(ask);
    expect(JSON.parse(body).stream_options).toEqual({ include_usage: true });
    expect(Buffer.byteLength(body)).toBeGreaterThan(150_000);
    const long = JSON.parse(requestBody({ ...ask, surface: "messages", padBytes: 1_000_000, turns: 201 }));
    expect(long.messages).toHaveLength(201);
    expect([long.messages[0].role, long.messages[1].role, long.messages[200].role]).toEqual([
      "user",
      "assistant",
      "user",
    ]);
    expect(Buffer.byteLength(JSON.stringify(long))).toBeGreaterThan(1_000_000);
  });

  it("follow the model's name", () => {
    expect(scriptOf("paced-64-20")).toEqual({ kind: "paced", deltas: 64, gapMs: 20 });
    expect(scriptOf("burst-7")).toEqual({ kind: "burst", deltas: 7, gapMs: 0 });
    expect(scriptOf("gpt-4o").kind).toBe("whole");
  });
});

describe.each([
  ["exact", EXACT, EVENTS],
  ["message", MEANT, MESSAGE_EVENTS],
])("%s check", (_name, expected, right) => {
  it("passes the right stream, cut at every byte", () => {
    const body = right.join("");
    for (let at = 0; at <= body.length; at++) expect(verdict(expected, body, at).verdict).toBeNull();
  });

  it("sees a missing, a doubled and a cut event, and an empty answer", () => {
    for (let index = 0; index < right.length; index++) {
      expect(verdict(expected, right.toSpliced(index, 1).join("")).verdict).not.toBeNull();
      expect(verdict(expected, right.toSpliced(index, 0, right[index] as string).join("")).verdict).not.toBeNull();
    }
    expect(verdict(expected, right.join("").slice(0, -1)).verdict).not.toBeNull();
    expect(verdict(expected, "").verdict).not.toBeNull();
  });
});

describe("exact check", () => {
  it("counts the events", () => {
    expect(verdict(EXACT, EVENTS.join("")).events).toBe(EVENTS.length);
  });

  it("sees one changed byte and events in another order", () => {
    expect(verdict(EXACT, EVENTS.join("").replace("gateway", "gatewaY")).verdict).toMatch(/differs/);
    expect(verdict(EXACT, [EVENTS[1], EVENTS[0], ...EVENTS.slice(2)].join("")).verdict).toMatch(/differs/);
  });
});

describe("message check", () => {
  const stream = MESSAGE_EVENTS.join("");

  it.each([
    ["a text", "gateway", "gatewaY", /texts/],
    ["the reason to stop", "end_turn", "max_tokens", /stop_reason/],
    ["a count", '"output_tokens":3', '"output_tokens":4', /usage/],
    ["the model", '"model":"burst-3"', '"model":"other"', /head/],
    ["the kind of a delta", "text_delta", "thinking_delta", /texts/],
    ["a name that the data does not have", "event: message_stop", "event: message_end", /data of type/],
  ])("sees %s changed", (_name, from, to, problem) => {
    expect(stream).toContain(from);
    expect(verdict(MEANT, stream.replace(from, to)).verdict).toMatch(problem);
  });

  it("sees deltas in another order, and takes pings", () => {
    const swapped = MESSAGE_EVENTS.with(2, MESSAGE_EVENTS[3] as string).with(3, MESSAGE_EVENTS[2] as string);
    expect(verdict(MEANT, swapped.join("")).verdict).toMatch(/texts/);
    const ping = 'event: ping\ndata: {"type":"ping"}\n\n';
    expect(verdict(MEANT, MESSAGE_EVENTS.toSpliced(1, 0, ping).join("")).verdict).toBeNull();
  });

  it("reads whole answers, and does not take an answer of the messages script for a translated one", () => {
    const chat = JSON.parse(wholeAnswer("chat", "whole"));
    const message = JSON.parse(wholeAnswer("messages", "whole"));
    const meant = translatedAnswer("whole");
    expect(verdict(meant, JSON.stringify(message)).verdict).toMatch(/content/);
    const text = chat.choices[0].message.content;
    const translated = {
      ...message,
      content: [{ type: "text", text }],
      usage: { input_tokens: chat.usage.prompt_tokens, output_tokens: chat.usage.completion_tokens },
    };
    expect(verdict(meant, JSON.stringify(translated)).verdict).toBeNull();
    expect(verdict(meant, JSON.stringify({ ...translated, stop_reason: null })).verdict).toMatch(/stop_reason/);
    expect(verdict(meant, "<html>").verdict).toMatch(/unreadable/);
  });

  it("compares byte for byte with the first answer that was right, on every connection", () => {
    const newCheck = answerChecks(MEANT);
    const [early, first, later] = [newCheck(), newCheck(), newCheck()];
    for (const check of [early, first]) check.reset();
    const wrong = stream.replace("gateway", "gatewaY");
    expect(judged(newCheck(), wrong, 9).verdict).not.toBeNull();
    expect(judged(first, stream, 9).verdict).toBeNull();
    // The same meaning in other bytes: one of the two is not what the gateway usually says.
    const other = stream.replace("msg_", "gsm_");
    expect(judged(early, other, 9).verdict).toMatch(/differs from an earlier/);
    later.reset();
    expect(judged(later, other, 9).verdict).toMatch(/differs after/);
    later.reset();
    expect(judged(later, stream, 9)).toEqual({ verdict: null, events: MESSAGE_EVENTS.length });
  });
});
