/** A target that fails is left alone for a while; and a third of failures behind a fallback reaches no client. */
import type { ServerResponse } from "node:http";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { readEvents } from "../../src/usage/reader.js";
import { journalDirectory } from "../../src/usage/segments.js";
import type { Behaviour } from "../fake-upstream/behaviour.js";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { type RunningGateway, startGateway } from "./gateway.js";
import {
  always,
  asked,
  attemptsOf,
  chatOf,
  type GroupShape,
  inTurn,
  routingResources,
  servedBy,
  statusOf,
} from "./routing.js";
import { Client } from "./traffic.js";
import { type HandUpstream, startHandUpstream } from "./wire.js";

/** Long enough that a busy machine does not sleep through it, short enough to be waited for. */
const SHORT = { default_seconds: 3 };
const withCooldown = (
  name: string,
  cooldown: Record<string, unknown>,
  more: Record<string, unknown> = {},
): GroupShape => ({
  name,
  targets: [{ name: "a", model: { cooldown, ...more } }, "b"],
});

const CHECKED = { interval_seconds: 5, timeout_seconds: 3, stale_after_seconds: 600 };

const GROUPS: readonly GroupShape[] = [
  withCooldown("short", SHORT),
  withCooldown("direct", SHORT),
  withCooldown("shared", { default_seconds: 30 }),
  withCooldown("seen", { default_seconds: 4 }),
  withCooldown("capped", { default_seconds: 30, max_seconds: 2 }),
  withCooldown("asked", { default_seconds: 30 }),
  withCooldown("deaf", { default_seconds: 2, honor_retry_after: false }),
  withCooldown("off", { enabled: false }),
  withCooldown("picky", { default_seconds: 30, trigger_statuses: [418] }),
  withCooldown("cut", { default_seconds: 30, trigger_on_transport: false }),
  withCooldown("slow", { default_seconds: 30 }, { timeout: 1_000 }),
  withCooldown("calm", { default_seconds: 30, trigger_on_timeout: false }, { timeout: 1_000 }),
  withCooldown("usual", { default_seconds: 30 }),
  { name: "both", targets: ["a", "b"].map((name) => ({ name, model: { cooldown: { default_seconds: 30 } } })) },
  {
    name: "late",
    targets: [
      { name: "a", model: { timeout: 500 } },
      { name: "b", model: { cooldown: { default_seconds: 30 } } },
    ],
    model: { timeout: 1_300 },
  },
  {
    name: "ill",
    targets: ["a", "b"].map((name) => ({ name, model: { background_model_check: CHECKED } })),
  },
  {
    name: "brave",
    targets: ["a", "b"].map((name) => ({ name, model: { background_model_check: CHECKED } })),
    routing: { when_all_unavailable: "try_anyway", retries: 0 },
  },
  {
    name: "half",
    targets: [{ name: "a", model: { background_model_check: CHECKED } }, "b"],
  },
];

let fake: FakeUpstream;
let gateway: RunningGateway;

beforeAll(async () => {
  fake = await startFakeUpstream();
  for (const name of ["ill-a", "ill-b", "brave-a", "brave-b", "half-a"]) always(fake, name, { status: 500 });
  gateway = await startGateway({
    config: { acceptors: 2 },
    resources: routingResources(GROUPS, { upstream: fake.url }),
  });
});
afterAll(async () => {
  await gateway?.dispose();
  await fake?.close();
});

/** Who answers so many calls, each perhaps on another acceptor. */
async function answers(model: string, calls: number): Promise<string[]> {
  const answers = Array.from({ length: calls }, () => chatOf(gateway, model, {}, { headers: { connection: "close" } }));
  return (await Promise.all(answers)).map(servedBy);
}

const others = (name: string, calls: number): string[] => new Array(calls).fill(`${name}-b`);

/** Does a cooldown of so many milliseconds end then, that began between these two times? */
function expectUntil(time: string, cooldownMs: number, from: number, to: number): void {
  // A process that has run for a while may be off the clock a little.
  expect(Date.parse(time) - cooldownMs).toBeGreaterThan(from - 500);
  expect(Date.parse(time) - cooldownMs).toBeLessThan(to + 500);
}

/** One failure of this kind at the first target; tells whether it is left alone afterwards. */
async function leftAloneAfter(name: string, behaviour: Behaviour): Promise<boolean> {
  inTurn(fake, `${name}-a`, behaviour);
  await chatOf(gateway, name);
  const [next] = await answers(name, 1);
  return next === `${name}-b`;
}

