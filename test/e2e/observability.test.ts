/** What a node shows of itself is what happened: metrics over all threads, the access log, the configuration. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { METRICS } from "../../src/observability/metrics.js";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { call } from "./calls.js";
import { oneProvider, type RunningGateway, startGateway } from "./gateway.js";
import {
  Client,
  ENDPOINTS,
  inParallel,
  metricSamples,
  metricSum,
  metricsPage,
  requestFor,
  STREAMING,
} from "./traffic.js";

const EACH = 24;
const WORDS = 10;
const GEN_AI = [
  "gen_ai_operation_name",
  "gen_ai_provider_name",
  "gen_ai_request_model",
  "gen_ai_response_model",
] as const;
/** The conventions' names of our operations. */
const CONVENTION: Record<string, string> = {
  chat: "chat",
  messages: "chat",
  responses: "chat",
  completions: "text_completion",
};

let upstream: FakeUpstream;
let gateway: RunningGateway;
let page: string;
let requestIds: string[] = [];

interface AccessLine {
  readonly request_id: string;
  readonly [field: string]: unknown;
}

function accessLines(): AccessLine[] {
  const lines = gateway.stdout().split("\n").filter(Boolean);
  return lines.map((line) => JSON.parse(line) as AccessLine).filter((line) => line.msg === "request");
}

/** For each dialect 24 good streams and 24 good whole answers; then some of each kind of trouble. */
beforeAll(async () => {
  upstream = await startFakeUpstream();
  gateway = await startGateway({ config: { acceptors: 2 }, resources: oneProvider(upstream.url) });
  const client = new Client(gateway.url, 16);
  const ids: string[] = [];
  const jobs = Array.from({ length: EACH * STREAMING.length * 2 }, (_, index) => index);
  await inParallel(jobs, 16, async (index) => {
    const endpoint = STREAMING[index % STREAMING.length] ?? ENDPOINTS.chat;
    const streamed = index % 8 < 4 ? { stream: true } : {};
    const fake = { words: WORDS, cache_read_tokens: 5, reasoning_tokens: 2, gap_ms: streamed.stream ? 2 : 0 };
    const reply = await client.post(`${endpoint.path}?beta=true`, requestFor(endpoint, { fake, ...streamed }));
    ids.push(reply.requestId);
  });
  const odd = [
    await client.post(ENDPOINTS.embeddings.path, requestFor(ENDPOINTS.embeddings)),
    await client.post(ENDPOINTS.chat.path, requestFor(ENDPOINTS.chat, { fake: { status: 503 } })),
    await client.post(ENDPOINTS.chat.path, requestFor(ENDPOINTS.chat, { fake: { reset: true } })),
    await client.post(ENDPOINTS.chat.path, requestFor(ENDPOINTS.chat), { headers: { authorization: "Bearer no" } }),
    await client.post(ENDPOINTS.chat.path, requestFor(ENDPOINTS.chat, { fake: { usage: "none" } })),
    await client.post(
      ENDPOINTS.chat.path,
      requestFor(ENDPOINTS.chat, { stream: true, fake: { words: 500, gap_ms: 5 } }),
      {
        leaveAfter: 2_000,
      },
    ),
  ];
  ids.push(...odd.map((reply) => reply.requestId));
  requestIds = ids;
  await gateway.until(() => accessLines().length === ids.length);
  page = await metricsPage(gateway.opsUrl);
  client.close();
});

afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
});

const OK = { error_type: "" };

