/**
 * Ten thousand mixed requests, some of whose clients leave in the middle: every one is on the books, with the
 * tokens that the upstream dealt out, and nothing stays behind.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { UsageEvent } from "../../src/usage/event.js";
import type { Behaviour } from "../fake-upstream/behaviour.js";
import { oneProvider, type RunningGateway, startGateway } from "./gateway.js";
import {
  Client,
  type Endpoint,
  ENDPOINTS,
  hasTerminator,
  inParallel,
  metricSum,
  metricsPage,
  requestFor,
  STREAMING,
} from "./traffic.js";
import { startUpstreamProcess, type UpstreamProcess } from "./upstream-process.js";

const REQUESTS = 10_000;
/** Until every path has been compiled and every thread of the pool has begun. */
const WARM_UP = 2_000;
const HALF = (REQUESTS - WARM_UP) / 2;
const CLIENTS = 64;
const ACCEPTORS = 2;

/** A kind has a model of its own, so that the upstream's books can be read kind by kind. */
interface Kind {
  readonly name: string;
  /** Share of all requests, percent. */
  readonly share: number;
  readonly status: number;
  readonly fake: Behaviour;
  readonly more?: Record<string, unknown>;
  readonly endpoints: readonly Endpoint[];
  /** null = either. */
  readonly streamed: boolean | null;
  /** The upstream says its tokens, and sends all of them. */
  readonly counted: boolean;
}

const { chat, embeddings, count_tokens, input_tokens } = ENDPOINTS;
const TOOLS = [
  {
    type: "function",
    function: { name: "read_level", parameters: { type: "object", properties: { place: { type: "string" } } } },
  },
];

const KINDS: readonly Kind[] = [
  { name: "plain", share: 54, status: 200, fake: { words: 20 }, endpoints: STREAMING, streamed: null, counted: true },
  { name: "embed", share: 5, status: 200, fake: {}, endpoints: [embeddings], streamed: false, counted: true },
  { name: "gzip", share: 10, status: 200, fake: { gzip: true }, endpoints: STREAMING, streamed: null, counted: true },
  {
    name: "tools",
    share: 8,
    status: 200,
    fake: {},
    more: { tools: TOOLS, tool_choice: "required" },
    endpoints: [chat],
    streamed: null,
    counted: true,
  },
  {
    name: "every",
    share: 3,
    status: 200,
    fake: { usage: "on_every_chunk", cache_read_tokens: 50, reasoning_tokens: 5 },
    endpoints: STREAMING,
    streamed: true,
    counted: true,
  },
  {
    name: "count",
    share: 3,
    status: 200,
    fake: {},
    endpoints: [count_tokens, input_tokens],
    streamed: false,
    counted: false,
  },
  {
    name: "silent",
    share: 4,
    status: 200,
    fake: { usage: "none" },
    endpoints: STREAMING,
    streamed: null,
    counted: false,
  },
  {
    name: "refused",
    share: 4,
    status: 429,
    fake: { status: 429 },
    endpoints: STREAMING,
    streamed: null,
    counted: false,
  },
  { name: "reset", share: 2, status: 502, fake: { reset: true }, endpoints: STREAMING, streamed: null, counted: false },
  {
    name: "broken",
    share: 2,
    status: 200,
    fake: { close_after_frames: 6 },
    endpoints: STREAMING,
    streamed: true,
    counted: false,
  },
  {
    name: "leave",
    share: 5,
    status: 200,
    fake: { words: 400, gap_ms: 2 },
    endpoints: STREAMING,
    streamed: true,
    counted: false,
  },
];

let upstream: UpstreamProcess;
let gateway: RunningGateway;

beforeAll(async () => {
  upstream = await startUpstreamProcess();
  gateway = await startGateway({ config: { acceptors: ACCEPTORS }, resources: oneProvider(upstream.url) });
});

afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
});

interface Job {
  readonly kind: Kind;
  readonly endpoint: Endpoint;
  readonly streamed: boolean;
  readonly model: string;
  readonly leaveAfter: number | undefined;
}

/** The same jobs every time: a mix by shares, its order stirred by a fixed generator. */
function* jobs(count: number, seed: number): Generator<Job> {
  let state = seed;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return Math.floor((state / 0x80000000) * below);
  };
  const deck = KINDS.flatMap((kind) => Array.from({ length: kind.share }, () => kind));
  for (let index = 0; index < count; index += 1) {
    const kind = deck[random(deck.length)] as Kind;
    const endpoint = kind.endpoints[random(kind.endpoints.length)] as Endpoint;
    const streamed = kind.streamed ?? random(2) === 0;
    const model = endpoint.model.replace("soak", kind.name);
    const leaveAfter = kind.name === "leave" ? 200 + random(6_000) : undefined;
    yield { kind, endpoint, streamed, model, leaveAfter };
  }
}

interface Outcome {
  readonly job: Job;
  readonly requestId: string;
  readonly problem: string;
}

async function run(client: Client, job: Job): Promise<Outcome> {
  const { kind, endpoint, streamed, model, leaveAfter } = job;
  const body = requestFor(endpoint, { model, fake: kind.fake, ...kind.more, ...(streamed ? { stream: true } : {}) });
  const reply = await client.post(endpoint.path, body, leaveAfter === undefined ? {} : { leaveAfter });
  const ended = kind.status !== 200 || !streamed || hasTerminator(endpoint.operation, reply.body);
  const wantsEnd = kind.name !== "broken" && kind.name !== "leave";
  let problem = "";
  if (reply.status !== kind.status) problem = `status ${reply.status}`;
  else if (reply.whole !== (kind.name !== "leave")) problem = `whole is ${reply.whole}`;
  else if (ended !== wantsEnd) problem = `ended is ${ended}`;
  return { job, requestId: reply.requestId, problem };
}

