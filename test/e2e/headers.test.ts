/** Headers both ways: what passes, what stays, what the gateway says itself; and names given in headers and paths. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ROUTES } from "../../src/acceptor/routes.js";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { BEARER, call, eventOf, lastRequest, received } from "./calls.js";
import { oneProvider, type RunningGateway, startGateway } from "./gateway.js";

let upstream: FakeUpstream;
let gateway: RunningGateway;

beforeAll(async () => {
  upstream = await startFakeUpstream();
  gateway = await startGateway({ resources: oneProvider(upstream.url) });
});
afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
});
beforeEach(() => upstream.reset());

const SAY_HELLO = [{ role: "user", content: "Hello" }];
const CHAT = { model: "gpt-x", messages: SAY_HELLO };
const MESSAGES = { model: "claude-x", max_tokens: 9, messages: SAY_HELLO };
const chat = (headers = {}, body: object = CHAT) =>
  call(`${gateway.url}/v1/chat/completions`, { body, headers: { ...BEARER, ...headers } });
const messages = (headers = {}, body: object = MESSAGES) =>
  call(`${gateway.url}/v1/messages`, { body, headers: { ...BEARER, ...headers } });

describe("towards the upstream", () => {
  test("pass what the dialects know", async () => {
    const passed = {
      accept: "text/event-stream, application/json",
      "openai-beta": "assistants=v2",
      "idempotency-key": "idem-1",
      "anthropic-beta": "one-2025-01-01,two-2026-01-01",
      "anthropic-version": "2024-12-31",
    };
    for (const send of [chat, messages]) {
      expect((await send(passed)).status).toBe(200);
      for (const [name, value] of Object.entries(passed))
        expect(received(lastRequest(upstream), name)).toEqual([value]);
    }
  });

  test("a list in several lines stays a list", async () => {
    await messages({ "anthropic-beta": ["one", "two", "three"] });
    expect(received(lastRequest(upstream), "anthropic-beta").join(",").replaceAll(" ", "")).toBe("one,two,three");
  });

  test("a messages upstream hears a version even from a caller that names none", async () => {
    await messages();
    expect(received(lastRequest(upstream), "anthropic-version")).toEqual(["2023-06-01"]);
  });

  test("drop everything else", async () => {
    const dropped = {
      cookie: "session=1",
      "x-forwarded-for": "192.0.2.1",
      "x-forwarded-host": "forged.example.com",
      "x-forwarded-proto": "https",
      "x-real-ip": "192.0.2.1",
      forwarded: "for=192.0.2.1",
      via: "1.1 somebody",
      te: "trailers",
      "proxy-authorization": "Basic eA==",
      "x-api-key": "other",
      "api-key": "other",
      "x-goog-api-key": "other",
      "x-weir-model": "gpt-y",
      "openai-organization": "org-of-the-caller",
      origin: "https://example.com",
      referer: "https://example.com/",
      "x-of-nobody": "1",
    };
    expect((await chat(dropped)).status).toBe(200);
    const request = lastRequest(upstream);
    for (const name of Object.keys(dropped)) expect([name, received(request, name)]).toEqual([name, []]);
    expect(received(request, "authorization")).toEqual(["Bearer sk-upstream-openai"]);
    expect(received(request, "host")).toEqual([new URL(upstream.url).host]);
    expect(received(request, "content-type")).toEqual(["application/json"]);
    expect(received(request, "content-length")).toEqual([String(request.body.length)]);
  });

  test("a provider key's own headers are added, and its stripped ones left out", async () => {
    const resources = oneProvider(upstream.url) as { provider_keys: Record<string, unknown>[] };
    Object.assign(resources.provider_keys[0] ?? {}, {
      request: { default_headers: { "X-Team": "platform", "OpenAI-Beta": "default" } },
      strip_headers: ["Idempotency-Key"],
    });
    const other = await startGateway({ resources });
    try {
      const send = (headers: object) =>
        call(`${other.url}/v1/chat/completions`, { body: CHAT, headers: { ...BEARER, ...headers } });
      await send({ "idempotency-key": "idem-1" });
      expect(received(lastRequest(upstream), "x-team")).toEqual(["platform"]);
      expect(received(lastRequest(upstream), "openai-beta")).toEqual(["default"]);
      expect(received(lastRequest(upstream), "idempotency-key")).toEqual([]);
      await send({ "openai-beta": "own" });
      expect(received(lastRequest(upstream), "openai-beta")).toEqual(["own"]);
    } finally {
      await other.dispose();
    }
  });
});

describe.each([false, true])("towards the client, streamed: %s", (stream) => {
  const FROM_UPSTREAM = {
    "x-ratelimit-remaining-tokens": "149984",
    "openai-processing-ms": "12",
    "x-request-id": "req-of-the-upstream",
    "x-of-next-year": "1",
  };

  test("the upstream's own pass", async () => {
    upstream.script({ headers: FROM_UPSTREAM });
    const answer = await chat({}, { ...CHAT, stream });
    expect(answer.headers).toMatchObject(FROM_UPSTREAM);
    expect(answer.headers["content-type"]).toMatch(stream ? /^text\/event-stream/ : /^application\/json/);
  });

  test("what belongs to the other connection, or to the gateway, does not", async () => {
    const dropped = {
      "set-cookie": "session=of-the-upstream",
      "keep-alive": "timeout=71",
      "proxy-authenticate": "Basic",
      "proxy-connection": "keep-alive",
      upgrade: "h2c",
      "x-of-this-hop": "1",
      "x-weir-request-id": "forged",
      "x-weir-served-by": "forged",
      "x-weir-cost": "forged",
    };
    upstream.script({ headers: { ...dropped, connection: "close, X-Of-This-Hop", server: "upstream/1" } });
    const answer = await chat({}, { ...CHAT, stream });
    expect(answer.status).toBe(200);
    const kept = Object.keys(dropped).filter((name) => answer.headers[name] !== undefined);
    expect(kept.sort()).toEqual(["x-weir-request-id", "x-weir-served-by"]);
    expect(JSON.stringify(answer.headers)).not.toContain("forged");
    expect(answer.headers.server).toBe("weir");
  });

  test("the gateway tells who answered, and how", async () => {
    const answer = await chat({}, { ...CHAT, model: "gpt-alias", stream });
    expect(answer.headers).toMatchObject({
      "x-weir-served-by": "openai",
      "x-weir-attempts": "1",
      "x-weir-cache": "bypass",
      "x-weir-upstream-model": "gpt-upstream",
    });
    const event = await eventOf(gateway, String(answer.headers["x-weir-request-id"]));
    expect(event).toMatchObject({ model: "gpt-alias", upstream_model: "gpt-upstream", streamed: stream });
  });
});

describe("the gateway's own names can be others", () => {
  test("identity.header_prefix and identity.server_header", async () => {
    const identity = { header_prefix: "x-corp-", server_header: "corp-edge/2" };
    const other = await startGateway({ config: { identity }, resources: oneProvider(upstream.url) });
    try {
      const url = `${other.url}/v1/chat/completions`;
      upstream.script({ headers: { "x-corp-served-by": "forged", "x-corp-cost": "forged" } });
      const answer = await call(url, { body: CHAT, headers: { ...BEARER, "x-corp-model": "gpt-alias" } });
      expect(answer.status).toBe(200);
      expect(lastRequest(upstream).model).toBe("gpt-upstream");
      expect(answer.headers).toMatchObject({ server: "corp-edge/2", "x-corp-served-by": "openai" });
      expect(answer.headers["x-corp-request-id"]).toBeTruthy();
      expect(JSON.stringify(answer.headers)).not.toMatch(/x-weir-|forged/);
      const refused = await call(url, { body: CHAT, headers: {} });
      expect(refused.headers["x-corp-request-id"]).toBeTruthy();
      expect(refused.headers.server).toBe("corp-edge/2");
      expect(JSON.stringify(refused.headers)).not.toContain("x-weir-");
    } finally {
      await other.dispose();
    }
  });

  test("an empty server_header sends none", async () => {
    const config = { identity: { server_header: "" } };
    const other = await startGateway({ config, resources: oneProvider(upstream.url) });
    try {
      const answer = await call(`${other.url}/v1/chat/completions`, { body: CHAT });
      expect(answer.status).toBe(200);
      expect(answer.headers.server).toBeUndefined();
      expect(answer.headers.uwebsockets).toBeUndefined();
    } finally {
      await other.dispose();
    }
  });
});

describe("the model from elsewhere", () => {
  test.each(["x-weir-model", "x-ai-eg-model", "X-Weir-Model"])("%s goes before the body's", async (name) => {
    const answer = await chat({ [name]: "gpt-alias" }, { ...CHAT, model: "gpt-y" });
    expect(answer.status).toBe(200);
    expect(JSON.parse(lastRequest(upstream).body.toString())).toEqual({ ...CHAT, model: "gpt-upstream" });
    expect(await eventOf(gateway, String(answer.headers["x-weir-request-id"]))).toMatchObject({ model: "gpt-alias" });
  });

  test.each([
    ["no model", {}],
    ["null", { model: null }],
    ["an empty one", { model: "" }],
  ])("and where the body has %s", async (_what, model) => {
    expect((await chat({ "x-weir-model": "gpt-alias" }, { messages: SAY_HELLO, ...model })).status).toBe(200);
    expect(JSON.parse(lastRequest(upstream).body.toString())).toEqual({ messages: SAY_HELLO, model: "gpt-upstream" });
  });

  test("in the messages API too", async () => {
    expect((await messages({ "x-weir-model": "claude-y" })).status).toBe(200);
    expect(JSON.parse(lastRequest(upstream).body.toString())).toEqual({ ...MESSAGES, model: "claude-y" });
  });

  test("an unknown one is 404, one that is too long 400, one that comes twice 400", async () => {
    expect((await chat({ "x-weir-model": "nothing" })).json().error).toMatchObject({ code: "model_not_found" });
    const long = await chat({ "x-weir-model": `gpt-${"x".repeat(300)}` });
    expect(long.status).toBe(400);
    expect(long.json().error).toMatchObject({ code: "invalid_request_error", param: "model" });
    for (const name of ["x-weir-model", "x-ai-eg-model"]) {
      expect((await chat({ [name]: ["gpt-alias", "gpt-y"] })).status).toBe(400);
    }
    expect(upstream.requests()).toHaveLength(0);
  });

  test("the Azure form names it in the path", async () => {
    const form = (model: string, body: object) =>
      call(`${gateway.url}/openai/deployments/${model}/chat/completions?api-version=2024-10-21`, { body });
    for (const body of [{ messages: SAY_HELLO }, { ...CHAT, model: "gpt-y" }, { ...CHAT, model: "" }]) {
      const answer = await form("gpt-alias", body);
      expect(answer.status).toBe(200);
      expect(lastRequest(upstream)).toMatchObject({ path: "/v1/chat/completions", model: "gpt-upstream" });
    }
    expect((await form("gpt%2Dodd%20name", { messages: SAY_HELLO })).status).toBe(200);
    expect(lastRequest(upstream).model).toBe("gpt-odd name");
    expect((await form("nothing", { messages: SAY_HELLO })).json().error).toMatchObject({ code: "model_not_found" });
    expect((await form("gpt-%zz", { messages: SAY_HELLO })).status).toBe(404);
  });
});

describe("ways that do not exist", () => {
  test.each(["/", "/v1", "/v1/chat", "/v1/chat/completions/", "/v2/chat/completions", "/V1/models", "/metrics", "/ui"])(
    "%s is 404",
    async (path) => {
      const answer = await call(gateway.url + path, { body: CHAT });
      expect(answer.status).toBe(404);
      expect(answer.json()).toEqual({
        error: { message: expect.any(String), type: "invalid_request_error", code: "route_not_found", param: null },
      });
      expect(answer.headers["x-weir-request-id"]).toBeTruthy();
    },
  );

  test.each(["/anthropic/v1/nothing", "/v1/messages/nothing"])(
    "%s is 404 in the messages API's words",
    async (path) => {
      const answer = await call(gateway.url + path, { body: MESSAGES });
      expect(answer.status).toBe(404);
      expect(answer.json()).toMatchObject({ type: "error", error: { type: "not_found_error" } });
    },
  );

  const taken = new Map<string, string[]>();
  for (const { path, method } of ROUTES) {
    if (method !== "ANY")
      taken.set(path, [...(taken.get(path) ?? []), ...(method === "GET" ? ["GET", "HEAD"] : [method])]);
  }

  test.each([...taken])("%s takes %s only", async (path, methods) => {
    const url = gateway.url + path.replace(/\{\w+\}/, "gpt-x");
    const allow = [...methods, "OPTIONS"].join(", ");
    for (const other of ["GET", "POST", "PUT", "DELETE", "PATCH"].filter((method) => !methods.includes(method))) {
      const answer = await call(url, { method: other });
      expect(answer.status).toBe(405);
      expect(answer.headers.allow).toBe(allow);
      const { error } = answer.json() as unknown as { error: Record<string, unknown> };
      expect(error).toMatchObject({ type: "invalid_request_error", message: expect.stringContaining(allow) });
      if (error.code !== undefined) expect(error.code).toBe("method_not_allowed");
    }
  });

  test.each([...taken])("%s tells without a key what it takes", async (path, methods) => {
    const url = gateway.url + path.replace(/\{\w+\}/, "gpt-x");
    const answer = await call(url, { method: "OPTIONS", headers: { origin: "https://app.example" } });
    expect([answer.status, answer.headers.allow, answer.text]).toEqual([204, [...methods, "OPTIONS"].join(", "), ""]);
    expect(Object.keys(answer.headers).filter((name) => name.startsWith("access-control"))).toEqual([]);
  });

  test("health needs no key, and its answer says nothing of the gateway's inside", async () => {
    for (const base of [gateway.url, gateway.opsUrl]) {
      expect((await call(`${base}/livez`, { headers: {} })).status).toBe(200);
      expect((await call(`${base}/readyz`, { headers: {} })).status).toBe(200);
    }
  });
});
