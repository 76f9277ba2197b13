/** What follows a failed attempt: another target, the same one again, or the failure itself; always within the deadline. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Behaviour } from "../fake-upstream/behaviour.js";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { roomInWindow, type RunningGateway, startGateway, undisturbed } from "./gateway.js";
import {
  always,
  asked,
  attemptsOf,
  chatOf,
  eventsOf,
  type GroupShape,
  inTurn,
  pauses,
  routingResources,
  servedBy,
  type TargetShape,
} from "./routing.js";
import { ENDPOINTS, requestFor } from "./traffic.js";
import { ask, deadPort } from "./wire.js";

const HOUR_MS = 3_600_000;
const limited = (name: string, limits: Record<string, number>): TargetShape => ({
  name,
  model: { rate_limit: limits },
});
const quick = (name: string): TargetShape => ({ name, model: { timeout: 1_000 } });

const GROUPS: readonly GroupShape[] = [
  { name: "pair", targets: ["a", "b"] },
  { name: "claude", targets: ["a", "b"].map((name) => ({ name, face: "anthropic" as const })) },
  { name: "closed", targets: [{ name: "a", face: "nobody" }, "b"] },
  { name: "slow", targets: [quick("a"), "b"] },
  { name: "once", targets: ["a", "b"], routing: { retries: 0 } },
  { name: "single", targets: ["a"] },
  { name: "waiting", targets: [quick("a")] },
  { name: "stubborn", targets: [quick("a")], routing: { retries: 1 } },
  { name: "twice", targets: ["a", "b"], routing: { retries: 1 } },
  {
    name: "own",
    targets: [
      { name: "a", model: { retries: 1 } },
      { name: "b", model: { retries: 0 } },
    ],
  },
  { name: "throttled", targets: ["a", "b"], routing: { retry_on_429: true } },
  { name: "extended", targets: ["a", "b"], routing: { fallback_on_statuses: [404, 429] } },
  { name: "few", targets: ["a", "b", "c"], routing: { max_fallbacks: 1, retries: 0 } },
  { name: "none", targets: ["a", "b"], routing: { max_fallbacks: 0, retries: 0 } },
  {
    name: "bound",
    targets: ["a", "b", "c", "d"].map((name) => ({ name, model: { timeout: 500 } })),
    model: { timeout: 1_200 },
  },
  { name: "hasty", targets: ["a"], routing: { retries: 10 }, model: { timeout: 1_500 } },
  { name: "over", targets: [limited("a", { rph: 2 }), "b"] },
  { name: "spent", targets: [limited("a", { rpd: 1 }), limited("b", { rph: 1 })] },
  { name: "again", targets: [limited("a", { rph: 2 })] },
  { name: "narrow", targets: [limited("a", { concurrency: 1 }), "b"] },
];

let fake: FakeUpstream;
let gateway: RunningGateway;

beforeAll(async () => {
  fake = await startFakeUpstream();
  const nobody = `http://127.0.0.1:${await deadPort()}`;
  gateway = await startGateway({ resources: routingResources(GROUPS, { upstream: fake.url, nobody }) });
});
afterAll(async () => {
  await gateway?.dispose();
  await fake?.close();
});
beforeEach(() => fake.reset());

const HTML: Behaviour = { body: "<html>Please log in</html>", content_type: "text/html" };
const TRICKLE: Behaviour = { chunking: { mode: "bytes", size: 9 }, gap_ms: 4_000 };

/** The longest pause between attempts: first those that were made already, then those of the same call again. */
function repeated(group: string, behaviour: Behaviour): () => Promise<number> {
  let isFirst = true;
  return async () => {
    if (!isFirst) {
      fake.reset();
      inTurn(fake, `${group}-a`, behaviour);
      await chatOf(gateway, group);
    }
    isFirst = false;
    return Math.max(0, ...pauses(fake));
  };
}

