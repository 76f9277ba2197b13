/** Every control on every way to a provider key: files, jobs, follow-ups by id, raw requests. */
import { request } from "node:http";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type KeptUpstream, startKeptUpstream } from "../fake-upstream/kept-upstream.js";
import { type Answer, BEARER, call, eventOf } from "./calls.js";
import { KEPT_ROWS, type KeptRow } from "./kept-rows.js";
import { oneProvider, type RunningGateway, sha256, startGateway, until } from "./gateway.js";

const BODY_BYTES = 4096;
const elsewhereKey = (operation: string) => `sk-not-for-${operation}`;
const limitedKey = (row: KeptRow) => `sk-one-a-minute-${row.name}`;

let upstream: KeptUpstream;
let gateway: RunningGateway;

function resources(): Record<string, unknown> {
  const all = oneProvider(upstream.url) as Record<"api_keys", unknown[]>;
  const operations = [...new Set(KEPT_ROWS.map(({ operation }) => operation))];
  for (const operation of operations) {
    const allowed_routes = ["chat", ...operations.filter((other) => other !== operation)];
    const key_hash = sha256(elsewhereKey(operation));
    all.api_keys.push({ display_name: `not for ${operation}`, key_hash, allowed_models: ["*"], allowed_routes });
  }
  for (const row of KEPT_ROWS) {
    const limit = { display_name: `limited ${row.name}`, allowed_models: ["*"], rate_limit: { rpm: 1 } };
    all.api_keys.push({ ...limit, key_hash: sha256(limitedKey(row)) });
  }
  return all;
}

beforeAll(async () => {
  upstream = await startKeptUpstream("A");
  gateway = await startGateway({ config: { limits: { body_bytes: BODY_BYTES } }, resources: resources() });
});
afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
});
beforeEach(() => {
  upstream.requests.length = 0;
  upstream.fail(0);
  upstream.hold(false);
  upstream.seed();
});

const withKey = (key: string) => ({ authorization: `Bearer ${key}` });

function send(row: KeptRow, headers: Record<string, string> = BEARER, to = gateway): Promise<Answer> {
  const type = row.body === null ? {} : { "content-type": row.body.contentType };
  // Bytes go as one character each.
  const body = row.body?.bytes.toString("latin1");
  return call(to.url + row.path, { method: row.method, body, headers: { ...type, ...headers } });
}

async function metric(sample: string): Promise<number> {
  const { text } = await call(`${gateway.opsUrl}/metrics`, { headers: {} });
  const line = text.split("\n").find((candidate) => candidate.startsWith(`${sample} `));
  return line === undefined ? 0 : Number(line.slice(sample.length + 1));
}

