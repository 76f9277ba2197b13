/** What limits a request: the layers, as they are checked. */
import type { RateLimit } from "../config/resources.js";
import type { Place } from "./groups.js";
import type { OnPartition } from "../config/traffic.js";
import { DIMENSIONS } from "./window.js";

/** Whose limit it is. */
export type LimitKind = "key" | "model" | "policy";

/** One window of a layer. */
export interface Bound {
  /** Its counter's place in a block. */
  readonly dimension: number;
  readonly field: string;
  readonly unit: "requests" | "tokens";
  readonly windowMs: number;
  readonly amount: number;
}

/** One thing that is limited: whose limit, its counters and its bounds. */
export interface LimitLayer {
  readonly kind: LimitKind;
  /** For messages: "API key", "model", or `policy "NAME"`. */
  readonly label: string;
  readonly place: Place;
  readonly bounds: readonly Bound[];
  /** Requests at once; -1 = any number. */
  readonly concurrency: number;
  /** Told to the caller when it refuses; null for the limits of keys and models. */
  readonly policy: { readonly id: string; readonly name: string } | null;
  /** What it is while the fleet cannot be reached; null = as `cluster.on_partition` says. */
  readonly onPartition: OnPartition | null;
}

/** The same limit, counted elsewhere. */
export type LayerTemplate = Omit<LimitLayer, "place">;

export function layerTemplate(
  kind: LimitKind,
  label: string,
  limit: RateLimit,
  policy: LimitLayer["policy"] = null,
): LayerTemplate {
  const bounds: Bound[] = [];
  for (const [dimension, { field, unit, windowMs }] of DIMENSIONS.entries()) {
    const amount = limit[field];
    if (amount !== undefined) bounds.push({ dimension, field, unit, windowMs, amount });
  }
  return { kind, label, bounds, concurrency: limit.concurrency ?? -1, policy, onPartition: null };
}

/** Every layer has the same shape, whatever it limits. */
export function layerAt(template: LayerTemplate, place: Place): LimitLayer {
  const { kind, label, bounds, concurrency, policy, onPartition } = template;
  return { kind, label, place, bounds, concurrency, policy, onPartition };
}
