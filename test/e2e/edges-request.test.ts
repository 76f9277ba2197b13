/** Requests that are too long, malformed or ambiguous: refused as the contract says, the upstream untouched. */
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { KEY, oneProvider, type RunningGateway, startGateway } from "./gateway.js";
import { ask, chat, rawRequest, Wire } from "./wire.js";

const LIMIT = 65_536;
let fake: FakeUpstream;
let gateway: RunningGateway;
const wires: Wire[] = [];

beforeAll(async () => {
  fake = await startFakeUpstream();
  gateway = await startGateway({ config: { limits: { body_bytes: LIMIT } }, resources: oneProvider(fake.url) });
});

afterAll(async () => {
  await gateway?.dispose();
  await fake?.close();
});

beforeEach(() => fake.reset());
afterEach(() => {
  for (const wire of wires.splice(0)) wire.destroy();
});

function wire(): Wire {
  const made = new Wire(gateway.url);
  wires.push(made);
  return made;
}

/** The gateway still answers, and nothing went upstream before this. */
async function untouchedAndWell(): Promise<void> {
  expect(fake.requests()).toHaveLength(0);
  expect((await ask(gateway.url, chat())).status).toBe(200);
}

function manyHeaders(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `x-many-${i}: 1`);
}

/** A chat body of exactly so many bytes. */
function bodyOf(bytes: number): string {
  const empty = JSON.stringify({ ...chat(), pad: "" }).length;
  return JSON.stringify({ ...chat(), pad: "x".repeat(bytes - empty) });
}

describe("the body limit", () => {
  it("lets a body of exactly the limit pass", async () => {
    const body = bodyOf(LIMIT);
    expect((await ask(gateway.url, body)).status).toBe(200);
    expect(fake.requests()[0]?.body.length).toBe(LIMIT);
  });

  it("refuses one byte more by its announced length, before the body has come", async () => {
    const client = wire();
    client.write(rawRequest("{", [`content-length: ${LIMIT + 1}`]));
    await client.saw("\r\n\r\n{");
    expect(client.status).toBe(413);
    expect(client.text).toContain('"invalid_request_error"');
    await client.ended();
    await untouchedAndWell();
  });

  it("refuses a chunked body as soon as it is too long, without waiting for its end", async () => {
    const client = wire();
    client.write(rawRequest("", ["transfer-encoding: chunked"]));
    const piece = bodyOf(8_192);
    for (let sent = 0; sent <= LIMIT; sent += piece.length) client.write(`2000\r\n${piece}\r\n`);
    await client.saw("request");
    expect(client.status).toBe(413);
    await client.ended();
    await untouchedAndWell();
  });

  it("takes a chunked body within the limit", async () => {
    const client = wire();
    const body = bodyOf(8_192);
    client.write(rawRequest("", ["transfer-encoding: chunked"]));
    client.write(`1000\r\n${body.slice(0, 4_096)}\r\n1000\r\n${body.slice(4_096)}\r\n0\r\n\r\n`);
    await client.saw('"choices"');
    expect(client.status).toBe(200);
    expect(fake.requests()[0]?.body.toString()).toContain('"pad":"xxx');
  });

  it("renders 413 in the caller's dialect", async () => {
    const answer = await ask(gateway.url, "x".repeat(LIMIT + 1), { path: "/v1/messages" });
    expect(answer.status).toBe(413);
    expect(answer.json).toMatchObject({ type: "error", error: { type: "request_too_large" } });
  });
});

