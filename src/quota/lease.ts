/** The acceptor's side of the limits: admit a request against every layer at once, settle it at its end. */
import type { RateLimit } from "../config/resources.js";
import { type Failure, failure } from "../errors.js";
import type { QuotaTable } from "./table.js";
import { DIMENSIONS, secondsToWindowEnd, windowOf } from "./window.js";

/** When another request ends is not known; sooner than this cannot be said in `retry-after`. */
const CONCURRENCY_RETRY_SECONDS = 1;

/** One thing that is limited: whose limit, its counters and its bounds. */
export interface LimitLayer {
  /** For messages: "api key" or "model". */
  readonly label: string;
  readonly block: number;
  readonly limit: RateLimit;
}

/** What an admitted request holds until it is settled. */
export interface Lease {
  readonly layers: readonly LimitLayer[];
  readonly admittedAt: number;
  /** Tokens reserved in each layer, in the order of `layers`. */
  readonly reserved: readonly number[];
  /** Of each layer's block: when it has changed, the block belongs to somebody else. */
  readonly generations: readonly number[];
  /** Does it still count as a request in flight? */
  inFlight: boolean;
}

/**
 * Admits one request against all layers or against none. The clock is read under the lock: a thread that
 * waited for it with an older time would begin a window again that another has already left.
 * @param tokens what the request will probably use (prompt plus likely output)
 * @returns a lease, or the refusal that the tightest layer gives
 */
export function admitRequest(
  table: QuotaTable,
  layers: readonly LimitLayer[],
  tokens: number,
  clock: () => number = Date.now,
): Lease | Failure {
  table.lock();
  try {
    const nowMs = clock();
    const reserved: number[] = [];
    const generations: number[] = [];
    for (const layer of layers) {
      const room = roomFor(table, layer, nowMs);
      if (typeof room !== "number") return room;
      reserved.push(Math.min(tokens, room));
      generations.push(table.generation(layer.block));
    }
    for (let index = 0; index < layers.length; index += 1) {
      consume(table, layers[index] as LimitLayer, reserved[index] as number, nowMs);
    }
    return { layers, admittedAt: nowMs, reserved, generations, inFlight: true };
  } finally {
    table.unlock();
  }
}

/**
 * The client has gone: its place under the concurrency limits is free at once, though its tokens are still being
 * counted.
 */
export function releasePlace(table: QuotaTable, lease: Lease): void {
  table.lock();
  try {
    leavePlace(table, lease);
  } finally {
    table.unlock();
  }
}

function leavePlace(table: QuotaTable, lease: Lease): void {
  if (!lease.inFlight) return;
  lease.inFlight = false;
  for (let index = 0; index < lease.layers.length; index += 1) {
    const { block, limit } = lease.layers[index] as LimitLayer;
    if (limit.concurrency === undefined || table.generation(block) !== lease.generations[index]) continue;
    table.changeInFlight(block, -1);
  }
}

/**
 * Ends a lease: gives the concurrency back and replaces the reserved tokens by the true ones, in the
 * window the request was admitted in.
 */
export function settleLease(table: QuotaTable, lease: Lease, tokensUsed: number): void {
  table.lock();
  try {
    leavePlace(table, lease);
    for (let index = 0; index < lease.layers.length; index += 1) {
      const layer = lease.layers[index] as LimitLayer;
      if (table.generation(layer.block) !== lease.generations[index]) continue;
      const correction = tokensUsed - (lease.reserved[index] as number);
      if (correction === 0) continue;
      forEachLimit(layer, "tokens", (dimension, windowMs) => {
        table.correct(layer.block, dimension, windowOf(lease.admittedAt, windowMs), correction);
      });
    }
  } finally {
    table.unlock();
  }
}

/** Tokens this layer has left (Infinity without a token limit), or its refusal. */
function roomFor(table: QuotaTable, layer: LimitLayer, nowMs: number): number | Failure {
  const { limit, block } = layer;
  if (limit.concurrency !== undefined && table.inFlight(block) >= limit.concurrency) {
    return failure(
      "rate_limit_exceeded",
      `The ${layer.label}'s limit of ${limit.concurrency} concurrent requests is reached.`,
      null,
      CONCURRENCY_RETRY_SECONDS,
    );
  }
  let room = Number.POSITIVE_INFINITY;
  for (let dimension = 0; dimension < DIMENSIONS.length; dimension += 1) {
    const { field, unit, windowMs } = DIMENSIONS[dimension] as (typeof DIMENSIONS)[number];
    const bound = limit[field];
    if (bound === undefined) continue;
    const left = bound - table.used(block, dimension, windowOf(nowMs, windowMs));
    if (left <= 0) {
      const message = `The ${layer.label}'s limit of ${bound} ${unit} (${field}) is exhausted.`;
      return failure("rate_limit_exceeded", message, null, secondsToWindowEnd(nowMs, windowMs));
    }
    if (unit === "tokens") room = Math.min(room, left);
  }
  return room;
}

function consume(table: QuotaTable, layer: LimitLayer, tokens: number, nowMs: number): void {
  if (layer.limit.concurrency !== undefined) table.changeInFlight(layer.block, 1);
  forEachLimit(layer, "requests", (dimension, windowMs) =>
    table.add(layer.block, dimension, windowOf(nowMs, windowMs), 1),
  );
  forEachLimit(layer, "tokens", (dimension, windowMs) => {
    table.add(layer.block, dimension, windowOf(nowMs, windowMs), tokens);
  });
}

function forEachLimit(
  layer: LimitLayer,
  unit: "requests" | "tokens",
  visit: (dimension: number, windowMs: number) => void,
): void {
  for (let dimension = 0; dimension < DIMENSIONS.length; dimension += 1) {
    const row = DIMENSIONS[dimension] as (typeof DIMENSIONS)[number];
    if (row.unit === unit && layer.limit[row.field] !== undefined) visit(dimension, row.windowMs);
  }
}
