/** The unmodified `@anthropic-ai/sdk` client through the built gateway. */
import Anthropic from "@anthropic-ai/sdk";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { eventOf, lastRequest, received } from "./calls.js";
import { KEY, oneProvider, type RunningGateway, startGateway } from "./gateway.js";

const HELLO = { model: "claude-x", max_tokens: 100, messages: [{ role: "user" as const, content: "Hello there" }] };
const WEATHER = {
  type: "object",
  properties: { city: { type: "string", default: "Vienna" } },
  required: ["city"],
} as const;

let upstream: FakeUpstream;
let gateway: RunningGateway;
let client: Anthropic;

beforeAll(async () => {
  upstream = await startFakeUpstream();
  gateway = await startGateway({ resources: oneProvider(upstream.url) });
  client = connect({ apiKey: KEY });
});
afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
});
beforeEach(() => upstream.reset());

interface Connection {
  readonly apiKey?: string;
  readonly authToken?: string;
  readonly under?: string;
  readonly maxRetries?: number;
}

/** Only what is given counts, whatever the environment of the test holds. */
function connect({ apiKey, authToken, under = "", maxRetries = 0 }: Connection): Anthropic {
  const baseURL = `${gateway.url}${under}`;
  return new Anthropic({ apiKey: apiKey ?? null, authToken: authToken ?? null, baseURL, maxRetries });
}

interface Told {
  readonly input_tokens: number | null;
  readonly output_tokens: number;
  readonly cache_read_input_tokens?: number | null;
  readonly cache_creation_input_tokens?: number | null;
}

/** What the client was told, what the upstream dealt out and what was recorded are the same. */
async function expectSameUsage(response: Response, told: Told) {
  const dealt = lastRequest(upstream);
  expect(dealt.inputTokens).toBeGreaterThan(0);
  const cached = (told.cache_read_input_tokens ?? 0) + (told.cache_creation_input_tokens ?? 0);
  expect((told.input_tokens ?? 0) + cached).toBe(dealt.inputTokens);
  expect(told.output_tokens).toBe(dealt.outputTokens);
  const event = await eventOf(gateway, response.headers.get("x-weir-request-id"));
  expect(event).toMatchObject({
    operation: "messages",
    client_dialect: "anthropic-messages",
    target_dialect: "anthropic-messages",
    input_tokens: dealt.inputTokens,
    output_tokens: dealt.outputTokens,
    cache_read_tokens: told.cache_read_input_tokens ?? 0,
    cache_write_tokens: told.cache_creation_input_tokens ?? 0,
    estimated: false,
    complete: true,
    status: 200,
  });
  return event;
}

describe.each(["", "/anthropic"])('messages under the address with "%s"', (under) => {
  test("whole", async () => {
    upstream.script({ cache_read_tokens: 50, cache_write_tokens: 20 });
    const { data, response } = await connect({ apiKey: KEY, under }).messages.create(HELLO).withResponse();
    expect(data.content).toEqual([{ type: "text", text: "You said: Hello there" }]);
    expect(data.usage).toMatchObject({ cache_read_input_tokens: 50, cache_creation_input_tokens: 20 });
    const event = await expectSameUsage(response, data.usage);
    expect(event).toMatchObject({ streamed: false, finish_reason: "end_turn", response_id: data.id });
    expect(event.user_agent).toContain("Anthropic");
  });

  test("streamed, put together by the client", async () => {
    const stream = connect({ apiKey: KEY, under }).messages.stream(HELLO);
    const { response } = await stream.withResponse();
    const message = await stream.finalMessage();
    expect(message.content).toEqual([{ type: "text", text: "You said: Hello there" }]);
    expect(message.stop_reason).toBe("end_turn");
    expect(await expectSameUsage(response, message.usage)).toMatchObject({ streamed: true });
  });

  test("tokens are counted by the upstream", async () => {
    const { messages } = HELLO;
    const { data, response } = await connect({ apiKey: KEY, under })
      .messages.countTokens({ model: "claude-x", messages })
      .withResponse();
    const asked = lastRequest(upstream);
    expect(asked.path).toBe("/v1/messages/count_tokens");
    expect(data).toEqual({ input_tokens: asked.inputTokens });
    const event = await eventOf(gateway, response.headers.get("x-weir-request-id"));
    expect(event).toMatchObject({ operation: "count_tokens", status: 200, complete: true });
  });

  test("models: list and retrieve", async () => {
    const here = connect({ apiKey: KEY, under });
    const names: string[] = [];
    for await (const model of here.models.list()) names.push(model.id);
    expect(names).toEqual(["gpt-alias", "gpt-*", "text-embedding-*", "claude-*"]);
    const one = await here.models.retrieve("claude-x");
    expect(one).toMatchObject({ type: "model", id: "claude-x", display_name: "claude-x" });
    expect(Number.isNaN(Date.parse(one.created_at))).toBe(false);
    await expect(here.models.retrieve("nothing")).rejects.toBeInstanceOf(Anthropic.NotFoundError);
  });
});