const MESSAGES = '"messages":[{"role":"user","content":"hi"}]';
const MALFORMED: readonly (readonly [what: string, body: string | Buffer, param: string | null])[] = [
  ["nothing", "", null],
  ["no JSON", "model=gpt-test", null],
  ["a list", "[1,2]", null],
  ["a string", '"gpt-test"', null],
  ["null", "null", null],
  ["a body that breaks off", `{"model":"gpt-test",${MESSAGES}`, null],
  ["a second value behind", `{"model":"gpt-test",${MESSAGES}} {}`, null],
  ["a comma too many", `{"model":"gpt-test",${MESSAGES},}`, null],
  ["broken JSON deep inside", '{"model":"gpt-test","messages":[{"role":"user","content":[tru]}]}', null],
  ["a raw line end in a model", `{"model":"gpt-\ntest",${MESSAGES}}`, "model"],
  ["a number that is none", `{"model":"gpt-test",${MESSAGES},"temperature":01}`, null],
  ["no model", `{${MESSAGES}}`, "model"],
  ["a model that is a number", `{"model":4,${MESSAGES}}`, "model"],
  ["a model that is null", `{"model":null,${MESSAGES}}`, "model"],
  ["an empty model", `{"model":"",${MESSAGES}}`, "model"],
  ["a model without end", `{"model":"${"m".repeat(5_000)}",${MESSAGES}}`, "model"],
  ["two models", `{"model":"gpt-test",${MESSAGES},"model":"gpt-other"}`, "model"],
  ["two models, one escaped", `{"model":"gpt-test",${MESSAGES},"m\\u006fdel":"gpt-other"}`, "model"],
  ["two streams", `{"model":"gpt-test",${MESSAGES},"stream":true,"stream":false}`, "stream"],
  ["a stream that is a string", `{"model":"gpt-test",${MESSAGES},"stream":"true"}`, "stream"],
  ["no messages", '{"model":"gpt-test"}', "messages"],
  ["messages that are a string", '{"model":"gpt-test","messages":"hi"}', "messages"],
  ["a cap that is a string", `{"model":"gpt-test",${MESSAGES},"max_tokens":"9"}`, "max_tokens"],
  ["stream_options that are a list", `{"model":"gpt-test",${MESSAGES},"stream_options":[]}`, "stream_options"],
  ["invalid UTF-8", Buffer.from(`{"model":"gpt-test","user":"\xff\xfe",${MESSAGES}}`, "latin1"), null],
  ["UTF-8 that breaks off", Buffer.from(`{"model":"gpt-test","user":"\xe2\x82",${MESSAGES}}`, "latin1"), null],
  ["deep nesting that never closes", `{"model":"gpt-test","messages":${"[".repeat(30_000)}`, null],
];

describe("a body that is not what it should be", () => {
  it.each(MALFORMED)("%s is a 400 that names the field", async (_what, body, param) => {
    const answer = await ask(gateway.url, body);
    expect(answer.status).toBe(400);
    expect(answer.json.error).toMatchObject({ type: "invalid_request_error", param });
    expect(answer.headers.get("x-weir-request-id")).toBeTruthy();
    await untouchedAndWell();
  });

  it("refuses encoded bodies", async () => {
    const body = gzipSync(JSON.stringify(chat()));
    for (const encoding of ["gzip", "br", "deflate", "zstd"]) {
      const answer = await ask(gateway.url, body, { headers: { "content-encoding": encoding } });
      expect(answer.status).toBe(400);
      expect(answer.json.error.param).toBe("content-encoding");
    }
    await untouchedAndWell();
  });

  it("keeps duplicates of fields that mean nothing to the gateway", async () => {
    const body = `{"model":"gpt-test",${MESSAGES},"user":"a","user":"b"}`;
    expect((await ask(gateway.url, body)).status).toBe(200);
    expect(fake.requests()[0]?.body.toString()).toContain('"user":"a","user":"b"');
  });
});