describe("the next target takes over", () => {
  it.each<[string, string, Behaviour, string, number]>([
    ["a refused connection", "closed", {}, "transport_error", 0],
    ["a reset", "pair", { reset: true }, "transport_error", 0],
    ["no HTTP", "pair", { garbage: "http" }, "upstream_decode_error", 0],
    ["a timeout before the head", "slow", { delay_ms: 4_000 }, "timeout", 0],
    ["a timeout before the body", "slow", { first_byte_delay_ms: 4_000 }, "timeout", 200],
    ["a timeout within the body", "slow", TRICKLE, "timeout", 200],
    ["500", "pair", { status: 500 }, "upstream_error", 500],
    ["502 without a body", "pair", { status: 502, body: "" }, "upstream_error", 502],
    ["503", "pair", { status: 503 }, "upstream_error", 503],
    ["529", "pair", { status: 529 }, "upstream_error", 529],
    ["a redirect", "pair", { redirect: "http://127.0.0.1:9/v1/chat/completions" }, "upstream_error", 307],
    ["401", "pair", { status: 401 }, "upstream_error", 401],
    ["402", "pair", { status: 402 }, "upstream_error", 402],
    ["403", "pair", { status: 403 }, "upstream_error", 403],
    ["408", "pair", { status: 408 }, "upstream_error", 408],
    ["half a JSON object", "pair", { garbage: "json" }, "upstream_decode_error", 200],
    ["noise", "pair", { garbage: "binary" }, "upstream_decode_error", 200],
    ["a page", "pair", HTML, "upstream_decode_error", 200],
    ["an empty body", "pair", { body: "" }, "upstream_decode_error", 200],
    ["an error that calls itself 200", "pair", { body: { error: { message: "no" } } }, "upstream_error", 200],
    ["a list", "pair", { body: "[]" }, "upstream_decode_error", 200],
    ["a body that breaks off", "pair", { close_after_bytes: 20 }, "transport_error", 200],
    ["an unknown encoding", "pair", { headers: { "content-encoding": "snappy" } }, "upstream_decode_error", 200],
    ["429, where that is asked for", "throttled", { status: 429 }, "upstream_error", 429],
    ["429, where that status is named", "extended", { status: 429 }, "upstream_error", 429],
    ["404, where that status is named", "extended", { status: 404 }, "upstream_error", 404],
  ])("after %s", async (_what, group, behaviour, ...[error, upstreamStatus]) => {
    // Without a pause, which would be 250 ms at least: as soon as the first one has failed.
    const bound = group === "slow" ? 1_900 : 200;
    inTurn(fake, `${group}-a`, behaviour);
    const answer = await chatOf(gateway, group);
    expect([answer.status, servedBy(answer), attemptsOf(answer)]).toEqual([200, `${group}-b`, 2]);
    expect(answer.json.choices[0].message.content).toContain("How are you?");
    expect(asked(fake)).toEqual(group === "closed" ? ["closed-b"] : [`${group}-a`, `${group}-b`]);
    const [failed, served] = await eventsOf(gateway, answer, 2);
    expect(failed).toMatchObject({ error, upstream_status: upstreamStatus, upstream_model: `${group}-a` });
    expect(failed).toMatchObject({ complete: false, model: group });
    // Nobody was shown anything of it: its tokens are given back.
    expect(failed).toMatchObject({ input_tokens: 0, output_tokens: 0, estimated: false });
    const dealt = fake.requests().at(-1);
    expect(served).toMatchObject({
      error: "",
      status: 200,
      upstream_model: `${group}-b`,
      complete: true,
      model: group,
    });
    expect([served?.input_tokens, served?.output_tokens]).toEqual([dealt?.inputTokens, dealt?.outputTokens]);
    expect(answer.json.usage.prompt_tokens).toBe(dealt?.inputTokens);
    const longest = await undisturbed(repeated(group, behaviour), (pause) => pause < bound);
    expect(longest).toBeLessThan(bound);
  });

  it.each(Object.values(ENDPOINTS).map((endpoint) => [endpoint.operation, endpoint] as const))(
    "in %s",
    async (operation, endpoint) => {
      const group = /messages|count/.test(operation) ? "claude" : "pair";
      inTurn(fake, `${group}-a`, { status: 503 });
      const answer = await ask(gateway.url, requestFor(endpoint, { model: group }), { path: endpoint.path });
      expect([answer.status, attemptsOf(answer)]).toEqual([200, 2]);
      expect(asked(fake)).toEqual([`${group}-a`, `${group}-b`]);
      const events = await eventsOf(gateway, answer, 2);
      expect(events.map((event) => [event.operation, event.upstream_status])).toEqual([
        [operation, 503],
        [operation, 200],
      ]);
    },
  );

  it("at most so often as max_fallbacks says", async () => {
    for (const name of ["few-a", "few-b", "few-c", "none-a", "none-b"]) always(fake, name, { status: 500 });
    expect(attemptsOf(await chatOf(gateway, "few"))).toBe(2);
    expect(attemptsOf(await chatOf(gateway, "none"))).toBe(1);
    expect(asked(fake)).toEqual(["few-a", "few-b", "none-a"]);
  });
});

