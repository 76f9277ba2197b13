/** Makes one exposition out of the threads' metrics. */
import { AggregatorRegistry, Registry } from "prom-client";
import { type Aggregator, declarationOf, METRICS, type MetricName } from "./declarations.js";
import type { MetricData, MetricObjects, SeriesData } from "./series.js";

/** The content type of what `mergeMetrics` answers. */
export const METRICS_CONTENT_TYPE: string = Registry.PROMETHEUS_CONTENT_TYPE;

interface ExpositionValue {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  readonly metricName?: string;
}

function isDeclared(name: string): name is MetricName {
  return Object.hasOwn(METRICS, name);
}

function labelsOf(name: MetricName, values: readonly string[]): Record<string, string | number> {
  const labels: Record<string, string | number> = {};
  for (const [index, label] of declarationOf(name).labels.entries()) labels[label] = values[index] ?? "";
  return labels;
}

function histogramValues(name: MetricName, series: SeriesData): ExpositionValue[] {
  const { buckets } = declarationOf(name);
  const labels = labelsOf(name, series.labels);
  const values: ExpositionValue[] = [];
  let cumulative = 0;
  for (let index = 0; index <= buckets.length; index += 1) {
    cumulative += series.numbers[index] ?? 0;
    values.push({
      metricName: `${name}_bucket`,
      labels: { le: buckets[index] ?? "+Inf", ...labels },
      value: cumulative,
    });
  }
  values.push({ metricName: `${name}_sum`, labels, value: series.numbers[buckets.length + 1] ?? 0 });
  values.push({ metricName: `${name}_count`, labels, value: cumulative });
  return values;
}

/** The shape prom-client aggregates. */
function exposed(metric: MetricData): object[] {
  if (!isDeclared(metric.name)) return [];
  const name = metric.name;
  const { type, help, aggregator } = declarationOf(name);
  const values = metric.series.flatMap((series): ExpositionValue[] =>
    type === "histogram"
      ? histogramValues(name, series)
      : [{ labels: labelsOf(name, series.labels), value: series.numbers[0] ?? 0 }],
  );
  return [{ name, help, type, aggregator, values }];
}

/** The Prometheus text of all threads together; counters and histograms are summed, gauges as declared. */
export async function mergeMetrics(list: readonly MetricObjects[]): Promise<string> {
  if (list.length === 0) return "";
  return AggregatorRegistry.aggregate(list.map((metrics) => metrics.flatMap(exposed))).metrics();
}

function combine(aggregator: Aggregator, left: readonly number[], right: readonly number[]): number[] {
  return left.map((value, index) => {
    const other = right[index] ?? 0;
    return aggregator === "sum" ? value + other : Math.max(value, other);
  });
}

/**
 * Keeps what a thread that has ended had counted, so that the node's counters do not step back: adds the
 * counters and histograms of `last` to those of `retired`; gauges end with their thread.
 */
export function retainTotals(retired: MetricObjects, last: MetricObjects): MetricObjects {
  const totals = new Map<string, Map<string, SeriesData>>();
  for (const metric of [...retired, ...last]) {
    if (!isDeclared(metric.name)) continue;
    const { type, aggregator } = declarationOf(metric.name);
    if (type === "gauge") continue;
    const known = totals.get(metric.name) ?? new Map<string, SeriesData>();
    totals.set(metric.name, known);
    for (const series of metric.series) {
      const key = JSON.stringify(series.labels);
      const before = known.get(key);
      const numbers = before === undefined ? series.numbers : combine(aggregator, before.numbers, series.numbers);
      known.set(key, { labels: series.labels, numbers });
    }
  }
  return [...totals].map(([name, series]) => ({ name, series: [...series.values()] }));
}
