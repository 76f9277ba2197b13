/** Limits of requests at once over a fleet: a simulation with a clock and a network of its own. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { OnPartition } from "../../../src/config/traffic.js";
import { CONCURRENCY } from "../../../src/quota/grants.js";
import { Fleet, type FleetNode } from "./quota-fleet.js";

const START = Date.UTC(2026, 0, 1);
let fleet: Fleet;

async function pass(milliseconds: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(milliseconds);
}

interface Places {
  readonly bucket: string;
  readonly dimension: number;
  readonly amount: number;
  readonly onPartition: OnPartition;
}

function inFlight(nodes: readonly FleetNode[], { bucket }: Places): number {
  return nodes.reduce((sum, { memory }) => sum + memory.used(bucket, CONCURRENCY), 0);
}

/** As many requests at once as each node lets in, and no more than `most`. */
async function fill(nodes: readonly FleetNode[], limit: Places, most = 20): Promise<void> {
  const asked = nodes.flatMap(({ memory }) => Array.from({ length: most }, () => memory.admit(limit)));
  await pass(400);
  await Promise.all(asked);
}

/** For some seconds requests end, one on each node at a time, and others take their places as soon as they may. */
async function turnOver(nodes: readonly FleetNode[], limit: Places): Promise<void> {
  for (let time = 0; time < 40; time += 1) {
    for (const { memory } of nodes) {
      if (memory.used(limit.bucket, CONCURRENCY) > 0) memory.release(limit);
      for (let count = 0; count < 3; count += 1) void memory.admit(limit);
    }
    await pass(300);
  }
  await pass(1_000);
}

beforeEach(() => {
  vi.useFakeTimers({ now: START });
  fleet = new Fleet({ delay: () => 1, isLost: () => false });
});

afterEach(() => {
  fleet.stop();
  vi.useRealTimers();
});

describe("places", () => {
  it("requests at once are so many in the fleet, wherever they are", async () => {
    const nodes = [fleet.join(), fleet.join(), fleet.join()];
    const limit = { bucket: "api_key:a", dimension: CONCURRENCY, amount: 6, onPartition: "fair_share" as const };
    await pass(1_000);
    const all = async (node: FleetNode, count: number): Promise<number> => {
      const asked = Array.from({ length: count }, () => node.memory.admit(limit));
      await pass(400);
      return (await Promise.all(asked)).filter(Boolean).length;
    };
    const [first, second, third] = nodes as [FleetNode, FleetNode, FleetNode];
    expect(await all(first, 4)).toBe(4);
    expect(await all(second, 4)).toBe(2);
    expect(await all(third, 4)).toBe(0);
    first.memory.release(limit, 4);
    await pass(400);
    expect(await all(third, 9)).toBe(4);
    third.kill();
    await pass(5_000);
    expect(await all(first, 9)).toBe(4);
  });

  it("more requests at once than the limit has are no more than that when they have ended", async () => {
    const nodes = [fleet.join(), fleet.join()];
    const limit = { bucket: "api_key:a", dimension: CONCURRENCY, amount: 10, onPartition: "fair_share" as const };
    await pass(1_000);
    const [first, second] = nodes as [FleetNode, FleetNode];
    await fill(nodes, limit);
    first.memory.release(limit, first.memory.used(limit.bucket, CONCURRENCY) - 5);
    await fill([second], limit);
    first.connection.lose();
    await pass(6_000);
    await fill([second], limit);
    expect(second.memory.used(limit.bucket, CONCURRENCY)).toBe(10);
    first.connection.connect();
    await turnOver(nodes, limit);
    expect(inFlight(nodes, limit)).toBe(10);
  });

  it("a limit of requests at once that is lowered is the fleet's when those under way have ended", async () => {
    const nodes = [fleet.join(), fleet.join(), fleet.join()];
    const before = { bucket: "api_key:a", dimension: CONCURRENCY, amount: 15, onPartition: "fair_share" as const };
    await pass(1_000);
    await Promise.all([...nodes.map((node) => fill([node], before, 5)), pass(400)]);
    expect(inFlight(nodes, before)).toBe(15);
    for (const amount of [6, 3]) {
      const after = { ...before, amount };
      await turnOver(nodes, after);
      expect(inFlight(nodes, after)).toBe(amount);
    }
  });
});
