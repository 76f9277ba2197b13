/** Limits over a fleet: a simulation with a clock and a network of its own. */
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { windowOf } from "../../../src/quota/window.js";
import type { OnPartition } from "../../../src/config/traffic.js";
import { packMessage } from "../../../src/cluster/quota-messages.js";
import { QuotaView } from "../../../src/cluster/quota-view.js";
import { Fleet, FleetNode, NAMES } from "./quota-fleet.js";

const RPM = 1;
const MINUTE = 60_000;
const START = Date.UTC(2026, 0, 1);
let fleet: Fleet;

function limitOf(amount: number, bucket = "api_key:a", onPartition: OnPartition = "fair_share") {
  return { bucket, dimension: RPM, amount, onPartition };
}

async function pass(milliseconds: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(milliseconds);
}

/** Requests at this node, so many a second, until the end of the fleet. */
function offer(node: FleetNode, perSecond: number, limit = limitOf(600)): { admitted: number; refused: number } {
  const found = { admitted: 0, refused: 0 };
  setInterval(() => {
    if (!node.alive) return;
    void node.memory.admit(limit).then((admitted) => {
      if (admitted) found.admitted += 1;
      else found.refused += 1;
    });
  }, 1_000 / perSecond);
  return found;
}

function perWindow(): number[] {
  return [...fleet.spent()].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, units]) => units);
}

/** A bucket that this node owns. */
function bucketOf(owner: FleetNode, nodes: readonly FleetNode[]): string {
  const view = new QuotaView({ self: owner.instance, membership: owner.membership, clock: () => performance.now() });
  const live = nodes.map(({ instance }) => instance);
  for (let at = 0; ; at += 1) if (view.ownerAmong(live, `api_key:${at}`) === owner.instance) return `api_key:${at}`;
}

beforeEach(() => {
  vi.useFakeTimers({ now: START });
  fleet = new Fleet({ delay: () => 1, isLost: () => false });
});

afterEach(() => {
  fleet.stop();
  vi.useRealTimers();
});

