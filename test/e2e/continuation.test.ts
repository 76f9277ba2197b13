/** A stream that breaks goes on at the next target, and its client notices nothing; or it ends with one error event. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { AnswerEvent } from "../../src/dialects/semantic.js";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { lastRequest, received } from "./calls.js";
import { roomInWindow, type RunningGateway, startGateway } from "./gateway.js";
import {
  beginningIn,
  type Refusal,
  type Speech,
  type SpokenUpstream,
  spoken,
  startSpokenUpstream,
  thought,
} from "./spoken.js";
import {
  chatModel,
  type Clients,
  clientsOf,
  type Entry,
  eventsOf,
  MESSAGES_ONLY,
  messagesModel,
  STREAM_WAYS,
  type Told,
  type Way,
  withModels,
} from "./virtual.js";
import { deadPort, metric, open } from "./wire.js";

/** What the fake upstream says in eight words. */
const WHOLE = "the water runs over the weir and the";
const WAYS = STREAM_WAYS.filter(({ path }) => path !== "/v1/completions");
const STEADY = { cooldown: { enabled: false } };

let upstream: FakeUpstream;
let second: SpokenUpstream;
let third: SpokenUpstream;
let gateway: RunningGateway;
let clients: Clients;
let answerOfSecond: (beginning: string) => Speech | Refusal;
let answerOfThird: (beginning: string) => Speech | Refusal;

const rest = (beginning: string): Speech => ({ events: spoken(WHOLE.slice(beginning.length)) });

function group(name: string, targets: readonly string[], more: Entry = {}): Entry {
  return {
    display_name: name,
    routing: { targets: targets.map((model) => ({ model })), continue_on_failure: true, ...more },
  };
}

async function resources(): Promise<Entry> {
  const firsts = [chatModel("chat-1", STEADY), messagesModel("messages-1", STEADY)];
  const at = (who: string) => ({ provider_key: `${who}-key`, ...STEADY });
  const models = [
    ...firsts,
    ...["second", "third", "dead"].map((who) => chatModel(`chat-${who}`, at(`chat-${who}`))),
    ...["second", "third"].map((who) => messagesModel(`messages-${who}`, at(`messages-${who}`))),
    chatModel("quick-1", { ...STEADY, stream_timeout: 1_000 }),
    chatModel("second-over", { ...at("chat-second"), rate_limit: { rpm: 1 } }),
    ...["chat", "messages"].flatMap((one) =>
      ["chat", "messages"].map((two) => group(`${one}-${two}`, [`${one}-1`, `${two}-second`])),
    ),
    group("plain", ["chat-1", "chat-second"], { continue_on_failure: false }),
    group("to-dead", ["chat-1", "chat-dead"]),
    group("three", ["chat-1", "messages-second", "chat-third"]),
    group("speakers", ["chat-second", "messages-third"]),
    group("message-speakers", ["messages-second", "messages-third"]),
    group("quick", ["quick-1", "chat-second"]),
    group("over", ["chat-1", "second-over"]),
  ];
  const file = withModels(upstream.url, models);
  const dead = `http://127.0.0.1:${await deadPort()}`;
  const keys = Object.entries({ second: second.url, third: third.url, dead }).flatMap(([who, url]) => [
    { display_name: `chat-${who}-key`, provider: "openai", api_base: `${url}/v1`, api_key: "sk" },
    { display_name: `messages-${who}-key`, ...MESSAGES_ONLY, api_base: url, api_key: "sk" },
  ]);
  (file.provider_keys as unknown[]).push(...keys);
  return file;
}

beforeAll(async () => {
  upstream = await startFakeUpstream();
  second = await startSpokenUpstream((body) => answerOfSecond(beginningIn(body)));
  third = await startSpokenUpstream((body) => answerOfThird(beginningIn(body)));
  gateway = await startGateway({ resources: await resources(), config: { acceptors: 1 } });
  clients = clientsOf(gateway);
});
afterAll(async () => {
  await gateway?.dispose();
  for (const each of [second, third, upstream]) await each?.close();
});
beforeEach(() => {
  upstream.reset();
  second.asked.length = 0;
  third.asked.length = 0;
  answerOfSecond = rest;
  answerOfThird = rest;
});

function firstBreaks(after: number, how: "close_after_frames" | "error_frame_after" = "close_after_frames"): void {
  upstream.script({ words: 8, [how]: after });
}

interface Raw {
  readonly status: number;
  readonly text: string;
  /** Lines of data, but for a last "[DONE]". */
  // biome-ignore lint/suspicious/noExplicitAny: an event is looked into field by field.
  readonly events: any[];
  readonly requestId: string;
}

