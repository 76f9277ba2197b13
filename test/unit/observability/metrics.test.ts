import { afterEach, describe, expect, test, vi } from "vitest";
import { METRICS, type MetricName } from "../../../src/observability/declarations.js";
import { mergeMetrics, retainTotals } from "../../../src/observability/merge.js";
import { Metrics, type RequestSample } from "../../../src/observability/metrics.js";

function sample(change: Partial<RequestSample> = {}): RequestSample {
  return {
    operation: "chat",
    provider: "acme",
    model: "small*",
    responseModel: "small-2026",
    status: 200,
    error: "",
    streamed: true,
    durationMs: 1100,
    firstTokenMs: 100,
    inputTokens: 12,
    outputTokens: 5,
    cacheReadTokens: 4,
    cacheWriteTokens: -1,
    reasoningTokens: 0,
    ...change,
  };
}

/** The exposition's samples, by name and labels; throws on a line that is not Prometheus text. */
function parse(text: string): Map<string, number> {
  const samples = new Map<string, number>();
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("# ")) continue;
    const match = /^([a-z_]+)(\{(?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)*\})? (-?[0-9.e+-]+|\+Inf|Nan)$/i.exec(line);
    if (match === null) throw new Error(`not an exposition line: ${line}`);
    const key = `${match[1]}${match[2] ?? ""}`;
    if (samples.has(key)) throw new Error(`twice: ${key}`);
    samples.set(key, Number(match[3]));
  }
  return samples;
}

const GEN_AI =
  'gen_ai_operation_name="chat",gen_ai_provider_name="acme",gen_ai_request_model="small*",gen_ai_response_model="small-2026"';

let running: Metrics[] = [];
function metrics(thread: string): Metrics {
  const made = new Metrics({ thread });
  running.push(made);
  return made;
}
afterEach(() => {
  for (const made of running) made.stop();
  running = [];
});

describe("declarations", () => {
  test("have names, units and buckets as the exposition format wants them", () => {
    for (const [name, declaration] of Object.entries(METRICS)) {
      expect(name).toMatch(/^[a-z][a-z_]*$/);
      expect(name.endsWith("_total"), name).toBe(declaration.type === "counter");
      expect(declaration.help, name).toMatch(/^[^\n|\\]+\.$/);
      const buckets: readonly number[] = declaration.buckets;
      expect(buckets.length > 0, name).toBe(declaration.type === "histogram");
      expect([...buckets].sort((a, b) => a - b)).toEqual(buckets);
    }
  });
});