describe.each(KEPT_ROWS)("$name", (row) => {
  test("works, and the upstream is asked once, with its own key", async () => {
    const answer = await send(row);
    expect(answer.status).toBe(200);
    expect(upstream.requests).toHaveLength(1);
    expect(upstream.requests[0]).toMatchObject({ method: row.method });
    expect(upstream.requests[0]?.rawHeaders.join("\n")).toContain("sk-upstream-openai");
  });

  test("without a key: 401; with one that may not do this: 403", async () => {
    expect((await send(row, {})).status).toBe(401);
    expect((await send(row, withKey("sk-unknown"))).status).toBe(401);
    expect((await send(row, withKey(elsewhereKey(row.operation)))).status).toBe(403);
    expect(upstream.requests).toEqual([]);
  });

  test("past the rate limit: 429 with retry-after, the upstream untouched", async () => {
    const answers: Answer[] = [];
    for (let count = 0; count < 3; count++) {
      upstream.seed();
      answers.push(await send(row, withKey(limitedKey(row))));
    }
    expect(answers[0]?.status).toBe(200);
    const refused = answers.filter(({ status }) => status === 429);
    expect(refused.length).toBeGreaterThan(0);
    for (const answer of refused) expect(Number(answer.headers["retry-after"])).toBeGreaterThan(0);
    expect(upstream.requests).toHaveLength(3 - refused.length);
  });

  test("is counted and logged, when it works and when it is refused", async () => {
    const sample = (status: number) => `weir_requests_total{operation="${row.operation}",status="${status}"}`;
    const before = { good: await metric(sample(200)), bad: await metric(sample(401)) };
    const ids = [await send(row), await send(row, {})].map(({ headers }) => String(headers["x-weir-request-id"]));
    await until(
      async () => (await metric(sample(200))) === before.good + 1 && (await metric(sample(401))) === before.bad + 1,
    );
    for (const [index, id] of ids.entries()) {
      const lines = await until(() => {
        const whole = gateway.stdout().split("\n").slice(0, -1);
        const found = whole.filter((line) => line.includes(id));
        return found.length > 0 ? found : null;
      });
      expect(lines).toHaveLength(1);
      const { method, path, operation } = row;
      expect(JSON.parse(lines[0] ?? "")).toMatchObject({ method, path, operation, status: index === 0 ? 200 : 401 });
    }
  });

  test("writes its usage event, when it works and when the upstream refuses", async () => {
    const common = { operation: row.operation, api_key: "tester", provider_key: "openai-main", attempt: 1 };
    const good = await eventOf(gateway, String((await send(row)).headers["x-weir-request-id"]));
    expect(good).toMatchObject({
      ...common,
      status: 200,
      complete: true,
      estimated: false,
      input_tokens: 0,
      cost_usd: 0,
    });
    upstream.fail(500);
    const failed = await eventOf(gateway, String((await send(row)).headers["x-weir-request-id"]));
    expect(failed).toMatchObject({ ...common, status: 500, error: "upstream_error" });
  });

  test("with too large a body: 413, the upstream untouched", async () => {
    if (row.body === null) return;
    const body = "x".repeat(BODY_BYTES + 1);
    for (const chunked of [false, true]) {
      const answer = await call(gateway.url + row.path, { method: row.method, body, chunked });
      expect(answer.status).toBe(413);
    }
    expect(upstream.requests).toEqual([]);
  });

  test("records a client that leaves, and lets the upstream go", async () => {
    upstream.hold(true);
    const agent = `leaver ${row.name}`;
    const type =
      row.body === null ? {} : { "content-type": row.body.contentType, "content-length": row.body.bytes.length };
    const headers = { ...BEARER, ...type, "user-agent": agent };
    const outgoing = request(gateway.url + row.path, { method: row.method, headers, agent: false });
    outgoing.on("error", () => {});
    outgoing.end(row.body?.bytes);
    await until(() => upstream.waiting === 1);
    outgoing.destroy();
    await until(() => upstream.waiting === 0);
    const events = await until(async () => {
      const mine = (await gateway.events()).filter((event) => event.user_agent === agent);
      return mine.length > 0 ? mine : null;
    });
    expect(events).toMatchObject([{ status: 499, error: "client_closed_request", operation: row.operation }]);
  });
});

test("a drain lets every way finish", async () => {
  const draining = await startGateway({ config: { drain: { notice_ms: 1000 } }, resources: resources() });
  try {
    upstream.hold(true);
    const early = Promise.all(KEPT_ROWS.map((row) => send(row, { ...BEARER }, draining)));
    early.catch(() => {});
    await until(() => upstream.waiting === KEPT_ROWS.length);
    const ended = draining.end("SIGTERM");
    await until(async () => (await call(`${draining.opsUrl}/readyz`, { headers: {} })).status === 503);
    upstream.hold(false);
    const answers = await early;
    // One way may have taken away what another asks for.
    for (const answer of answers) expect([200, 404]).toContain(answer.status);
    expect(await ended).toEqual({ code: 0, signal: null });
    expect(await draining.events()).toHaveLength(KEPT_ROWS.length);
  } finally {
    await draining.dispose();
  }
});
