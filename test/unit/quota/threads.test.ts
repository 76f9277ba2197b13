import { Worker } from "node:worker_threads";
import { expect, it } from "vitest";
import { balanceOf } from "../../../src/quota/lease.js";
import { allocateQuotaMemory, QuotaTable } from "../../../src/quota/table.js";
import { type HammerCounts, type HammerTask, LIMITS } from "./hammer.js";
import { budget, dimensionOf, groupLayer, MINUTE, NOON } from "./quota-setup.js";

const THREADS = 4;

function run(task: HammerTask): Promise<HammerCounts> {
  return new Promise((done, fail) => {
    // A thread's entry cannot be TypeScript; what it imports can.
    const module = JSON.stringify(new URL("./hammer.ts", import.meta.url).href);
    const entry = `import("tsx/esm/api").then(({ register }) => { register(); return import(${module}); });`;
    const worker = new Worker(entry, { eval: true, workerData: task });
    worker.once("message", done);
    worker.once("error", fail);
  });
}

it("four threads at full speed are admitted as often as the limits say, and not once more", async () => {
  const memory = allocateQuotaMemory(8, THREADS, 64);
  const gate = new SharedArrayBuffer(4);
  const tasks = Array.from({ length: THREADS }, (_, row) => run({ memory, row, gate, threads: THREADS }));
  const counts = await Promise.all(tasks);
  const sum = (field: keyof HammerCounts) => counts.reduce((total, each) => total + each[field], 0);
  expect(sum("both")).toBe(LIMITS.key);
  expect(sum("group")).toBeLessThanOrEqual(LIMITS.group);
  expect(sum("voided")).toBeGreaterThan(0);
  const table = new QuotaTable(memory, 0);
  const group = table.locate(groupLayer({}, "group").place, NOON);
  const used = (block: number) => table.used(block, dimensionOf("rpm"), NOON / MINUTE);
  expect([used(0), used(group), table.inFlight(0)]).toEqual([LIMITS.key, sum("group"), 0]);
  expect(balanceOf(table, budget(LIMITS.micros), () => NOON)).toEqual({ spentMicros: sum("paid"), reservedMicros: 0 });
}, 60_000);