describe("observeRequest", () => {
  test("counts tokens, times and status under the conventions' names", async () => {
    const one = metrics("acceptor-1");
    one.observeRequest(sample());
    const samples = parse(await mergeMetrics([one.collect()]));
    expect(samples.get('weir_requests_total{operation="chat",status="200"}')).toBe(1);
    expect(samples.get(`gen_ai_client_token_usage_sum{${GEN_AI},gen_ai_token_type="input"}`)).toBe(12);
    expect(samples.get(`gen_ai_client_token_usage_sum{${GEN_AI},gen_ai_token_type="output"}`)).toBe(5);
    expect(samples.get(`gen_ai_server_request_duration_sum{${GEN_AI},error_type=""}`)).toBeCloseTo(1.1);
    expect(samples.get(`gen_ai_server_time_to_first_token_sum{${GEN_AI},error_type=""}`)).toBeCloseTo(0.1);
    expect(samples.get(`gen_ai_server_time_per_output_token_sum{${GEN_AI},error_type=""}`)).toBeCloseTo(0.25);
    const bucket = (bound: string) => `gen_ai_server_request_duration_bucket{le="${bound}",${GEN_AI},error_type=""}`;
    expect(["0.64", "1.28", "81.92", "+Inf"].map((bound) => samples.get(bucket(bound)))).toEqual([0, 1, 1, 1]);
    expect(samples.get('weir_usage_tokens_total{model="small*",token_type="cache_read"}')).toBe(4);
    expect(samples.has('weir_usage_tokens_total{model="small*",token_type="cache_write"}')).toBe(false);
  });

  test("leaves out what is not known: no tokens, no first byte", async () => {
    const one = metrics("acceptor-1");
    const refused = { status: 401, error: "invalid_api_key", provider: "", model: "", responseModel: "" };
    one.observeRequest(sample({ ...refused, inputTokens: -1, outputTokens: -1, firstTokenMs: 0 }));
    const text = await mergeMetrics([one.collect()]);
    expect(text).toContain('error_type="invalid_api_key"');
    expect(text).not.toContain("gen_ai_client_token_usage_count");
    expect(text).not.toContain("gen_ai_server_time_to_first_token_count");
  });

  test("holds the operation apart where the conventions do not", async () => {
    const one = metrics("acceptor-1");
    for (const operation of ["chat", "messages", "responses"]) one.observeRequest(sample({ operation }));
    const samples = parse(await mergeMetrics([one.collect()]));
    expect(samples.get(`gen_ai_server_request_duration_count{${GEN_AI},error_type=""}`)).toBe(3);
    expect(samples.get('weir_requests_total{operation="messages",status="200"}')).toBe(1);
  });

  test("does not grow with what an upstream calls its models", async () => {
    const one = metrics("acceptor-1");
    for (let index = 0; index < 5000; index += 1) one.observeRequest(sample({ responseModel: `made-up-${index}` }));
    const text = await mergeMetrics([one.collect()]);
    const counts = [...parse(text)].filter(([key]) => key.startsWith("gen_ai_server_request_duration_count"));
    expect(counts).toHaveLength(9);
    expect(counts.find(([key]) => key.includes('gen_ai_response_model="_other"'))?.[1]).toBe(4992);
  });

  test("is bounded in label sets, and loses no request", async () => {
    const one = metrics("acceptor-1");
    for (let index = 0; index < 3000; index += 1) {
      one.observeRequest(sample({ model: `model-${index}`, status: 100 + (index % 500) }));
    }
    const data = one.collect();
    expect(data.find(({ name }) => name === "gen_ai_server_request_duration")?.series.length).toBeLessThanOrEqual(1300);
    const samples = [...parse(await mergeMetrics([data]))];
    const total = (prefix: string) =>
      samples.filter(([key]) => key.startsWith(prefix)).reduce((sum, [, value]) => sum + value, 0);
    expect(total("gen_ai_server_request_duration_count")).toBe(3000);
    expect(total("weir_requests_total")).toBe(3000);
    expect(total("weir_metric_overflows_total")).toBeGreaterThan(0);
  });
});

describe("cells", () => {
  test("count without a lookup and are the same for the same labels", async () => {
    const one = metrics("main");
    const shed = one.cell("weir_requests_shed_total", "in_flight");
    shed.value += 1;
    one.cell("weir_requests_shed_total", "in_flight").add(2);
    expect(parse(await mergeMetrics([one.collect()])).get('weir_requests_shed_total{reason="in_flight"}')).toBe(3);
  });

  test("want as many labels as declared, and fold what is too many", () => {
    const one = metrics("main");
    expect(() => one.cell("weir_requests_shed_total")).toThrow(RangeError);
    for (let index = 0; index < 2000; index += 1) one.cell("weir_mailbox_depth", `actor-${index}`).value = 1;
    const series = one.collect().find(({ name }) => name === "weir_mailbox_depth")?.series ?? [];
    expect(series).toHaveLength(1001);
    expect(series.at(-1)?.labels).toEqual(["_other"]);
  });

  test("are copied from their sources at each collection", async () => {
    const one = metrics("main");
    let lines = 7;
    const cell = one.cell("weir_journal_lines_total");
    one.onCollect(() => {
      cell.value = lines;
    });
    one.collect();
    lines = 9;
    expect(parse(await mergeMetrics([one.collect()])).get("weir_journal_lines_total")).toBe(9);
  });

  test("are forgotten when asked: the label is the value", async () => {
    const one = metrics("main");
    one.cell("weir_config_revision_info", "aaa").value = 1;
    one.clear("weir_config_revision_info");
    one.cell("weir_config_revision_info", "bbb").value = 1;
    const text = await mergeMetrics([one.collect()]);
    expect(text).toContain('weir_config_revision_info{revision="bbb"} 1');
    expect(text).not.toContain("aaa");
  });
});

