/** Streams through routing models: another target until the first byte, then never; dialects mixed; clients that leave. */
import Anthropic from "@anthropic-ai/sdk";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Behaviour } from "../fake-upstream/behaviour.js";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { KEY, type RunningGateway, startGateway } from "./gateway.js";
import {
  always,
  asked,
  attemptsOf,
  chatOf,
  eventsOf,
  type GroupShape,
  inTurn,
  routingResources,
  servedBy,
  type TargetShape,
} from "./routing.js";
import { type Endpoint, hasTerminator, requestFor, STREAMING } from "./traffic.js";
import { type Answer, ask, metric, open } from "./wire.js";

const messages = (name: string): TargetShape => ({ name, face: "messages" });
const patient = (name: string): TargetShape => ({ name, model: { stream_timeout: 1_000 } });

const GROUPS: readonly GroupShape[] = [
  { name: "pair", targets: ["a", "b"] },
  { name: "claude", targets: [messages("a"), messages("b")] },
  { name: "patient", targets: [patient("a"), patient("b")] },
  { name: "group", targets: ["a", "b"], model: { stream_timeout: 1_000 } },
  { name: "long", targets: [{ name: "a", model: { stream_timeout: 1_400 } }, "b"] },
  { name: "waiting", targets: ["a", "b"] },
  { name: "mixed", targets: ["chat", messages("claude")], routing: { retries: 0 } },
  { name: "turned", targets: [messages("claude"), "chat"], routing: { retries: 0 } },
  { name: "on", targets: ["a", "b", messages("c")], routing: { continue_on_failure: true, retries: 0 } },
  { name: "single", targets: ["a"], model: { rate_limit: { concurrency: 1 } } },
];

let fake: FakeUpstream;
let gateway: RunningGateway;
let client: Anthropic;

beforeAll(async () => {
  fake = await startFakeUpstream();
  gateway = await startGateway({
    // Comments come soon here, so that it would show if one were taken for the answer's beginning.
    config: { acceptors: 1, timeouts: { keep_alive_comment_ms: 300 } },
    resources: routingResources(GROUPS, { upstream: fake.url }),
  });
  client = new Anthropic({ apiKey: KEY, authToken: null, baseURL: gateway.url, maxRetries: 0 });
});
afterAll(async () => {
  await gateway?.dispose();
  await fake?.close();
});
beforeEach(() => fake.reset());

const streamOf = (model: string, more: Record<string, unknown> = {}) =>
  chatOf(gateway, model, { stream: true, ...more });

function ask4(endpoint: Endpoint, model: string): Promise<Answer> {
  return ask(gateway.url, requestFor(endpoint, { model, stream: true }), { path: endpoint.path });
}

const groupFor = ({ operation }: Endpoint) => (operation === "messages" ? "claude" : "pair");

/** A stream that ended well, from this target, after so many attempts. */
function expectServed(answer: Answer, target: string, attempts: number): void {
  expect([answer.status, servedBy(answer), attemptsOf(answer)]).toEqual([200, target, attempts]);
  expect(answer.headers.get("content-type")).toContain("text/event-stream");
  expect(answer.text).toContain("data: [DONE]");
  expect(answer.text).not.toContain('"error"');
  expect(answer.text.match(/"role":"assistant"/g)).toHaveLength(1);
}

const EVENTS = "text/event-stream";