describe("the failure is the caller's", () => {
  it.each([400, 404, 409, 413, 422, 429, 451])(
    "where an upstream refuses the request itself with %i",
    async (status) => {
      const headers = { "retry-after": "7", "x-request-id": "theirs" };
      inTurn(fake, "pair-a", { status, headers, body: `{"error": {"message":"no",  "number": ${status}.0}}` });
      const answer = await chatOf(gateway, "pair");
      expect([answer.status, attemptsOf(answer), servedBy(answer)]).toEqual([status, 1, "pair-a"]);
      expect(answer.text).toBe(`{"error": {"message":"no",  "number": ${status}.0}}`);
      expect(answer.headers.get("retry-after")).toBe("7");
      expect(answer.headers.get("x-request-id")).toBe("theirs");
      expect(asked(fake)).toEqual(["pair-a"]);
      const [event] = await eventsOf(gateway, answer, 1);
      expect(event).toMatchObject({ status, upstream_status: status, error: "upstream_error" });
    },
  );

  it("once nobody is left: the last one's, verbatim", async () => {
    always(fake, "once-a", { status: 500, body: '{"first":1}' });
    always(fake, "once-b", { status: 503, body: '{ "last": 2.50 }', headers: { "retry-after": "9" } });
    const answer = await chatOf(gateway, "once");
    expect([answer.status, answer.text, answer.headers.get("retry-after")]).toEqual([503, '{ "last": 2.50 }', "9"]);
    expect([attemptsOf(answer), servedBy(answer)]).toEqual([2, "once-b"]);
    expect((await eventsOf(gateway, answer, 2)).map(({ status }) => status)).toEqual([500, 503]);
  });

  it("once nobody is left, where the last one did not answer at all", async () => {
    always(fake, "once-a", { status: 500 });
    always(fake, "once-b", { reset: true });
    const answer = await chatOf(gateway, "once");
    expect([answer.status, attemptsOf(answer)]).toEqual([502, 2]);
    expect(answer.json.error).toMatchObject({ code: "transport_error" });
    expect((await eventsOf(gateway, answer, 2)).map(({ error }) => error)).toEqual([
      "upstream_error",
      "transport_error",
    ]);
  });

  it("where the last target's credentials are bad: it is not asked again", async () => {
    always(fake, "single-a", { status: 401 });
    expect((await chatOf(gateway, "single")).status).toBe(401);
    expect(fake.requests()).toHaveLength(1);
  });
});