describe("keys", () => {
  test("a key as x-api-key reaches the upstream as the upstream's own", async () => {
    await connect({ apiKey: KEY }).messages.create(HELLO);
    expect(received(lastRequest(upstream), "x-api-key")).toEqual(["sk-upstream-anthropic"]);
    expect(received(lastRequest(upstream), "authorization")).toEqual([]);
  });

  test("a key as Bearer token does the same", async () => {
    await connect({ authToken: KEY }).messages.create(HELLO);
    expect(received(lastRequest(upstream), "x-api-key")).toEqual(["sk-upstream-anthropic"]);
    expect(received(lastRequest(upstream), "authorization")).toEqual([]);
  });
});

describe("tools", () => {
  test("a loop of two turns by hand, streamed", async () => {
    const tools: Anthropic.Tool[] = [{ name: "weather", input_schema: { ...WEATHER, required: ["city"] } }];
    const messages: Anthropic.MessageParam[] = [{ role: "user", content: "call weather" }];
    const first = await client.messages.stream({ ...HELLO, messages, tools }).finalMessage();
    expect(first.stop_reason).toBe("tool_use");
    const used = first.content[0];
    if (used?.type !== "tool_use") throw new Error("no tool was used");
    expect(used.input).toEqual({ city: "Vienna" });
    messages.push({ role: "assistant", content: first.content });
    messages.push({ role: "user", content: [{ type: "tool_result", tool_use_id: used.id, content: "21 degrees" }] });
    const second = await client.messages.stream({ ...HELLO, messages, tools }).finalMessage();
    expect(second.content).toEqual([{ type: "text", text: "The tool answered: 21 degrees" }]);
  });

  test.each([false, true])("the client's own tool runner over ?beta=true, streamed: %s", async (stream) => {
    const asked: unknown[] = [];
    const run = (input: unknown) => {
      asked.push(input);
      return "21 degrees";
    };
    const tool = betaTool({ name: "weather", description: "", inputSchema: WEATHER, run });
    const runner = client.beta.messages.toolRunner({
      ...HELLO,
      messages: [{ role: "user", content: "call weather" }],
      tools: [tool],
      betas: ["context-management-2025-06-27", "a-beta-of-next-year"],
      stream,
    });
    const last = await runner.runUntilDone();
    expect(last.content).toMatchObject([{ type: "text", text: "The tool answered: 21 degrees" }]);
    expect(asked).toEqual([{ city: "Vienna" }]);
    expect(received(lastRequest(upstream), "anthropic-beta").join()).toContain("a-beta-of-next-year");
    expect(upstream.requests()).toHaveLength(2);
  });
});

test("fields that nobody knows yet reach the upstream", async () => {
  const unknown = { context_management: { edits: [{ type: "clear_of_next_year" }] }, of_next_year: true };
  await client.messages.create({ ...HELLO, ...unknown });
  expect(JSON.parse(lastRequest(upstream).body.toString())).toEqual({ ...HELLO, ...unknown });
});