describe("/metrics", () => {
  it("has every metric that is declared, with its type, its help and exactly its labels", () => {
    for (const [name, { type, labels }] of Object.entries(METRICS)) {
      expect(page).toContain(`# TYPE ${name} ${type}\n`);
      expect(page).toMatch(new RegExp(`^# HELP ${name} \\S`, "m"));
      const samples = metricSamples(page, type === "histogram" ? `${name}_count` : name);
      for (const sample of samples) expect(Object.keys(sample.labels).sort()).toEqual([...labels].sort());
    }
  });

  it("carries the conventions' names and counts right over two acceptors", () => {
    for (const endpoint of STREAMING) {
      const provider = endpoint.operation === "messages" ? "anthropic" : "openai";
      const entry = endpoint.operation === "messages" ? "claude-*" : "gpt-*";
      const labels = { gen_ai_operation_name: CONVENTION[endpoint.operation] ?? "", gen_ai_provider_name: provider };
      const some = metricSamples(page, "gen_ai_server_request_duration_count").filter(
        (sample) =>
          sample.labels.gen_ai_operation_name === labels.gen_ai_operation_name &&
          sample.labels.gen_ai_provider_name === provider &&
          sample.labels.gen_ai_request_model === entry &&
          sample.labels.gen_ai_response_model === endpoint.model,
      );
      expect(some.length).toBeGreaterThan(0);
    }
    const messages = { gen_ai_operation_name: "chat", gen_ai_provider_name: "anthropic", ...OK };
    expect(metricSum(page, "gen_ai_server_request_duration_count", messages)).toBe(EACH * 2);
    expect(metricSum(page, "gen_ai_server_time_to_first_token_count", messages)).toBe(EACH);
    expect(metricSum(page, "gen_ai_server_time_per_output_token_count", messages)).toBe(EACH);
    const completions = { gen_ai_operation_name: "text_completion", gen_ai_provider_name: "openai", ...OK };
    expect(metricSum(page, "gen_ai_server_request_duration_count", completions)).toBe(EACH * 2);
    expect(metricSum(page, "gen_ai_server_request_duration_count", { gen_ai_operation_name: "embeddings" })).toBe(1);
  });

  it("times streams in seconds: 2 ms apart, ten words and their frame", () => {
    const messages = { gen_ai_operation_name: "chat", gen_ai_provider_name: "anthropic", ...OK };
    const mean = (name: string) =>
      metricSum(page, `${name}_sum`, messages) / metricSum(page, `${name}_count`, messages);
    expect(mean("gen_ai_server_time_per_output_token")).toBeGreaterThan(0.001);
    expect(mean("gen_ai_server_time_per_output_token")).toBeLessThan(1);
    expect(mean("gen_ai_server_time_to_first_token")).toBeLessThan(1);
    const sum = metricSum(page, "gen_ai_server_time_to_first_token_sum", messages);
    expect(metricSum(page, "gen_ai_server_request_duration_sum", messages)).toBeGreaterThan(sum);
  });

  it("adds tokens up, input and output apart", () => {
    const labels = { gen_ai_operation_name: "text_completion", gen_ai_provider_name: "openai" };
    const usage = "gen_ai_client_token_usage";
    const books = upstream.stats().models;
    expect(metricSum(page, `${usage}_count`, { ...labels, gen_ai_token_type: "output" })).toBe(EACH * 2);
    expect(metricSum(page, `${usage}_sum`, { ...labels, gen_ai_token_type: "output" })).toBe(EACH * 2 * (WORDS + 2));
    const claude = { model: "claude-*" };
    expect(metricSum(page, "weir_usage_tokens_total", { ...claude, token_type: "input" })).toBe(
      books["claude-soak"]?.input,
    );
    expect(metricSum(page, "weir_usage_tokens_total", { ...claude, token_type: "output" })).toBe(
      books["claude-soak"]?.output,
    );
    expect(metricSum(page, "weir_usage_tokens_total", { ...claude, token_type: "cache_read" })).toBe(EACH * 2 * 5);
    expect(metricSum(page, "weir_usage_tokens_total", { token_type: "reasoning" })).toBe(EACH * 3 * 2 * 2);
  });

  it("counts requests by operation and status, attempts by outcome, and errors by their code", () => {
    const requests = (operation: string, status: string) =>
      metricSum(page, "weir_requests_total", { operation, status });
    expect(requests("chat", "200")).toBe(EACH * 2 + 1);
    expect(requests("messages", "200")).toBe(EACH * 2);
    expect(requests("responses", "200")).toBe(EACH * 2);
    expect(requests("chat", "503")).toBe(1);
    expect(requests("chat", "502")).toBe(1);
    expect(requests("chat", "401")).toBe(1);
    expect(requests("chat", "499")).toBe(1);
    const attempts = (outcome: string) =>
      metricSum(page, "weir_upstream_attempts_total", { provider: "openai", outcome });
    expect(attempts("ok")).toBe(EACH * 6 + 2);
    expect(attempts("upstream_error")).toBe(1);
    expect(attempts("transport_error")).toBe(1);
    expect(attempts("client_closed_request")).toBe(1);
    for (const error_type of ["upstream_error", "transport_error", "invalid_api_key", "client_closed_request"]) {
      expect(metricSum(page, "gen_ai_server_request_duration_count", { error_type })).toBe(1);
    }
  });

  it("shows the node: both acceptors, the pool, the journal, nothing in flight", async () => {
    const threads = metricSamples(page, "weir_event_loop_lag_seconds").map((sample) => sample.labels.thread);
    expect(new Set(threads)).toEqual(new Set(["main", "acceptor-1", "acceptor-2"]));
    expect(metricSum(page, "weir_requests_in_flight")).toBe(0);
    expect(metricSum(page, "weir_client_aborts_total")).toBe(1);
    expect(metricSum(page, "weir_usage_estimated_total")).toBe(2);
    const events = await gateway.events();
    expect(metricSum(page, "weir_journal_lines_total")).toBe(events.length);
    expect(events.length).toBe(requestIds.length - 1);
    expect(metricSum(page, "weir_journal_bytes_total")).toBeGreaterThan(events.length * 500);
    expect(metricSum(page, "weir_config_revision_info")).toBe(1);
    expect(metricSum(page, "process_resident_memory_bytes")).toBeGreaterThan(2e7);
    await gateway.until(async () => {
      const now = await metricsPage(gateway.opsUrl);
      const jobs = metricSum(now, "weir_pool_jobs_total", { outcome: "done" });
      return jobs === 2 && metricSum(now, "weir_pool_threads") > 0 && metricSum(now, "weir_connections") === 0;
    });
  });

  it("makes no series of names that callers invent", async () => {
    const client = new Client(gateway.url, 8);
    const before = (await metricsPage(gateway.opsUrl)).split("\n").length;
    await inParallel(Array(60).keys(), 8, async (index) => {
      await client.post(ENDPOINTS.chat.path, requestFor(ENDPOINTS.chat, { model: `gpt-invented-${index}` }));
      await client.post(ENDPOINTS.chat.path, requestFor(ENDPOINTS.chat, { model: `unknown-${index}` }));
      await client.post(`/v1/invented-${index}`, {});
    });
    client.close();
    const now = await metricsPage(gateway.opsUrl);
    expect(now).not.toContain("unknown-");
    expect(now).not.toContain("/v1/invented-");
    const models = metricSamples(now, "gen_ai_server_request_duration_count").map((sample) => sample.labels);
    expect(models.filter((labels) => labels.gen_ai_request_model?.includes("invented"))).toEqual([]);
    // Of what an upstream says it used, a few are kept apart a thread; the rest is one.
    const said = new Set(
      models.map((labels) => labels.gen_ai_response_model).filter((name) => name?.includes("invented")),
    );
    expect(said.size).toBeLessThanOrEqual(16);
    expect(models.some((labels) => labels.gen_ai_response_model === "_other")).toBe(true);
    expect(metricSum(now, "weir_requests_total", { status: "404" })).toBe(120);
    // Four histograms and their buckets for each new set of labels, no more.
    expect(now.split("\n").length - before).toBeLessThan(20 * 80);
  });

  it("keeps the conventions' labels on every histogram", () => {
    for (const name of Object.keys(METRICS).filter((metric) => metric.startsWith("gen_ai_"))) {
      const [sample] = metricSamples(page, `${name}_count`);
      for (const label of GEN_AI) expect(Object.keys(sample?.labels ?? {})).toContain(label);
    }
  });
});

