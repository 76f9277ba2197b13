/** What `/status/models` says: how every model of a node is doing. */
import type { ModelResource, Resources } from "../config/resources.js";
import type { Snapshot } from "../config/snapshot.js";
import { COOLING_DOWN, type HealthReport, type HealthTable, UNHEALTHY } from "./health.js";
import { slotNames, targetNames } from "./slots.js";

export type ModelState = "healthy" | "cooling_down" | "unhealthy" | "unknown";

/** One row; times are RFC 3339, and what is not known is null. */
export interface ModelStatus {
  readonly name: string;
  readonly kind: ModelResource["kind"];
  readonly provider: string | null;
  /** Of a model with others behind it: the best state that one of them has. */
  readonly state: ModelState;
  readonly cooldown_until: string | null;
  /** The upstream's last status. */
  readonly last_status: number | null;
  /** How the last attempt failed; null = it did not. */
  readonly last_failure: string | null;
  /** Average time to the first byte. */
  readonly latency_ms: number | null;
  readonly in_flight: number;
  readonly successes: number;
  readonly failures: number;
  /** The last background check. */
  readonly checks: CheckStatus | null;
  /** The models behind this one; [] where one provider serves it. */
  readonly targets: readonly string[];
}

export interface CheckStatus {
  readonly passed: boolean;
  readonly status: number | null;
  readonly at: string;
  readonly stale: boolean;
}

/** Best first. */
const STATES: readonly ModelState[] = ["healthy", "unknown", "cooling_down", "unhealthy"];

/** A row for each model in the file's order, then one for each target that only a pattern covers. */
export function modelStatus(
  resources: Resources,
  snapshot: Snapshot,
  health: HealthTable,
  nowMs: number,
): readonly ModelStatus[] {
  const direct = new Map<string, ModelStatus>();
  for (const name of slotNames(resources)) {
    const provider = snapshot.findModel(name)?.direct?.entry.provider ?? null;
    direct.set(name, directRow(name, provider, health.report(health.slotOf(name), nowMs)));
  }
  const models = new Map(resources.models.map((model) => [model.name, model]));
  const rows = resources.models.map(
    (model) => direct.get(model.name) ?? virtualRow(model, (name) => stateOf(name, models, direct)),
  );
  return [...rows, ...[...direct.values()].filter(({ name }) => !models.has(name))];
}

function directRow(name: string, provider: string | null, report: HealthReport): ModelStatus {
  const { check } = report;
  return {
    name,
    kind: "direct",
    provider,
    state: stateOfReport(report),
    cooldown_until: report.cooldownUntil === 0 ? null : timeText(report.cooldownUntil),
    last_status: report.lastStatus === 0 ? null : report.lastStatus,
    last_failure: report.lastFailure === "" ? null : report.lastFailure,
    latency_ms: report.latencyMs < 0 ? null : Math.round(report.latencyMs * 10) / 10,
    in_flight: report.inFlight,
    successes: report.successes,
    failures: report.failures,
    checks:
      check === null
        ? null
        : {
            passed: check.passed,
            status: check.status === 0 ? null : check.status,
            at: timeText(check.at),
            stale: check.stale,
          },
    targets: [],
  };
}

function stateOfReport({ standing, unknown }: HealthReport): ModelState {
  if (standing === UNHEALTHY) return "unhealthy";
  if (standing === COOLING_DOWN) return "cooling_down";
  return unknown ? "unknown" : "healthy";
}

function virtualRow(model: ModelResource, stateOfTarget: (name: string) => ModelState): ModelStatus {
  const targets = [...new Set(targetNames(model))];
  const states = targets.map(stateOfTarget);
  return {
    name: model.name,
    kind: model.kind,
    provider: null,
    state: STATES.find((state) => states.includes(state)) ?? "unknown",
    cooldown_until: null,
    last_status: null,
    last_failure: null,
    latency_ms: null,
    in_flight: 0,
    successes: 0,
    failures: 0,
    checks: null,
    targets,
  };
}

/** A target may be a routing model itself, whose own targets are not; deeper nothing goes. */
function stateOf(
  name: string,
  models: ReadonlyMap<string, ModelResource>,
  direct: ReadonlyMap<string, ModelStatus>,
): ModelState {
  const row = direct.get(name);
  if (row !== undefined) return row.state;
  const model = models.get(name);
  const states = model === undefined ? [] : targetNames(model).map((target) => direct.get(target)?.state ?? "unknown");
  return STATES.find((state) => states.includes(state)) ?? "unknown";
}

function timeText(ms: number): string {
  return new Date(ms).toISOString();
}
