/** What the tests of a fleet's limits build on: a node with two threads and a main thread that grants. */
import { type Failure, isFailure } from "../../../src/errors.js";
import { GrantTable } from "../../../src/quota/grants.js";
import type { LimitLayer } from "../../../src/quota/layers.js";
import { admitOrWant, type Lease, WANTING, type Wanting } from "../../../src/quota/lease.js";
import { allocateQuotaMemory, QuotaTable } from "../../../src/quota/table.js";
import { dimensionOf, MINUTE, NOON } from "./quota-setup.js";

export const RPM = dimensionOf("rpm");
export const NOW_WINDOW = NOON / MINUTE;
/** Neither near the window's beginning nor its end. */
export const SOME_TIME = NOON + 20_000;

export function setUpFleet(wake: () => void = () => {}) {
  const memory = allocateQuotaMemory(8, 3, 64, true);
  const clock = { now: SOME_TIME };
  const main = new QuotaTable(memory, 3);
  const grants = new GrantTable({ table: main, onPartition: "fair_share", wake, clock: () => clock.now });
  grants.adopt({ "api_key:k": 0, "model:m": 1, "policy:p1": 7 });
  return { memory, clock, main, grants, table: new QuotaTable(memory, 0), other: new QuotaTable(memory, 1) };
}

export type Fleet = ReturnType<typeof setUpFleet>;

export function admit({ table, clock }: Fleet, layers: readonly LimitLayer[], tokens = 1): Lease | Failure | Wanting {
  return admitOrWant(table, { layers, money: [], tokens, micros: 0 }, () => clock.now);
}

export function leaseOf(admitted: Lease | Failure | Wanting): Lease {
  if (admitted === WANTING || isFailure(admitted)) throw new Error("not admitted");
  return admitted;
}
