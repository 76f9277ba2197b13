/** Whole answers: what is known of any of them, and that reading one at once tells what reading it in pieces does. */
import { describe, expect, it } from "vitest";
import { answerFacts } from "../../../src/dialects/answer-facts.js";
import { messagesAnswerObserver } from "../../../src/dialects/anthropic-messages/observe.js";
import type { AnswerObserver } from "../../../src/dialects/dialect.js";
import { responsesAnswerObserver } from "../../../src/dialects/openai-responses/observe.js";
import { WholeAnswerObserver } from "../../../src/dialects/openai-usage.js";
import { UsageTally } from "../../../src/dialects/usage-tally.js";

const CHAT = `{"id":"c-1","model":"m","choices":[{"index":0,"finish_reason":"stop","message":{"content":"\\"usage\\":"}}],
  "usage":{"prompt_tokens":7,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":2}}}`;
const MESSAGE = `{"id":"msg","model":"c","content":[],"stop_reason":"end_turn","usage":{"input_tokens":5,"output_tokens":2}}`;
const RESPONSE = `{"id":"r","status":"completed","model":"o","output":[],"usage":{"input_tokens":5,"output_tokens":2}}`;

const OBSERVERS: readonly [string, string, (tally: UsageTally) => AnswerObserver][] = [
  ["chat", CHAT, (tally) => new WholeAnswerObserver(tally)],
  ["messages", MESSAGE, (tally) => messagesAnswerObserver("messages", tally)],
  ["responses", RESPONSE, (tally) => responsesAnswerObserver("responses", tally)],
];

describe("an answer read at once", () => {
  it.each(OBSERVERS)("tells what it tells in pieces: %s", (_name, text, observer) => {
    const body = Buffer.from(text);
    const whole = new UsageTally();
    expect(observer(whole).finishWhole?.(body)).toEqual({ sound: true, failed: false, keepable: true });
    expect(whole.outputTokens).toBeGreaterThan(0);
    for (let cut = 0; cut <= body.length; cut += 1) {
      const pieces = new UsageTally();
      const reading = observer(pieces);
      reading.feed(body.subarray(0, cut));
      reading.feed(body.subarray(cut));
      reading.finish();
      expect(pieces).toEqual(whole);
    }
  });

  it.each(OBSERVERS)("leaves the tally alone where it is broken: %s", (_name, text, observer) => {
    const tally = new UsageTally();
    expect(observer(tally).finishWhole?.(Buffer.from(text.slice(0, -1)))?.sound).toBe(false);
    expect(tally).toEqual(new UsageTally());
  });
});

describe("the facts of an answer", () => {
  it.each([
    ['{"a":1}', true, false, true],
    ["{}", true, false, true],
    ["<html>", false, false, false],
    ['{"a":1}x', false, false, false],
    ['{"error":null}', true, false, true],
    ['{"error":{"message":"no"}}', true, true, false],
    ['{"error":"no"}', true, false, false],
    ['{"status":"completed"}', true, false, true],
    ['{"status":"in_progress"}', true, false, false],
    ['{"status":"failed","status":"completed"}', true, false, false],
    ['{"nested":{"error":{}}}', true, false, true],
  ])("%s", (text, sound, failed, keepable) => {
    expect(answerFacts(Buffer.from(text))).toEqual({ sound, failed, keepable });
  });
});