async function raw(way: Way, model: string, more: Entry = {}): Promise<Raw> {
  const response = await open(gateway.url, { ...way.body(model), stream: true, ...more }, { path: way.path });
  const text = await response.text();
  const lines = text.split("\n").filter((line) => line.startsWith("data: ") && line !== "data: [DONE]");
  const events = lines.map((line) => JSON.parse(line.slice(6)));
  return { status: response.status, text, events, requestId: response.headers.get("x-weir-request-id") ?? "" };
}

/** One error event, at the very end, and nothing that looks like a success. */
function expectError({ status, text, events }: Raw): void {
  expect(status).toBe(200);
  expect(events.map((event) => event.type === "error" || "error" in event).indexOf(true)).toBe(events.length - 1);
  expect(text).not.toMatch(/\[DONE\]|message_stop|response\.completed|HTTP\/1/);
}

describe.each(WAYS)("$name", (way) => {
  describe.each(["chat-chat", "chat-messages", "messages-chat", "messages-messages"])("over %s", (model) => {
    it.each([
      ["close_after_frames", 1],
      ["error_frame_after", 3],
    ] as const)("folds one whole text, broken anywhere (%s)", async (how, step) => {
      // Longer than any dialect's stream of eight words, so that it is broken at every event and once not at all.
      const attempts = new Set<number>();
      for (let after = 0; after <= 22; after += step) {
        firstBreaks(after, how);
        const { text, requestId }: Told = await way.ask(clients, model).catch((error: Error) => {
          throw new Error(`broken after ${after} frames: ${error.message}`);
        });
        expect(text, `broken after ${after} frames`).toBe(WHOLE);
        expect(second.asked.length).toBeLessThanOrEqual(1);
        const events = await eventsOf(gateway, requestId, 1 + second.asked.length);
        expect(events.map((event) => event.attempt)).toEqual(events.map((_, index) => index + 1));
        expect(events.at(-1)).toMatchObject({ error: "", complete: true, status: 200 });
        if (events.length > 1) expect(events[0]).toMatchObject({ complete: false, streamed: true });
        attempts.add(events.length);
        second.asked.length = 0;
        upstream.reset();
      }
      expect(attempts).toEqual(new Set([1, 2]));
    });
  });

  it("ends with an error event where the next one fails, too", async () => {
    const failures: readonly (() => Speech | Refusal)[] = [
      () => ({ status: 503, body: '{"error":{"message":"no"}}' }),
      () => ({ status: 400, body: '{"error":{"message":"no"}}' }),
      () => ({ status: 200, body: '{"choices":[]}' }),
      () => ({ status: 200, body: "<html>" }),
      () => ({ events: spoken(WHOLE), cutAfter: 0 }),
      () => ({ events: spoken("x y z"), cutAfter: 3 }),
    ];
    for (const failing of failures) {
      answerOfSecond = failing;
      firstBreaks(4);
      const answer = await raw(way, "chat-chat");
      expectError(answer);
      expect(second.asked.length).toBe(1);
      second.asked.length = 0;
      expect(await eventsOf(gateway, answer.requestId, 2)).toHaveLength(2);
    }
    firstBreaks(4);
    expectError(await raw(way, "to-dead"));
    await gateway.until(async () => (await metric(gateway.opsUrl, "weir_requests_in_flight")) === 0);
  });

  it("goes on twice", async () => {
    answerOfSecond = (beginning) => ({ ...rest(beginning), cutAfter: 5 });
    firstBreaks(4);
    const { text, requestId } = await way.ask(clients, "three");
    expect(text).toBe(WHOLE);
    const [first, then] = [second.asked, third.asked].map((asked) => beginningIn(asked[0])) as [string, string];
    expect(then.length).toBeGreaterThan(first.length);
    expect(WHOLE.startsWith(then)).toBe(true);
    expect(await eventsOf(gateway, requestId, 3)).toHaveLength(3);
  });

  it("passes over a target that cannot go on", async () => {
    answerOfSecond = () => ({ status: 429, body: "{}" });
    firstBreaks(4);
    expect((await way.ask(clients, "three")).text).toBe(WHOLE);
    expect(third.asked).toHaveLength(1);
  });

  it("is an error as before where nobody has asked for more", async () => {
    firstBreaks(6);
    expectError(await raw(way, "plain"));
    expect(second.asked).toEqual([]);
  });

  it("does not go on with a call of a tool", async () => {
    const schema = { type: "object", properties: { city: { type: "string" } } };
    const tool =
      way.path === "/v1/messages"
        ? { name: "look", input_schema: schema }
        : way.path === "/v1/responses"
          ? { type: "function", name: "look", parameters: schema, strict: false }
          : { type: "function", function: { name: "look", parameters: schema } };
    const choice = way.path === "/v1/messages" ? { type: "any" } : "required";
    firstBreaks(3);
    expectError(await raw(way, "chat-chat", { tools: [tool], tool_choice: choice }));
    expect(second.asked).toEqual([]);
  });

  it("hides what the next one thinks about how to go on", async () => {
    answerOfSecond = (beginning) => ({ events: spoken(WHOLE.slice(beginning.length), thought("Go on, but how?")) });
    firstBreaks(5);
    expect((await way.ask(clients, "chat-messages")).text).toBe(WHOLE);
    firstBreaks(5);
    expect((await raw(way, "chat-messages")).text).not.toContain("but how");
  });

  it("breaks while it hides, and goes on once more", async () => {
    const thinking = [...thought("Go on, but how?").slice(0, 2)];
    answerOfSecond = () => ({ events: [spoken("x")[0] as AnswerEvent, ...thinking], cutAfter: 10 });
    firstBreaks(5);
    expect((await way.ask(clients, "three")).text).toBe(WHOLE);
    expect(third.asked).toHaveLength(1);
  });

  it.each(["speakers", "message-speakers"])("breaks while it thinks: the next one thinks anew (%s)", async (model) => {
    answerOfThird = (beginning) => ({ events: spoken(WHOLE.slice(beginning.length), thought("four")) });
    let asked = 0;
    for (let cutAfter = 1; cutAfter <= 12; cutAfter += 1) {
      answerOfSecond = () => ({ events: spoken(WHOLE, thought("one two three")), cutAfter });
      expect((await way.ask(clients, model)).text).toBe(WHOLE);
      expect(third.asked.length).toBeLessThanOrEqual(1);
      asked += third.asked.splice(0).length;
    }
    expect(asked).toBeGreaterThan(5);
  });

  it("closes what is open where the next one has nothing to add", async () => {
    answerOfSecond = () => ({
      events: spoken("").filter(({ kind }) => kind !== "text_start" && kind !== "block_stop"),
    });
    firstBreaks(5);
    const { text } = await way.ask(clients, "chat-messages");
    expect(WHOLE.startsWith(text) && text !== "").toBe(true);
  });
});

