import { describe, expect, it } from "vitest";
import { answerCheck } from "../../../bench/load/answer-check.js";
import { expectedAnswer, requestBody, scriptOf, streamEvents, wholeAnswer } from "../../../bench/load/answers.js";
import type { ExpectedAnswer } from "../../../bench/load/plan.js";

function verdict(
  expected: ExpectedAnswer,
  body: string,
  cutAt = body.length,
): { verdict: string | null; events: number } {
  const check = answerCheck(expected);
  // A first, broken answer: nothing of it may be left after reset.
  check.body(Buffer.from("data: x\n\nda"), 0, 11);
  check.reset();
  const bytes = Buffer.from(body);
  if (cutAt > 0) check.body(bytes, 0, Math.min(cutAt, bytes.length));
  if (cutAt < bytes.length) check.body(bytes, cutAt, bytes.length);
  return { verdict: check.verdict(), events: check.events };
}

const EVENTS = streamEvents("chat", "burst-3", 3, true);
const EXACT = expectedAnswer("chat", "burst-3");
const COUNTED: ExpectedAnswer = { kind: "events", events: EVENTS.length - 1, terminators: 1 };

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
    expect(JSON.parse(requestBody("chat", "burst-50", 150_000)).stream_options).toEqual({ include_usage: true });
    expect(requestBody("chat", "whole", 150_000).length).toBeGreaterThan(150_000);
  });

  it("follow the model's name", () => {
    expect(scriptOf("paced-64-20")).toEqual({ kind: "paced", deltas: 64, gapMs: 20 });
    expect(scriptOf("burst-7")).toEqual({ kind: "burst", deltas: 7, gapMs: 0 });
    expect(scriptOf("gpt-4o").kind).toBe("whole");
  });
});

describe.each([
  ["exact", EXACT, EVENTS.length],
  ["counted", COUNTED, EVENTS.length - 1],
])("%s check", (_name, expected, events) => {
  it("passes the right stream, cut at every byte", () => {
    const body = EVENTS.join("");
    for (let at = 0; at <= body.length; at++) expect(verdict(expected, body, at)).toEqual({ verdict: null, events });
  });

  it("sees a missing, a doubled and a cut event, a missing and a doubled terminator", () => {
    for (let index = 0; index < EVENTS.length; index++) {
      expect(verdict(expected, EVENTS.toSpliced(index, 1).join("")).verdict).not.toBeNull();
      expect(verdict(expected, EVENTS.toSpliced(index, 0, EVENTS[index] as string).join("")).verdict).not.toBeNull();
    }
    expect(verdict(expected, EVENTS.join("").slice(0, -1)).verdict).not.toBeNull();
    expect(verdict(expected, "").verdict).not.toBeNull();
  });
});

describe("exact check", () => {
  it("sees one changed byte and events in another order", () => {
    expect(verdict(EXACT, EVENTS.join("").replace("gateway", "gatewaY")).verdict).toMatch(/differs/);
    expect(verdict(EXACT, [EVENTS[1], EVENTS[0], ...EVENTS.slice(2)].join("")).verdict).toMatch(/differs/);
  });
});

describe("counted check", () => {
  it("leaves comments out and counts named events", () => {
    expect(verdict(COUNTED, `: keep-alive\n\n${EVENTS.join("")}`).verdict).toBeNull();
    const named = streamEvents("messages", "burst-3", 3, true).join("");
    expect(verdict({ kind: "events", events: 8, terminators: 0 }, named).verdict).toBeNull();
    expect(verdict(COUNTED, `<html>\n\n${EVENTS.join("")}`).verdict).toMatch(/malformed/);
  });
});