describe("before the first byte, the next target takes over", () => {
  it.each<[string, Behaviour, string, number]>([
    ["503", { status: 503 }, "upstream_error", 503],
    ["a reset", { reset: true }, "transport_error", 0],
    ["an error event", { error_frame_after: 0 }, "upstream_error", 200],
    ["an empty stream", { body: "", content_type: EVENTS }, "transport_error", 200],
    ["a head and no more", { close_after_frames: 0 }, "transport_error", 200],
    ["the end within the first event", { close_after_bytes: 25 }, "transport_error", 200],
    ["a comment and no more", { body: ": hello\n\n", content_type: EVENTS }, "transport_error", 200],
    ["a page", { body: "<html></html>", content_type: "text/html" }, "upstream_decode_error", 200],
  ])("after %s", async (_what, behaviour, error, upstreamStatus) => {
    inTurn(fake, "pair-a", behaviour);
    const answer = await streamOf("pair");
    expectServed(answer, "pair-b", 2);
    expect(asked(fake)).toEqual(["pair-a", "pair-b"]);
    const [failed, served] = await eventsOf(gateway, answer, 2);
    expect(failed).toMatchObject({ error, upstream_status: upstreamStatus, complete: false, streamed: true });
    const dealt = fake.requests()[1];
    expect(served).toMatchObject({ input_tokens: dealt?.inputTokens, output_tokens: dealt?.outputTokens });
    expect(served).toMatchObject({ error: "", complete: true, status: 200 });
  });

  it.each(STREAMING.map((endpoint) => [endpoint.operation, endpoint] as const))(
    "in %s",
    async (operation, endpoint) => {
      const group = groupFor(endpoint);
      for (const behaviour of [{ error_frame_after: 0 }, { status: 500 }, { close_after_frames: 0 }] as Behaviour[]) {
        fake.reset();
        inTurn(fake, `${group}-a`, behaviour);
        const answer = await ask4(endpoint, group);
        expect([answer.status, servedBy(answer), attemptsOf(answer)]).toEqual([200, `${group}-b`, 2]);
        expect(hasTerminator(operation, Buffer.from(answer.text))).toBe(true);
        await eventsOf(gateway, answer, 2);
      }
    },
  );

  it.each([
    ["before the head", "patient", { delay_ms: 30_000 }],
    ["after the head", "patient", { first_byte_delay_ms: 30_000 }],
    ["before the head, the time being the group's", "group", { delay_ms: 30_000 }],
    ["after the head, the time being the group's", "group", { first_byte_delay_ms: 30_000 }],
    ["and comments do not begin the answer", "long", { first_byte_delay_ms: 30_000 }],
  ] as const)("after a silence, where stream_timeout is set: %s", async (_what, group, behaviour) => {
    inTurn(fake, `${group}-a`, behaviour);
    const started = performance.now();
    const answer = await streamOf(group);
    expectServed(answer, `${group}-b`, 2);
    expect(performance.now() - started).toBeLessThan(15_000);
    const [failed] = await eventsOf(gateway, answer, 2);
    expect(failed).toMatchObject({ error: "timeout" });
    await fake.until((stats) => stats.aborted === 1);
  });

  it("not after a silence, where it is not set: that is waited for", async () => {
    inTurn(fake, "waiting-a", { first_byte_delay_ms: 1_200 });
    const answer = await streamOf("waiting");
    expectServed(answer, "waiting-a", 1);
    // In the meantime the client has heard that somebody is there.
    expect(answer.text).toMatch(/^: keep-alive\n\n/);
  });
});

describe("after the first byte nobody takes over", () => {
  it.each<[string, Behaviour, string]>([
    ["the connection breaks", { close_after_frames: 3, gap_ms: 30 }, "transport_error"],
    ["the stream ends early", { end_without_terminator: true, gap_ms: 10, words: 5 }, "transport_error"],
    ["the upstream says an error", { error_frame_after: 3, gap_ms: 30 }, "upstream_error"],
    ["the upstream falls silent", { stall_after_frames: 3 }, "timeout"],
  ])("where %s: an error event", async (_what, behaviour, error) => {
    inTurn(fake, "patient-a", behaviour);
    const answer = await streamOf("patient");
    expect([answer.status, servedBy(answer), attemptsOf(answer)]).toEqual([200, "patient-a", 1]);
    expect(answer.text).not.toContain("[DONE]");
    const last = answer.text.trimEnd().split("\n\n").at(-1) ?? "";
    expect(JSON.parse(last.replace(/^data: /, ""))).toHaveProperty("error");
    expect(asked(fake)).toEqual(["patient-a"]);
    const [event] = await eventsOf(gateway, answer, 1);
    expect(event).toMatchObject({ error, status: 200, complete: false, upstream_status: 200 });
  });

  it.each(STREAMING.map((endpoint) => [endpoint.operation, endpoint] as const))(
    "in %s",
    async (operation, endpoint) => {
      const group = groupFor(endpoint);
      inTurn(fake, `${group}-a`, { close_after_frames: 3, gap_ms: 30 });
      const answer = await ask4(endpoint, group);
      expect([answer.status, attemptsOf(answer), asked(fake).length]).toEqual([200, 1, 1]);
      expect(hasTerminator(operation, Buffer.from(answer.text))).toBe(false);
      expect(answer.text).toMatch(/transport_error|could not be reached or broke off/);
    },
  );
});