describe("limits of a fleet", () => {
  it("600 a minute is 600 a minute, over three uneven nodes, for a few messages", async () => {
    const nodes = [fleet.join(), fleet.join(), fleet.join()];
    await pass(1_000);
    for (const [at, perSecond] of [20, 7, 3].entries()) offer(nodes[at] as FleetNode, perSecond);
    const before = fleet.network.messages;
    await pass(3 * MINUTE - 1_000);
    for (const units of perWindow()) expect(units).toBeGreaterThanOrEqual(594);
    for (const units of perWindow()) expect(units).toBeLessThanOrEqual(600);
    expect((fleet.network.messages - before) / 179 / 3).toBeLessThan(15);
  });

  it("a thousand keys cost no more messages than one", async () => {
    const nodes = [fleet.join(), fleet.join(), fleet.join()];
    await pass(1_000);
    let at = 0;
    setInterval(() => {
      at += 1;
      void (nodes[at % 3] as FleetNode).memory.admit(limitOf(60, `api_key:${at % 1_000}`));
    }, 2);
    const before = fleet.network.messages;
    await pass(20_000);
    expect((fleet.network.messages - before) / 20 / 3).toBeLessThan(100);
    expect([...fleet.spent().values()].reduce((sum, units) => sum + units, 0)).toBeGreaterThan(9_900);
  });

  it("many new keys on one of many nodes wait for no turn so long that they are refused", async () => {
    const nodes = Array.from({ length: 10 }, () => fleet.join());
    await pass(1_000);
    const { memory } = nodes[0] as FleetNode;
    let refused = 0;
    const before = fleet.network.messages;
    for (let at = 0; at < 500; at += 1) {
      void memory.admit(limitOf(600, `api_key:${at}`)).then((admitted) => {
        if (!admitted) refused += 1;
      });
      await pass(10);
    }
    await pass(1_000);
    expect(refused).toBe(0);
    expect((fleet.network.messages - before) / 6 / nodes.length).toBeLessThan(50);
  });

  it("requests below the limit wait for nothing but the first grant", async () => {
    const nodes = [fleet.join(), fleet.join(), fleet.join()];
    await pass(1_000);
    const found = nodes.map((node) => offer(node, 50, limitOf(100_000)));
    await pass(2 * MINUTE);
    for (const { admitted, refused } of found) {
      expect(refused).toBe(0);
      expect(admitted).toBeGreaterThan(5_990);
    }
  });

  it("sixty of sixty are admitted, whoever asks in whatever order", async () => {
    const nodes = [fleet.join(), fleet.join(), fleet.join()];
    await pass(1_000);
    let admitted = 0;
    for (let call = 0; call < 200; call += 1) {
      const asked = (nodes[call % 3] as FleetNode).memory.admit(limitOf(60));
      await pass(30);
      if (await asked) admitted += 1;
    }
    expect(admitted).toBe(60);
  });

  it("what an idle node holds is called back", async () => {
    const [first, second] = [fleet.join(), fleet.join()];
    await pass(1_000);
    offer(first, 20, limitOf(100));
    await pass(500);
    first.alive = false;
    offer(second, 20, limitOf(100));
    await pass(10_000);
    expect(perWindow()).toEqual([100]);
  });

  it("a node that joins takes its buckets over, and no limit is exceeded", async () => {
    const nodes = [fleet.join(), fleet.join()];
    await pass(1_000);
    const limits = Array.from({ length: 12 }, (_, at) => limitOf(120, `model:${at}`));
    for (const node of nodes) for (const limit of limits) offer(node, 3, limit);
    await pass(10_000);
    const third = fleet.join();
    for (const limit of limits) offer(third, 3, limit);
    await pass(MINUTE + 49_000 - 1_000);
    expect(perWindow()).toHaveLength(24);
    for (const units of perWindow()) expect(units).toBeGreaterThanOrEqual(119);
    for (const units of perWindow()) expect(units).toBeLessThanOrEqual(120);
    expect(third.sync.status.granted).toBeGreaterThan(0);
  });

  it("a node that leaves gives back, and requests below the limit do not notice", async () => {
    const nodes = [fleet.join(), fleet.join(), fleet.join()];
    await pass(1_000);
    const limits = Array.from({ length: 6 }, (_, at) => limitOf(6_000, `model:${at}`));
    const found = nodes.flatMap((node) => limits.map((limit) => offer(node, 5, limit)));
    await pass(10_000);
    (nodes[0] as FleetNode).leave();
    await pass(10_000);
    for (const { refused } of found) expect(refused).toBe(0);
    const left = Array.from({ length: 2 }, (_, at) => nodes[at + 1] as FleetNode);
    for (const node of left) expect(node.sync.status.granting).toBe(true);
  });

  it.each([0, 1, 2])(
    "a node is killed (%i of three): not one percent more, and all of the next window",
    async (which) => {
      const nodes = [fleet.join(), fleet.join(), fleet.join()];
      await pass(1_000);
      for (const node of nodes) offer(node, 10);
      await pass(5_000);
      (nodes[which] as FleetNode).kill();
      await pass(2 * MINUTE - 6_000);
      const [fault, after] = perWindow();
      expect(fault).toBeLessThanOrEqual(606);
      expect(fault).toBeGreaterThan(540);
      expect(after).toBeGreaterThanOrEqual(594);
      expect(after).toBeLessThanOrEqual(600);
    },
  );

  it.each([0, 1, 2])("a node's server is killed for a second (%i of three): not one percent more", async (which) => {
    const nodes = [fleet.join(), fleet.join(), fleet.join()];
    await pass(1_000);
    for (const node of nodes) offer(node, 10);
    for (const at of [5_000, 16_000, 58_500]) {
      await pass(at - (Date.now() % MINUTE));
      (nodes[which] as FleetNode).connection.lose();
      await pass(1_000);
      (nodes[which] as FleetNode).connection.connect();
    }
    await pass(2 * MINUTE - (Date.now() % (2 * MINUTE)));
    for (const units of perWindow()) expect(units).toBeLessThanOrEqual(606);
    for (const units of perWindow()) expect(units).toBeGreaterThanOrEqual(540);
  });

  it("without NATS each has its share, and none counts twice when it is back", async () => {
    const nodes = [fleet.join(), fleet.join(), fleet.join()];
    await pass(1_000);
    for (const node of nodes) offer(node, 10);
    await pass(6_000);
    for (const { connection } of nodes) connection.lose();
    await pass(MINUTE);
    for (const { connection } of nodes) connection.connect();
    await pass(2 * MINUTE - 7_000);
    const [first, second, third] = perWindow();
    for (const units of [first, second, third]) {
      expect(units).toBeLessThanOrEqual(606);
      expect(units).toBeGreaterThanOrEqual(590);
    }
  });

  it("a node that hears nobody, not even itself, grants nothing, and has a share in the end", async () => {
    const nodes = [fleet.join(), fleet.join(), fleet.join()];
    await pass(1_000);
    const cut = nodes[0] as FleetNode;
    cut.connection.deaf = true;
    await pass(5_000);
    expect(cut.membership.members).toHaveLength(1);
    expect(cut.sync.status.granting).toBe(false);
    const found = offer(cut, 20, limitOf(30));
    await pass(3_000);
    expect(found.admitted).toBeLessThanOrEqual(1);
    cut.connection.lose();
    await pass(6_000);
    expect(found.admitted).toBe(10);
  });

  it("open gives a node that is cut off the whole limit, closed nothing", async () => {
    const nodes = [fleet.join(), fleet.join()];
    await pass(1_000);
    for (const { connection } of nodes) connection.lose();
    const open = nodes.map((node) => offer(node, 20, limitOf(10, "policy:open", "open")));
    const closed = nodes.map((node) => offer(node, 20, limitOf(10, "policy:closed", "closed")));
    await pass(2_000);
    expect(open.map(({ admitted }) => admitted)).toEqual([10, 10]);
    expect(closed.map(({ admitted }) => admitted)).toEqual([0, 0]);
  });

  it("a node that starts without NATS serves its limits", async () => {
    const alone = new FleetNode(fleet.network, "alone");
    fleet.nodes.push(alone);
    const found = offer(alone, 10, limitOf(100));
    await pass(30_000);
    expect(found.admitted).toBe(100);
  });

  it("an owner that stood still grants nothing from what it knew before", async () => {
    const nodes = [fleet.join(), fleet.join()];
    await pass(1_000);
    const [first] = nodes as [FleetNode];
    const bucket = bucketOf(first, nodes);
    await pass(20 - (performance.now() % 20));
    first.stoodStill = 10_000;
    const entry = { bucket, dimension: RPM, window: windowOf(Date.now(), MINUTE), limit: 60, rows: [] };
    const asks = [{ entry, need: 1, want: 10 }];
    const ask = packMessage({ kind: "ask", from: "node-2", asks, insteadOf: [] });
    void (nodes[1] as FleetNode).connection.request(`${NAMES.quotaOf}.${first.instance}`, ask, 1_000);
    await pass(2);
    expect(first.sync.status).toMatchObject({ granted: 0, granting: false });
    await pass(1_000);
    expect(first.sync.status).toMatchObject({ granted: 10, granting: true });
  });

  it("tokens used beyond what was granted are the fleet's", async () => {
    const nodes = [fleet.join(), fleet.join(), fleet.join()];
    const limit = { ...limitOf(60_000), dimension: 5 };
    await pass(1_000);
    for (const node of nodes) {
      setInterval(() => {
        void node.memory.admit(limit, 100).then((admitted) => admitted && node.memory.overdraw(limit, 50));
      }, 100);
    }
    await pass(MINUTE - 1_000);
    const [units] = perWindow();
    expect(units).toBeGreaterThanOrEqual(59_400);
    expect(units).toBeLessThanOrEqual(60_000 + 3 * 150);
  });
});

