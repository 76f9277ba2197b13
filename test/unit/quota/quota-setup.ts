/** What the tests of limits build on: a table with a few threads, layers, and a moment. */
import { createHash } from "node:crypto";
import type { RateLimit } from "../../../src/config/resources.js";
import { Place } from "../../../src/quota/groups.js";
import { layerAt, layerTemplate, type LimitLayer } from "../../../src/quota/layers.js";
import type { MoneyLayer } from "../../../src/quota/money.js";
import { allocateQuotaMemory, QuotaTable } from "../../../src/quota/table.js";
import { DIMENSIONS } from "../../../src/quota/window.js";

export const MINUTE = 60_000;
export const DAY = 86_400_000;
/** At the beginning of a minute and of an hour. */
export const NOON = 20_000 * DAY + DAY / 2;

/** Where a window's counter stands in a block. */
export const dimensionOf = (field: string): number => DIMENSIONS.findIndex((row) => row.field === field);

export function setUpTables(named = 8, hashed = 64) {
  const memory = allocateQuotaMemory(named, 3, hashed);
  return { memory, table: new QuotaTable(memory, 0), other: new QuotaTable(memory, 1) };
}

/** A key's limit, counted in this block. */
export function keyLayer(limit: RateLimit, block = 0): LimitLayer {
  return layerAt(layerTemplate("key", "API key", limit), Place.named(block));
}

/** One group of a policy whose own block is `overflow`. */
export function groupLayer(limit: RateLimit, name: string, overflow = 7): LimitLayer {
  return layerAt(layerTemplate("policy", 'policy "P"', limit, { id: "p1", name: "P" }), Place.hashed(name, overflow));
}

/** A budget by the day, in UTC. */
export function budget(limitMicros: number, more: Partial<MoneyLayer> = {}): MoneyLayer {
  return {
    label: 'budget "B"',
    name: "B",
    scope: "key",
    owner: "",
    place: Place.named(6),
    limitMicros,
    action: "block",
    warnAt: [],
    periodAt: (nowMs) => ({ id: Math.floor(nowMs / DAY), endsAt: (Math.floor(nowMs / DAY) + 1) * DAY }),
    ...more,
  };
}

/** What all counters hold, as one word to compare. */
export function fingerprint(memory: ReturnType<typeof allocateQuotaMemory>): string {
  const hash = createHash("sha256");
  // Not the directory: a refusal may look a group up, which gives it a block.
  for (const part of [memory.counters, memory.inFlight, memory.held]) hash.update(new Uint8Array(part));
  return hash.digest("hex");
}
