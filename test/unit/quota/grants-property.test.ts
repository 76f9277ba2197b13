/** However grants come and go, no node counts more than it was granted. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isFailure } from "../../../src/errors.js";
import { admitLayers, admitOrWant, type Lease, voidLease, WANTING } from "../../../src/quota/lease.js";
import { setUpFleet as setUp } from "./grants-setup.js";
import { keyLayer } from "./quota-setup.js";

describe("whatever is asked, granted, taken back and given up, in whatever order", () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("ask" as const), thread: fc.nat(1), waits: fc.boolean() }),
    fc.record({ kind: fc.constant("grant" as const), units: fc.nat(4), dry: fc.boolean(), ahead: fc.nat(1) }),
    fc.record({ kind: fc.constant("take back" as const), keep: fc.nat(3), ahead: fc.nat(1) }),
    fc.record({ kind: fc.constant("void" as const), which: fc.nat(20) }),
    fc.record({ kind: fc.constant("later" as const), ms: fc.integer({ min: -30, max: 400 }) }),
  );

  it("no window counts more requests than were granted for it and not taken back, nor more than its limit", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const setup = setUp();
        const layer = keyLayer({ rps: 6 });
        const granted = new Map<number, number>();
        const leases: Lease[] = [];
        const change = (window: number, by: number) => granted.set(window, (granted.get(window) ?? 0) + by);
        const windowNow = () => Math.floor(setup.clock.now / 1_000);
        for (const one of steps) {
          if (one.kind === "later") setup.clock.now += one.ms;
          else if (one.kind === "grant") {
            const dryUntil = one.dry ? setup.clock.now + 100 : 0;
            const window = windowNow() + one.ahead;
            change(window, setup.grants.grant("api_key:k", 0, window, { units: one.units, rest: 0, dryUntil }));
          } else if (one.kind === "take back") {
            const window = windowNow() + one.ahead;
            change(window, -setup.grants.takeBack("api_key:k", 0, window, one.keep));
          } else if (one.kind === "void") {
            const [lease] = leases.splice(one.which % Math.max(1, leases.length), 1);
            if (lease !== undefined) voidLease(setup.table, lease);
          } else {
            const table = one.thread === 0 ? setup.table : setup.other;
            const demand = { layers: [layer], money: [], tokens: 0, micros: 0 };
            const outcome = one.waits
              ? admitOrWant(table, demand, () => setup.clock.now)
              : admitLayers(table, [layer], 0, () => setup.clock.now);
            if (outcome !== WANTING && !isFailure(outcome)) leases.push(outcome);
          }
          for (const [window, units] of granted) {
            const held = setup.grants.holding("api_key:k", 0, window);
            if (held === null) continue;
            expect(held.granted).toBe(units);
            expect(held.used).toBeLessThanOrEqual(Math.max(0, Math.min(units, 6)));
          }
        }
      }),
      { numRuns: 400 },
    );
  });
});
