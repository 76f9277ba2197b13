/** Who may call: every way to send a key, every way to be refused, and keys that stay where they belong. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { type Answer, BEARER, call, lastRequest, received } from "./calls.js";
import { KEY, oneProvider, type RunningGateway, sha256, startGateway } from "./gateway.js";

const keys = {
  disabled: "sk-disabled-key",
  expired: "sk-expired-key",
  fresh: "sk-fresh-key",
  oneModel: "sk-one-model-key",
  noModels: "sk-no-models-key",
  oneRoute: "sk-one-route-key",
} as const;
const UPSTREAM_KEYS = ["sk-upstream-openai", "sk-upstream-anthropic"];

let upstream: FakeUpstream;
let gateway: RunningGateway;

beforeAll(async () => {
  upstream = await startFakeUpstream();
  const resources = oneProvider(upstream.url) as Record<"models" | "api_keys", unknown[]>;
  const away = {
    provider: "openai",
    model_name: "gpt-x",
    provider_key: "openai-main",
    allowed_cidrs: ["192.0.2.0/24"],
  };
  resources.models.push({ ...away, display_name: "gpt-elsewhere" });
  resources.models.push({
    ...away,
    display_name: "claude-elsewhere",
    provider: "anthropic",
    provider_key: "anthropic-main",
  });
  const all = { allowed_models: ["*"] };
  const inAnHour = new Date(Date.now() + 3_600_000).toISOString();
  resources.api_keys.push(
    { ...all, display_name: "disabled", key_hash: sha256(keys.disabled), disabled: true },
    { ...all, display_name: "expired", key_hash: sha256(keys.expired), expires_at: "2024-01-31T00:00:00Z" },
    { ...all, display_name: "fresh", key_hash: sha256(keys.fresh), expires_at: inAnHour },
    { display_name: "one model", key_hash: sha256(keys.oneModel), allowed_models: ["gpt-alias", "claude-a*"] },
    { display_name: "no models", key_hash: sha256(keys.noModels) },
    { ...all, display_name: "one route", key_hash: sha256(keys.oneRoute), allowed_routes: ["embeddings"] },
  );
  gateway = await startGateway({ resources });
});
afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
});
beforeEach(() => upstream.reset());

const SAY_HELLO = [{ role: "user", content: "Hello" }];
const openaiShaped = (answer: Answer) => answer.json().error;
const CALLS = [
  ["/v1/chat/completions", { model: "gpt-x", messages: SAY_HELLO }],
  ["/v1/responses", { model: "gpt-x", input: "Hello" }],
  ["/v1/responses/input_tokens", { model: "gpt-x", input: "Hello" }],
  ["/v1/completions", { model: "gpt-x", prompt: "Hello" }],
  ["/v1/embeddings", { model: "text-embedding-x", input: "Hello" }],
  ["/v1/messages", { model: "claude-x", max_tokens: 9, messages: SAY_HELLO }],
  ["/v1/messages/count_tokens", { model: "claude-x", messages: SAY_HELLO }],
] as const;
const isMessages = (path: string) => path.startsWith("/v1/messages");

interface Refusal {
  readonly status: number;
  readonly type: string;
  readonly code: string;
  readonly param: string | null;
  readonly anthropicType: string;
}

/** The envelope of the caller's dialect, whole; and the upstream was left alone. */
function expectRefused(path: string, answer: Answer, refusal: Refusal) {
  const { status, type, code, param, anthropicType } = refusal;
  expect(answer.status).toBe(status);
  expect(answer.headers["content-type"]).toContain("application/json");
  const requestId = answer.headers["x-weir-request-id"];
  expect(requestId).toBeTruthy();
  const message = expect.stringMatching(/\S/);
  if (isMessages(path)) {
    expect(answer.json()).toEqual({ type: "error", error: { type: anthropicType, message }, request_id: requestId });
  } else expect(openaiShaped(answer)).toEqual({ message, type, code, param });
  expect(upstream.requests()).toHaveLength(0);
}

const UNKNOWN: Refusal = {
  status: 401,
  type: "invalid_api_key",
  code: "invalid_api_key",
  param: null,
  anthropicType: "authentication_error",
};
const DENIED: Refusal = {
  status: 403,
  type: "permission_denied",
  code: "permission_denied",
  param: null,
  anthropicType: "permission_error",
};

