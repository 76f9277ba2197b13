/** The gateway's own errors, in every dialect's envelope; and the upstream's, word for word. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ERRORS, type ErrorCode } from "../../src/errors.js";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { type Answer, BEARER, call, eventOf } from "./calls.js";
import { oneProvider, type RunningGateway, sha256, startGateway } from "./gateway.js";
import { deadPort } from "./wire.js";

/** The vendor's own error types, from its API reference. */
const ANTHROPIC_TYPES: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  405: "invalid_request_error",
  413: "request_too_large",
  429: "rate_limit_error",
  431: "invalid_request_error",
  500: "api_error",
  502: "api_error",
  503: "overloaded_error",
  504: "timeout_error",
};
const BODY_BYTES = 4096;

let upstream: FakeUpstream;
let gateway: RunningGateway;
let crowded: RunningGateway;

beforeAll(async () => {
  upstream = await startFakeUpstream();
  const resources = oneProvider(upstream.url) as Record<"models" | "api_keys" | "provider_keys", unknown[]>;
  const nowhere = `http://127.0.0.1:${await deadPort()}`;
  for (const [provider, family] of [
    ["openai", "gpt"],
    ["anthropic", "claude"],
  ]) {
    const name = `${provider}-nowhere`;
    resources.provider_keys.push({ display_name: name, provider, api_base: nowhere, api_key: "sk-nowhere" });
    resources.models.push({ display_name: `${family}-nowhere`, provider, model_name: "x", provider_key: name });
    const slow = { provider, model_name: "slow", provider_key: `${provider}-main`, timeout: 300 };
    resources.models.push({ ...slow, display_name: `${family}-slow` });
  }
  for (const { path } of CALLS) {
    const limited = { allowed_models: ["*"], display_name: `one a day ${path}`, rate_limit: { rpd: 1 } };
    resources.api_keys.push({ ...limited, key_hash: sha256(`sk-rpd${path}`) });
    const alone = { allowed_models: ["*"], display_name: `one at once ${path}`, rate_limit: { concurrency: 1 } };
    resources.api_keys.push({ ...alone, key_hash: sha256(`sk-alone${path}`) });
  }
  gateway = await startGateway({ config: { limits: { body_bytes: BODY_BYTES, header_bytes: 2048 } }, resources });
  crowded = await startGateway({ config: { limits: { in_flight: 1 } }, resources });
});
afterAll(async () => {
  await crowded?.dispose();
  await gateway?.dispose();
  await upstream?.close();
});
beforeEach(() => upstream.reset());

interface Row {
  readonly path: string;
  readonly family: "gpt" | "claude";
  readonly body: Readonly<Record<string, unknown>>;
  /** A field that the request cannot go without. */
  readonly needed: string;
}

const messages = [{ role: "user", content: "Hello" }];
const CALLS: readonly Row[] = [
  { path: "/v1/chat/completions", family: "gpt", body: { model: "gpt-x", messages }, needed: "messages" },
  { path: "/v1/responses", family: "gpt", body: { model: "gpt-x", input: "Hello" }, needed: "" },
  { path: "/v1/completions", family: "gpt", body: { model: "gpt-x", prompt: "Hello" }, needed: "prompt" },
  { path: "/v1/embeddings", family: "gpt", body: { model: "gpt-x", input: "Hello" }, needed: "input" },
  { path: "/v1/messages", family: "claude", body: { model: "claude-x", max_tokens: 9, messages }, needed: "messages" },
  { path: "/v1/messages/count_tokens", family: "claude", body: { model: "claude-x", messages }, needed: "messages" },
];

/** The row of the error table in the envelope of the caller's dialect. */
function expectError(row: Row, answer: Answer, code: ErrorCode, param: string | null = null) {
  const { status, type } = ERRORS[code];
  expect([answer.status, answer.text]).toEqual([status, expect.any(String)]);
  expect(answer.headers["content-type"]).toContain("application/json");
  const requestId = answer.headers["x-weir-request-id"];
  expect(requestId).toBeTruthy();
  const message = expect.stringMatching(/\S/);
  if (row.family === "claude") {
    const error = { type: ANTHROPIC_TYPES[status], message };
    expect(answer.json()).toEqual({ type: "error", error, request_id: requestId });
  } else expect(answer.json()).toEqual({ error: { message, type, code, param } });
}

function expectRetryAfter(answer: Answer) {
  expect(answer.headers["retry-after"]).toMatch(/^[1-9]\d*$/);
}

