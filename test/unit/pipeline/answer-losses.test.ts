/** The losses of an answer join those of its request: counted as they happen, named once. */
import { describe, expect, test, vi } from "vitest";
import { type Translation, translateRequest } from "../../../src/dialects/hub.js";
import { UsageTally } from "../../../src/dialects/usage-tally.js";
import { isFailure } from "../../../src/errors.js";
import type { Attempt } from "../../../src/pipeline/attempt.js";
import { AnswerLosses, lossesOf } from "../../../src/pipeline/translated-answer.js";
import { TranslatingRelay } from "../../../src/pipeline/translating-relay.js";
import { TranslatingTap } from "../../../src/pipeline/translating-tap.js";

/** Only what is said to be lost; the rest of the head is another matter. */
vi.mock("../../../src/pipeline/answer-headers.js", () => ({
  answerHeaders: (_attempt: unknown, losses: readonly string[]) => ["losses", losses.join(",")],
}));

function attemptOf(losses: readonly string[] | null) {
  let counted = 0;
  const node = { counters: { losses: { add: (count: number) => (counted += count) } } };
  const translation = losses === null ? null : ({ losses } as unknown as Translation);
  const attempt = { node, translation, tally: new UsageTally() } as unknown as Attempt;
  return { attempt, translation, counted: () => counted };
}

test("each new name is counted and told at once, what the request lost is not told again", () => {
  const { attempt, translation, counted } = attemptOf(["seed", "image"]);
  const losses = new AnswerLosses(attempt, translation as Translation);
  expect([lossesOf(attempt), counted()]).toEqual([["seed", "image"], 0]);
  losses.add("image");
  expect(counted()).toBe(0);
  losses.add("logprobs");
  expect([lossesOf(attempt), counted()]).toEqual([["seed", "image", "logprobs"], 1]);
  losses.add("logprobs");
  losses.add("n");
  expect([lossesOf(attempt), counted()]).toEqual([["seed", "image", "logprobs", "n"], 2]);
});

test("without a loss the request's list itself is told; on the diagonal an empty one", () => {
  const { attempt, translation } = attemptOf(["seed"]);
  new AnswerLosses(attempt, translation as Translation);
  expect(lossesOf(attempt)).toBe(translation?.losses);
  expect(lossesOf(attemptOf(null).attempt)).toEqual([]);
});

test("attempts share nothing", () => {
  const first = attemptOf(["seed"]);
  new AnswerLosses(first.attempt, first.translation as Translation).add("n");
  expect(lossesOf(attemptOf(["seed"]).attempt)).toEqual(["seed"]);
});

/** An attempt as far as the relays look at it: a completions caller whose model speaks the messages wire. */
function answered(stream: boolean) {
  const traits = {
    provider: "anthropic",
    model: "claude-sonnet-4-5",
    defaultMaxTokens: 4096,
    maxTokensField: "max_tokens",
    structuredOutput: "native",
  } as const;
  const body = Buffer.from(JSON.stringify({ model: "m", prompt: "Hi", seed: 7, stream }));
  const job = { client: "openai-completions", wire: "anthropic-messages", body, traits, stream } as const;
  const translation = translateRequest(job);
  if (isFailure(translation)) throw new Error(translation.message);
  const counter = attemptOf(translation.losses);
  const head = {
    status: 200,
    contentType: "application/json",
    contentEncoding: "",
    passed: [],
    length: -1,
    retryAfterMs: 0,
  };
  let sent: readonly string[] = [];
  const attempt = Object.assign(counter.attempt, {
    translation,
    head,
    exchange: {
      continuation: null,
      id: "req-1",
      startedAtWall: 0,
      view: { model: "m", stream, usageAsked: false },
      sink: { closed: false, answer: (_status: number, headers: string[]) => (sent = headers) },
    },
    conclude: ({ delivery }: { delivery: { deliver(): void } }) => delivery.deliver(),
  });
  const { node } = attempt as unknown as { node: object };
  Object.assign(node, { config: { limits: { body_bytes: 1 << 20 } } });
  const header = () => sent.join(": ");
  return { attempt, translation, head, header, counted: counter.counted };
}

const CONTENT = [
  { type: "thinking", thinking: "hm", signature: "s" },
  { type: "text", text: "Hi" },
  { type: "tool_use", id: "t", name: "f", input: {} },
];
const EVENTS = [
  { type: "message_start", message: { id: "m", content: [] } },
  ...CONTENT.flatMap((content_block, index) => [
    { type: "content_block_start", index, content_block },
    { type: "content_block_stop", index },
  ]),
  { type: "message_delta", delta: { stop_reason: "tool_use" }, usage: { output_tokens: 1 } },
  { type: "message_stop" },
].map((event) => Buffer.from(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`));

describe("an answer that loses something", () => {
  const body = { id: "m", type: "message", content: CONTENT, stop_reason: "tool_use", usage: {} };

  test.each([false, true])("names it in the header when it was gathered; to be streamed: %s", (stream) => {
    const { attempt, translation, head, header, counted } = answered(stream);
    const relay = new TranslatingRelay(attempt, head, translation);
    relay.take(Buffer.from(JSON.stringify(body)));
    relay.finish();
    expect(header()).toBe("losses: seed,thinking,tool_calls");
    expect([lossesOf(attempt), counted()]).toEqual([["seed", "thinking", "tool_calls"], 2]);
  });

  test("tells what has been lost of a stream at every moment of it", () => {
    const { attempt, translation, counted } = answered(true);
    const tap = new TranslatingTap(attempt, translation);
    tap.push(EVENTS[0] as Buffer);
    expect([lossesOf(attempt), counted()]).toEqual([["seed"], 0]);
    for (const event of EVENTS.slice(1, 3)) tap.push(event);
    expect([lossesOf(attempt), counted()]).toEqual([["seed", "thinking"], 1]);
    for (const event of EVENTS.slice(3)) tap.push(event);
    tap.end();
    expect(tap.terminal).toBe(true);
    expect([lossesOf(attempt), counted()]).toEqual([["seed", "thinking", "tool_calls"], 2]);
  });
});
