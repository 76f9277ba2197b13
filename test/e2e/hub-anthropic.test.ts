/** The unmodified `@anthropic-ai/sdk` client on an upstream that has chat only. */
import Anthropic from "@anthropic-ai/sdk";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { eventOf, lastRequest, received } from "./calls.js";
import { KEY, type RunningGateway, startGateway } from "./gateway.js";
import { acrossDialects, bodiesOf, expectSameUsage, failureOf } from "./hub-gateway.js";

const HELLO = { model: "chat-x", max_tokens: 100, messages: [{ role: "user" as const, content: "Hello there" }] };
const CITY = {
  type: "object",
  properties: { city: { type: "string", default: "Vienna" } },
  required: ["city"],
} as const;
const NOTHING = { type: "object", properties: {} } as const;

let upstream: FakeUpstream;
let gateway: RunningGateway;
let client: Anthropic;

beforeAll(async () => {
  upstream = await startFakeUpstream();
  gateway = await startGateway({ resources: acrossDialects(upstream.url) });
  client = new Anthropic({ apiKey: KEY, authToken: null, baseURL: gateway.url, maxRetries: 0 });
});
afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
});
beforeEach(() => upstream.reset());

const idOf = (response: Response) => response.headers.get("x-weir-request-id");

function inputOf({ usage }: Anthropic.Message): number {
  return usage.input_tokens + (usage.cache_read_input_tokens ?? 0) + (usage.cache_creation_input_tokens ?? 0);
}

