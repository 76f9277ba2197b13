/** A thread that asks for admission as fast as it can; see threads.test.ts. */
import { parentPort, workerData } from "node:worker_threads";
import { isFailure } from "../../../src/errors.js";
import { admitRequest, type Lease, settleLease, voidLease } from "../../../src/quota/lease.js";
import { type QuotaMemory, QuotaTable } from "../../../src/quota/table.js";
import { budget, groupLayer, keyLayer, NOON } from "./quota-setup.js";

export interface HammerTask {
  readonly memory: QuotaMemory;
  readonly row: number;
  /** Counts the threads that are ready; all begin at once. */
  readonly gate: SharedArrayBuffer;
  readonly threads: number;
}

/** What each thread asks. Three threads could not use up the limits, and four ask for more than there is. */
export const ASKS = 20_000;
export const LIMITS = { key: 65_000, group: 32_000, micros: 10_000_000 } as const;

export interface HammerCounts {
  readonly both: number;
  readonly group: number;
  readonly voided: number;
  readonly paid: number;
}

function hammer({ memory, row, gate, threads }: HammerTask): HammerCounts {
  const table = new QuotaTable(memory, row);
  const both = [keyLayer({ rpm: LIMITS.key, concurrency: 1_000_000 }), groupLayer({ rpm: LIMITS.group }, "group")];
  const key = [both[0] as (typeof both)[number]];
  const money = [budget(LIMITS.micros)];
  const counts = { both: 0, group: 0, voided: 0, paid: 0 };
  const ready = new Int32Array(gate);
  Atomics.add(ready, 0, 1);
  while (Atomics.load(ready, 0) < threads);
  for (let index = 0; index < ASKS; index += 1) {
    const withGroup = index % 2 === 0;
    const demand = { layers: withGroup ? both : key, money, tokens: 1, micros: 20 };
    const lease = admitRequest(table, demand, () => NOON);
    if (isFailure(lease)) continue;
    if (index % 7 === 0) {
      voidLease(table, lease);
      counts.voided += 1;
      continue;
    }
    counts.both += 1;
    if (withGroup) counts.group += 1;
    counts.paid += pay(table, lease);
  }
  return counts;
}

function pay(table: QuotaTable, lease: Lease): number {
  settleLease(table, lease, { tokens: 1, micros: 3 });
  return 3;
}

if (parentPort !== null) parentPort.postMessage(hammer(workerData as HammerTask));