/** What the events of a chat stream say. */
function textOf(answer: Answer): string {
  const events = answer.text.split("\n\n").filter((event) => event.startsWith("data: {"));
  return events.map((event) => JSON.parse(event.slice(6)).choices?.[0]?.delta?.content ?? "").join("");
}

describe("where continue_on_failure is set, a broken text goes on at the next target", () => {
  const BREAKS: Behaviour = { close_after_frames: 4, gap_ms: 30, words: 8 };

  it.each<[string, Behaviour]>([
    ["the connection breaks", BREAKS],
    ["the stream ends early", { error_frame_after: 4, gap_ms: 30, words: 8 }],
  ])("where %s", async (_what, behaviour) => {
    inTurn(fake, "on-a", behaviour);
    inTurn(fake, "on-b", { words: 5 });
    const answer = await streamOf("on");
    expect([answer.status, servedBy(answer)]).toEqual([200, "on-a"]);
    expect(answer.text).toContain("data: [DONE]");
    expect(answer.text).not.toContain('"error"');
    expect(answer.text.match(/"role":"assistant"/g)).toHaveLength(1);
    expect(answer.text.match(/"finish_reason":"stop"/g)).toHaveLength(1);
    expect(asked(fake)).toEqual(["on-a", "on-b"]);
    // The second target has been told what the first one had said, and its text follows that.
    const { messages } = JSON.parse(String(fake.requests()[1]?.body));
    const said = messages.find(({ role }: { role: string }) => role === "assistant")?.content;
    expect(said.length).toBeGreaterThan(3);
    expect(textOf(answer).startsWith(said)).toBe(true);
    expect(textOf(answer).length).toBeGreaterThan(said.length);
    const [broken, rest] = await eventsOf(gateway, answer, 2);
    expect(broken).toMatchObject({ upstream_model: "on-a", complete: false, estimated: true });
    expect(broken?.output_tokens).toBeGreaterThan(0);
    expect(broken?.error).not.toBe("");
    expect(rest).toMatchObject({ upstream_model: "on-b", complete: true, error: "", output_tokens: 5 });
  });

  it("from dialect to dialect, and past a target that is down", async () => {
    inTurn(fake, "on-a", BREAKS);
    inTurn(fake, "on-b", { status: 503 });
    const answer = await streamOf("on");
    expect(answer.text).toContain("data: [DONE]");
    expect(answer.text).not.toContain('"error"');
    expect(asked(fake)).toEqual(["on-a", "on-b", "on-c"]);
    expect((await eventsOf(gateway, answer, 3)).map(({ upstream_status }) => upstream_status)).toEqual([200, 503, 200]);
  });

  it("and ends with an error event where nobody is left", async () => {
    for (const name of ["on-a", "on-b", "on-c"]) always(fake, name, BREAKS);
    const answer = await streamOf("on");
    expect(answer.text).not.toContain("[DONE]");
    expect(answer.text.trimEnd().split("\n\n").at(-1)).toContain('"error"');
    expect(answer.text.match(/"error"/g)).toHaveLength(1);
    await eventsOf(gateway, answer, 3);
  });

  it("but not within a call of a tool", async () => {
    inTurn(fake, "on-a", { close_after_frames: 3, gap_ms: 30 });
    const { name, input_schema: parameters } = TOOL;
    const tools = [{ type: "function", function: { name, parameters } }];
    const answer = await streamOf("on", { tools, tool_choice: "required" });
    expect([answer.status, asked(fake)]).toEqual([200, ["on-a"]]);
    expect(answer.text).toContain('"error"');
  });
});

const TOOL: Anthropic.Tool = {
  name: "weather",
  input_schema: { type: "object", properties: { city: { type: "string", default: "Vienna" } }, required: ["city"] },
};
const CALL_IT = {
  max_tokens: 100,
  tools: [TOOL],
  tool_choice: { type: "any" as const },
  messages: [{ role: "user" as const, content: "What is the weather like?" }],
};