/** A part of the run with clients of its own; leaves when nothing is open any more. Gives resident bytes. */
async function part(count: number, seed: number, outcomes: Outcome[]): Promise<number> {
  const client = new Client(gateway.url, CLIENTS);
  await inParallel(jobs(count, seed), CLIENTS, async (job) => {
    outcomes.push(await run(client, job));
  });
  client.close();
  const page = await gateway.until(async () => {
    const now = await metricsPage(gateway.opsUrl);
    return metricSum(now, "weir_connections") + metricSum(now, "weir_requests_in_flight") === 0 ? now : null;
  });
  return metricSum(page, "process_resident_memory_bytes");
}

function checkBooks(events: readonly UsageEvent[], outcomes: readonly Outcome[]): void {
  const byRequest = new Map(events.map((event) => [event.request_id, event]));
  const wrong = outcomes.filter(({ job, requestId }) => {
    const event = byRequest.get(requestId);
    if (event === undefined || event.upstream_model !== job.model || event.attempt !== 1) return true;
    const left = job.kind.name === "leave";
    if (event.status !== (left ? 499 : job.kind.status) || event.streamed !== job.streamed) return true;
    if (event.complete === (left || job.kind.name === "broken" || job.kind.name === "reset")) return true;
    return event.estimated !== ["silent", "leave", "broken"].includes(job.kind.name);
  });
  expect(wrong.slice(0, 3).map(({ job, requestId }) => ({ job, event: byRequest.get(requestId) }))).toEqual([]);
}

async function checkTokens(events: readonly UsageEvent[]): Promise<void> {
  const { models } = await upstream.stats();
  let compared = 0;
  for (const kind of KINDS.filter(({ counted }) => counted)) {
    for (const model of new Set(kind.endpoints.map((endpoint) => endpoint.model.replace("soak", kind.name)))) {
      const own = events.filter((event) => event.upstream_model === model);
      const sum = (field: "input_tokens" | "output_tokens") => own.reduce((total, event) => total + event[field], 0);
      const told = { model, requests: own.length, input: sum("input_tokens"), output: sum("output_tokens") };
      const { requests, input, output } = models[model] ?? { requests: 0, input: 0, output: 0 };
      expect(told).toEqual({ model, requests, input, output });
      expect(input).toBeGreaterThan(0);
      compared += requests;
    }
  }
  expect(compared).toBeGreaterThan(REQUESTS * 0.7);
}

describe("ten thousand mixed requests", () => {
  const outcomes: Outcome[] = [];

  it("are all answered as they should be, and the second of two equal halves costs no more memory", async () => {
    const began = performance.now();
    await part(WARM_UP, 3, outcomes);
    const first = await part(HALF, 1, outcomes);
    const second = await part(HALF, 1, outcomes);
    const seconds = (performance.now() - began) / 1000;
    const megabytes = (bytes: number) => Math.round(bytes / 1e6);
    console.log(
      `soak: ${outcomes.length} requests in ${seconds.toFixed(1)} s (${Math.round(outcomes.length / seconds)}/s), ` +
        `resident ${megabytes(first)} MB, then ${megabytes(second)} MB`,
    );
    expect(outcomes.filter(({ problem }) => problem !== "").slice(0, 3)).toEqual([]);
    expect(outcomes.length).toBe(REQUESTS);
    expect(second).toBeLessThan(first * 1.2);
  }, 150_000);

  it("are all in the journal, with the tokens that the upstream dealt out", async () => {
    const { requests } = await upstream.stats();
    expect(requests).toBe(REQUESTS);
    const events = await gateway.events();
    expect(events.length).toBe(REQUESTS);
    expect(new Set(events.map((event) => event.id)).size).toBe(REQUESTS);
    expect(new Set(events.map((event) => event.request_id)).size).toBe(REQUESTS);
    checkBooks(events, outcomes);
    await checkTokens(events);
  });

  it("are all counted and logged", async () => {
    const page = await metricsPage(gateway.opsUrl);
    expect(metricSum(page, "weir_requests_total")).toBe(REQUESTS);
    expect(metricSum(page, "weir_upstream_attempts_total")).toBe(REQUESTS);
    expect(metricSum(page, "weir_journal_lines_total")).toBe(REQUESTS);
    expect(metricSum(page, "weir_journal_lost_total") + metricSum(page, "weir_journal_pending")).toBe(0);
    const left = outcomes.filter(({ job }) => job.kind.name === "leave").length;
    expect(left).toBeGreaterThan(REQUESTS * 0.04);
    expect(metricSum(page, "weir_client_aborts_total")).toBe(left);
    const dropped = metricSum(page, "weir_log_dropped_total");
    await gateway.until(() => (gateway.stdout().match(/"msg":"request"/g)?.length ?? 0) + dropped === REQUESTS);
  });

  it("leave no upstream call open, only idle connections, and those end with the gateway", async () => {
    const idle = await gateway.until(async () => {
      const stats = await upstream.stats();
      return stats.in_flight === 0 ? stats : null;
    });
    // No more than were ever needed at once, on each acceptor; one more asks for the count.
    expect(idle.open_connections).toBeLessThanOrEqual(CLIENTS * ACCEPTORS + 1);
    expect(await gateway.end()).toEqual({ code: 0, signal: null });
    await gateway.until(async () => (await upstream.stats()).open_connections <= 1);
  });
});
