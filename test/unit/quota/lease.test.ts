import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Failure, isFailure } from "../../../src/errors.js";
import type { LimitLayer } from "../../../src/quota/layers.js";
import {
  admitLayers,
  admitRequest,
  type Lease,
  releasePlace,
  settleLease,
  voidLease,
} from "../../../src/quota/lease.js";
import { soonest } from "../../../src/quota/refusal.js";
import { QuotaTable } from "../../../src/quota/table.js";
import {
  budget,
  DAY,
  dimensionOf,
  fingerprint,
  groupLayer,
  keyLayer,
  MINUTE,
  NOON,
  setUpTables,
} from "./quota-setup.js";

const TPM = dimensionOf("tpm");

const admits = (table: QuotaTable, layer: LimitLayer, now: number, tokens = 1): boolean =>
  !isFailure(admitLayers(table, [layer], tokens, () => now));

function leaseOf(admitted: Lease | Failure): Lease {
  if (isFailure(admitted)) throw new Error(`refused: ${admitted.message}`);
  return admitted;
}

function refusalOf(admitted: Lease | Failure): Failure {
  if (!isFailure(admitted)) throw new Error("admitted");
  return admitted;
}

describe("a window", () => {
  it("admits its number and no more, and the next one the same again", () => {
    const { table } = setUpTables();
    const layer = keyLayer({ rpm: 3 });
    const verdicts = [0, 1, 2, 3].map((at) => admits(table, layer, NOON + at));
    expect(verdicts).toEqual([true, true, true, false]);
    expect(admits(table, layer, NOON + MINUTE)).toBe(true);
  });

  it("is not begun again by a thread whose clock was read a moment before it began", () => {
    const { table, other } = setUpTables();
    const layer = keyLayer({ rpm: 2 });
    expect([admits(table, layer, NOON), admits(table, layer, NOON)]).toEqual([true, true]);
    expect(admits(other, layer, NOON - 1)).toBe(false);
    expect(admits(table, layer, NOON)).toBe(false);
  });

  it("starts anew when the clock is set back by more than that: its count lies in a future that never was", () => {
    const { table } = setUpTables();
    const layer = keyLayer({ rpm: 1 });
    expect(admits(table, layer, NOON + 60 * MINUTE)).toBe(true);
    expect(admits(table, layer, NOON)).toBe(true);
    expect(admits(table, layer, NOON)).toBe(false);
  });

  it("reads the clock when the lock is held, not before", () => {
    const { memory, table } = setUpTables();
    const lock = new Int32Array(memory.counters, 0, 1);
    let held = false;
    admitLayers(table, [keyLayer({ rpm: 1 })], 1, () => {
      held = Atomics.load(lock, 0) !== 0;
      return NOON;
    });
    expect([held, Atomics.load(lock, 0)]).toEqual([true, 0]);
  });

  it("never admits more than its number, whatever small steps the threads' clocks make", () => {
    const asked = fc.array(fc.record({ thread: fc.nat(1), step: fc.integer({ min: -50, max: 50 }) }), {
      maxLength: 60,
    });
    fc.assert(
      fc.property(asked, (requests) => {
        const { table, other } = setUpTables();
        const layer = keyLayer({ rpm: 5 });
        let admitted = 0;
        for (const { thread, step } of requests)
          if (admits(thread === 0 ? table : other, layer, NOON + step)) admitted += 1;
        // All lie around the beginning of one minute: two windows are concerned, each once.
        expect(admitted).toBeLessThanOrEqual(10);
      }),
    );
  });
});