// Runs first: what the checks find is there soon after the start.
describe("background checks", () => {
  it("take a target out that fails them, before any caller has met it", async () => {
    const row = await gateway.until(async () => {
      const found = await statusOf(gateway, "half-a");
      return found?.state === "unhealthy" ? found : null;
    }, 15_000);
    expect(row).toMatchObject({ checks: { passed: false, status: 500, stale: false } });
    expect(await answers("half", 4)).toEqual(others("half", 4));
    // One small call, not tried again.
    const [check, ...more] = fake.requests().filter(({ model }) => model === "half-a");
    expect(more).toEqual([]);
    expect(JSON.parse(String(check?.body))).toMatchObject({
      max_completion_tokens: 1,
      messages: [{ role: "user", content: "ping" }],
    });
  });

  it("end in 503 where all targets fail them, or in a call where the group is brave", async () => {
    for (const name of ["ill-a", "ill-b", "brave-a", "brave-b"]) {
      await gateway.until(async () => (await statusOf(gateway, name))?.state === "unhealthy", 15_000);
    }
    const refused = await chatOf(gateway, "ill");
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "30"]);
    expect(refused.json.error).toMatchObject({ code: "all_candidates_unavailable" });
    expect(attemptsOf(refused)).toBe(0);
    expect(attemptsOf(await chatOf(gateway, "brave"))).toBe(2);
    // Under its own name a target is called all the same.
    expect(servedBy(await chatOf(gateway, "ill-a"))).toBe("ill-a");
  });
});

describe("a failing target", () => {
  beforeEach(() => fake.reset());

  it("is left alone for its time, and asked again after it", async () => {
    inTurn(fake, "short-a", { status: 500 });
    const askedAt = Date.now();
    const first = await chatOf(gateway, "short");
    expect([servedBy(first), attemptsOf(first)]).toEqual(["short-b", 2]);
    expect(await answers("short", 10)).toEqual(others("short", 10));
    expect(asked(fake).filter((model) => model === "short-a")).toHaveLength(1);
    await gateway.until(async () => (await answers("short", 1))[0] === "short-a");
    expect(Date.now() - askedAt).toBeGreaterThanOrEqual(2_999);
    expect(Date.now() - askedAt).toBeLessThan(10_000);
  });

  it("is left alone by every acceptor", async () => {
    inTurn(fake, "shared-a", { status: 503 });
    await chatOf(gateway, "shared");
    expect(await answers("shared", 24)).toEqual(others("shared", 24));
  });

  it("is still called under its own name", async () => {
    inTurn(fake, "direct-a", { status: 500 });
    await chatOf(gateway, "direct");
    expect(await answers("direct", 1)).toEqual(["direct-b"]);
    expect(await answers("direct-a", 2)).toEqual(["direct-a", "direct-a"]);
    // A call under its own name may begin a cooldown, too.
    await gateway.until(async () => (await answers("direct", 1))[0] === "direct-a");
    inTurn(fake, "direct-a", { status: 429 });
    expect((await chatOf(gateway, "direct-a")).status).toBe(429);
    expect(await answers("direct", 1)).toEqual(["direct-b"]);
  });

  it("is left alone as long as it asks, up to the most that is allowed", async () => {
    inTurn(fake, "asked-a", { status: 503, headers: { "retry-after": "2" } });
    inTurn(fake, "capped-a", { status: 503, headers: { "retry-after": "600" } });
    inTurn(fake, "deaf-a", { status: 503, headers: { "retry-after": "600" } });
    for (const name of ["asked", "capped", "deaf"]) {
      await chatOf(gateway, name);
      expect(await answers(name, 1)).toEqual([`${name}-b`]);
    }
    for (const name of ["asked", "capped", "deaf"]) {
      await gateway.until(async () => (await answers(name, 1))[0] === `${name}-a`, 15_000);
    }
  });

  it("is left alone after a 429 that was the caller's answer", async () => {
    inTurn(fake, "usual-a", { status: 429, headers: { "retry-after": "20" } });
    const askedAt = Date.now();
    expect((await chatOf(gateway, "usual")).status).toBe(429);
    const failedBy = Date.now();
    expect(await answers("usual", 3)).toEqual(others("usual", 3));
    const row = await statusOf(gateway, "usual-a");
    expect(row).toMatchObject({ state: "cooling_down", last_status: 429, last_failure: "status" });
    expectUntil(row.cooldown_until, 20_000, askedAt, failedBy);
  });

  it("is left alone only for what triggers that", async () => {
    expect(await leftAloneAfter("off", { status: 500 })).toBe(false);
    expect(await leftAloneAfter("picky", { status: 500 })).toBe(false);
    expect(await leftAloneAfter("picky", { status: 400 })).toBe(false);
    expect(await leftAloneAfter("cut", { reset: true })).toBe(false);
    expect(await leftAloneAfter("cut", { body: "" })).toBe(false);
    expect(await leftAloneAfter("calm", { delay_ms: 3_000 })).toBe(false);
    expect(await leftAloneAfter("picky", { status: 418 })).toBe(true);
    expect(await leftAloneAfter("cut", { status: 502 })).toBe(true);
    expect(await leftAloneAfter("slow", { delay_ms: 3_000 })).toBe(true);
    expect(await leftAloneAfter("calm", { status: 500 })).toBe(true);
  });

  it("is not called well for refusing the gateway itself", async () => {
    inTurn(fake, "off-a", { status: 401 }, { redirect: "http://127.0.0.1:9/" });
    for (const status of [401, 307]) {
      await chatOf(gateway, "off");
      expect(await statusOf(gateway, "off-a")).toMatchObject({ last_status: status, last_failure: "status" });
    }
    inTurn(fake, "off-a", { status: 422 });
    await chatOf(gateway, "off");
    expect(await statusOf(gateway, "off-a")).toMatchObject({ last_status: 422, last_failure: null });
  });

  it("is asked all the same where nobody else is left: cooling down is not being ill", async () => {
    inTurn(fake, "both-a", { status: 500 });
    inTurn(fake, "both-b", { status: 500 }, { status: 500 }, { status: 500 });
    expect((await chatOf(gateway, "both")).status).toBe(500);
    expect(await answers("both", 1)).toEqual(["both-a"]);
  });

  it("is not blamed for time that another one has used up", async () => {
    for (const name of ["late-a", "late-b"]) inTurn(fake, name, { delay_ms: 3_000 });
    const answer = await chatOf(gateway, "late");
    expect([answer.status, attemptsOf(answer)]).toEqual([504, 2]);
    expect(await statusOf(gateway, "late-b")).not.toMatchObject({ state: "cooling_down" });
  });

  it("shows on /status/models, and so does its recovery", async () => {
    expect(await statusOf(gateway, "seen-a")).toMatchObject({ kind: "direct", provider: "openai", state: "unknown" });
    inTurn(fake, "seen-a", { status: 502 });
    const askedAt = Date.now();
    await chatOf(gateway, "seen");
    const failedBy = Date.now();
    const row = await statusOf(gateway, "seen-a");
    expect(row).toMatchObject({ state: "cooling_down", last_status: 502, last_failure: "status", failures: 1 });
    expectUntil(row.cooldown_until, 4_000, askedAt, failedBy);
    expect(await statusOf(gateway, "seen-b")).toMatchObject({ state: "healthy", last_status: 200, successes: 1 });
    expect(await statusOf(gateway, "seen")).toMatchObject({ kind: "routing", state: "healthy", provider: null });
    inTurn(fake, "seen-b", { held: true });
    const slow = chatOf(gateway, "seen");
    await gateway.until(async () => (await statusOf(gateway, "seen-b")).in_flight === 1);
    fake.release();
    await slow;
    await gateway.until(async () => (await statusOf(gateway, "seen-b")).in_flight === 0);
    expect(await statusOf(gateway, "seen-b")).toMatchObject({ in_flight: 0, successes: 2 });
    await gateway.until(async () => (await statusOf(gateway, "seen-a")).state === "healthy");
    expect(await statusOf(gateway, "seen-a")).toMatchObject({ cooldown_until: null, in_flight: 0 });
  });
});