describe("targets of two dialects behind one name", () => {
  const orders = [
    ["mixed", "mixed-chat", "mixed-claude"],
    ["turned", "turned-claude", "turned-chat"],
  ] as const;
  const failures: [string, Behaviour | null][] = [
    ["at once", null],
    ["after 503", { status: 503 }],
    ["after an error event", { error_frame_after: 0 }],
    ["after a reset", { reset: true }],
    ["after an empty stream", { close_after_frames: 0 }],
  ];

  it.each(orders.flatMap((order) => failures.map(([what, how]) => [...order, what, how] as const)))(
    "%s: the vendor's client gets its call of a tool, streamed (%s, %s) %s",
    async (model, first, second, ...[, behaviour]) => {
      if (behaviour !== null) inTurn(fake, first, behaviour);
      const stream = client.messages.stream({ model, ...CALL_IT });
      const { response } = await stream.withResponse();
      const message = await stream.finalMessage();
      expect(message.stop_reason).toBe("tool_use");
      expect(message.content).toMatchObject([{ type: "tool_use", name: "weather", input: { city: "Vienna" } }]);
      const target = behaviour === null ? first : second;
      expect(response.headers.get("x-weir-upstream-model")).toBe(target);
      expect(asked(fake)).toEqual(behaviour === null ? [first] : [first, second]);
      const dealt = fake.requests().at(-1);
      expect(message.usage).toMatchObject({ input_tokens: dealt?.inputTokens, output_tokens: dealt?.outputTokens });
    },
  );

  it.each(orders)("%s: chat, whole and streamed", async (model, first, second) => {
    for (const stream of [false, true]) {
      fake.reset();
      inTurn(fake, first, { status: 500 });
      const answer = await chatOf(gateway, model, { stream });
      expect([answer.status, servedBy(answer), attemptsOf(answer)]).toEqual([200, second, 2]);
      expect(answer.text).toContain(stream ? "data: [DONE]" : '"finish_reason":"stop"');
      const [failed, served] = await eventsOf(gateway, answer, 2);
      expect([failed?.upstream_model, served?.upstream_model]).toEqual([first, second]);
      expect(failed?.target_dialect).not.toBe(served?.target_dialect);
    }
  });

  it("the last failure is told in the caller's words", async () => {
    always(fake, "mixed-chat", { status: 500 });
    always(fake, "mixed-claude", { status: 529 });
    const answer = await chatOf(gateway, "mixed");
    expect([answer.status, attemptsOf(answer)]).toEqual([529, 2]);
    expect(answer.json.error.message).toContain("529");
    expect(answer.json).not.toHaveProperty("type");
  });
});

describe("a client that leaves", () => {
  it("during a pause ends the request: nobody is asked again, and its place is free", async () => {
    const aborts = await metric(gateway.opsUrl, "weir_client_aborts_total");
    inTurn(fake, "single-a", { status: 503, headers: { "retry-after": "4" } });
    const leaving = new AbortController();
    const left = open(gateway.url, { model: "single", messages: [{ role: "user", content: "Hi" }] }, leaving).catch(
      (error: Error) => error.name,
    );
    await fake.until((stats) => stats.completed === 1);
    await gateway.until(async () => (await gateway.events()).some(({ model }) => model === "single"));
    expect((await chatOf(gateway, "single")).status).toBe(429);
    leaving.abort();
    expect(await left).toBe("AbortError");
    await gateway.until(async () => (await metric(gateway.opsUrl, "weir_client_aborts_total")) === aborts + 1);
    expect((await chatOf(gateway, "single")).status).toBe(200);
    expect(asked(fake)).toEqual(["single-a", "single-a"]);
    const events = (await gateway.events()).filter(({ model }) => model === "single");
    expect(events.map(({ status, attempt }) => [status, attempt])).toEqual([
      [503, 1],
      [200, 1],
    ]);
  });

  it("during a later attempt ends that one", async () => {
    inTurn(fake, "pair-a", { status: 500 });
    inTurn(fake, "pair-b", { delay_ms: 8_000 });
    const leaving = new AbortController();
    const body = { model: "pair", stream: true, messages: [{ role: "user", content: "Hi" }] };
    const left = open(gateway.url, body, leaving).catch((error: Error) => error.name);
    await fake.until((stats) => stats.requests === 2);
    leaving.abort();
    expect(await left).toBe("AbortError");
    await fake.until((stats) => stats.aborted === 1);
    await gateway.until(async () => {
      const events = (await gateway.events()).filter(({ error }) => error === "client_closed_request");
      return events.length === 1 && events[0]?.attempt === 2;
    });
  });
});