describe("headers", () => {
  const BODY = JSON.stringify(chat());

  it.each([
    ["authorization", [`authorization: Bearer ${KEY}`, "authorization: Bearer other"]],
    ["authorization, equal ones", [`authorization: Bearer ${KEY}`, `authorization: Bearer ${KEY}`]],
    ["x-api-key", ["x-api-key: one", "x-api-key: two"]],
    ["content-length", [`content-length: ${BODY.length}`, `content-length: ${BODY.length + 1}`]],
    ["content-length, equal ones", [`content-length: ${BODY.length}`, `content-length: ${BODY.length}`]],
    ["content-type", ["content-type: text/plain"]],
    ["host", ["host: other.test"]],
  ])("that come twice are refused: %s", async (_what, lines) => {
    const client = wire();
    client.write(rawRequest(BODY, lines));
    await client.saw("\r\n\r\n");
    expect(client.status).toBe(400);
    await untouchedAndWell();
  });

  it.each([
    ["two lengths", ["content-length: 5", "content-length: 600"]],
    ["a length and chunks", ["content-length: 5", "transfer-encoding: chunked"]],
    ["chunks and a length", ["transfer-encoding: chunked", "content-length: 5"]],
  ])("that frame the body in two ways end the connection: %s", async (_what, lines) => {
    const client = wire();
    const smuggled = rawRequest(BODY);
    client.write(rawRequest(`0\r\n\r\n${smuggled}`, lines));
    await client.ended();
    // Cut without a word, or after a 400; what was hidden in the body is never answered.
    expect([0, 400]).toContain(client.status);
    expect(client.text.match(/HTTP\/1\.1/g) ?? []).toHaveLength(client.status === 0 ? 0 : 1);
    await untouchedAndWell();
  });

  it.each(["-1", "+5", "0x10", "5,5", "1e3", "99999999999999999999", "ten"])(
    "refuses content-length %s",
    async (length) => {
      const client = wire();
      client.write(rawRequest(BODY, [`content-length: ${length}`]));
      await client.ended();
      expect([400, 413]).toContain(client.status);
      await untouchedAndWell();
    },
  );

  it.each([
    ["one of 20 KB fits", 20_000, 200],
    ["one of 40 KB does not", 40_000, 431],
    ["one of 200 KB does not", 200_000, 431],
  ])("of default bounds: %s", async (_what, bytes, status) => {
    const client = wire();
    client.write(rawRequest(BODY, [`x-long: ${"x".repeat(bytes)}`]));
    await client.saw("\r\n\r\n");
    expect(client.status).toBe(status);
  });

  it("that are too many are refused", async () => {
    const client = wire();
    client.write(rawRequest(BODY, manyHeaders(93)));
    await client.saw("\r\n\r\n");
    expect(client.status).toBe(431);
    await untouchedAndWell();
  });

  it("of a request line that is none end the connection", async () => {
    const client = wire();
    client.write("NONSENSE\r\n\r\n");
    await client.ended();
    expect(client.status).toBeGreaterThanOrEqual(400);
    await untouchedAndWell();
  });
});

describe("limits.header_bytes", () => {
  it("is kept below and above the default", async () => {
    for (const [limit, fits] of [
      [2_048, 1_024],
      [131_072, 100_000],
    ] as const) {
      const other = await startGateway({
        config: { limits: { header_bytes: limit } },
        resources: oneProvider(fake.url),
      });
      try {
        const good = new Wire(other.url);
        const bad = new Wire(other.url);
        wires.push(good, bad);
        good.write(rawRequest(JSON.stringify(chat()), [`x-long: ${"x".repeat(fits)}`]));
        bad.write(rawRequest(JSON.stringify(chat()), [`x-long: ${"x".repeat(limit)}`]));
        await good.saw("\r\n\r\n");
        await bad.saw("\r\n\r\n");
        expect([limit, good.status, bad.status]).toEqual([limit, 200, 431]);
      } finally {
        await other.dispose();
      }
    }
  });
});

describe("a client that says its request drop by drop", () => {
  it("is cut off while its head or its body does not come", async () => {
    const slow = [wire(), wire(), wire(), wire()];
    const [silent, head, body, endless] = slow as [Wire, Wire, Wire, Wire];
    // More headers than the parser keeps are never a whole head.
    endless.write(rawRequest(JSON.stringify(chat()), manyHeaders(300)));
    head.write("POST /v1/chat/completions HTTP/1.1\r\nhost: gateway.test\r\n");
    body.write(rawRequest("{", ["content-length: 1000"]));
    const drops = setInterval(() => {
      head.write("x-drop: 1\r\n");
      body.write(" ");
    }, 500);
    try {
      await Promise.all(slow.map((client) => client.ended(25_000)));
    } finally {
      clearInterval(drops);
    }
    expect(silent.closed).toBe(true);
    await untouchedAndWell();
  }, 40_000);
});
