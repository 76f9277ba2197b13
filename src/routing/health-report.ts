/** What is said of a model's health: to people, to the other nodes, and by them. */
import type { FailureKind, Standing } from "./health.js";

/** What is known of a model; times in milliseconds since the epoch, 0 = never. */
export interface HealthReport {
  readonly standing: Standing;
  /** Nothing is known of it: no call, no check that is not stale. */
  readonly unknown: boolean;
  readonly cooldownUntil: number;
  /** Is it another node's, because that lasts longer than this node's own? */
  readonly othersCooldown: boolean;
  /** 0 = none. */
  readonly lastStatus: number;
  readonly lastFailure: FailureKind | "";
  /** Time to the first byte; -1 = not known. */
  readonly latencyMs: number;
  /** At this node. */
  readonly inFlight: number;
  /** At all nodes. */
  readonly fleetInFlight: number;
  readonly successes: number;
  readonly failures: number;
  /** null = never checked. `status`: 0 where the upstream sent none. */
  readonly check: {
    readonly passed: boolean;
    readonly status: number;
    readonly at: number;
    readonly stale: boolean;
  } | null;
}

/** How a background check has ended. */
export interface CheckResult {
  readonly passed: boolean;
  /** The upstream's; 0 = there was no answer. */
  readonly status: number;
  /** For so long the result says something. */
  readonly staleSeconds: number;
}

/** What this node itself has seen of a model; times in milliseconds since the epoch, 0 = never. */
export interface OwnHealth {
  readonly inFlight: number;
  readonly cooldownUntil: number;
  /** 0 = none. */
  readonly lastStatus: number;
  /** Average time to the first byte; -1 = not known, or not of late. */
  readonly latencyMs: number;
  readonly latencyAt: number;
  readonly successes: number;
  readonly successAt: number;
}

/** What the other nodes together say of a model; times in milliseconds since the epoch. */
export interface OthersHealth {
  readonly inFlight: number;
  /** 0 = none. */
  readonly cooldownUntil: number;
  /** -1 = not known. */
  readonly latencyMs: number;
  readonly latencyAt: number;
}