const FIELDS: Readonly<Record<string, string>> = {
  time: "string",
  level: "string",
  msg: "string",
  request_id: "string",
  method: "string",
  path: "string",
  status: "number",
  duration_ms: "number",
  ttft_ms: "number",
  key: "string",
  model: "string",
  upstream_model: "string",
  provider: "string",
  operation: "string",
  input_tokens: "number",
  output_tokens: "number",
  estimated: "boolean",
  client_address: "string",
  user_agent: "string",
  error: "string",
  bytes_in: "number",
  bytes_out: "number",
  attempts: "number",
  cache: "string",
};

describe("the access log", () => {
  it("has one line a request, each with every field and nothing else", () => {
    const lines = accessLines().filter((line) => requestIds.includes(line.request_id));
    expect(new Set(lines.map((line) => line.request_id)).size).toBe(requestIds.length);
    expect(lines.length).toBe(requestIds.length);
    for (const line of lines) {
      expect(Object.keys(line).sort()).toEqual(Object.keys(FIELDS).sort());
      for (const [field, type] of Object.entries(FIELDS)) {
        if (line[field] !== null) expect(typeof line[field], field).toBe(type);
      }
      expect(String(line.path)).not.toContain("?");
    }
  });

  it("agrees with the journal, line by line", async () => {
    const events = new Map((await gateway.events()).map((event) => [event.request_id, event]));
    for (const line of accessLines().filter(({ request_id }) => requestIds.includes(request_id))) {
      const event = events.get(line.request_id);
      if (event === undefined) {
        expect(line).toMatchObject({ status: 401, error: "invalid_api_key", key: "", attempts: 0, input_tokens: null });
        continue;
      }
      const { status, error, model, upstream_model, provider, operation, input_tokens, output_tokens, estimated } =
        event;
      expect(line).toMatchObject({ status, error, model, upstream_model, provider, operation });
      expect(line).toMatchObject({ input_tokens, output_tokens, estimated, attempts: 1, cache: event.cache });
      expect(line).toMatchObject({ key: event.api_key, client_address: "127.0.0.1", bytes_in: event.request_bytes });
      expect(line.level).toBe(status >= 500 ? "warn" : "info");
      if (error === "") expect(line.bytes_out).toBeGreaterThan(100);
    }
  });
});

describe("/status/config", () => {
  it("tells what serves, and agrees with the metric", async () => {
    const status = (await call(`${gateway.opsUrl}/status/config`, { headers: {} })).json() as Record<string, unknown>;
    expect(status).toMatchObject({
      source: gateway.resourcesPath,
      provider_keys: 2,
      models: 4,
      api_keys: 1,
      refused: null,
    });
    const [info] = metricSamples(page, "weir_config_revision_info");
    expect(info?.labels.revision).toBe(status.revision);
    expect(Date.parse(String(status.loaded_at))).toBeLessThanOrEqual(Date.now());
  });
});
