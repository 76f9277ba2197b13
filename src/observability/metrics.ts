/** The metrics of one thread: cells to count in, and their plain data for whoever merges the threads. */
import { type IntervalHistogram, monitorEventLoopDelay } from "node:perf_hooks";
import { type Declaration, declarationOf, METRICS, type MetricName } from "./declarations.js";
import { OTHER, type RequestSample, RequestSeries } from "./request-series.js";
import { Cell, Family, type HistogramCell, type MetricData, type MetricObjects, type SeriesData } from "./series.js";

export { METRICS, type MetricName } from "./declarations.js";
export { mergeMetrics, METRICS_CONTENT_TYPE, retainTotals } from "./merge.js";
export type { RequestSample } from "./request-series.js";
export { Cell, HistogramCell, type MetricObjects } from "./series.js";

/** Series a metric and thread; more is a mistake somewhere, and becomes `_other`. */
const MAX_SERIES = 1000;
const LAG_RESOLUTION_MS = 20;
const NANOSECONDS = 1e9;

type CellName = { [N in MetricName]: (typeof METRICS)[N]["type"] extends "histogram" ? never : N }[MetricName];

export interface MetricsOptions {
  /** Names the thread in labels: "main", "acceptor-1". */
  readonly thread: string;
}

export class Metrics {
  readonly thread: string;
  readonly #cells = new Map<MetricName, Family<Cell>>();
  readonly #requests: RequestSeries;
  readonly #overflows: Cell;
  readonly #sources: (() => void)[] = [];
  #lag: IntervalHistogram | null = null;

  constructor(options: MetricsOptions) {
    this.thread = options.thread;
    for (const name of Object.keys(METRICS) as MetricName[]) {
      const declaration: Declaration = declarationOf(name);
      if (declaration.type === "histogram") continue;
      const family = new Family<Cell>(MAX_SERIES, () => new Cell());
      this.#cells.set(name, family);
      // Present from the start, so that a rate over the first increment is not lost.
      if (declaration.labels.length === 0) family.cell([]);
    }
    this.#overflows = this.cell("weir_metric_overflows_total");
    this.#requests = new RequestSeries({
      requests: this.#family("weir_requests_total"),
      tokens: this.#family("weir_usage_tokens_total"),
      overflows: this.#overflows,
    });
  }

  /**
   * The cell of a counter or gauge with these label values, in the order of the declaration. Keep it: asking
   * costs a lookup, counting in it costs nothing. Throws RangeError on a wrong number of labels.
   */
  cell(name: CellName, ...labels: string[]): Cell {
    const wanted = METRICS[name].labels.length;
    if (labels.length !== wanted) throw new RangeError(`${name} takes ${wanted} label values, got ${labels.length}`);
    const family = this.#family(name);
    if (!family.isFullFor(labels)) return family.cell(labels);
    this.#overflows.add(1);
    return family.cell(labels.map(() => OTHER));
  }

  /** Drops every series of a metric whose label is its value, such as the revision that serves. */
  clear(name: CellName): void {
    this.#family(name).clear();
  }

  /** Counts one finished request in every metric that it touches. */
  observeRequest(sample: RequestSample): void {
    this.#requests.observe(sample);
  }

  /** `read` is called before each `collect`, to copy what is counted elsewhere into cells. */
  onCollect(read: () => void): void {
    this.#sources.push(read);
  }

  /** Watches how late this thread's event loop runs; `stop` ends it. */
  watchEventLoop(): void {
    if (this.#lag !== null) return;
    const lag = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });
    lag.enable();
    this.#lag = lag;
    this.onCollect(() => {
      for (const [quantile, percentile] of LAG_QUANTILES) {
        // The interval itself is part of what is measured.
        const late = lag.percentile(percentile) / NANOSECONDS - LAG_RESOLUTION_MS / 1000;
        this.cell("weir_event_loop_lag_seconds", this.thread, quantile).value = Math.max(0, late);
      }
      lag.reset();
    });
  }

  /** Reports memory and CPU time of the process; for one thread only. */
  watchProcess(): void {
    this.cell("process_start_time_seconds").value = Date.now() / 1000 - process.uptime();
    const memory = this.cell("process_resident_memory_bytes");
    const time = this.cell("process_cpu_seconds_total");
    this.onCollect(() => {
      memory.value = process.memoryUsage.rss();
      const used = process.cpuUsage();
      time.value = (used.user + used.system) / 1e6;
    });
  }

  /** Everything this thread has counted, as plain data that crosses threads. */
  collect(): MetricObjects {
    for (const read of this.#sources) read();
    const metrics: MetricData[] = [
      histogramData("gen_ai_client_token_usage", this.#requests.usage),
      histogramData("gen_ai_server_request_duration", this.#requests.duration),
      histogramData("gen_ai_server_time_to_first_token", this.#requests.firstToken),
      histogramData("gen_ai_server_time_per_output_token", this.#requests.perToken),
    ];
    for (const [name, family] of this.#cells) {
      const series: SeriesData[] = [];
      for (const { labels, cell } of family.values()) series.push({ labels, numbers: [cell.value] });
      metrics.push({ name, series });
    }
    return metrics;
  }

  /** Lets go of the event-loop monitor. */
  stop(): void {
    this.#lag?.disable();
  }

  #family(name: CellName): Family<Cell> {
    return this.#cells.get(name) as Family<Cell>;
  }
}

const LAG_QUANTILES = [
  ["0.5", 50],
  ["0.99", 99],
  ["1", 100],
] as const;

function histogramData(name: MetricName, family: Family<HistogramCell>): MetricData {
  const series: SeriesData[] = [];
  for (const { labels, cell } of family.values()) series.push({ labels, numbers: cell.numbers() });
  return { name, series };
}
