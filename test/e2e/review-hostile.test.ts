/** Requests made to trip the gateway: none may end a thread, spoil a connection or tell what a key may not know. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { KEY, oneProvider, type RunningGateway, sha256, startGateway } from "./gateway.js";
import { ask, chat, metric, Wire } from "./wire.js";

const NARROW_KEY = "sk-narrow";
let fake: FakeUpstream;
let gateway: RunningGateway;
const wires: Wire[] = [];

beforeAll(async () => {
  fake = await startFakeUpstream();
  const resources = oneProvider(fake.url);
  const narrow = { display_name: "narrow", key_hash: sha256(NARROW_KEY), allowed_models: ["claude-*"] };
  (resources.api_keys as unknown[]).push(narrow);
  gateway = await startGateway({ resources });
});

afterAll(async () => {
  await gateway?.dispose();
  await fake?.close();
});

beforeEach(() => fake.reset());
afterEach(() => {
  for (const wire of wires.splice(0)) wire.destroy();
});

function wire(url = gateway.url): Wire {
  const made = new Wire(url);
  wires.push(made);
  return made;
}

async function noneCrashed(): Promise<void> {
  expect(await metric(gateway.opsUrl, "weir_acceptor_restarts_total")).toBe(0);
  expect(gateway.stdout()).not.toContain("acceptor crashed");
}

describe("a model's name that is no Unicode text", () => {
  const MESSAGES = '"messages":[{"role":"user","content":"hi"}]';
  const SURFACES: readonly [path: string, body: string][] = [
    ["/v1/chat/completions", `{"model":"gpt-\\ud800",${MESSAGES}}`],
    ["/v1/chat/completions", `{"model":"gpt-\\udc00x","stream":true,${MESSAGES}}`],
    ["/v1/messages", `{"model":"claude-\\ud83d","max_tokens":9,${MESSAGES}}`],
    ["/v1/messages", `{"model":"gpt-\\ud83d","max_tokens":9,${MESSAGES}}`],
    ["/v1/responses", '{"model":"gpt-\\ud800","input":"hi"}'],
    ["/v1/embeddings", '{"model":"text-embedding-\\ud800","input":"hi"}'],
  ];

  it.each(SURFACES)("is refused at %s, and ends no thread: %s", async (path, body) => {
    const answer = await ask(gateway.url, body, { path });
    expect(answer.status).toBe(400);
    expect(answer.text).toContain("invalid_request_error");
    expect(fake.requests()).toHaveLength(0);
    expect((await ask(gateway.url, chat())).status).toBe(200);
    await noneCrashed();
  });

  it("is one like any other where it is whole", async () => {
    const answer = await ask(gateway.url, `{"model":"gpt-\\ud83d\\ude00",${MESSAGES}}`);
    expect(answer.status).toBe(200);
    expect(answer.headers.get("x-weir-upstream-model")).toBe(encodeURIComponent("gpt-😀"));
  });
});

describe("HEAD", () => {
  const head = (path: string) => `HEAD ${path} HTTP/1.1\r\nhost: gateway.test\r\nauthorization: Bearer ${KEY}\r\n\r\n`;
  const get = (path: string) => `GET ${path} HTTP/1.1\r\nhost: gateway.test\r\nauthorization: Bearer ${KEY}\r\n\r\n`;
  const lengthIn = (text: string) => Number(/^content-length: (\d+)/im.exec(text)?.[1] ?? -1);

  it.each([
    ["/v1/models", 200],
    ["/v1/models/gpt-4o", 200],
    ["/anthropic/v1/models", 200],
    ["/livez", 200],
    ["/readyz", 200],
    ["/v1/models/nothing", 404],
    ["/nowhere", 404],
    ["/v1/chat/completions", 405],
  ])("%s answers like GET, without the body", async (path, status) => {
    const asked = wire();
    asked.write(get(path));
    await asked.saw("\r\n\r\n{");
    const client = wire();
    client.write(head(path));
    await client.saw("\r\n\r\n");
    expect(client.status).toBe(status);
    expect(client.status).toBe(asked.status);
    // Ids differ between two requests, their length does not; methods differ in the message of a 405.
    expect(lengthIn(client.text)).toBe(lengthIn(asked.text));
    const before = client.bytes;
    client.write(get("/livez"));
    await client.saw('{"status":"ok"}');
    // The next answer begins right behind the head: no byte of a body stands between.
    expect(client.text.slice(before)).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  });

  it.each([
    ["/livez", 200],
    ["/status/config", 200],
    ["/metrics", 200],
    ["/nowhere", 404],
  ])("%s of the ops listener, too", async (path, status) => {
    const client = wire(gateway.opsUrl);
    client.write(head(path));
    await client.saw("\r\n\r\n");
    expect(client.status).toBe(status);
    const before = client.bytes;
    client.write(get("/livez"));
    await client.saw('{"status":"ok"}');
    expect(client.text.slice(before)).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  });

  it("whose framing is in dispute ends its connection, and nothing else", async () => {
    const client = wire();
    const lengths = "content-length: 5\r\ncontent-length: 6\r\n";
    client.write(head("/v1/models").replace("\r\n\r\n", `\r\n${lengths}\r\n`) + get("/livez"));
    await client.ended();
    expect(client.text).not.toContain("{");
    expect((await ask(gateway.url, chat())).status).toBe(200);
    await noneCrashed();
  });

  it("sent twice in one packet, or with a body, leaves the connection in order or closed", async () => {
    const twice = wire();
    twice.write(head("/v1/models") + head("/livez") + get("/readyz"));
    await twice.saw('{"status":"ok"}');
    expect(twice.text.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(3);
    const laden = wire();
    laden.write(`${head("/v1/models").replace("\r\n\r\n", "\r\ncontent-length: 5\r\n\r\n")}hello${get("/livez")}`);
    await laden.saw('{"status":"ok"}');
    expect(laden.text.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(2);
    await noneCrashed();
  });

  it("is among the methods that a 405 allows", async () => {
    const answer = await ask(gateway.url, "{}", { path: "/v1/models" });
    expect([answer.status, answer.headers.get("allow")]).toEqual([405, "GET, HEAD, OPTIONS"]);
    const ops = await fetch(`${gateway.opsUrl}/metrics`, { method: "POST", headers: { connection: "close" } });
    expect([ops.status, ops.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  });
});

describe("a model that the key may not use", () => {
  const look = (id: string) =>
    fetch(`${gateway.url}/v1/models/${id}`, { headers: { "x-api-key": NARROW_KEY, connection: "close" } });

  it("is refused when it is looked up as when it is called", async () => {
    const called = await ask(gateway.url, chat(), { key: NARROW_KEY });
    const looked = await look("gpt-test");
    expect([called.status, looked.status]).toEqual([403, 403]);
    expect(await looked.json()).toMatchObject({ error: { type: "permission_denied", code: "permission_denied" } });
  });

  it("is another thing than one that does not exist", async () => {
    expect((await look("nothing")).status).toBe(404);
    expect((await look("claude-x")).status).toBe(200);
  });
});
