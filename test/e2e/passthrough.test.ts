/** Requests that pass as they are: to a provider's host, and along configured routes. */
import { createServer, type IncomingMessage, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { BEARER, type Call, call, eventOf } from "./calls.js";
import { KEY, oneProvider, type RunningGateway, sha256, startGateway, until } from "./gateway.js";

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

let echo: Server;
let echoUrl: string;
const seen: Seen[] = [];
let release: () => void = () => {};
let upstream: FakeUpstream;
let gateway: RunningGateway;

const CONFINED = "sk-confined";
const NAMED = "sk-named";

/** Says what came; "/slow" waits for `release` after its first bytes. */
async function startEcho(): Promise<void> {
  echo = createServer((incoming, response) => {
    const parts: Buffer[] = [];
    incoming.on("data", (part: Buffer) => parts.push(part));
    incoming.on("end", () => {
      const { method = "", url = "", headers } = incoming;
      seen.push({ method, url, headers, body: Buffer.concat(parts) });
      if (url.endsWith("/slow")) {
        response.writeHead(200, { "content-type": "application/x-own-stream" });
        response.write("first\n");
        release = () => response.end("last\n");
      } else if (url.endsWith("/moved")) response.writeHead(302, { location: "https://elsewhere.example/" }).end();
      else if (url.endsWith("/nothing")) response.writeHead(204).end();
      else if (method === "HEAD") response.writeHead(200, { "content-length": "1234", etag: '"e"' }).end();
      else response.writeHead(207, { "content-type": "text/own", "x-own": "yes" }).end(Buffer.concat(parts));
    });
  });
  await new Promise<void>((resolve) => echo.listen(0, "127.0.0.1", resolve));
  echoUrl = `http://127.0.0.1:${(echo.address() as AddressInfo).port}`;
}

function resources(): Record<string, unknown> {
  const all = oneProvider(upstream.url) as Record<"api_keys" | "models" | "provider_keys", unknown[]>;
  all.provider_keys.push(
    { display_name: "echo", provider: "groq", api_base: `${echoUrl}/team/openai/v1`, api_key: "sk-upstream-echo" },
    { display_name: "google", provider: "gemini", api_base: echoUrl, api_key: "upstream-google" },
  );
  all.api_keys.push(
    { display_name: "confined", key_hash: sha256(CONFINED), allowed_models: ["gpt-a"] },
    { display_name: "named", key_hash: sha256(NAMED), allowed_models: ["gpt-alias"], allowed_routes: ["passthrough"] },
    { display_name: "limited", key_hash: sha256("sk-limited"), allowed_models: ["*"], rate_limit: { rpm: 1 } },
  );
  const route = (name: string, more: object) => ({
    name,
    path_prefix: `/own/${name}`,
    target_url: `${echoUrl}/base`,
    ...more,
  });
  return {
    ...all,
    passthrough_routes: [
      route("injected", { provider_key: "echo" }),
      route("forwarding", {
        auth_mode: "header_key",
        auth_header_name: "X-Own-Key",
        credential_mode: "forward_client",
      }),
      route("open", { auth_mode: "anonymous", credential_mode: "forward_client", source_cidrs: ["127.0.0.0/8"] }),
      route("closed", { auth_mode: "anonymous", credential_mode: "forward_client", source_cidrs: ["10.0.0.0/8"] }),
      route("screened", { provider_key: "openai-main", target_url: upstream.url }),
      { name: "host", hosts: ["own.example"], target_url: echoUrl, provider_key: "echo" },
    ],
    guardrails: [
      { name: "no-tigers", kind: "keyword", fail_open: false, patterns: [{ kind: "literal", value: "tiger" }] },
    ],
    guardrail_attachments: [{ guardrail: "no-tigers", scope_type: "passthrough_route", scope_id: "screened" }],
  };
}

beforeAll(async () => {
  await startEcho();
  upstream = await startFakeUpstream();
  gateway = await startGateway({ config: { cors: { origins: ["https://app.example"] } }, resources: resources() });
});
afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
  echo?.closeAllConnections();
  echo?.close();
});
beforeEach(() => {
  seen.length = 0;
  upstream.reset();
});

