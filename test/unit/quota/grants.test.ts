/** Limits that hold for a fleet: what a node may count is what it was granted. */
import { describe, expect, it, vi } from "vitest";
import type { RateLimit } from "../../../src/config/resources.js";
import { isFailure } from "../../../src/errors.js";
import { CONCURRENCY, type GrantTable } from "../../../src/quota/grants.js";
import { admitLayers, settleLease, WANTING } from "../../../src/quota/lease.js";
import { QuotaTable } from "../../../src/quota/table.js";
import { admit, leaseOf, NOW_WINDOW, RPM, setUpFleet as setUp, SOME_TIME } from "./grants-setup.js";
import { dimensionOf, fingerprint, groupLayer, keyLayer, MINUTE, NOON } from "./quota-setup.js";

const TPM = dimensionOf("tpm");

const give = (grants: GrantTable, units: number, more: { rest?: number; dryUntil?: number; window?: number } = {}) =>
  grants.grant("api_key:k", RPM, more.window ?? NOW_WINDOW, { units, rest: 0, dryUntil: 0, ...more });

const rpm = (limit: RateLimit = { rpm: 10 }) => keyLayer(limit);

describe("a request", () => {
  it("that finds nothing granted is wanting, counts nothing, and says what it is short of", () => {
    const setup = setUp();
    const before = fingerprint(setup.memory);
    expect(admit(setup, [rpm()])).toBe(WANTING);
    expect(fingerprint(setup.memory)).toBe(before);
    expect(setup.grants.take()).toEqual([
      {
        bucket: "api_key:k",
        dimension: RPM,
        window: NOW_WINDOW,
        amount: 10,
        want: 1,
        urgent: true,
        overdraft: 0,
        onPartition: "fair_share",
        granted: 0,
        used: 0,
      },
    ]);
    expect(setup.grants.take()).toEqual([]);
  });

  it("is admitted with what was granted and not beyond it, over all threads", () => {
    const setup = setUp();
    admit(setup, [rpm()]);
    expect(give(setup.grants, 2)).toBe(2);
    leaseOf(admit(setup, [rpm()]));
    leaseOf(admit({ ...setup, table: setup.other }, [rpm()]));
    expect(admit(setup, [rpm()])).toBe(WANTING);
    expect(setup.grants.holding("api_key:k", RPM, NOW_WINDOW)).toMatchObject({ granted: 2, used: 2 });
  });

  it("is refused as ever where the fleet has nothing left, and asks nobody until it may have", () => {
    const setup = setUp();
    give(setup.grants, 0, { dryUntil: SOME_TIME + 250 });
    const refused = admit(setup, [rpm()]);
    expect(refused).toMatchObject({ code: "rate_limit_exceeded", refusedBy: "key", retryAfterSeconds: 40 });
    expect(setup.grants.take()).toEqual([]);
    setup.clock.now += 250;
    expect(admit(setup, [rpm()])).toBe(WANTING);
    expect(setup.grants.take()).toHaveLength(1);
  });

  it("is refused without a word where the node itself has used the limit up", () => {
    const setup = setUp();
    give(setup.grants, 10);
    for (let count = 0; count < 10; count += 1) leaseOf(admit(setup, [rpm()]));
    setup.grants.take();
    expect(isFailure(admit(setup, [rpm()]))).toBe(true);
    expect(setup.grants.take()).toEqual([]);
  });

  it("wants nothing where another limit refuses it anyway", () => {
    const setup = setUp();
    setup.grants.grant("model:m", RPM, NOW_WINDOW, { units: 0, rest: 0, dryUntil: SOME_TIME + 1_000 });
    expect(isFailure(admit(setup, [rpm(), keyLayer({ rpm: 5 }, 1)]))).toBe(true);
    expect(setup.grants.take()).toEqual([]);
  });

  it("that cannot wait is refused, and leaves word once", () => {
    const setup = setUp();
    const now = () => setup.clock.now;
    for (let count = 0; count < 3; count += 1) expect(isFailure(admitLayers(setup.table, [rpm()], 1, now))).toBe(true);
    expect(setup.grants.take()).toMatchObject([{ want: 1, urgent: false }]);
  });

  it("has the sum of all that are short told in one want", () => {
    const setup = setUp();
    for (let count = 0; count < 5; count += 1) admit(setup, [rpm()]);
    expect(setup.grants.take()).toMatchObject([{ want: 5, urgent: true }]);
  });

  it("is told what is left in the fleet, and never more than the limit has", () => {
    const setup = setUp();
    give(setup.grants, 4, { rest: 5 });
    expect(leaseOf(admit(setup, [rpm()])).requests).toMatchObject({ limit: 10, remaining: 8 });
    give(setup.grants, 1, { rest: 5_000 });
    expect(leaseOf(admit(setup, [rpm()])).requests.remaining).toBe(8);
  });

  it("names groups by the same hash on every node, and policies with their own word on partitions", () => {
    const names = [setUp(), setUp()].map((setup) => {
      const layer = { ...groupLayer({ rpm: 3 }, "some group"), onPartition: "closed" as const };
      admit(setup, [layer]);
      const [want] = setup.grants.take();
      expect(want?.onPartition).toBe("closed");
      const bucket = want?.bucket ?? "";
      expect(setup.grants.grant(bucket, RPM, NOW_WINDOW, { units: 1, rest: 0, dryUntil: 0 })).toBe(1);
      leaseOf(admit(setup, [layer]));
      return bucket;
    });
    expect(names[0]).toMatch(/^#[0-9a-f]{32}$/);
    expect(names[1]).toBe(names[0]);
  });
});

describe("low water", () => {
  it("is told when less than half of the last grant is left, once until something comes", () => {
    const setup = setUp();
    give(setup.grants, 4);
    const layer = rpm({ rpm: 100 });
    const told = [1, 2, 3, 4].map(() => {
      leaseOf(admit(setup, [layer]));
      return setup.grants.take().map(({ urgent, granted, used }) => ({ urgent, granted, used }));
    });
    expect(told).toEqual([[], [], [{ urgent: false, granted: 4, used: 3 }], []]);
    give(setup.grants, 2);
    leaseOf(admit(setup, [layer]));
    leaseOf(admit(setup, [layer]));
    expect(setup.grants.take()).toHaveLength(1);
  });

  it("is told again where no answer comes within a second", () => {
    const setup = setUp();
    give(setup.grants, 6);
    const layer = rpm({ rpm: 100 });
    for (let count = 0; count < 4; count += 1) leaseOf(admit(setup, [layer]));
    expect(setup.grants.take()).toHaveLength(1);
    leaseOf(admit(setup, [layer]));
    expect(setup.grants.take()).toHaveLength(0);
    setup.clock.now += 1_000;
    leaseOf(admit(setup, [layer]));
    expect(setup.grants.take()).toHaveLength(1);
  });

  it("is not told where the whole limit is here, or nothing is to be had", () => {
    const setup = setUp();
    give(setup.grants, 10);
    for (let count = 0; count < 9; count += 1) leaseOf(admit(setup, [rpm()]));
    expect(setup.grants.take()).toEqual([]);
    const dry = setUp();
    give(dry.grants, 4, { dryUntil: SOME_TIME + 9_000 });
    for (let count = 0; count < 4; count += 1) leaseOf(admit(dry, [rpm()]));
    expect(dry.grants.take()).toEqual([]);
  });
});

describe("the next window", () => {
  it("is asked for ahead of its time, once, and its grant is there when it begins", () => {
    const setup = setUp();
    give(setup.grants, 8);
    const layer = rpm({ rpm: 100 });
    leaseOf(admit(setup, [layer]));
    expect(setup.grants.take()).toEqual([]);
    setup.clock.now = NOON + MINUTE - 900;
    leaseOf(admit(setup, [layer]));
    leaseOf(admit(setup, [layer]));
    const next = NOW_WINDOW + 1;
    expect(setup.grants.take()).toMatchObject([{ window: next, want: 0, urgent: false, granted: 0, used: 3 }]);
    expect(give(setup.grants, 3, { window: next })).toBe(3);
    expect(give(setup.grants, 1, { window: next })).toBe(1);
    expect([...setup.grants.active()].map(({ window, granted, used }) => [window, granted, used])).toEqual([
      [NOW_WINDOW, 8, 3],
      [next, 4, 0],
    ]);
    setup.clock.now = NOON + MINUTE;
    for (let count = 0; count < 4; count += 1) leaseOf(admit(setup, [layer]));
    expect(admit(setup, [layer])).toBe(WANTING);
    expect([...setup.grants.active()].map(({ window }) => window)).toEqual([next]);
  });

  it("begins with nothing of the one before", () => {
    const setup = setUp();
    give(setup.grants, 9);
    leaseOf(admit(setup, [rpm()]));
    setup.clock.now += MINUTE;
    expect(admit(setup, [rpm()])).toBe(WANTING);
    expect(give(setup.grants, 5)).toBe(0);
  });

  it("is not entered twice by a clock that is set back by a step", () => {
    const setup = setUp();
    setup.clock.now = NOON + MINUTE;
    admit(setup, [rpm()]);
    give(setup.grants, 1, { window: NOW_WINDOW + 1 });
    leaseOf(admit(setup, [rpm()]));
    setup.clock.now = NOON + MINUTE - 1;
    expect(admit(setup, [rpm()])).toBe(WANTING);
    setup.clock.now = NOON + MINUTE;
    expect(setup.grants.holding("api_key:k", RPM, NOW_WINDOW + 1)).toMatchObject({ granted: 1, used: 1 });
  });
});

describe("tokens", () => {
  const give = (grants: GrantTable, units: number, dryUntil = 0) =>
    grants.grant("api_key:k", TPM, NOW_WINDOW, { units, rest: 0, dryUntil });
  const layer = () => keyLayer({ tpm: 1_000 });

  it("are wanted as many as are missing, and never more than the limit has", () => {
    const setup = setUp();
    give(setup.grants, 40);
    expect(admit(setup, [layer()], 100)).toBe(WANTING);
    expect(setup.grants.take()).toMatchObject([{ want: 60 }]);
    expect(admit(setup, [layer()], 5_000)).toBe(WANTING);
    expect(setup.grants.take()).toMatchObject([{ want: 960 }]);
  });

  it("are reserved short where the fleet has no more, by one request at a time", () => {
    const setup = setUp();
    give(setup.grants, 40, SOME_TIME + 1_000);
    const lease = leaseOf(admit(setup, [layer()], 100));
    expect(lease.holdings[0]?.tokens).toBe(40);
    expect(admit(setup, [layer()], 100)).toMatchObject({ code: "rate_limit_exceeded" });
    settleLease(setup.table, lease, { tokens: 20, micros: 0 });
    leaseOf(admit(setup, [layer()], 100));
  });

  it("used beyond the grant are claimed after the fact, and counted as granted at once", () => {
    const setup = setUp();
    give(setup.grants, 40, SOME_TIME + 1_000);
    const lease = leaseOf(admit(setup, [layer()], 100));
    settleLease(setup.table, lease, { tokens: 130, micros: 0 });
    expect(setup.grants.take()).toMatchObject([{ overdraft: 90, want: 0, urgent: false, granted: 130, used: 130 }]);
    expect(setup.grants.takeBack("api_key:k", TPM, NOW_WINDOW, 0)).toBe(0);
    expect([...setup.grants.active()]).toMatchObject([{ granted: 130, used: 130 }]);
  });

  it("used in a window that is over are nobody's any more", () => {
    const setup = setUp();
    give(setup.grants, 40);
    const lease = leaseOf(admit(setup, [layer()], 10));
    setup.grants.take();
    setup.clock.now += MINUTE;
    admit(setup, [layer()], 10);
    setup.grants.take();
    settleLease(setup.table, lease, { tokens: 130, micros: 0 });
    expect(setup.grants.take()).toEqual([]);
  });
});

describe("a request of many windows", () => {
  it("takes nothing from the window in which it ends", () => {
    const setup = setUp();
    const layer = keyLayer({ tpm: 1_000 });
    setup.grants.grant("api_key:k", TPM, NOW_WINDOW, { units: 40, rest: 0, dryUntil: 0 });
    const long = leaseOf(admit(setup, [layer], 10));
    setup.clock.now += 3 * MINUTE;
    setup.grants.grant("api_key:k", TPM, NOW_WINDOW + 3, { units: 40, rest: 0, dryUntil: 0 });
    leaseOf(admit(setup, [layer], 10));
    settleLease(setup.table, long, { tokens: 130, micros: 0 });
    expect(setup.grants.holding("api_key:k", TPM, NOW_WINDOW + 3)).toMatchObject({ granted: 40, used: 10 });
    leaseOf(admit(setup, [layer], 10));
  });
});

describe("requests at once", () => {
  const layer = () => keyLayer({ concurrency: 5 });
  const give = (grants: GrantTable, units: number, dryUntil = 0) =>
    grants.grant("api_key:k", CONCURRENCY, 0, { units, rest: 0, dryUntil });

  it("are as many as were granted, and a place that is given back is here for the next", () => {
    const setup = setUp();
    expect(admit(setup, [layer()])).toBe(WANTING);
    expect(setup.grants.take()).toMatchObject([
      { dimension: CONCURRENCY, window: 0, amount: 5, want: 1, urgent: true },
    ]);
    give(setup.grants, 1);
    const lease = leaseOf(admit(setup, [layer()]));
    expect(admit(setup, [layer()])).toBe(WANTING);
    settleLease(setup.table, lease, { tokens: 0, micros: 0 });
    leaseOf(admit(setup, [layer()]));
  });

  it("of a limit that has been lowered are told, once a second, and given up even where they are in use", () => {
    const setup = setUp();
    setup.grants.grant("api_key:k", CONCURRENCY, 0, { units: 5, rest: 0, dryUntil: 0 });
    for (let count = 0; count < 2; count += 1) leaseOf(admit(setup, [keyLayer({ concurrency: 3 })]));
    expect(setup.grants.take()).toMatchObject([{ amount: 3, granted: 5, want: 0, urgent: false }]);
    expect(setup.grants.giveUp("api_key:k", CONCURRENCY, 0, 4)).toBe(4);
    expect(setup.grants.holding("api_key:k", CONCURRENCY, 0)).toMatchObject({ granted: 1, used: 2 });
    expect(setup.grants.takeBack("api_key:k", CONCURRENCY, 0, 0)).toBe(0);
    expect(admit(setup, [keyLayer({ concurrency: 3 })])).toBe(WANTING);
  });

  it("are refused while nothing is to be had, and given back but for those in flight", () => {
    const setup = setUp();
    give(setup.grants, 3, SOME_TIME + 50);
    leaseOf(admit(setup, [layer()]));
    expect(setup.grants.takeBack("api_key:k", CONCURRENCY, 0, 0)).toBe(2);
    expect(admit(setup, [layer()])).toMatchObject({ code: "rate_limit_exceeded", retryAfterSeconds: 1 });
    setup.clock.now += MINUTE;
    expect([...setup.grants.active()]).toMatchObject([{ dimension: CONCURRENCY, granted: 1, used: 1 }]);
  });
});

describe("the main thread", () => {
  it("takes back what is neither used nor kept, of the window under way and of the next", () => {
    const setup = setUp();
    give(setup.grants, 6);
    leaseOf(admit(setup, [rpm()]));
    expect(setup.grants.takeBack("api_key:k", RPM, NOW_WINDOW, 2)).toBe(3);
    expect(setup.grants.takeBack("api_key:k", RPM, NOW_WINDOW, 2)).toBe(0);
    give(setup.grants, 4, { window: NOW_WINDOW + 1 });
    expect(setup.grants.takeBack("api_key:k", RPM, NOW_WINDOW + 1, 0)).toBe(4);
    expect(setup.grants.takeBack("api_key:k", RPM, NOW_WINDOW + 2, 0)).toBe(0);
    expect(setup.grants.takeBack("api_key:gone", RPM, NOW_WINDOW, 0)).toBe(0);
  });

  it("hears nothing of a block's last owner, and the next one has nothing of what was granted to it", () => {
    const setup = setUp();
    give(setup.grants, 6);
    leaseOf(admit(setup, [rpm()]));
    for (let count = 0; count < 6; count += 1) admit(setup, [rpm()]);
    setup.main.clearBlock(0);
    setup.grants.adopt({ "api_key:new": 0 });
    expect(setup.grants.take()).toEqual([]);
    expect(give(setup.grants, 3)).toBe(0);
    expect([...setup.grants.active()]).toEqual([]);
    expect(admit(setup, [rpm()])).toBe(WANTING);
    expect(setup.grants.take()).toMatchObject([{ bucket: "api_key:new", granted: 0, used: 0 }]);
  });

  it("loses what finds no room on the ring, and nothing else", () => {
    const setup = setUp();
    for (let count = 0; count < 20_000; count += 1) admit(setup, [rpm()]);
    expect(setup.grants.take()).toMatchObject([{ want: 16_384 }]);
    expect(setup.table.grants?.dropped).toBe(3_616);
    expect(admit(setup, [rpm()])).toBe(WANTING);
    expect(setup.grants.take()).toMatchObject([{ want: 1 }]);
  });

  it("wakes who waits once for all grants of a turn, also where nothing was granted", async () => {
    const wake = vi.fn();
    const { grants } = setUp(wake);
    give(grants, 1);
    give(grants, 0, { dryUntil: SOME_TIME + 100 });
    expect(wake).not.toHaveBeenCalled();
    await Promise.resolve();
    expect(wake).toHaveBeenCalledTimes(1);
  });

  it("gives the places of a thread that died back to the others", () => {
    const setup = setUp();
    setup.grants.grant("api_key:k", CONCURRENCY, 0, { units: 1, rest: 0, dryUntil: 0 });
    leaseOf(admit(setup, [keyLayer({ concurrency: 3 })]));
    setup.table.grants?.changeWaiting(1);
    expect(setup.grants.waits(0)).toBe(true);
    new QuotaTable(setup.memory, 0).bury();
    expect(setup.grants.waits(0)).toBe(false);
    leaseOf(admit({ ...setup, table: setup.other }, [keyLayer({ concurrency: 3 })]));
  });
});
