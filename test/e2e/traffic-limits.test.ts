/** Limits by policy, the headers that tell of limits, and tokens under many streams at once. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { KEY, oneProvider, roomInWindow, type RunningGateway, sha256, startGateway } from "./gateway.js";
import { SURFACES } from "./surfaces.js";
import { Client } from "./traffic.js";
import { type Answer, ask, chat, metric } from "./wire.js";

const MINUTE_MS = 60_000;
let fake: FakeUpstream;
let gateway: RunningGateway | null = null;

beforeAll(async () => {
  fake = await startFakeUpstream();
});
afterAll(() => fake?.close());
beforeEach(() => fake.reset());
afterEach(async () => {
  await gateway?.dispose();
  gateway = null;
});

interface Written {
  readonly policies?: readonly Record<string, unknown>[];
  /** Of the key `KEY`. */
  readonly key?: Record<string, unknown>;
  /** Models that have an entry of their own, and do not only fit a pattern. */
  readonly named?: readonly string[];
}

/** Two keys of team red, one of team blue, one of none; all may use everything. */
function resources({ policies = [], key = {}, named = [] }: Written): Record<string, unknown> {
  const base = oneProvider(fake.url, { team_id: "red", ...key });
  const more = [
    ["red-2", "red"],
    ["blue", "blue"],
    ["free", null],
  ].map(([name, team]) => ({
    display_name: name,
    key_hash: sha256(String(name)),
    allowed_models: ["*"],
    ...(team === null ? {} : { team_id: team }),
  }));
  const wild = base.models as { display_name: string }[];
  const fits = (name: string) =>
    wild.find(({ display_name: pattern }) => pattern.endsWith("*") && name.startsWith(pattern.slice(0, -1)));
  const own = named.map((name) => ({ ...fits(name), display_name: name, model_name: name }));
  return {
    ...base,
    models: [...wild, ...own],
    api_keys: [...(base.api_keys as object[]), ...more],
    rate_limit_policies: policies,
  };
}

async function start(written: Written): Promise<RunningGateway> {
  gateway = await startGateway({ config: { acceptors: 2 }, resources: resources(written) });
  // Windows are aligned to the clock: begin where there is time enough left in the minute.
  await roomInWindow(MINUTE_MS, 15_000);
  return gateway;
}

function admitted(answers: readonly Answer[]): number {
  return answers.filter(({ status }) => status === 200).length;
}

/** Each client has connections of its own, so that both acceptors are asked. */
async function clients(count: number, each: (client: number) => Promise<Answer[]>): Promise<Answer[]> {
  return (await Promise.all(Array.from({ length: count }, (_, client) => each(client)))).flat();
}

async function inTurn(calls: number, ask1: (index: number) => Promise<Answer>): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (let index = 0; index < calls; index += 1) answers.push(await ask1(index));
  return answers;
}