describe.each(CALLS)("POST $path", (row) => {
  const post = (body: unknown, headers: object = {}, to = gateway) =>
    call(to.url + row.path, { body, headers: { ...BEARER, ...headers } });

  test("what is no JSON object", async () => {
    for (const body of ["", "{", "[]", '"text"', "null", '{"model":"gpt-x"', '{"model":"gpt-x"} x', "{'model':1}"]) {
      expectError(row, await post(body), "invalid_request_error");
    }
  });

  test("a model that is missing, or no text", async () => {
    const { model: _model, ...rest } = row.body;
    expectError(row, await post(rest), "invalid_request_error", "model");
    for (const model of [1, null, [], {}, "", true]) {
      expectError(row, await post({ ...row.body, model }), "invalid_request_error", "model");
    }
  });

  test("a needed field that is missing, and a stream that is no boolean", async () => {
    if (row.needed !== "") {
      const { [row.needed]: _needed, ...rest } = row.body;
      expectError(row, await post(rest), "invalid_request_error", row.needed);
    }
    if (row.path.endsWith("count_tokens") || row.path.endsWith("embeddings")) return;
    expectError(row, await post({ ...row.body, stream: "yes" }), "invalid_request_error", "stream");
  });

  test("an unknown model", async () => {
    expectError(row, await post({ ...row.body, model: "nothing" }), "model_not_found", "model");
  });

  test("a model that does not serve this", async () => {
    // Conversations and counts are served for every model, by translation; embeddings only where there are some.
    const model = row.family === "gpt" ? "claude-x" : "gpt-alias";
    const answer = await post({ ...row.body, model });
    if (row.path.endsWith("embeddings")) expectError(row, answer, "unsupported_operation", "model");
    else expect(answer.status).toBe(200);
  });

  test("too large a body, announced or not", async () => {
    const body = JSON.stringify({ ...row.body, padding: "x".repeat(BODY_BYTES) });
    expectError(row, await post(body), "request_too_large");
    const unannounced = await call(gateway.url + row.path, { body, chunked: true });
    expectError(row, unannounced, "request_too_large");
    expect(upstream.requests()).toHaveLength(0);
  });

  test("too large headers", async () => {
    expectError(row, await post(row.body, { "x-long": "x".repeat(4000) }), "headers_too_large");
  });

  test("no way to that address", async () => {
    const answer = await post({ ...row.body, model: `${row.family}-nowhere` });
    expectError(row, answer, "transport_error");
    expect(answer.headers["x-weir-attempts"]).toBe("1");
    const event = await eventOf(gateway, String(answer.headers["x-weir-request-id"]));
    expect(event).toMatchObject({ status: 502, upstream_status: 0, error: "transport_error", complete: false });
  });

  test("an upstream that takes too long", async () => {
    upstream.script({ delay_ms: 5000 });
    const answer = await post({ ...row.body, model: `${row.family}-slow` });
    expectError(row, answer, "timeout");
    const event = await eventOf(gateway, String(answer.headers["x-weir-request-id"]));
    expect(event).toMatchObject({ status: 504, error: "timeout", complete: false });
    await upstream.until((stats) => stats.aborted === 1);
  });

  test("an upstream that does not speak HTTP", async () => {
    upstream.script({ garbage: "http" });
    const answer = await post(row.body);
    expect(answer.status).toBe(502);
    const code = answer.text.includes("upstream_decode_error") ? "upstream_decode_error" : "transport_error";
    expectError(row, answer, code);
  });

  test("a rate limit that is exhausted", async () => {
    const key = { authorization: `Bearer sk-rpd${row.path}` };
    // The window is a day of the clock: only a test at midnight needs the third call.
    const answers = [await post(row.body, key), await post(row.body, key), await post(row.body, key)];
    expect(answers[0]?.status).toBe(200);
    const refused = answers.find((answer) => answer.status !== 200);
    if (refused === undefined) throw new Error("three calls went through");
    expectError(row, refused, "rate_limit_exceeded");
    expectRetryAfter(refused);
  });

  test("too many at once", async () => {
    const key = { authorization: `Bearer sk-alone${row.path}` };
    upstream.script({ held: true });
    const first = post(row.body, key);
    await upstream.until((stats) => stats.in_flight === 1);
    const refused = await post(row.body, key);
    expectError(row, refused, "rate_limit_exceeded");
    expectRetryAfter(refused);
    upstream.release();
    expect((await first).status).toBe(200);
    expect((await post(row.body, key)).status).toBe(200);
  });

  test("a node that is full", async () => {
    upstream.script({ held: true });
    const first = post(row.body, {}, crowded);
    await upstream.until((stats) => stats.in_flight === 1);
    const refused = await post(row.body, {}, crowded);
    expectError(row, refused, "overloaded");
    expectRetryAfter(refused);
    upstream.release();
    expect((await first).status).toBe(200);
    expect((await post(row.body, {}, crowded)).status).toBe(200);
  });

  test.each([
    [418, "text/plain", "I am a teapot, and no JSON."],
    [429, "application/json", '{ "error" : {"message":"No\\u002c","code":1e2} }\n'],
    [500, "text/html; charset=utf-8", "<h1>Oh no</h1>"],
    [503, "application/problem+json", '{"type":"about:blank"}'],
    [400, "application/json", ""],
  ])("the upstream's own %i as %s passes byte for byte", async (status, type, body) => {
    upstream.script({ status, body, content_type: type, headers: { "retry-after": "Wed, 21 Oct 2026 07:28:00 GMT" } });
    const answer = await post({ ...row.body, stream: !/count|embed/.test(row.path) });
    expect([answer.status, answer.text]).toEqual([status, body]);
    expect(answer.headers["content-type"]).toBe(type);
    expect(answer.headers["retry-after"]).toBe("Wed, 21 Oct 2026 07:28:00 GMT");
    expect(answer.headers["x-weir-request-id"]).toBeTruthy();
    expect(await eventOf(gateway, String(answer.headers["x-weir-request-id"]))).toMatchObject({
      status,
      upstream_status: status,
      error: "upstream_error",
      input_tokens: 0,
      output_tokens: 0,
      estimated: false,
    });
  });
});