const to = (path: string, more: Call = {}) => call(`${gateway.url}${path}`, more);
const last = () => seen.at(-1) as Seen;

describe("any request", () => {
  test.each(["GET", "POST", "PUT", "PATCH", "DELETE"])(
    "%s with a body of any kind, untouched both ways",
    async (method) => {
      const body = "\u0001not json\r\n\u00ff";
      const headers = { ...BEARER, "content-type": "application/x-own; v=1", "x-own-header": "kept", cookie: "a=b" };
      const answer = await to("/passthrough/echo/v9/things%20here?a=%41&b", { method, body, headers });
      expect(answer.status).toBe(207);
      expect(answer.text).toBe(body);
      expect(answer.headers).toMatchObject({ "content-type": "text/own", "x-own": "yes", "x-weir-served-by": "groq" });
      expect(last()).toMatchObject({ method, url: "/team/v9/things%20here?a=%41&b" });
      expect(last().body.toString()).toBe(body);
      expect(last().headers).toMatchObject({
        authorization: "Bearer sk-upstream-echo",
        "content-type": "application/x-own; v=1",
        "x-own-header": "kept",
      });
      expect(last().headers.cookie).toBeUndefined();
      expect(JSON.stringify(last())).not.toContain(KEY);
    },
  );

  test("HEAD, redirects and answers without a body come as they are", async () => {
    const head = await to("/passthrough/echo/x", { method: "HEAD" });
    expect([head.status, head.headers["content-length"], head.headers.etag]).toEqual([200, "1234", '"e"']);
    expect(last().method).toBe("HEAD");
    const moved = await to("/passthrough/echo/moved");
    expect([moved.status, moved.headers.location]).toEqual([302, "https://elsewhere.example/"]);
    expect((await to("/passthrough/echo/nothing", { method: "DELETE" })).status).toBe(204);
    expect(last().headers["content-type"]).toBeUndefined();
  });

  test("a stream of an unknown kind comes as it is written", async () => {
    const outgoing = request(`${gateway.url}/passthrough/echo/slow`, { headers: BEARER, agent: false });
    const answered = new Promise<IncomingMessage>((resolve) => outgoing.once("response", resolve));
    outgoing.end();
    const response = await answered;
    const first = await new Promise<Buffer>((resolve) => response.once("data", resolve));
    expect(first.toString()).toBe("first\n");
    release();
    let rest = "";
    for await (const piece of response) rest += String(piece);
    expect(rest).toBe("last\n");
  });

  test("paths that lead elsewhere are refused", async () => {
    const paths = ["../x", "a/../../x", "a//b", "%2e%2e/x", "a%2fb", "a%5cb", "%252e%252e/x", "./x", "a\\b"];
    for (const path of paths) {
      // The client must not tidy the path up.
      const { hostname, port } = new URL(gateway.url);
      const status = await new Promise<number>((resolve, reject) => {
        const outgoing = request({ hostname, port, path: `/passthrough/echo/${path}`, headers: BEARER, agent: false });
        outgoing.once("response", (response) => resolve(response.resume().statusCode ?? 0));
        outgoing.once("error", reject);
        outgoing.end();
      });
      expect([path, status]).toEqual([path, 400]);
    }
    expect(seen).toEqual([]);
  });

  test("a WebSocket is refused clearly", async () => {
    const headers = { ...BEARER, connection: "upgrade", upgrade: "websocket", "sec-websocket-key": "x" };
    const answer = await to("/passthrough/echo/v1/realtime", { headers });
    expect(answer.status).toBe(400);
    expect(answer.json()).toMatchObject({ error: { code: "unsupported_operation" } });
  });

  test("by the provider's name where it has one key; unknown ones are refused", async () => {
    expect((await to("/passthrough/groq/x")).status).toBe(207);
    expect((await to("/passthrough/nobody/x")).status).toBe(400);
    expect((await to("/passthrough/")).status).toBe(404);
  });

  test("the secret as that part of the provider's API wants it, and no key of the caller's in the query", async () => {
    await to(`/passthrough/google/v1beta/models/gemini-x:countTokens?key=${KEY}&alt=json`, { body: "{}" });
    expect(last().headers["x-goog-api-key"]).toBe("upstream-google");
    expect(last().url).toBe("/v1beta/models/gemini-x:countTokens?alt=json");
    await to("/passthrough/google/v1beta/openai/files");
    expect(last().headers.authorization).toBe("Bearer upstream-google");
  });
});

