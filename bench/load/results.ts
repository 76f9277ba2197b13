/** What a run of the rig writes down. */
import type { LoadResult } from "./plan.js";
import type { ScenarioKind } from "./scenarios.js";
import type { TargetName } from "./targets.js";

export interface Measurement {
  readonly target: TargetName;
  /** Of the scenario's variants; "" where there is only one. */
  readonly variant: string;
  readonly repetition: number;
  readonly connections: number;
  readonly load: LoadResult;
  /** What a second loader got in the same window. */
  readonly beside: LoadResult | null;
  /** No failure and at least one answer, of the second loader, too. */
  readonly valid: boolean;
  /** CPU seconds of other processes per second on the middle's and on the outer core; null when nothing is pinned. */
  readonly foreign: { readonly middle: number; readonly outer: number } | null;
}

/** Bytes, summed over the gateway's processes. */
export interface MemoryMeasurement {
  readonly idleBytes: number;
  readonly underLoadBytes: number;
  readonly peakBytes: number;
  readonly afterBytes: number;
  readonly loadSeconds: number;
  readonly quietSeconds: number;
}

export interface ScenarioResult {
  readonly scenario: string;
  readonly row: number;
  readonly question: string;
  readonly kind: ScenarioKind;
  readonly measurements: readonly Measurement[];
  readonly memory: MemoryMeasurement | null;
  readonly verdict: Verdict;
}

export interface Verdict {
  /** `invalid`: some run had failures; `not judged`: a target that the bar needs was not there. */
  readonly status: "aim" | "must" | "below" | "invalid" | "not judged";
  /** The figure held against the bar; null when not judged. */
  readonly figure: number | null;
  readonly must: number;
  readonly aim: number;
  /** How the figure came about, for people. */
  readonly detail: string;
}

export interface Meta {
  readonly date: string;
  readonly commit: string;
  readonly uncommittedChanges: boolean;
  readonly processor: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  readonly node: string;
  readonly packages: Readonly<Record<string, string>>;
  readonly nginx: string | null;
  readonly loadAverageBefore: readonly number[];
  readonly pinned: boolean;
  readonly parameters: RigParameters;
  /** Targets that were asked for and could not be started, with the reason. */
  readonly missing: Readonly<Record<string, string>>;
}

export interface RigParameters {
  readonly scenarios: readonly string[];
  readonly targets: readonly TargetName[];
  readonly repetitions: number;
  readonly seconds: number;
  readonly warmupSeconds: number;
  readonly quick: boolean;
}

export interface RigResult {
  readonly meta: Meta;
  readonly scenarios: readonly ScenarioResult[];
}