// Runs after the others: meanwhile the next checks have come.
describe("a target that passes its check again", () => {
  it("is asked again", async () => {
    fake.reset();
    await gateway.until(async () => (await answers("half", 1))[0] === "half-a", 15_000);
    expect(await statusOf(gateway, "half-a")).toMatchObject({
      state: "healthy",
      checks: { passed: true, status: 200 },
    });
  });
});

const STORM_MS = process.env.WEIR_LONG === "1" ? 60_000 : 6_000;
const DEADLINE_MS = 15_000;
const LANES = 64;
const SHARE = 0.3;

const USAGE = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 };
const WHOLE = JSON.stringify({
  id: "c1",
  object: "chat.completion",
  created: 1,
  model: "m",
  choices: [{ index: 0, message: { role: "assistant", content: "Good." }, finish_reason: "stop" }],
  usage: USAGE,
});
const frame = (choices: unknown[], usage?: unknown) =>
  `data: ${JSON.stringify({ id: "c1", object: "chat.completion.chunk", created: 1, model: "m", choices, usage })}\n\n`;
const FRAMES = [
  frame([{ index: 0, delta: { role: "assistant", content: "Good." } }]),
  frame([{ index: 0, delta: {}, finish_reason: "stop" }]),
  frame([], USAGE),
  "data: [DONE]\n\n",
];

function answerWell(response: ServerResponse, stream: boolean): void {
  response.writeHead(200, { "content-type": stream ? "text/event-stream" : "application/json" });
  if (!stream) return void response.end(WHOLE);
  for (const part of FRAMES) response.write(part);
  response.end();
}