describe("a refusal", () => {
  it("names the limit that takes longest to pass, whoever is asked first", () => {
    const { table } = setUpTables();
    const layers = [keyLayer({ rps: 1, rpd: 1 }), keyLayer({ rph: 1 }, 1)];
    expect(isFailure(admitLayers(table, layers, 1, () => NOON))).toBe(false);
    const refused = refusalOf(admitLayers(table, layers, 1, () => NOON));
    expect(refused).toMatchObject({
      code: "rate_limit_exceeded",
      refusedBy: "key",
      retryAfterSeconds: DAY / 2 / 1_000,
    });
    expect(refused.message).toBe("The API key's limit of 1 requests (rpd) is exhausted.");
    const hour = refusalOf(admitLayers(table, [...layers].reverse().slice(0, 1), 1, () => NOON + 500));
    expect(hour.retryAfterSeconds).toBe(3_600);
  });

  it("carries the policy that refused", () => {
    const { table } = setUpTables();
    const layers = [groupLayer({ rpm: 1 }, "g")];
    leaseOf(admitLayers(table, layers, 1, () => NOON));
    const refused = refusalOf(admitLayers(table, layers, 1, () => NOON + 59_001));
    expect(refused).toMatchObject({ refusedBy: "policy", policy: { id: "p1", name: "P" }, retryAfterSeconds: 1 });
    expect(refused.message).toBe('The policy "P"\'s limit of 1 requests (rpm) is exhausted.');
  });

  it("for want of a place says 1 second: nobody knows when one is free", () => {
    const { table } = setUpTables();
    const layers = [keyLayer({ concurrency: 1 })];
    leaseOf(admitLayers(table, layers, 1, () => NOON));
    expect(refusalOf(admitLayers(table, layers, 1, () => NOON)).retryAfterSeconds).toBe(1);
  });

  it("of several targets is the one that passes first", () => {
    const { table } = setUpTables();
    const [slow, quick] = [[keyLayer({ rpd: 0 })], [keyLayer({ rps: 0 }, 1)]].map((layers) =>
      refusalOf(admitLayers(table, layers, 1, () => NOON)),
    ) as [Failure, Failure];
    expect(soonest(slow, quick)).toBe(quick);
    expect(soonest(quick, slow)).toBe(quick);
  });
});

describe("a lease", () => {
  it("gives its place and its tokens back, once", () => {
    const { table } = setUpTables();
    const layer = keyLayer({ concurrency: 1, tpm: 100 });
    const lease = leaseOf(admitLayers(table, [layer], 80, () => NOON));
    expect(admits(table, layer, NOON)).toBe(false);
    settleLease(table, lease, { tokens: 30, micros: 0 });
    settleLease(table, lease, { tokens: 30, micros: 0 });
    voidLease(table, lease);
    expect([table.inFlight(0), table.used(0, TPM, NOON / MINUTE)]).toEqual([0, 30]);
  });

  it("gives nothing to the next owner of its block", () => {
    const { table } = setUpTables();
    const old = leaseOf(admitLayers(table, [keyLayer({ concurrency: 2, tpm: 1_000 })], 400, () => NOON));
    table.clearBlock(0);
    const next = keyLayer({ concurrency: 1, tpm: 100 });
    expect(admits(table, next, NOON, 60)).toBe(true);
    settleLease(table, old, { tokens: 0, micros: 0 });
    expect([table.inFlight(0), table.used(0, TPM, NOON / MINUTE)]).toEqual([1, 60]);
    expect(admits(table, next, NOON)).toBe(false);
  });

  it("that is void leaves nothing behind, in limits, groups and budgets", () => {
    const { memory, table } = setUpTables();
    const limit = { rpm: 5, rpd: 5, tpm: 100, concurrency: 3 };
    const layers = [keyLayer(limit), groupLayer(limit, "g")];
    const demand = { layers, money: [budget(1_000)], tokens: 30, micros: 400 };
    const ask = () => leaseOf(admitRequest(table, demand, () => NOON));
    // Whoever is first opens the windows; what follows is compared.
    settleLease(table, ask(), { tokens: 10, micros: 100 });
    const before = fingerprint(memory);
    const lease = ask();
    expect(fingerprint(memory)).not.toBe(before);
    voidLease(table, lease);
    expect(fingerprint(memory)).toBe(before);
  });

  it("reserves no more than what remains, so that only one request can overshoot", () => {
    const { table } = setUpTables();
    const layer = keyLayer({ tpm: 100 });
    const first = leaseOf(admitLayers(table, [layer], 60, () => NOON));
    const second = leaseOf(admitLayers(table, [layer], 60, () => NOON));
    expect(admits(table, layer, NOON)).toBe(false);
    settleLease(table, first, { tokens: 60, micros: 0 });
    settleLease(table, second, { tokens: 60, micros: 0 });
    expect(table.used(0, TPM, NOON / MINUTE)).toBe(120);
  });
});