describe("a policy", () => {
  const byTeam = { name: "teams", limits: { rpm: 30 }, group_by: ["team"] };

  it("counts its groups apart and exactly, over two acceptors and eight clients", async () => {
    const { url, opsUrl } = await start({ policies: [byTeam] });
    const close = { connection: "close" };
    const answers = await clients(8, (client) => {
      const key = client % 2 === 0 ? KEY : "red-2";
      return inTurn(10, (index) => ask(url, chat({}, { stream: index % 2 === 0 }), { key, headers: close }));
    });
    expect(admitted(answers)).toBe(30);
    const refused = answers.find(({ status }) => status === 429);
    expect(refused?.json.error).toMatchObject({ code: "rate_limit_exceeded", policy: { id: "teams", name: "teams" } });
    expect(Number(refused?.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
    expect(fake.requests()).toHaveLength(30);
    // Another team has counters of its own; a key without a team is no concern of the policy.
    expect(admitted(await inTurn(31, () => ask(url, chat(), { key: "blue" })))).toBe(30);
    expect(admitted(await inTurn(31, () => ask(url, chat(), { key: "free" })))).toBe(31);
    expect(await metric(opsUrl, "weir_limit_refusals_total", 'kind="policy"')).toBe(51);
  });

  it("holds where its conditions hold", async () => {
    const conditions = [
      { dimension: "model", operator: "~~", value: "^gpt-s" },
      { dimension: "team", operator: "in", value: ["red"] },
    ];
    const { url } = await start({ policies: [{ name: "slow", limits: { rph: 1 }, conditions }] });
    const statuses = await inTurn(2, () => ask(url, chat({}, { model: "gpt-slow" })));
    expect(statuses.map(({ status }) => status)).toEqual([200, 429]);
    expect((await ask(url, chat())).status).toBe(200);
    expect((await ask(url, chat({}, { model: "gpt-slow" }), { key: "blue" })).status).toBe(200);
    // A refused request consumes nothing of the others: the same key goes on elsewhere.
    expect((await ask(url, chat({}, { model: "gpt-fast" }))).status).toBe(200);
  });

  it("is not in force while it is suspended", async () => {
    const always = { start_time: "00:00", end_time: "24:00" };
    const tomorrow = new Date(Date.now() + 2 * 86_400_000).toISOString().slice(0, 10);
    const { url } = await start({
      policies: [
        { name: "asleep", limits: { rph: 1 }, schedules: [always] },
        { name: "awake", limits: { rph: 2 }, schedules: [{ ...always, dates: [tomorrow] }] },
      ],
    });
    const answers = await inTurn(3, () => ask(url, chat()));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 429]);
    expect(answers[2]?.json.error.policy.name).toBe("awake");
  });

  it("goes on counting over a reload that changes it", async () => {
    const running = await start({ policies: [byTeam] });
    expect(admitted(await inTurn(20, () => ask(running.url, chat())))).toBe(20);
    running.writeResources(resources({ policies: [{ ...byTeam, limits: { rpm: 22 } }] }));
    running.child.kill("SIGHUP");
    await running.until(async () => (await metric(running.opsUrl, "weir_config_reloads_total", "applied")) > 0);
    await running.until(async () => {
      const { headers } = await ask(running.url, chat(), { key: "blue" });
      return headers.get("x-ratelimit-limit-requests") === "22";
    });
    expect(admitted(await inTurn(5, () => ask(running.url, chat(), { key: "red-2" })))).toBe(2);
  });

  it("is named in the envelope of every dialect", async () => {
    const modelOf = ({ name }: (typeof SURFACES)[number]) => `${name === "messages" ? "claude" : "gpt"}-${name}`;
    const policies = [{ name: "none", limits: { rpd: 1 }, group_by: ["model"] }];
    const { url } = await start({ policies, named: SURFACES.map(modelOf) });
    for (const surface of SURFACES) {
      const model = modelOf(surface);
      const body = { ...surface.body(false, {}), model };
      expect((await ask(url, body, { path: surface.path })).status).toBe(200);
      const refused = await ask(url, body, { path: surface.path });
      expect(refused.status).toBe(429);
      expect(refused.json.error).toMatchObject({ policy: { id: "none", name: "none" } });
      expect(refused.json.error.message).toBe('The policy "none"\'s limit of 1 requests (rpd) is exhausted.');
    }
  });
});

describe("groups by model", () => {
  it("are as many as configured models: names that fit a pattern are counted together", async () => {
    const policies = [{ name: "each", limits: { rpd: 2 }, group_by: ["model"] }];
    const { url } = await start({ policies, named: ["gpt-own"] });
    const statusOf = async (model: string) => (await ask(url, { ...chat(), model })).status;
    expect([await statusOf("gpt-a"), await statusOf("gpt-b"), await statusOf("gpt-c")]).toEqual([200, 200, 429]);
    expect([await statusOf("gpt-own"), await statusOf("gpt-own"), await statusOf("gpt-own")]).toEqual([200, 200, 429]);
  });
});