describe("mergeMetrics", () => {
  test("adds threads up and keeps what one thread alone knows", async () => {
    const main = metrics("main");
    main.watchProcess();
    const threads = [metrics("acceptor-1"), metrics("acceptor-2")];
    for (const thread of threads) {
      thread.observeRequest(sample());
      thread.cell("weir_requests_in_flight").value = 3;
      thread.watchEventLoop();
    }
    const list = structuredClone([main, ...threads].map((thread) => thread.collect()));
    const samples = parse(await mergeMetrics(list));
    expect(samples.get("weir_requests_in_flight")).toBe(6);
    expect(samples.get(`gen_ai_server_request_duration_bucket{le="1.28",${GEN_AI},error_type=""}`)).toBe(2);
    expect(samples.get(`gen_ai_client_token_usage_sum{${GEN_AI},gen_ai_token_type="input"}`)).toBe(24);
    const resident = samples.get("process_resident_memory_bytes") ?? 0;
    expect(resident).toBeGreaterThan(1e7);
    expect(resident).toBeLessThan(process.memoryUsage.rss() * 2);
    expect(
      Math.abs((samples.get("process_start_time_seconds") ?? 0) - (Date.now() / 1000 - process.uptime())),
    ).toBeLessThan(5);
    expect(samples.has('weir_event_loop_lag_seconds{thread="acceptor-2",quantile="0.99"}')).toBe(true);
  });

  test("shows every metric, also before anything happened, with help and type", async () => {
    const text = await mergeMetrics([metrics("main").collect()]);
    for (const name of Object.keys(METRICS) as MetricName[]) {
      expect(text).toContain(`# HELP ${name} ${METRICS[name].help}\n# TYPE ${name} ${METRICS[name].type}\n`);
      if (METRICS[name].labels.length === 0) expect(parse(text).get(name)).toBe(0);
    }
    expect(await mergeMetrics([])).toBe("");
  });

  test("escapes label values", async () => {
    const one = metrics("main");
    one.cell("weir_mailbox_depth", 'a"b\\c\nd').value = 1;
    expect(await mergeMetrics([one.collect()])).toContain('weir_mailbox_depth{actor="a\\"b\\\\c\\nd"} 1');
  });
});

test("event-loop lag is near nothing when idle and shows a block", { timeout: 50_000 }, async () => {
  const one = metrics("main");
  one.watchEventLoop();
  const turn = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
  const lag = async (quantile: string) =>
    parse(await mergeMetrics([one.collect()])).get(
      `weir_event_loop_lag_seconds{thread="main",quantile="${quantile}"}`,
    ) ?? -1;
  const seen = async (act: () => Promise<unknown>, quantile: string, wanted: (value: number) => boolean) =>
    vi.waitFor(
      async () => {
        await lag(quantile);
        await act();
        expect(await lag(quantile)).toSatisfy(wanted);
      },
      { timeout: 20_000, interval: 1 },
    );
  // A block shows as the distance of two looks of the monitor: it needs one look on either side.
  const block = async () => {
    await turn(60);
    const until = performance.now() + 150;
    while (performance.now() < until);
    await turn(60);
  };
  await seen(block, "1", (value) => value > 0.1);
  await seen(
    () => turn(200),
    "0.5",
    (value) => value >= 0 && value < 0.015,
  );
});

test("retainTotals keeps counters and histograms of ended threads, not their gauges", async () => {
  const live = metrics("acceptor-2");
  live.observeRequest(sample());
  let retired = retainTotals([], []);
  for (let crash = 0; crash < 2; crash += 1) {
    const gone = metrics("acceptor-1");
    gone.observeRequest(sample());
    gone.cell("weir_requests_in_flight").value = 9;
    retired = retainTotals(retired, gone.collect());
  }
  const samples = parse(await mergeMetrics([live.collect(), retired]));
  expect(samples.get("weir_requests_in_flight")).toBe(0);
  expect(samples.get('weir_requests_total{operation="chat",status="200"}')).toBe(3);
  expect(samples.get(`gen_ai_server_request_duration_count{${GEN_AI},error_type=""}`)).toBe(3);
  expect(samples.get(`gen_ai_server_request_duration_sum{${GEN_AI},error_type=""}`)).toBeCloseTo(3.3);
});
