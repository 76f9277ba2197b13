/** What a provider key changes in requests and answers, on the diagonal and off it. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { BEARER, call } from "./calls.js";
import { type CloudUpstream, json, startCloudUpstream } from "./cloud-upstream.js";
import { KEY, type RunningGateway, sha256, startGateway } from "./gateway.js";

let upstream: CloudUpstream;
let gateway: RunningGateway;

const REQUEST = {
  param_renames: { max_tokens: "max_new_tokens" },
  param_constraints: { temperature_min: 0.1, temperature_max: 0.9 },
  default_headers: { "x-request": "$${request.id}", "x-caller": "$${api_key.name}/$${request.model}" },
  default_body_fields: { user: "nobody", "options.depth": 3 },
  forward_client_headers: ["X-Trace-*"],
  body_set: { "metadata.team": "core", store: false },
  body_remove: ["logit_bias", "metadata.secret"],
};
const RESPONSE = { reasoning_field: "thoughts", content_list_to_string: true, stream_done_marker: "[END]" };

beforeAll(async () => {
  upstream = await startCloudUpstream();
  const model = { name: "house/*", provider: "house", model_name: "*", provider_key: "house" };
  const key = { name: "house", provider: "house", adapter: "openai", api_base: upstream.url, api_key: "sk-house" };
  const resources = {
    _format_version: "1",
    provider_keys: [{ ...key, request: REQUEST, response: RESPONSE }],
    models: [model],
    api_keys: [{ name: "tester", key_hash: sha256(KEY), allowed_models: ["*"] }],
  };
  gateway = await startGateway({ resources });
});
afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
});
beforeEach(() => {
  upstream.taken();
});

const ANSWER = {
  id: "chatcmpl-1",
  object: "chat.completion",
  created: 1,
  model: "m",
  choices: [
    {
      index: 0,
      message: {
        role: "assistant",
        thoughts: "Why?",
        content: [
          { type: "text", text: "Hi " },
          { type: "text", text: "there" },
        ],
      },
      finish_reason: "stop",
    },
  ],
  usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
};

function streamed(marker: string): string {
  const chunk = (delta: unknown, finish: string | null) =>
    `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
  const usage = `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", created: 1, model: "m", choices: [], usage: ANSWER.usage })}\n\n`;
  return `${chunk({ role: "assistant", thoughts: "Why?" }, null)}${chunk({ content: "Hi" }, null)}${chunk({}, "stop")}${usage}data: ${marker}\n\n`;
}

const EXPECTED = { user: "nobody", options: { depth: 3 }, store: false };

describe("requests", () => {
  test("of the same dialect are changed in their bytes, the rest stays as it came", async () => {
    upstream.on("/chat/completions", (_request, response) => json(response, 200, ANSWER));
    const text =
      '{"model":"house/m", "max_tokens": 1e1, "temperature":1.50, "logit_bias":{"1":2}, "metadata":{"secret":1,"a":2}, "messages":[ ], "odd":9007199254740993}';
    const { status } = await call(`${gateway.url}/v1/chat/completions`, { body: text });
    expect(status).toBe(200);
    expect(upstream.taken()[0]?.text).toBe(
      '{"user":"nobody","options":{"depth":3},"store":false,"model":"m", "max_new_tokens": 1e1, "temperature":0.9, "metadata":{"a":2,"team":"core"}, "messages":[ ], "odd":9007199254740993}',
    );
  });

  test("of another dialect are changed in the wire's words", async () => {
    upstream.on("/chat/completions", (_request, response) => json(response, 200, ANSWER));
    const body = { model: "house/m", max_tokens: 10, temperature: 0, messages: [{ role: "user", content: "Hello" }] };
    const answer = await call(`${gateway.url}/v1/messages`, { body });
    const [request] = upstream.taken();
    expect(request?.body).toMatchObject({
      ...EXPECTED,
      max_new_tokens: 10,
      temperature: 0.1,
      metadata: { team: "core" },
    });
    expect(request?.body).not.toHaveProperty("max_tokens");
    expect(answer.json()).toMatchObject({
      content: [
        { type: "thinking", thinking: "Why?" },
        { type: "text", text: "Hi there" },
      ],
    });
  });

  test("carry the headers that the key asks for, and no others of the caller", async () => {
    upstream.on("/chat/completions", (_request, response) => json(response, 200, ANSWER));
    const headers = { ...BEARER, "x-trace-id": "t-1", "x-private": "p", cookie: "c" };
    for (const [path, extra] of [
      ["/v1/chat/completions", {}],
      ["/v1/messages", { max_tokens: 5 }],
    ] as const) {
      const body = { model: "house/m", messages: [{ role: "user", content: "Hello" }], ...extra };
      const answer = await call(`${gateway.url}${path}`, { body, headers });
      const [request] = upstream.taken();
      expect(request?.headers).toMatchObject({
        authorization: "Bearer sk-house",
        "x-request": answer.headers["x-weir-request-id"],
        "x-caller": "tester/house/m",
        "x-trace-id": "t-1",
      });
      expect(request?.headers).not.toHaveProperty("x-private");
      expect(request?.headers).not.toHaveProperty("cookie");
    }
  });

  test("with a changed field twice are refused, for nobody knows which one counts", async () => {
    const text = '{"model":"house/m","logit_bias":{},"logit_bias":{"1":2},"messages":[]}';
    const refused = await call(`${gateway.url}/v1/chat/completions`, { body: text });
    expect(refused.status).toBe(400);
    expect(refused.json()).toMatchObject({ error: { param: "logit_bias" } });
    expect(upstream.taken()).toEqual([]);
  });
});

describe("answers", () => {
  const body = { model: "house/m", messages: [{ role: "user", content: "Hello" }] };

  test("reach a client of the same dialect in the usual form", async () => {
    upstream.on("/chat/completions", (_request, response) => json(response, 200, ANSWER));
    const answer = await call(`${gateway.url}/v1/chat/completions`, { body });
    expect(answer.json()).toMatchObject({
      choices: [{ message: { role: "assistant", reasoning_content: "Why?", content: "Hi there" } }],
    });
  });

  test.each(["/v1/chat/completions", "/v1/messages"])("streamed to %s, too, with the usual end", async (path) => {
    upstream.on("/chat/completions", (_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.end(streamed("[END]"));
    });
    const stream = await call(`${gateway.url}${path}`, { body: { ...body, max_tokens: 5, stream: true } });
    expect(stream.text).not.toContain("[END]");
    expect(stream.text).not.toContain('"thoughts"');
    if (path === "/v1/messages") {
      expect(stream.text).toContain('"thinking":"Why?"');
      expect(stream.text).toContain("event: message_stop");
    } else {
      expect(stream.text).toContain('"reasoning_content":"Why?"');
      expect(stream.text.endsWith("data: [DONE]\n\n")).toBe(true);
    }
    const event = await gateway.until(async () =>
      (await gateway.events()).find(({ request_id }) => request_id === stream.headers["x-weir-request-id"]),
    );
    expect(event).toMatchObject({ complete: true, input_tokens: 3, output_tokens: 2 });
  });
});

test("a key that cannot work is refused at load, with all its reasons", async () => {
  const before = await call(`${gateway.opsUrl}/status/config`);
  gateway.writeResources({
    _format_version: "1",
    provider_keys: [
      { name: "a", provider: "bedrock", region: "us-east-1", api_key: { access_key_id: "only" } },
      { name: "b", provider: "vertex", api_key: { access_token: "t", region: "us-east5" } },
      { name: "c", provider: "openai", api_key: { access_token: "t" } },
      { name: "d", provider: "bedrock", region: "us-east-1", response: { reasoning_field: "x" } },
      { name: "e", provider: "openai", api_key: "k", request: { default_headers: { "x-a": "$${request.nonsense}" } } },
    ],
  });
  const { refused, revision } = await gateway.until(async () => {
    const status = (await call(`${gateway.opsUrl}/status/config`)).json() as unknown as {
      revision: string;
      refused: { errors: string[] } | null;
    };
    return status.refused === null ? null : { refused: status.refused, revision: status.revision };
  });
  expect(revision).toBe(before.json().revision);
  const text = refused.errors.join("\n");
  for (const part of [/"a".*secret_access_key/, /"b".*project/, /"c".*several parts/, /"d".*response/, /"e".*x-a/]) {
    expect(text).toMatch(part);
  }
});
