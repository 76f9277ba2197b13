/** What `/status/models` says: how every model of a node is doing, and what the other nodes say of it. */
import type { ModelResource, Resources } from "../config/resources.js";
import type { Snapshot } from "../config/snapshot.js";
import { COOLING_DOWN, type HealthTable, UNHEALTHY } from "./health.js";
import type { HealthReport } from "./health-report.js";
import type { ForeignCooldown } from "./other-nodes.js";
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
  /** Who began it: `self`, or the name of another node. */
  readonly cooldown_from: string | null;
  /** The upstream's last status; beside another node's cooldown, the one that it began with. */
  readonly last_status: number | null;
  /** How the last attempt failed; null = it did not. */
  readonly last_failure: string | null;
  /** Average time to the first byte. */
  readonly latency_ms: number | null;
  readonly in_flight: number;
  /** Over all nodes of the fleet. */
  readonly fleet_in_flight: number;
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

export interface StatusParts {
  readonly resources: Resources;
  /** Of those resources. */
  readonly snapshot: Snapshot;
  readonly health: HealthTable;
  /** The cooldown of other nodes that lasts longest. */
  cooldownFrom(name: string): ForeignCooldown | null;
}

/** A row for each model in the file's order, then one for each target that only a pattern covers. */
export function modelStatus(parts: StatusParts, nowMs: number): readonly ModelStatus[] {
  const { resources, snapshot, health } = parts;
  const direct = new Map<string, ModelStatus>();
  for (const name of slotNames(resources)) {
    const provider = snapshot.findModel(name)?.direct?.entry.provider ?? null;
    const report = health.report(health.slotOf(name), nowMs);
    const foreign = report.othersCooldown ? parts.cooldownFrom(name) : null;
    direct.set(name, directRow(name, provider, report, foreign));
  }
  const models = new Map(resources.models.map((model) => [model.name, model]));
  const rows = resources.models.map(
    (model) => direct.get(model.name) ?? virtualRow(model, (name) => stateOf(name, models, direct)),
  );
  return [...rows, ...[...direct.values()].filter(({ name }) => !models.has(name))];
}

function directRow(
  name: string,
  provider: string | null,
  report: HealthReport,
  foreign: ForeignCooldown | null,
): ModelStatus {
  const { check } = report;
  const lastStatus = foreign?.status || report.lastStatus;
  return {
    name,
    kind: "direct",
    provider,
    state: stateOfReport(report),
    cooldown_until: report.cooldownUntil === 0 ? null : timeText(report.cooldownUntil),
    cooldown_from: report.cooldownUntil === 0 ? null : (foreign?.node ?? "self"),
    last_status: lastStatus === 0 ? null : lastStatus,
    last_failure: report.lastFailure === "" ? null : report.lastFailure,
    latency_ms: report.latencyMs < 0 ? null : Math.round(report.latencyMs * 10) / 10,
    in_flight: report.inFlight,
    fleet_in_flight: report.fleetInFlight,
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
    cooldown_from: null,
    last_status: null,
    last_failure: null,
    latency_ms: null,
    in_flight: 0,
    fleet_in_flight: 0,
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