describe("a lease with fewer tokens than it asked for", () => {
  const ask = (table: QuotaTable, layer: LimitLayer, tokens: number, now = NOON) =>
    admitLayers(table, [layer], tokens, () => now);
  const settle = (table: QuotaTable, lease: Lease, tokens: number) => settleLease(table, lease, { tokens, micros: 0 });

  it("is the only one of its kind, over all threads, until it is settled; others that fit are admitted", () => {
    const { table, other } = setUpTables();
    const layer = keyLayer({ tpm: 100 });
    const [full, short] = [leaseOf(ask(table, layer, 80)), leaseOf(ask(table, layer, 80))];
    settle(table, full, 10);
    const refused = refusalOf(ask(other, layer, 80));
    expect(refused).toMatchObject({ retryAfterSeconds: 1, refusedBy: "key" });
    expect(refused.message).toBe("The API key's limit of 100 tokens (tpm) is reserved by requests under way.");
    voidLease(other, leaseOf(ask(other, layer, 70)));
    settle(table, short, 20);
    leaseOf(ask(other, layer, 80));
  });

  it("keeps nobody back in the next window, nor when it is void or its thread is dead", () => {
    const { memory, table, other } = setUpTables();
    const layer = keyLayer({ tpm: 100 });
    const first = leaseOf(ask(table, layer, 120));
    const second = leaseOf(ask(table, layer, 120, NOON + MINUTE));
    // Its window is over: that it ends says nothing of the second's.
    settle(table, first, 500);
    settle(table, second, 10);
    const third = leaseOf(ask(table, layer, 120, NOON + MINUTE));
    voidLease(table, third);
    leaseOf(ask(table, layer, 120, NOON + MINUTE));
    settle(other, leaseOf(ask(other, keyLayer({ tpm: 300 }), 50, NOON + MINUTE)), 0);
    expect(isFailure(ask(other, keyLayer({ tpm: 150 }), 100, NOON + MINUTE))).toBe(true);
    new QuotaTable(memory, 0).bury();
    leaseOf(ask(other, keyLayer({ tpm: 150 }), 100, NOON + MINUTE));
  });
});

describe("a place under a concurrency limit", () => {
  it("is free as soon as the client has gone, once, while its tokens are still counted", () => {
    const { table } = setUpTables();
    const layer = keyLayer({ concurrency: 2, tpm: 100 });
    const [first, second] = [0, 1].map(() => leaseOf(admitLayers(table, [layer], 40, () => NOON))) as [Lease, Lease];
    expect(table.inFlight(0)).toBe(2);
    releasePlace(table, first);
    releasePlace(table, first);
    expect(table.inFlight(0)).toBe(1);
    expect(admits(table, layer, NOON, 1)).toBe(true);
    settleLease(table, first, { tokens: 5, micros: 0 });
    expect(table.inFlight(0)).toBe(2);
    settleLease(table, second, { tokens: 5, micros: 0 });
    expect(table.inFlight(0)).toBe(1);
  });
});

/** One step of a random history over two threads. */
const STEP = fc.oneof(
  fc.record({
    kind: fc.constant("ask" as const),
    thread: fc.nat(1),
    layers: fc.subarray([0, 1, 2, 3], { minLength: 1 }),
    tokens: fc.nat(60),
    micros: fc.nat(60),
  }),
  fc.record({
    kind: fc.constantFrom("settle" as const, "void" as const, "leave" as const),
    which: fc.nat(),
    tokens: fc.nat(90),
    micros: fc.nat(90),
  }),
  fc.record({ kind: fc.constant("wait" as const), ms: fc.nat(45_000) }),
);

interface Held {
  readonly lease: Lease;
  readonly table: QuotaTable;
}