describe("the same target is tried again", () => {
  it("twice on the last one by default, after growing pauses", async () => {
    const answer = await undisturbed(
      async () => {
        fake.reset();
        inTurn(fake, "single-a", { status: 500 }, { reset: true });
        return chatOf(gateway, "single");
      },
      () => {
        const [first = 0, second = 0] = pauses(fake);
        return first < 700 && second < 950;
      },
    );
    expect([answer.status, attemptsOf(answer)]).toEqual([200, 3]);
    const [first = 0, second = 0] = pauses(fake);
    expect(first).toBeGreaterThanOrEqual(249);
    expect(first).toBeLessThan(700);
    expect(second).toBeGreaterThanOrEqual(499);
    expect(second).toBeLessThan(950);
    expect((await eventsOf(gateway, answer, 3)).map(({ upstream_status }) => upstream_status)).toEqual([500, 0, 200]);
  });

  it("no more than that", async () => {
    always(fake, "single-a", { status: 500, body: '{"error":{"message":"still"}}' });
    const answer = await chatOf(gateway, "single");
    expect([answer.status, answer.text, attemptsOf(answer)]).toEqual([500, '{"error":{"message":"still"}}', 3]);
    expect(fake.requests()).toHaveLength(3);
  });

  it("as often as the group says on each target, before the next one", async () => {
    const answer = await undisturbed(
      async () => {
        fake.reset();
        always(fake, "twice-a", { status: 500 });
        always(fake, "twice-b", { status: 500 });
        return chatOf(gateway, "twice");
      },
      () => (pauses(fake)[1] ?? 0) < 200,
    );
    expect(attemptsOf(answer)).toBe(4);
    expect(asked(fake)).toEqual(["twice-a", "twice-a", "twice-b", "twice-b"]);
    const [same = 0, next = 0] = pauses(fake);
    expect(same).toBeGreaterThanOrEqual(249);
    expect(next).toBeLessThan(200);
  });

  it("as often as the target itself says", async () => {
    always(fake, "own-a", { status: 500 });
    always(fake, "own-b", { status: 500 });
    expect(attemptsOf(await chatOf(gateway, "own"))).toBe(3);
    expect(asked(fake)).toEqual(["own-a", "own-a", "own-b"]);
  });

  it("after the pause that the upstream asks for, if that is at most five seconds", async () => {
    const behaviours = [{ "retry-after": "1" }, { "retry-after-ms": "40" }].map((headers) => ({
      status: 503,
      headers,
    }));
    const answer = await undisturbed(
      async () => {
        fake.reset();
        inTurn(fake, "single-a", ...behaviours);
        return chatOf(gateway, "single");
      },
      () => {
        const [first = 0, second = 0] = pauses(fake);
        return first < 1_250 && second < 240;
      },
    );
    expect(answer.status).toBe(200);
    const [first = 0, second = 0] = pauses(fake);
    expect(first).toBeGreaterThanOrEqual(999);
    expect(first).toBeLessThan(1_250);
    expect(second).toBeGreaterThanOrEqual(39);
    expect(second).toBeLessThan(240);
    const other = await undisturbed(
      async () => {
        fake.reset();
        inTurn(fake, "single-a", { status: 503, headers: { "retry-after": "60" } });
        return chatOf(gateway, "single");
      },
      () => (pauses(fake)[0] ?? 0) < 700,
    );
    expect(other.status).toBe(200);
    expect(pauses(fake)[0]).toBeGreaterThanOrEqual(249);
    expect(pauses(fake)[0]).toBeLessThan(700);
  });

  it("after a timeout only where tries were set", async () => {
    always(fake, "waiting-a", { delay_ms: 3_000 });
    const answer = await chatOf(gateway, "waiting");
    expect([answer.status, answer.json.error.code, attemptsOf(answer)]).toEqual([504, "timeout", 1]);
    inTurn(fake, "stubborn-a", { delay_ms: 3_000 });
    const again = await chatOf(gateway, "stubborn");
    expect([again.status, attemptsOf(again)]).toEqual([200, 2]);
  });
});