describe("controls", () => {
  const body = { model: "gpt-upstream", messages: [{ role: "user", content: "Hello" }] };
  const as = (key: string): Call => ({ headers: { authorization: `Bearer ${key}` } });

  test("usage of a known dialect is read on the side", async () => {
    const answer = await to("/passthrough/openai-main/v1/chat/completions", { body });
    expect(answer.status).toBe(200);
    const dealt = upstream.requests()[0];
    expect(dealt?.body.toString()).toBe(JSON.stringify(body));
    const event = await eventOf(gateway, String(answer.headers["x-weir-request-id"]));
    expect(event).toMatchObject({
      operation: "passthrough",
      model: "gpt-upstream",
      model_entry: "gpt-alias",
      provider_key: "openai-main",
      input_tokens: dealt?.inputTokens,
      output_tokens: dealt?.outputTokens,
      estimated: false,
      complete: true,
    });
  });

  test("usage of a stream, too", async () => {
    const streamed = { ...body, stream: true, stream_options: { include_usage: true } };
    const answer = await to("/passthrough/openai-main/v1/chat/completions", { body: streamed });
    expect(answer.text).toContain("data: [DONE]");
    expect(upstream.requests()[0]?.body.toString()).toBe(JSON.stringify(streamed));
    const event = await eventOf(gateway, String(answer.headers["x-weir-request-id"]));
    const dealt = upstream.requests()[0];
    expect(event).toMatchObject({
      input_tokens: dealt?.inputTokens,
      output_tokens: dealt?.outputTokens,
      streamed: true,
    });
  });

  test("a key that may not use every model must be let onto this way, and even then not to every model", async () => {
    expect((await to("/passthrough/openai-main/v1/chat/completions", { ...as(CONFINED), body })).status).toBe(403);
    expect((await to("/passthrough/openai-main/v1/chat/completions", { ...as(NAMED), body })).status).toBe(200);
    const other = { ...body, model: "gpt-other" };
    expect((await to("/passthrough/openai-main/v1/chat/completions", { ...as(NAMED), body: other })).status).toBe(403);
    const hidden = '{"model":"gpt-upstream","model":"gpt-other","messages":[]}';
    for (const path of ["/v1/chat/completions", "/v1/chat/completions/"]) {
      expect((await to(`/passthrough/openai-main${path}`, { ...as(NAMED), body: hidden })).status).toBe(400);
    }
    expect((await to("/passthrough/echo/x", { headers: {} })).status).toBe(401);
  });

  test("limits hold", async () => {
    const statuses = [];
    for (let count = 0; count < 3; count++) statuses.push((await to("/passthrough/echo/x", as("sk-limited"))).status);
    expect(statuses[0]).toBe(207);
    expect(statuses).toContain(429);
  });

  test("a client that leaves lets the upstream go", async () => {
    const outgoing = request(`${gateway.url}/passthrough/echo/slow`, { headers: BEARER, agent: false });
    outgoing.on("error", () => {});
    const answered = new Promise<IncomingMessage>((resolve) => outgoing.once("response", resolve));
    outgoing.end();
    const response = await answered;
    response.on("error", () => {});
    const id = String(response.headers["x-weir-request-id"]);
    outgoing.destroy();
    expect(await eventOf(gateway, id)).toMatchObject({ status: 499, operation: "passthrough" });
  });
});