it("tells the next one what was said, and that it should go on", async () => {
  firstBreaks(5);
  const [chat] = WAYS as [Way];
  await chat.ask(clients, "chat-chat");
  const { messages } = second.asked[0];
  expect(messages.map((turn: { role: string }) => turn.role)).toEqual(["user", "assistant", "user"]);
  expect(messages[1].content).toBe("the water runs over");
  expect(messages[2].content).toContain("exactly where it stops");
});

it("passes the caller's headers on, where its dialect stays", async () => {
  const [, , messages] = WAYS as [Way, Way, Way];
  firstBreaks(5);
  const headers = { "anthropic-beta": "some-beta-2025-01-01", "anthropic-version": "2023-06-01" };
  const body = { ...messages.body("messages-messages"), stream: true };
  expect((await open(gateway.url, body, { path: messages.path, headers })).status).toBe(200);
  expect(received(lastRequest(upstream), "anthropic-beta")).toEqual(["some-beta-2025-01-01"]);
});

it("counts each attempt for itself", async () => {
  firstBreaks(5);
  const { requestId } = await (WAYS[0] as Way).ask(clients, "chat-messages");
  const [first, then] = await eventsOf(gateway, requestId, 2);
  expect(first).toMatchObject({ model_entry: "chat-1", error: "transport_error", estimated: true, complete: false });
  // Four words were said; the request was the caller's own, without what the next one was told.
  expect(first?.output_tokens).toBe(4);
  expect(first?.request_bytes).toBeLessThan((then?.request_bytes ?? 0) - 100);
  expect(then).toMatchObject({ model_entry: "messages-second", input_tokens: 20, output_tokens: 4, estimated: false });
});

it("goes on after silence, too", async () => {
  upstream.script({ words: 8, stall_after_frames: 4 });
  expect((await (WAYS[0] as Way).ask(clients, "quick")).text).toBe(WHOLE);
});

it("asks the next one's own limits, and gives back what is not used", async () => {
  await roomInWindow(60_000, 10_000);
  const [chat] = WAYS as [Way];
  firstBreaks(4);
  expect((await chat.ask(clients, "over")).text).toBe(WHOLE);
  firstBreaks(4);
  expectError(await raw(chat, "over"));
  expect(second.asked).toHaveLength(1);
});

it("ends everything when the client leaves", async () => {
  answerOfSecond = () => ({ events: spoken("never heard"), cutAfter: undefined as never });
  firstBreaks(4);
  upstream.reset();
  upstream.script({ words: 50, gap_ms: 50 });
  const leaving = new AbortController();
  const response = await open(
    gateway.url,
    { ...(WAYS[0] as Way).body("chat-chat"), stream: true },
    { signal: leaving.signal },
  );
  expect(response.status).toBe(200);
  leaving.abort();
  await upstream.until((stats) => stats.in_flight === 0 && stats.aborted === 1);
  expect(second.asked).toEqual([]);
});