/** Every way to fail before the first byte. */
const FAILURES: readonly ((response: ServerResponse, stream: boolean) => void)[] = [
  (response) => response.writeHead(500, { "content-type": "application/json" }).end('{"error":{"message":"no"}}'),
  (response) => response.writeHead(503, { "retry-after": "1" }).end(),
  (response) => response.socket?.resetAndDestroy(),
  (response) => response.socket?.end("no HTTP at all\r\n\r\n"),
  (response) => response.writeHead(302, { location: "/elsewhere" }).end(),
  (response, stream) => {
    response.writeHead(200, { "content-type": stream ? "text/event-stream" : "application/json" });
    response.end(stream ? 'data: {"error":{"message":"no","type":"server_error"}}\n\n' : '{"id":"c1","choices":[{');
  },
  (response, stream) => {
    const type = stream ? "text/event-stream" : "application/json";
    response.writeHead(200, { "content-type": type, "content-length": 500 });
    response.write(stream ? "data: {" : '{"id"', () => response.socket?.destroy());
  },
];

describe("a target that fails three times in ten, at random", () => {
  let storm: HandUpstream;
  let node: RunningGateway;
  let failed = 0;

  beforeAll(async () => {
    storm = await startHandUpstream((response, body) => {
      const { model, stream } = JSON.parse(body.toString()) as { model: string; stream?: boolean };
      if (model === "storm-b" || Math.random() >= SHARE) return answerWell(response, stream === true);
      failed += 1;
      const fail = FAILURES[Math.floor(Math.random() * FAILURES.length)] as (typeof FAILURES)[number];
      fail(response, stream === true);
    });
    const group: GroupShape = { name: "storm", targets: ["a", "b"], model: { timeout: DEADLINE_MS } };
    node = await startGateway({
      config: { acceptors: 2 },
      resources: routingResources([group], { upstream: storm.url }),
    });
  });
  afterAll(async () => {
    await node?.dispose();
    await storm?.close();
  });

  it(`is not noticed by ${LANES} clients over ${STORM_MS / 1_000} seconds`, {
    timeout: STORM_MS + 60_000,
  }, async () => {
    const client = new Client(node.url, LANES);
    const until = performance.now() + STORM_MS;
    const attempts = new Map<string, number>();
    const broken: string[] = [];
    const times: number[] = [];
    const lane = async (stream: boolean) => {
      while (performance.now() < until) {
        const started = performance.now();
        const body = { model: "storm", stream, messages: [{ role: "user", content: "How are you?" }] };
        const reply = await client.post("/v1/chat/completions", body);
        times.push(performance.now() - started);
        const text = reply.body.toString();
        const well = reply.status === 200 && reply.whole && text.includes("Good.") && !text.includes('"error"');
        if (!well || (stream && !text.includes("data: [DONE]"))) broken.push(`${reply.status} ${text.slice(0, 300)}`);
        attempts.set(reply.requestId, Number(reply.headers["x-weir-attempts"]));
      }
    };
    await Promise.all(Array.from({ length: LANES }, (_, index) => lane(index % 2 === 0)));
    client.close();
    expect(broken.slice(0, 3)).toEqual([]);
    const [longest = 0] = times.sort((one, other) => other - one);
    // Nobody has waited for the end of the time; and most have hardly waited, however busy the machine is.
    expect(longest).toBeLessThan(DEADLINE_MS);
    expect(times[times.length >> 1]).toBeLessThan(2_000);
    const tries = [...attempts.values()];
    expect(failed / tries.length).toBeGreaterThan(0.2);
    expect(tries.reduce((sum, count) => sum + count - 1, 0)).toBe(failed);
    process.stdout.write(
      `${tries.length} requests, ${failed} failed attempts, the longest took ${longest.toFixed(0)} ms\n`,
    );
    await expectEvents(node, attempts);
  });
});

/** An event for each attempt of each request, the last one good, with the tokens that the upstream said. */
async function expectEvents(node: RunningGateway, attempts: ReadonlyMap<string, number>): Promise<void> {
  const seen = new Map<string, number>();
  let good = 0;
  for await (const event of readEvents(journalDirectory(node.dataDirectory))) {
    const before = seen.get(event.request_id) ?? 0;
    expect(event.attempt).toBe(before + 1);
    seen.set(event.request_id, event.attempt);
    const last = event.attempt === attempts.get(event.request_id);
    if ((event.error === "") !== last) throw new Error(`${event.request_id} ${event.attempt}: ${event.error}`);
    if (!last) continue;
    good += 1;
    if (event.input_tokens !== 7 || event.output_tokens !== 3) throw new Error(`tokens of ${event.request_id}`);
  }
  expect(good).toBe(attempts.size);
  expect(seen).toEqual(attempts);
}