describe.each(CALLS)("POST %s", (path, body) => {
  const post = (headers: Record<string, string>, other: object = body) =>
    call(gateway.url + path, { body: other, headers });
  const bearer = (key: string) => ({ authorization: `Bearer ${key}` });

  test.each([
    ["authorization", `Bearer ${KEY}`],
    ["authorization", `bearer ${KEY}`],
    ["x-api-key", KEY],
    ["api-key", KEY],
    ["x-goog-api-key", KEY],
  ])("lets a key in as %s", async (name, value) => {
    const answer = await post({ [name]: value });
    expect(answer.status).toBe(200);
    const { rawHeaders, path: asked, body: sent } = lastRequest(upstream);
    expect(`${rawHeaders.join("\n")}\n${asked}\n${sent.toString()}`).not.toContain(KEY);
    const secrets = ["authorization", "x-api-key", "api-key", "x-goog-api-key"].flatMap((header) =>
      received(lastRequest(upstream), header),
    );
    expect(secrets).toEqual([isMessages(path) ? "sk-upstream-anthropic" : "Bearer sk-upstream-openai"]);
    const shown = `${JSON.stringify(answer.headers)}${answer.text}`;
    for (const secret of [KEY, ...UPSTREAM_KEYS]) expect(shown).not.toContain(secret);
  });

  test.each([
    ["nothing", {}],
    ["an unknown key", bearer("sk-unknown")],
    ["an unknown x-api-key", { "x-api-key": "sk-unknown" }],
    ["a key without Bearer", { authorization: KEY }],
    ["Basic", { authorization: `Basic ${Buffer.from(`user:${KEY}`).toString("base64")}` }],
    ["an empty Bearer", { authorization: "Bearer " }],
    ["an empty x-api-key", { "x-api-key": "" }],
    ["the key's hash", bearer(sha256(KEY))],
    ["the key in capitals", bearer(KEY.toUpperCase())],
    ["more than the key", bearer(`${KEY}x`)],
    ["a key of 4,000 characters", bearer("k".repeat(4000))],
    ["the key as a cookie", { cookie: `api-key=${KEY}` }],
    ["the upstream's key", bearer("sk-upstream-openai")],
  ])("refuses %s", async (_name, headers) => expectRefused(path, await post(headers), UNKNOWN));

  test("refuses a key in the query", async () => {
    const answer = await call(`${gateway.url}${path}?key=${KEY}&api_key=${KEY}`, { body, headers: {} });
    expectRefused(path, answer, UNKNOWN);
  });

  test("tells a disabled key and an expired key apart", async () => {
    expectRefused(path, await post(bearer(keys.disabled)), { ...UNKNOWN, code: "api_key_disabled" });
    expectRefused(path, await post(bearer(keys.expired)), { ...UNKNOWN, code: "api_key_expired" });
    expect((await post(bearer(keys.fresh))).status).toBe(200);
  });

  test("refuses a model that the key may not use, wherever the model is named", async () => {
    expectRefused(path, await post(bearer(keys.noModels)), { ...DENIED, param: "model" });
    expectRefused(path, await post(bearer(keys.oneModel)), { ...DENIED, param: "model" });
    const allowed = { ...body, model: isMessages(path) ? "claude-a1" : "gpt-alias" };
    for (const header of ["x-weir-model", "x-ai-eg-model"]) {
      const answer = await post({ ...bearer(keys.oneModel), [header]: body.model }, allowed);
      expectRefused(path, answer, { ...DENIED, param: "model" });
    }
    expect((await post(bearer(keys.oneModel), allowed)).status).toBe(200);
  });

  test("refuses a route that the key may not use", async () => {
    const answer = await post(bearer(keys.oneRoute));
    if (path === "/v1/embeddings") expect(answer.status).toBe(200);
    else expectRefused(path, answer, DENIED);
  });

  test("refuses a caller whose address the model does not allow", async () => {
    const model = isMessages(path) ? "claude-elsewhere" : "gpt-elsewhere";
    const restricted = { ...DENIED, code: "ip_restricted" };
    expectRefused(path, await post(BEARER, { ...body, model }), restricted);
    // Nobody has been named a trusted proxy, so what a caller says of itself is not believed.
    const headers = { ...BEARER, "x-forwarded-for": "192.0.2.7" };
    expectRefused(path, await post(headers, { ...body, model }), restricted);
  });
});

test("the model in the path of the Azure form is checked like any other", async () => {
  const url = `${gateway.url}/openai/deployments/gpt-x/chat/completions`;
  const refused = await call(url, { body: { messages: SAY_HELLO }, headers: { "api-key": keys.oneModel } });
  expectRefused("", refused, { ...DENIED, param: "model" });
  const disguised = { model: "gpt-alias", messages: SAY_HELLO };
  const other = await call(url, { body: disguised, headers: { "api-key": keys.oneModel } });
  expectRefused("", other, { ...DENIED, param: "model" });
});

test("no key has been written anywhere", async () => {
  const journal = JSON.stringify(await gateway.events());
  const metrics = await call(`${gateway.opsUrl}/metrics`, { headers: {} });
  const status = await call(`${gateway.opsUrl}/status/config`, { headers: {} });
  await gateway.end();
  const written = [gateway.stdout(), gateway.stderr(), journal, metrics.text, status.text].join("\n");
  expect(written).toContain('"key":"tester"');
  for (const secret of [KEY, ...Object.values(keys), ...UPSTREAM_KEYS]) expect(written).not.toContain(secret);
});