describe("a limit at full speed", () => {
  it("of 1,000 requests a minute admits 1,000 of eight clients' 1,600, over two acceptors", async () => {
    const { url } = await start({ key: { rate_limit: { rpm: 1_000 } } });
    const callers = Array.from({ length: 8 }, () => new Client(url, 2));
    const statuses = await Promise.all(
      callers.flatMap((client) =>
        [0, 1].map(async () => {
          const seen: number[] = [];
          for (let index = 0; index < 100; index += 1) {
            seen.push((await client.post("/v1/chat/completions", chat())).status);
          }
          return seen;
        }),
      ),
    );
    for (const client of callers) client.close();
    const flat = statuses.flat();
    expect([flat.filter((status) => status === 200).length, flat.filter((status) => status === 429).length]).toEqual([
      1_000, 600,
    ]);
    expect(fake.requests()).toHaveLength(1_000);
  });
});

describe("the headers of an answer", () => {
  const NAMES = ["limit", "remaining", "reset"];
  const read = (answer: Answer, unit: string) => NAMES.map((name) => answer.headers.get(`x-ratelimit-${name}-${unit}`));
  const PROMPT = [{ role: "user", content: "Tell me something." }];
  const calls: [string, Record<string, unknown>][] = [
    ["/v1/chat/completions", chat()],
    ["/v1/chat/completions", chat({}, { stream: true })],
    ["/v1/messages", { model: "claude-test", max_tokens: 50, messages: PROMPT }],
    ["/v1/messages", { model: "claude-test", max_tokens: 50, messages: PROMPT, stream: true }],
    ["/v1/messages", { model: "gpt-test", max_tokens: 50, messages: PROMPT }],
    ["/v1/messages", { model: "gpt-test", max_tokens: 50, messages: PROMPT, stream: true }],
    ["/v1/responses", { model: "gpt-test", input: "Tell me something." }],
    ["/v1/responses", { model: "gpt-test", input: "Tell me something.", stream: true }],
    ["/v1/completions", { model: "gpt-test", prompt: "Tell me" }],
    ["/v1/completions", { model: "gpt-test", prompt: "Tell me", stream: true }],
    ["/v1/embeddings", { model: "text-embedding-test", input: "Tell me" }],
    ["/v1/messages/count_tokens", { model: "gpt-test", messages: PROMPT }],
  ];

  it("tell of the tightest limit on every operation, and of none where there is none", async () => {
    const { url } = await start({ key: { rate_limit: { rpm: 1_000, rph: 900, tpm: 1_000_000, tpd: 2_000_000 } } });
    for (const [index, [path, body]] of calls.entries()) {
      const answer = await ask(url, body, { path });
      expect([path, answer.status]).toEqual([path, 200]);
      const [limit, remaining, reset] = read(answer, "requests");
      expect([path, limit, remaining]).toEqual([path, "900", String(899 - index)]);
      expect(reset).toMatch(/^[0-9]+s$/);
      expect(Number.parseInt(reset ?? "", 10)).toBeLessThanOrEqual(3_600);
      const [tokens, left] = read(answer, "tokens");
      expect([path, tokens]).toEqual([path, "1000000"]);
      expect(Number(left)).toBeGreaterThan(900_000);
    }
    const list = await fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${KEY}` } });
    expect(list.headers.get("x-ratelimit-remaining-requests")).toBe(String(899 - calls.length));
    const free = await ask(url, chat(), { key: "free" });
    expect([...read(free, "requests"), ...read(free, "tokens")]).toEqual(Array(6).fill(null));
  });
});

describe("tokens under many streams at once", () => {
  it("exceed the limit by no more than one request's excess", async () => {
    const { url } = await start({ key: { rate_limit: { tpm: 2_000 } } });
    const stream = chat({ words: 150, delay_ms: 300 }, { stream: true, max_tokens: 200 });
    const answers = await clients(20, () => inTurn(3, () => ask(url, stream, { headers: { connection: "close" } })));
    const { input, output } = fake.stats();
    const each = (input + output) / admitted(answers);
    expect(admitted(answers)).toBeLessThan(60);
    expect(input + output).toBeGreaterThanOrEqual(2_000 - 2 * each);
    expect(input + output).toBeLessThanOrEqual(2_000 + each);
  });
});
