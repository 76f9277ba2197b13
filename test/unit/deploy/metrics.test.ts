/** The dashboard, the alerts and the autoscaler name only metrics that the gateway has. */
import { describe, expect, it } from "vitest";
import { METRICS } from "../../../src/observability/declarations.js";
import { configOf, type Tree, textOf, yamlOf } from "./files.js";
import { namedIn, unknownIn } from "./metrics.js";

const dashboard = JSON.parse(textOf("grafana/dashboards/weir.json")) as Tree;
const panels: Tree[] = dashboard.panels.filter(({ type }: Tree) => type !== "row");
const rules: Tree[] = yamlOf("prometheus/alerts.yaml").groups.flatMap((group: Tree) => group.rules);

describe("the reader of expressions", () => {
  it("tells metrics from labels", () => {
    const expression =
      'histogram_quantile(0.9, sum by (le, gen_ai_provider_name) (rate(weir_x_bucket{status=~"5..",a!="weir_no"}[5m])))';
    expect(namedIn(expression)).toEqual({
      metrics: ["weir_x_bucket"],
      labels: ["le", "gen_ai_provider_name", "status", "a"],
    });
  });

  it.each([
    ["rate(weir_requests_gone_total[5m])", ["weir_requests_gone_total"]],
    ["rate(weir_requests_total_count[5m])", ["weir_requests_total_count"]],
    ['weir_requests_total{kind="x"}', ["kind"]],
    ["sum by (thread) (weir_requests_total)", ["thread"]],
    ['sum by (status) (weir_requests_total{instance="a"})', []],
    ["rate(gen_ai_server_request_duration_bucket[5m])", []],
  ])("finds what is wrong in %s", (expression, unknown) => {
    expect(unknownIn(expression)).toEqual(unknown);
  });
});

describe("the dashboard", () => {
  it("shows something everywhere", () => {
    expect(panels.length).toBeGreaterThan(20);
    for (const { title, targets } of panels) {
      for (const { expr } of targets) expect(namedIn(expr).metrics.length, `${title}: ${expr}`).toBeGreaterThan(0);
    }
  });

  it("names only what exists", () => {
    for (const { title, targets } of panels) for (const { expr } of targets) expect(unknownIn(expr), title).toEqual([]);
    for (const { query } of dashboard.templating.list.slice(1)) {
      const [, metric, label] = /^label_values\((\w+), (\w+)\)$/.exec(query.query) ?? [];
      expect(Object.keys(METRICS)).toContain(metric);
      expect(label).toBe("instance");
    }
  });

  it("has panels that do not lie over each other, and each its own id", () => {
    const all: Tree[] = dashboard.panels;
    expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
    for (const { gridPos: one, id } of all) {
      expect(one.x + one.w).toBeLessThanOrEqual(24);
      const over = all.filter(({ gridPos: other, id: otherId }) => {
        if (otherId === id) return false;
        const isBeside = other.x >= one.x + one.w || one.x >= other.x + other.w;
        return !isBeside && !(other.y >= one.y + one.h || one.y >= other.y + other.h);
      });
      expect(over.map(({ title }) => title)).toEqual([]);
    }
  });

  it("asks the source that is provisioned", () => {
    const [source] = yamlOf("grafana/provisioning/datasources/prometheus.yaml").datasources;
    expect(dashboard.templating.list[0].current.value).toBe(source.uid);
  });
});

describe("the alerts", () => {
  it("name only what exists, and say what is up", () => {
    expect(rules.length).toBeGreaterThan(10);
    for (const { alert, expr, annotations, labels } of rules) {
      expect(unknownIn(expr), alert).toEqual([]);
      expect(annotations.summary, alert).toMatch(/[.?]$/);
      expect(["page", "ticket"]).toContain(labels.severity);
    }
  });

  it("have labels in their texts that their series carry", () => {
    for (const { alert, expr, annotations } of rules) {
      const used = [...annotations.summary.matchAll(/\$labels\.(\w+)/g)].map((match: string[]) => match[1] ?? "");
      const { labels } = namedIn(expr);
      const isSummed = /\b(?:sum|max|min|count)\b/.test(expr);
      for (const label of used) expect(isSummed ? labels : [...labels, "instance"], alert).toContain(label);
    }
  });
});

describe("the autoscaler's option", () => {
  it("looks at a gauge that exists, well below the node's bound", () => {
    const [{ patch }] = yamlOf("kubernetes/in-flight/kustomization.yaml").patches;
    const metric = /metric: \{ name: (\w+) \}/.exec(patch)?.[1] ?? "";
    expect((METRICS as Record<string, { type: string }>)[metric]?.type).toBe("gauge");
    const value = Number(/averageValue: "(\d+)"/.exec(patch)?.[1]);
    expect(value).toBeLessThan(configOf("kubernetes/weir.yaml").limits.in_flight / 2);
  });
});