describe("random histories over two threads", () => {
  it("refusals change nothing, and at the end no more than the limits was admitted in any window", () => {
    fc.assert(
      fc.property(fc.array(STEP, { maxLength: 80 }), (steps) => {
        const { memory, table, other } = setUpTables();
        const all = [
          keyLayer({ rpm: 4, concurrency: 3 }),
          keyLayer({ rpm: 6, tpm: 150 }, 1),
          groupLayer({ rpm: 5 }, "a"),
          groupLayer({ tpm: 100, concurrency: 2 }, "b"),
        ];
        const money = [budget(300)];
        for (const { place } of all) table.locate(place, NOON);
        let now = NOON;
        const held: Held[] = [];
        const admitted = new Map<string, number>();
        for (const step of steps) {
          if (step.kind === "wait") now += step.ms;
          else if (step.kind === "ask") {
            const on = step.thread === 0 ? table : other;
            const layers = step.layers.map((index) => all[index] as LimitLayer);
            const before = fingerprint(memory);
            const result = admitRequest(on, { layers, money, tokens: step.tokens, micros: step.micros }, () => now);
            if (isFailure(result)) {
              // A budget's period may have begun with this look; the rest is as it was.
              if (now < NOON + DAY / 2) expect(fingerprint(memory)).toBe(before);
              continue;
            }
            held.push({ lease: result, table: on });
            for (const index of step.layers) {
              const key = `${index} ${Math.floor(now / MINUTE)}`;
              admitted.set(key, (admitted.get(key) ?? 0) + 1);
            }
          } else if (held.length > 0) {
            const [{ lease, table: on }] = held.splice(step.which % held.length, 1) as [Held];
            if (step.kind === "leave") releasePlace(on, lease);
            if (step.kind !== "void") settleLease(on, lease, step);
            else {
              voidLease(on, lease);
              for (const { layer } of lease.holdings) {
                const key = `${all.indexOf(layer)} ${Math.floor(lease.admittedAt / MINUTE)}`;
                admitted.set(key, (admitted.get(key) ?? 0) - 1);
              }
            }
          }
        }
        for (const [key, count] of admitted) {
          const bound = all[Number(key.split(" ")[0])]?.bounds.find(({ unit }) => unit === "requests")?.amount;
          expect(count).toBeLessThanOrEqual(bound ?? Number.POSITIVE_INFINITY);
        }
        for (const { lease, table: on } of held) settleLease(on, lease, { tokens: 0, micros: 0 });
        for (const { place } of all) expect(table.inFlight(table.locate(place, now))).toBe(0);
        expect(table.reserved(6, Math.floor(now / DAY))).toBe(0);
      }),
      { numRuns: 150 },
    );
  });

  it("tokens exceed a limit by no more than one request's excess, if no answer is longer than was asked for", () => {
    const step = fc.record({
      tokens: fc.integer({ min: 1, max: 90 }),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
      thread: fc.nat(1),
      ends: fc.nat(2),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { table, other } = setUpTables();
        const layer = keyLayer({ tpm: 200 });
        let largest = 0;
        let total = 0;
        const open: (Held & { truth: number })[] = [];
        const end = () => {
          const { lease, table: on, truth } = open.shift() as (typeof open)[number];
          settleLease(on, lease, { tokens: truth, micros: 0 });
          total += truth;
          largest = Math.max(largest, truth - (lease.holdings[0]?.tokens ?? 0));
        };
        for (const { tokens, share, thread, ends } of steps) {
          const on = thread === 0 ? table : other;
          const lease = admitLayers(on, [layer], tokens, () => NOON);
          if (!isFailure(lease)) open.push({ lease, table: on, truth: Math.round(tokens * share) });
          for (let count = 0; count < ends && open.length > 0; count += 1) end();
        }
        while (open.length > 0) end();
        expect(table.used(0, TPM, NOON / MINUTE)).toBe(total);
        expect(total).toBeLessThanOrEqual(200 + largest);
      }),
      { numRuns: 500 },
    );
  });
});