describe("the deadline", () => {
  it("is one for all attempts: they never add up past it", async () => {
    const { answer, took } = await undisturbed(
      async () => {
        fake.reset();
        for (const name of ["a", "b", "c", "d"]) always(fake, `bound-${name}`, { delay_ms: 5_000 });
        const started = performance.now();
        const answer = await chatOf(gateway, "bound");
        return { answer, took: performance.now() - started };
      },
      ({ took }) => took < 1_700,
    );
    expect([answer.status, answer.json.error.code]).toEqual([504, "timeout"]);
    expect(took).toBeGreaterThan(1_150);
    expect(took).toBeLessThan(1_700);
    expect(asked(fake)).toEqual(["bound-a", "bound-b", "bound-c"].slice(0, attemptsOf(answer)));
    const events = await eventsOf(gateway, answer, attemptsOf(answer));
    expect(events.reduce((sum, event) => sum + event.duration_ms, 0)).toBeLessThanOrEqual(took);
  });

  it("is not passed by a pause: the failure comes before it", async () => {
    always(fake, "hasty-a", { status: 500, body: '{"error":{"message":"down"}}' });
    const { answer, took } = await undisturbed(
      async () => {
        const started = performance.now();
        const answer = await chatOf(gateway, "hasty");
        return { answer, took: performance.now() - started };
      },
      ({ answer, took }) => took < 1_500 && attemptsOf(answer) === 3,
    );
    expect(took).toBeLessThan(1_500);
    expect([answer.status, answer.text]).toEqual([500, '{"error":{"message":"down"}}']);
    expect(attemptsOf(answer)).toBe(3);
  });
});

describe("a target over its own limits", () => {
  const roomInHour = () => roomInWindow(HOUR_MS, 12_000);

  it("is left out without being called", async () => {
    await roomInHour();
    const answers = [];
    for (let call = 0; call < 4; call += 1) answers.push(await chatOf(gateway, "over"));
    expect(answers.map(servedBy)).toEqual(["over-a", "over-a", "over-b", "over-b"]);
    expect(answers.map(attemptsOf)).toEqual([1, 1, 1, 1]);
    expect(asked(fake)).toEqual(["over-a", "over-a", "over-b", "over-b"]);
    // Under its own name it is over its limit, too: the count is the model's.
    expect((await chatOf(gateway, "over-a")).status).toBe(429);
  });

  it("is a 429 with the soonest retry-after where all are", async () => {
    await roomInHour();
    expect(servedBy(await chatOf(gateway, "spent"))).toBe("spent-a");
    expect(servedBy(await chatOf(gateway, "spent"))).toBe("spent-b");
    const refused = await chatOf(gateway, "spent");
    expect(refused.status).toBe(429);
    expect(refused.json.error).toMatchObject({ code: "rate_limit_exceeded" });
    const left = (HOUR_MS - (Date.now() % HOUR_MS)) / 1_000;
    expect(Math.abs(Number(refused.headers.get("retry-after")) - left)).toBeLessThan(3);
    expect(fake.requests()).toHaveLength(2);
    await eventsOf(gateway, refused, 0);
  });

  it("counts every attempt, and is not tried again past its limit", async () => {
    await roomInHour();
    always(fake, "again-a", { status: 500 });
    const answer = await chatOf(gateway, "again");
    expect([answer.status, attemptsOf(answer)]).toEqual([500, 2]);
    expect(fake.requests()).toHaveLength(2);
  });

  it("has room again when its call is over, however that ended", async () => {
    inTurn(fake, "narrow-a", { held: true });
    const first = chatOf(gateway, "narrow");
    await fake.until(({ in_flight }) => in_flight === 1);
    expect(servedBy(await chatOf(gateway, "narrow"))).toBe("narrow-b");
    fake.release();
    expect(servedBy(await first)).toBe("narrow-a");
    for (const behaviour of [{ status: 500 }, { reset: true }, { body: "" }, { status: 400 }] as Behaviour[]) {
      inTurn(fake, "narrow-a", behaviour);
      await chatOf(gateway, "narrow");
      expect(servedBy(await chatOf(gateway, "narrow"))).toBe("narrow-a");
    }
  });
});