describe("limits of a fleet, whatever happens", () => {
  it("no window is exceeded by more than its faults explain", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            after: fc.integer({ min: 100, max: 8_000 }),
            what: fc.constantFrom("join", "kill", "leave", "cut", "cut"),
            whom: fc.nat({ max: 7 }),
            lasts: fc.integer({ min: 100, max: 2_000 }),
          }),
          { minLength: 1, maxLength: 6 },
        ),
        fc.integer({ min: 0, max: 30 }),
        fc.constantFrom(0, 0.01),
        async (faults, slowness, loss) => {
          vi.setSystemTime(START);
          const random = mulberry(slowness + 1);
          fleet = new Fleet({ delay: () => 0.2 + random() * slowness, isLost: () => random() < loss });
          for (let count = 0; count < 3; count += 1) fleet.join();
          await pass(1_000);
          for (const node of fleet.nodes) offer(node, 10);
          for (const { after, what, whom, lasts } of faults) {
            await pass(after);
            const living = fleet.nodes.filter(({ alive }) => alive);
            const node = living[whom % living.length] as FleetNode;
            if (what === "join" && living.length < 5) offer(fleet.join(), 10);
            else if (living.length < 2) continue;
            else if (what === "kill") node.kill();
            else if (what === "leave") node.leave();
            else if (what === "cut") {
              node.connection.lose();
              setTimeout(() => node.alive && node.connection.connect(), lasts);
            }
          }
          await pass(MINUTE);
          const most = Math.max(...perWindow());
          fleet.stop();
          vi.clearAllTimers();
          expect(most).toBeLessThanOrEqual(606);
        },
      ),
      { numRuns: 8, seed: 7 },
    );
  }, 120_000);
});

function mulberry(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