describe("browsers", () => {
  test("ask without a key, and named origins get their answer; their calls, too", async () => {
    const asking = { origin: "https://app.example", "access-control-request-method": "POST" };
    for (const path of ["/v1/chat/completions", "/passthrough/echo/x", "/own/injected/a"]) {
      const headers = { ...asking, "access-control-request-headers": "authorization" };
      const answer = await to(path, { method: "OPTIONS", headers });
      expect(answer.status).toBe(204);
      expect(answer.headers).toMatchObject({
        "access-control-allow-origin": "https://app.example",
        "access-control-allow-headers": "authorization",
        "access-control-allow-methods": expect.stringContaining("POST"),
      });
    }
    const called = await to("/v1/models", { headers: { ...BEARER, origin: "https://app.example" } });
    expect(called.headers["access-control-allow-origin"]).toBe("https://app.example");
    const other = await to("/v1/models", { headers: { ...BEARER, origin: "https://other.example" } });
    expect(other.headers["access-control-allow-origin"]).toBeUndefined();
    expect(seen).toEqual([]);
  });

  test("a question that is no browser's goes on to where everything goes", async () => {
    expect((await to("/passthrough/echo/x", { method: "OPTIONS" })).status).toBe(207);
    expect(last().method).toBe("OPTIONS");
    expect((await to("/passthrough/echo/x", { method: "TRACE" })).status).toBe(405);
  });
});

describe("configured routes", () => {
  test("inject the provider key", async () => {
    expect((await to("/own/injected/a/b?c", { method: "PUT", body: "x" })).status).toBe(207);
    expect(last()).toMatchObject({ url: "/base/a/b?c", method: "PUT" });
    expect(last().headers.authorization).toBe("Bearer sk-upstream-echo");
    expect((await to("/own/injected", {})).status).toBe(207);
    expect(last().url).toBe("/base");
    expect((await to("/own/injectedx")).status).toBe(404);
  });

  test("forward the caller's own credentials, and never the gateway's key", async () => {
    const headers = { "x-own-key": KEY, authorization: "Bearer the-callers-own", "x-api-key": KEY };
    expect((await to("/own/forwarding/a", { headers })).status).toBe(207);
    expect(last().headers.authorization).toBe("Bearer the-callers-own");
    expect(JSON.stringify(last().headers)).not.toContain(KEY);
    expect((await to("/own/forwarding/a", { headers: { authorization: `Bearer ${KEY}` } })).status).toBe(401);
  });

  test("are open to addresses that they name", async () => {
    const answer = await to("/own/open/a", { headers: {} });
    expect(answer.status).toBe(207);
    expect(await eventOf(gateway, String(answer.headers["x-weir-request-id"]))).toMatchObject({ api_key: "" });
    expect((await to("/own/closed/a", { headers: {} })).status).toBe(403);
  });

  test("take whole hosts, whatever the path", async () => {
    expect((await to("/v1/models", { headers: { ...BEARER, host: "own.example:8443" } })).status).toBe(207);
    expect(last().url).toBe("/v1/models");
  });

  test("guardrails that are attached to them look at what can be read, and block what cannot", async () => {
    const say = (content: string) => ({ model: "gpt-upstream", messages: [{ role: "user", content }] });
    const path = "/own/screened/v1/chat/completions";
    expect((await to(path, { body: say("Hello") })).status).toBe(200);
    expect((await to(path, { body: say("a tiger") })).status).toBe(422);
    expect((await to("/own/screened/v1/unknown", { body: say("Hello") })).status).toBe(422);
    expect((await to("/passthrough/openai-main/v1/chat/completions", { body: say("a tiger") })).status).toBe(200);
  });
});

test("what is under way is counted", async () => {
  const answer = await to("/passthrough/echo/x");
  const line = await until(() =>
    gateway
      .stdout()
      .split("\n")
      .find((text) => text.includes(String(answer.headers["x-weir-request-id"]))),
  );
  expect(JSON.parse(line)).toMatchObject({ operation: "passthrough", status: 207, path: "/passthrough/echo/x" });
});