describe("messages", () => {
  test("whole: text, usage with its cache, names and headers", async () => {
    upstream.script({ cache_read_tokens: 50 });
    const { data, response } = await client.messages.create({ ...HELLO, system: "Be brief." }).withResponse();
    expect(data.content).toEqual([{ type: "text", text: "You said: Hello there" }]);
    expect(data).toMatchObject({ type: "message", role: "assistant", model: "chat-x", stop_reason: "end_turn" });
    expect(data.usage.cache_read_input_tokens).toBe(50);
    const told = { input: inputOf(data), output: data.usage.output_tokens };
    const event = await expectSameUsage(gateway, upstream, idOf(response), told);
    expect(event).toMatchObject({ operation: "messages", target_dialect: "openai-chat", cache_read_tokens: 50 });
    const asked = lastRequest(upstream);
    expect(asked.path).toBe("/v1/chat/completions");
    expect(received(asked, "authorization")).toEqual(["Bearer sk-upstream-chat"]);
    expect(received(asked, "x-api-key")).toEqual([]);
    expect(received(asked, "anthropic-version")).toEqual([]);
    expect(bodiesOf(upstream)[0].messages[0]).toEqual({ role: "system", content: "Be brief." });
  });

  test.each(["usual", "on_every_chunk", "with_choices", "after_stop"] as const)(
    "streamed, put together by the client, usage told as %s",
    async (usage) => {
      upstream.script({ usage });
      const stream = client.messages.stream(HELLO);
      const { response } = await stream.withResponse();
      const message = await stream.finalMessage();
      expect(message.content).toMatchObject([{ type: "text", text: "You said: Hello there" }]);
      expect(message.stop_reason).toBe("end_turn");
      const told = { input: inputOf(message), output: message.usage.output_tokens };
      expect(await expectSameUsage(gateway, upstream, idOf(response), told)).toMatchObject({ streamed: true });
    },
  );

  test("images, documents and the results of tools arrive in their places", async () => {
    const image = { type: "base64", media_type: "image/png", data: "iVBORw0KGgo=" } as const;
    const pdf = { type: "base64", media_type: "application/pdf", data: "JVBERi0=" } as const;
    await client.messages.create({
      ...HELLO,
      tools: [{ name: "weather", input_schema: { ...CITY, required: ["city"] } }],
      messages: [
        {
          role: "user",
          content: [
            { type: "image", source: image },
            { type: "document", source: pdf, title: "a.pdf" },
            { type: "text", text: "Look." },
          ],
        },
        { role: "assistant", content: [{ type: "tool_use", id: "toolu_1", name: "weather", input: { city: "Rome" } }] },
        {
          role: "user",
          content: [
            { type: "tool_result", tool_use_id: "toolu_1", content: "21 degrees" },
            { type: "text", text: "Well?" },
          ],
        },
      ],
    });
    expect(bodiesOf(upstream)[0].messages).toEqual([
      {
        role: "user",
        content: [
          { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=" } },
          { type: "file", file: { filename: "a.pdf", file_data: "data:application/pdf;base64,JVBERi0=" } },
          { type: "text", text: "Look." },
        ],
      },
      {
        role: "assistant",
        content: null,
        tool_calls: [{ id: "toolu_1", type: "function", function: { name: "weather", arguments: '{"city":"Rome"}' } }],
      },
      { role: "tool", tool_call_id: "toolu_1", content: "21 degrees" },
      { role: "user", content: "Well?" },
    ]);
  });

  test("the cap on tokens ends an answer with its reason", async () => {
    const message = await client.messages.create({ ...HELLO, max_tokens: 2 });
    expect(message.stop_reason).toBe("max_tokens");
    expect(bodiesOf(upstream)[0].max_tokens).toBe(2);
  });
});

describe("tools", () => {
  test("a loop over three turns by hand, streamed, parallel calls and calls without arguments among them", async () => {
    const tools: Anthropic.Tool[] = [
      { name: "weather", input_schema: { ...CITY, required: ["city"] } },
      { name: "now", input_schema: NOTHING },
    ];
    const messages: Anthropic.MessageParam[] = [];
    const ids: string[] = [];
    for (const wanted of [["weather"], ["weather", "now"], ["now"]]) {
      messages.push({ role: "user", content: wanted.map((name) => `call ${name}`).join(", ") });
      const called = await client.messages.stream({ ...HELLO, messages, tools }).finalMessage();
      expect(called.stop_reason).toBe("tool_use");
      const used = called.content.filter((block) => block.type === "tool_use");
      expect(used.map(({ name }) => name)).toEqual(wanted);
      for (const { name, input } of used) expect(input).toEqual(name === "now" ? {} : { city: "Vienna" });
      ids.push(...used.map(({ id }) => id));
      messages.push({ role: "assistant", content: called.content });
      const results = used.map(({ id, name }) => {
        return { type: "tool_result" as const, tool_use_id: id, content: `${name} it is` };
      });
      messages.push({ role: "user", content: results });
      const said = await client.messages.stream({ ...HELLO, messages, tools }).finalMessage();
      expect(said.content).toMatchObject([{ type: "text", text: expect.stringContaining(`${wanted.at(-1)} it is`) }]);
      messages.push({ role: "assistant", content: said.content });
    }
    expect(new Set(ids).size).toBe(4);
    const sent: { role: string; tool_call_id?: string; tool_calls?: { id: string }[] }[] =
      bodiesOf(upstream).at(-1).messages;
    expect(sent.flatMap((message) => message.tool_calls ?? []).map(({ id }) => id)).toEqual(ids);
    expect(sent.flatMap((message) => message.tool_call_id ?? [])).toEqual(ids);
  });

  test.each([false, true])("the client's own tool runner over ?beta=true, streamed: %s", async (stream) => {
    const asked: unknown[] = [];
    const run = (input: unknown) => {
      asked.push(input);
      return "21 degrees";
    };
    const tool = betaTool({ name: "weather", description: "", inputSchema: CITY, run });
    const runner = client.beta.messages.toolRunner({
      ...HELLO,
      messages: [{ role: "user", content: "call weather" }],
      tools: [tool],
      betas: ["context-management-2025-06-27"],
      stream,
    });
    const last = await runner.runUntilDone();
    expect(last.content).toMatchObject([{ type: "text", text: "The tool answered: 21 degrees" }]);
    expect(asked).toEqual([{ city: "Vienna" }]);
    expect(upstream.requests()).toHaveLength(2);
  });
});

test("fields that nobody knows yet cost no error; they are losses", async () => {
  const unknown = { context_management: { edits: [] }, of_next_year: true };
  const { response } = await client.messages.create({ ...HELLO, ...unknown }).withResponse();
  const losses = response.headers.get("x-weir-losses")?.split(",");
  expect(losses).toEqual(["context_management", "of_next_year"]);
  expect((await eventOf(gateway, idOf(response))).losses).toEqual(losses);
});

describe("errors arrive as the client's own classes", () => {
  const ANSWERS = [
    [400, "invalid_request_error", Anthropic.BadRequestError],
    [401, "authentication_error", Anthropic.AuthenticationError],
    [404, "not_found_error", Anthropic.NotFoundError],
    [429, "rate_limit_error", Anthropic.RateLimitError],
    [500, "api_error", Anthropic.InternalServerError],
  ] as const;
  test.each(ANSWERS)("the upstream's %i", async (status, type, kind) => {
    const error = { message: `No, ${status}.`, type: "vendor_type", param: null, code: "vendor_code" };
    upstream.script({ status, body: { error }, headers: { "retry-after": "7" } });
    const failed = await failureOf(client.messages.create(HELLO));
    expect(failed).toBeInstanceOf(kind);
    if (!(failed instanceof Anthropic.APIError)) throw failed;
    const requestId = failed.headers?.get("x-weir-request-id");
    expect(failed).toMatchObject({
      status,
      error: { type: "error", error: { type, message: `No, ${status}.` }, request_id: requestId },
    });
    expect(failed.headers?.get("retry-after")).toBe("7");
    const event = await eventOf(gateway, requestId);
    expect(event).toMatchObject({ status, upstream_status: status, error: "upstream_error" });
  });

  test("a malformed request names its field, and reaches nobody", async () => {
    const messages = [{ role: "user", content: [{ type: "text", text: 7 }] }];
    const failed = await failureOf(client.messages.create({ ...HELLO, messages } as never));
    expect(failed).toBeInstanceOf(Anthropic.BadRequestError);
    expect((failed as Error).message).toContain("messages[0].content[0].text");
    expect(upstream.requests()).toHaveLength(0);
  });

  const BREAKS = [
    ["breaks off", { close_after_frames: 5, words: 30 }],
    ["says so itself", { error_frame_after: 5, words: 30 }],
    ["ends without its last events", { close_after_frames: 29, words: 30 }],
    ["sends garbage", { garbage: "json" }],
  ] as const;
  test.each(BREAKS)("inside a stream, when the upstream %s", async (_name, behaviour) => {
    upstream.script(behaviour);
    const seen: string[] = [];
    const stream = client.messages.stream(HELLO).on("streamEvent", ({ type }) => seen.push(type));
    const failed = await failureOf(stream.finalMessage());
    expect(failed).toBeInstanceOf(Anthropic.APIError);
    expect(failed).toMatchObject({ error: { type: "error", error: { type: "api_error" } } });
    expect(seen).not.toContain("message_stop");
  });
});

test("a client that gives up is recorded, and its upstream let go", async () => {
  upstream.script({ words: 200, gap_ms: 20 });
  const stream = client.messages.stream(HELLO);
  const { response } = await stream.withResponse();
  for await (const event of stream) if (event.type === "content_block_delta") break;
  await upstream.until((stats) => stats.aborted === 1);
  const event = await eventOf(gateway, idOf(response));
  expect(event).toMatchObject({ status: 499, error: "client_closed_request", complete: false, estimated: true });
  expect(event.input_tokens).toBeGreaterThan(0);
  expect(event.output_tokens).toBeGreaterThan(0);
});
