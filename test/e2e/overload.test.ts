/** More than the node can carry is turned away at once, with a word, and the node recovers. */
import { Agent, request as httpRequest } from "node:http";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { KEY, oneProvider, type RunningGateway, startGateway } from "./gateway.js";
import { type Answer, ask, chat, metric, rawRequest, Wire } from "./wire.js";

let fake: FakeUpstream;
let gateway: RunningGateway | null = null;
const wires: Wire[] = [];

beforeAll(async () => {
  fake = await startFakeUpstream();
});

afterAll(() => fake?.close());
beforeEach(() => fake.reset());
afterEach(async () => {
  for (const wire of wires.splice(0)) wire.destroy();
  await gateway?.dispose();
  gateway = null;
});

async function start(limits: Record<string, number>, acceptors = 1): Promise<RunningGateway> {
  gateway = await startGateway({ config: { limits, acceptors }, resources: oneProvider(fake.url) });
  return gateway;
}

function expectShed(answer: Answer): void {
  expect(answer.status).toBe(503);
  expect(answer.json.error).toMatchObject({ type: "overloaded", code: "overloaded" });
  expect(Number(answer.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
}

describe("limits.in_flight", () => {
  it.each([1, 2])("holds for the whole node with %i acceptors; the rest is shed at once", async (acceptors) => {
    const { url, opsUrl, until, events } = await start({ in_flight: 4 }, acceptors);
    const held = Array.from({ length: 4 }, () => ask(url, chat({ held: true })));
    await fake.until((stats) => stats.in_flight === 4);
    // At once: while the others are still waited for.
    const shed = await Promise.all(Array.from({ length: 12 }, () => ask(url, chat())));
    for (const answer of shed) expectShed(answer);
    const refused = await ask(url, { model: "claude-x", max_tokens: 1, messages: [] }, { path: "/v1/messages" });
    expect([refused.status, refused.json.error.type]).toEqual([503, "overloaded_error"]);
    fake.release();
    for (const answer of await Promise.all(held)) expect(answer.status).toBe(200);
    expect(fake.requests()).toHaveLength(4);
    expect(await metric(opsUrl, "weir_requests_shed_total", 'reason="in_flight"')).toBe(13);
    // Probes are answered throughout, and there is room again.
    expect((await ask(url, chat())).status).toBe(200);
    await until(async () => (await events()).length === 5);
    await until(async () => (await metric(opsUrl, "weir_requests_in_flight")) === 0);
  });

  it("is not eaten up by clients that leave, errors and refusals", async () => {
    const { url, opsUrl, until } = await start({ in_flight: 2 });
    for (let round = 0; round < 6; round += 1) {
      const leave = new AbortController();
      const gone = ask(url, chat({ delay_ms: 30_000 }), { signal: leave.signal });
      await fake.until((stats) => stats.in_flight === 1);
      leave.abort();
      await expect(gone).rejects.toThrow();
      await fake.until((stats) => stats.in_flight === 0);
      // A place is held until the usage of the one who left has been estimated.
      await until(async () => (await metric(opsUrl, "weir_requests_in_flight")) === 0);
      expect((await ask(url, chat({ reset: true }))).status).toBe(502);
      expect((await ask(url, "nonsense")).status).toBe(400);
      expect((await ask(url, chat(), { key: "wrong" })).status).toBe(401);
      expect((await ask(url, chat(), { path: "/nowhere" })).status).toBe(404);
    }
    const both = await Promise.all([ask(url, chat({ delay_ms: 100 })), ask(url, chat({ delay_ms: 100 }))]);
    expect(both.map(({ status }) => status)).toEqual([200, 200]);
  });

  it("leaves the probes alone", async () => {
    const { url, opsUrl } = await start({ in_flight: 1 });
    const held = ask(url, chat({ held: true }));
    await fake.until((stats) => stats.in_flight === 1);
    for (const base of [url, opsUrl]) {
      for (const path of ["/livez", "/readyz"]) expect((await fetch(base + path)).status).toBe(200);
    }
    fake.release();
    expect((await held).status).toBe(200);
  });
});

describe("limits.connections", () => {
  it.each([1, 2])("holds for the whole node with %i acceptors, and frees up", async (acceptors) => {
    const { url, until, opsUrl } = await start({ connections: 8 }, acceptors);
    const open = (count: number) => {
      const made = Array.from({ length: count }, () => new Wire(url));
      wires.push(...made);
      return made;
    };
    const first = open(8);
    await until(async () => (await metric(opsUrl, "weir_connections")) === 8);
    const late = open(4);
    await until(async () => (await metric(opsUrl, "weir_connections")) === 12);
    for (const wire of late) wire.write(rawRequest(JSON.stringify(chat())));
    for (const wire of late) {
      await wire.saw("overloaded");
      expect(wire.status).toBe(503);
      expect(wire.text.toLowerCase()).toContain("retry-after: ");
      await wire.ended();
    }
    expect(fake.requests()).toHaveLength(0);
    for (const wire of first.slice(0, 4)) wire.write(rawRequest(JSON.stringify(chat())));
    for (const wire of first.slice(0, 4)) await wire.saw('"choices"');
    for (const wire of [...first, ...late]) wire.destroy();
    await until(async () => (await metric(opsUrl, "weir_connections")) === 0);
    expect((await ask(url, chat())).status).toBe(200);
  });

  it("past twice the bound closes without an answer, and counts rightly after that", async () => {
    const { url, until, opsUrl } = await start({ connections: 4 });
    for (let round = 0; round < 3; round += 1) {
      const made = Array.from({ length: 40 }, () => new Wire(url));
      wires.push(...made);
      await until(() => made.filter(({ closed }) => closed).length >= 32);
      expect(made.filter(({ closed }) => !closed)).toHaveLength(8);
      for (const wire of made) wire.destroy();
      await until(async () => (await metric(opsUrl, "weir_connections")) === 0);
    }
    expect((await ask(url, chat())).status).toBe(200);
  });
});

describe("limits.upstream_connections", () => {
  it("makes requests wait for a connection, and each gets its own answer", async () => {
    const { url } = await start({ upstream_connections: 2 });
    const asked = Array.from({ length: 12 }, (_, i) =>
      ask(url, chat({ delay_ms: 50 }, { messages: [{ role: "user", content: `number ${i}` }] })),
    );
    for (const answer of await Promise.all(asked)) expect(answer.status).toBe(200);
    expect(fake.stats().open_connections).toBeLessThanOrEqual(2);
  });

  it("lets a client leave while it waits: the upstream never hears of it", async () => {
    const { url, until, events } = await start({ upstream_connections: 1 });
    const held = ask(url, chat({ held: true }));
    await fake.until((stats) => stats.in_flight === 1);
    const leave = new AbortController();
    const waiting = ask(url, chat({}, { user: "left" }), { signal: leave.signal });
    await until(async () => (await metric(gateway?.opsUrl ?? "", "weir_requests_in_flight")) === 2);
    leave.abort();
    await expect(waiting).rejects.toThrow();
    await until(async () => (await metric(gateway?.opsUrl ?? "", "weir_requests_in_flight")) === 1);
    fake.release();
    expect((await held).status).toBe(200);
    expect((await ask(url, chat())).status).toBe(200);
    expect(fake.requests().filter(({ body }) => body.includes('"left"'))).toHaveLength(0);
    await until(async () => (await events()).some(({ status }) => status === 499));
  });
});

describe("limits.body_memory_bytes", () => {
  it("bounds all bodies together, and frees what has been sent", async () => {
    const { url, opsUrl, until } = await start({ body_memory_bytes: 1_048_576 });
    const big = { ...chat({ held: true }), pad: "x".repeat(700_000) };
    const held = ask(url, big);
    await fake.until((stats) => stats.in_flight === 1);
    expectShed(await ask(url, big));
    expect(await metric(opsUrl, "weir_requests_shed_total", 'reason="body_memory"')).toBe(1);
    expect((await ask(url, chat())).status).toBe(200);
    fake.release();
    expect((await held).status).toBe(200);
    expect((await ask(url, { ...big, fake: {} })).status).toBe(200);
    await until(async () => (await metric(opsUrl, "weir_requests_in_flight")) === 0);
  });
});

describe("many clients at once", () => {
  it("each get their answer or a 503, none waits forever", async () => {
    const { url, opsUrl, until } = await start({ in_flight: 16 });
    const agent = new Agent({ keepAlive: true, maxSockets: 100 });
    const one = () =>
      new Promise<number>((resolve, reject) => {
        const headers = { authorization: `Bearer ${KEY}`, "content-type": "application/json" };
        const request = httpRequest(`${url}/v1/chat/completions`, { method: "POST", agent, headers }, (response) => {
          response.resume();
          response.once("end", () => resolve(response.statusCode ?? 0));
        });
        request.once("error", reject);
        request.setTimeout(30_000, () => request.destroy(new Error("no answer")));
        request.end(JSON.stringify(chat({ delay_ms: 20 })));
      });
    const statuses = await Promise.all(Array.from({ length: 400 }, one));
    agent.destroy();
    expect(statuses.every((status) => status === 200 || status === 503)).toBe(true);
    expect(statuses.filter((status) => status === 200)).toHaveLength(fake.stats().completed);
    expect(statuses).toContain(503);
    await until(async () => (await metric(opsUrl, "weir_requests_in_flight")) === 0);
  });
});
