/** Requests that wait for what the fleet may yet grant. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { GrantTable } from "../../../src/quota/grants.js";
import { admitOrWant, WANTING } from "../../../src/quota/lease.js";
import { allocateQuotaMemory, QuotaTable } from "../../../src/quota/table.js";
import { LONGEST_WAIT_MS, Waiting } from "../../../src/quota/waiting.js";
import { dimensionOf, keyLayer, MINUTE, NOON } from "./quota-setup.js";

const RPM = dimensionOf("rpm");
const NOW = NOON + 20_000;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function setUp() {
  const memory = allocateQuotaMemory(8, 3, 64, true);
  const table = new QuotaTable(memory, 0);
  if (table.grants === null) throw new Error("no memory for grants");
  const tell = vi.fn(() => true);
  const waiting = new Waiting(table.grants, tell);
  const grants = new GrantTable({
    table: new QuotaTable(memory, 3),
    onPartition: "fair_share",
    wake: () => {
      if (grants.waits(0)) waiting.wake();
    },
    clock: () => NOW,
  });
  grants.adopt({ "api_key:k": 0 });
  const layer = keyLayer({ rpm: 10 });
  /** What became of each request, in order. */
  const ended: string[] = [];
  const look = (name: string) => (lastTry: boolean) => {
    const outcome = lastTry
      ? "too late"
      : admitOrWant(table, { layers: [layer], money: [], tokens: 0, micros: 0 }, () => NOW);
    if (outcome === WANTING) return false;
    ended.push(`${name} ${typeof outcome === "string" ? outcome : "code" in outcome ? "refused" : "admitted"}`);
    return true;
  };
  const wait = (name: string, ms = 10_000) => {
    if (look(name)(false)) throw new Error("does not have to wait");
    return waiting.begin(look(name), ms);
  };
  const give = (units: number, dryUntil = 0) => {
    grants.grant("api_key:k", RPM, NOON / MINUTE, { units, rest: 0, dryUntil });
  };
  return { table, waiting, grants, tell, ended, wait, give };
}

test("are admitted in their order as units come, and none beyond them", async () => {
  const { ended, wait, give, waiting, grants } = setUp();
  for (const name of ["a", "b", "c"]) wait(name);
  give(2);
  expect(ended).toEqual([]);
  await vi.advanceTimersByTimeAsync(0);
  expect(ended).toEqual(["a admitted", "b admitted"]);
  expect([waiting.size, grants.waits(0)]).toEqual([1, true]);
  give(1);
  await vi.advanceTimersByTimeAsync(0);
  expect(ended[2]).toBe("c admitted");
  expect([waiting.size, grants.waits(0)]).toEqual([0, false]);
});

test("are refused at once where nothing is to be had", async () => {
  const { ended, wait, give } = setUp();
  wait("a");
  give(0, NOW + 250);
  await vi.advanceTimersByTimeAsync(0);
  expect(ended).toEqual(["a refused"]);
});

test("look for the last time when their time is over, or that of waiting", async () => {
  const { ended, wait, waiting } = setUp();
  wait("short", 40);
  wait("long");
  await vi.advanceTimersByTimeAsync(39);
  expect(ended).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(ended).toEqual(["short too late"]);
  await vi.advanceTimersByTimeAsync(LONGEST_WAIT_MS - 40);
  expect(ended).toEqual(["short too late", "long too late"]);
  expect(waiting.size).toBe(0);
});

test("take nothing once they have been called off", async () => {
  const { ended, wait, give, grants } = setUp();
  const stop = wait("gone");
  wait("there");
  stop();
  stop();
  give(1);
  await vi.advanceTimersByTimeAsync(0);
  expect(ended).toEqual(["there admitted"]);
  await vi.advanceTimersByTimeAsync(LONGEST_WAIT_MS);
  expect(ended).toHaveLength(1);
  expect(grants.waits(0)).toBe(false);
});

test("find what came between their admission and their waiting", async () => {
  const { table, waiting, give, ended } = setUp();
  const layer = keyLayer({ rpm: 10 });
  const ask = () => admitOrWant(table, { layers: [layer], money: [], tokens: 0, micros: 0 }, () => NOW);
  expect(ask()).toBe(WANTING);
  give(1);
  // The main thread has found nobody waiting.
  await Promise.resolve();
  waiting.begin(() => {
    if (ask() === WANTING) return false;
    ended.push("admitted");
    return true;
  }, 1_000);
  await vi.advanceTimersByTimeAsync(1);
  expect(ended).toEqual(["admitted"]);
});

test("ring once until the main thread has heard, and again where it could not be told", () => {
  const { wait, tell, grants } = setUp();
  tell.mockReturnValueOnce(false);
  wait("a");
  wait("b");
  wait("c");
  expect(tell).toHaveBeenCalledTimes(2);
  grants.take();
  wait("d");
  expect(tell).toHaveBeenCalledTimes(3);
});

test("are no more than 1,024 on a thread", () => {
  const { wait, waiting } = setUp();
  for (let count = 0; count < 1_023; count += 1) wait(`${count}`);
  expect(waiting.full).toBe(false);
  const stop = wait("last");
  expect(waiting.full).toBe(true);
  stop();
  expect(waiting.full).toBe(false);
});