describe("errors arrive as the client's own classes", () => {
  test("the gateway's own", async () => {
    const unknownKey = await connect({ apiKey: "sk-wrong" })
      .messages.create(HELLO)
      .catch((caught: unknown) => caught);
    expect(unknownKey).toBeInstanceOf(Anthropic.AuthenticationError);
    expect(unknownKey).toMatchObject({ error: { type: "error", error: { type: "authentication_error" } } });
    const unknownModel = await client.messages
      .create({ ...HELLO, model: "nothing" })
      .catch((caught: unknown) => caught);
    expect(unknownModel).toBeInstanceOf(Anthropic.NotFoundError);
    if (!(unknownModel instanceof Anthropic.NotFoundError)) throw unknownModel;
    const requestId = unknownModel.headers.get("x-weir-request-id");
    expect(unknownModel.error).toMatchObject({ error: { type: "not_found_error" }, request_id: requestId });
    expect(upstream.requests()).toHaveLength(0);
  });

  const ANSWERS = [
    [400, Anthropic.BadRequestError],
    [401, Anthropic.AuthenticationError],
    [403, Anthropic.PermissionDeniedError],
    [404, Anthropic.NotFoundError],
    [422, Anthropic.UnprocessableEntityError],
    [429, Anthropic.RateLimitError],
    [500, Anthropic.InternalServerError],
    [529, Anthropic.InternalServerError],
  ] as const;
  test.each(ANSWERS)("the upstream's %i, word for word, with retry-after", async (status, kind) => {
    const body = { type: "error", error: { type: "vendor_type", message: `No, ${status}.`, more: 1 }, request_id: "r" };
    const headers = { "retry-after": "7", "anthropic-ratelimit-requests-remaining": "0" };
    upstream.script({ status, body, headers });
    const failed = await client.messages.create(HELLO).catch((caught: unknown) => caught);
    expect(failed).toBeInstanceOf(kind);
    if (!(failed instanceof Anthropic.APIError)) throw failed;
    expect(failed).toMatchObject({ status, error: body });
    expect(failed.headers?.get("retry-after")).toBe("7");
    expect(failed.headers?.get("anthropic-ratelimit-requests-remaining")).toBe("0");
    const event = await eventOf(gateway, failed.headers?.get("x-weir-request-id"));
    expect(event).toMatchObject({ status, upstream_status: status, error: "upstream_error" });
  });

  test("the client's own retry is told when, and then succeeds", async () => {
    upstream.script({ status: 529, headers: { "retry-after-ms": "10" } });
    const message = await connect({ apiKey: KEY, maxRetries: 1 }).messages.create(HELLO);
    expect(message.stop_reason).toBe("end_turn");
    expect(upstream.requests()).toHaveLength(2);
  });

  test("inside a stream, when the upstream breaks off", async () => {
    upstream.script({ close_after_frames: 4, words: 30 });
    const failed = await client.messages
      .stream(HELLO)
      .finalMessage()
      .catch((caught: unknown) => caught);
    expect(failed).toBeInstanceOf(Anthropic.APIError);
    expect(failed).toMatchObject({ error: { type: "error", error: { type: "api_error" } } });
  });

  test("inside a stream, when the upstream says so itself", async () => {
    upstream.script({ error_frame_after: 4, words: 30 });
    const failed = await client.messages
      .stream(HELLO)
      .finalMessage()
      .catch((caught: unknown) => caught);
    expect(failed).toBeInstanceOf(Anthropic.APIError);
    expect(failed).toMatchObject({ error: { type: "error", error: { type: "overloaded_error" } } });
  });
});

test("a client that gives up is recorded, and its upstream let go", async () => {
  upstream.script({ words: 200, gap_ms: 20 });
  const stream = client.messages.stream(HELLO);
  const { response } = await stream.withResponse();
  for await (const event of stream) if (event.type === "content_block_delta") break;
  await upstream.until((stats) => stats.aborted === 1);
  const event = await eventOf(gateway, response.headers.get("x-weir-request-id"));
  expect(event).toMatchObject({ status: 499, error: "client_closed_request", complete: false });
  expect(event.input_tokens).toBe(lastRequest(upstream).inputTokens);
  expect(event.output_tokens).toBeGreaterThan(0);
});
