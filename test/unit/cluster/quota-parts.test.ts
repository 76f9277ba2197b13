/** The parts of the fleet's limits, each for itself. */
import { describe, expect, it } from "vitest";
import { Pace } from "../../../src/cluster/pace.js";
import { allowanceAlone } from "../../../src/cluster/quota-alone.js";
import { type EntryData, Ledger } from "../../../src/cluster/quota-ledger.js";
import {
  type Ask,
  chunksOf,
  packMessage,
  packReply,
  unpackMessage,
  unpackReply,
} from "../../../src/cluster/quota-messages.js";
import { QuotaOwner } from "../../../src/cluster/quota-owner.js";
import { GrantSizes } from "../../../src/cluster/quota-sizes.js";
import { QuotaView } from "../../../src/cluster/quota-view.js";
import { pack } from "../../../src/cluster/wire.js";

const NOW = 600_000;
const ID = { bucket: "api_key:a", dimension: 1, window: 10 };

function ask(need: number, want: number, limit = 600): Ask {
  return { entry: { ...ID, limit, rows: [] }, need, want };
}

function ownerOf(recalled: (ledger: Ledger) => void = () => undefined, members = 3) {
  const state = { now: NOW, owns: true, recalls: 0 };
  const ledger = new Ledger({ self: "self", isHere: () => true, clock: () => state.now });
  const owner = new QuotaOwner({
    ledger,
    owns: () => state.owns,
    members: () => members,
    recall: async () => {
      state.recalls += 1;
      recalled(ledger);
    },
    clock: () => state.now,
  });
  return { ledger, owner, state };
}

/** What the answer has for the asker in all. */
function granted({ rows }: EntryData): number {
  return rows.flatMap((row) => row.granted).reduce((sum, [, units]) => sum + units, 0);
}

async function serve(owner: QuotaOwner, one: Ask, asker = "asker") {
  const [answer] = await owner.serve(asker, [one]);
  if (answer === undefined) throw new Error("no answer");
  return answer;
}

describe("QuotaOwner", () => {
  it("grants a part of the rest, less and less", async () => {
    const { owner } = ownerOf();
    const totals: number[] = [];
    for (let at = 0; at < 4; at += 1) totals.push(granted((await serve(owner, ask(0, 10_000))).entry));
    expect(totals).toEqual([100, 183, 252, 310]);
  });

  it("grants what a waiting request needs, if it is there, and keeps the last ones for such", async () => {
    const { owner } = ownerOf();
    expect(granted((await serve(owner, ask(595, 595))).entry)).toBe(595);
    const idle = await serve(owner, ask(0, 50), "idle");
    expect([granted(idle.entry), idle.rest, idle.dryMs]).toEqual([0, 5, 0]);
    expect(granted((await serve(owner, ask(1, 50), "idle")).entry)).toBe(1);
  });

  it("never grants more than there is, and says for how long there is nothing", async () => {
    const { owner, state } = ownerOf();
    await serve(owner, ask(600, 600));
    const pauses: number[] = [];
    for (let at = 0; at < 4; at += 1) {
      const dry = await serve(owner, ask(1, 1), "other");
      expect([granted(dry.entry), dry.rest]).toEqual([0, 0]);
      pauses.push(dry.dryMs);
      state.now += dry.dryMs;
    }
    expect(pauses).toEqual([250, 500, 1_000, 1_000]);
    expect(state.recalls).toBe(4);
  });

  it("calls back before it says that nothing is left, once for all who ask", async () => {
    const { owner, state } = ownerOf((ledger) => {
      ledger.merge({ ...ID, limit: 600, rows: [{ holder: "asker", returned: 2, granted: [["self", 600]] }] });
    });
    await serve(owner, ask(600, 600));
    const answers = await Promise.all(["b", "c", "d"].map((asker) => serve(owner, ask(1, 1), asker)));
    expect(answers.map(({ entry }) => granted(entry)).sort()).toEqual([0, 1, 1]);
    expect(state.recalls).toBe(1);
  });

  it("grants nothing of what a newcomer has taken over meanwhile", async () => {
    const { owner, state, ledger } = ownerOf();
    await serve(owner, ask(600, 600));
    const late = serve(owner, ask(1, 1), "other");
    ledger.merge({ ...ID, limit: 600, rows: [{ holder: "asker", returned: 9, granted: [] }] });
    state.owns = false;
    expect(granted((await late).entry)).toBe(0);
  });
});

describe("what a node takes alone", () => {
  const bucket = { rest: 96, solo: 0, amount: 600 };
  const fleet = { members: 3, lostForMs: 60_000, knowsFleet: true };

  it("is its share of what was left, and an eighth of it at first", () => {
    expect(allowanceAlone("fair_share", bucket, fleet)).toBe(30);
    expect(allowanceAlone("fair_share", { ...bucket, rest: 86, solo: 10 }, fleet)).toBe(20);
    expect(allowanceAlone("fair_share", { ...bucket, rest: 66, solo: 30 }, fleet)).toBe(0);
    expect(allowanceAlone("fair_share", bucket, { ...fleet, lostForMs: 100 })).toBe(3);
    expect(allowanceAlone("fair_share", { ...bucket, rest: -5 }, fleet)).toBe(0);
  });

  it("is at least one of a window that nobody has had anything of", () => {
    const fresh = { rest: 2, solo: 0, amount: 2 };
    expect(allowanceAlone("fair_share", fresh, fleet)).toBe(1);
    expect(allowanceAlone("fair_share", fresh, { ...fleet, lostForMs: 100 })).toBe(0);
    expect(allowanceAlone("fair_share", { ...fresh, rest: 0, amount: 0 }, fleet)).toBe(0);
  });

  it("is all of it at once for one who knows that there is nobody else", () => {
    expect(allowanceAlone("fair_share", bucket, { ...fleet, members: 1, lostForMs: 0 })).toBe(96);
    expect(allowanceAlone("fair_share", bucket, { members: 1, lostForMs: 0, knowsFleet: false })).toBe(12);
  });

  it("is as the policy says otherwise", () => {
    expect(allowanceAlone("open", { ...bucket, rest: 0 }, fleet)).toBe(Number.POSITIVE_INFINITY);
    expect(allowanceAlone("closed", bucket, fleet)).toBe(0);
  });
});

describe("QuotaView", () => {
  const names = Array.from({ length: 5 }, (_, at) => `instance-${at}`);
  let now = 0;
  let heard = 0;
  const viewOf = (self: string, instances: readonly string[]) => {
    const members = () =>
      instances.map((instance) => ({
        instance,
        node: instance,
        version: "",
        started_at: "",
        state: "serving" as const,
        load: { in_flight: 0, connections: 0 },
        heard_ms: instance === self ? 0 : now - heard,
      }));
    return new QuotaView({
      self,
      membership: {
        get members() {
          return members();
        },
      },
      clock: () => now,
    });
  };

  it("all find the same owner, each owns about as much, and one that goes moves only its own", () => {
    const counts = new Map<string, number>();
    const fewer = names.slice(1);
    for (let at = 0; at < 5_000; at += 1) {
      const owner = viewOf("instance-0", names).owner(`model:${at}`);
      expect(viewOf("instance-3", [...names].reverse()).owner(`model:${at}`)).toBe(owner);
      counts.set(owner, (counts.get(owner) ?? 0) + 1);
      if (owner !== "instance-0") expect(viewOf("instance-1", fewer).owner(`model:${at}`)).toBe(owner);
    }
    for (const count of counts.values()) expect(Math.abs(count - 1_000)).toBeLessThan(150);
  });

  it("a suspect owns nothing until it is heard again", () => {
    now = 1_000;
    heard = 900;
    const view = viewOf("instance-0", names);
    const bucket = Array.from({ length: 99 }, (_, at) => `model:${at}`).find((one) => view.owner(one) === "instance-2");
    view.suspect("instance-2");
    expect(view.owner(bucket ?? "")).not.toBe("instance-2");
    expect(view.isHere("instance-2")).toBe(true);
    now = 2_000;
    heard = 1_990;
    expect(view.owner(bucket ?? "")).toBe("instance-2");
  });

  it("a newcomer that asks is one before its first beat, for a while", () => {
    now = 5_000;
    const view = viewOf("instance-0", ["instance-0"]);
    view.heard("new");
    expect([...view.live].sort()).toEqual(["instance-0", "new"]);
    now = 9_000;
    expect(view.live).toEqual(["instance-0"]);
  });
});

describe("quota messages", () => {
  const rows = [
    {
      holder: "a",
      returned: 3,
      granted: [
        ["a", 5],
        ["b", 7],
      ] as [string, number][],
    },
    { holder: "b", returned: 0, granted: [] },
  ];
  const entry = { ...ID, limit: 600, rows };

  it("are the same on the other side", () => {
    for (const message of [
      { kind: "ask", from: "a", asks: [{ entry, need: 1, want: 5 }], insteadOf: ["c"] },
      { kind: "recall", from: "a", buckets: [{ ...ID, least: 3 }] },
      { kind: "gather", from: "a", live: ["a", "b"] },
      { kind: "ledger", from: "a", entries: [entry, entry] },
    ] as const) {
      expect(unpackMessage(packMessage(message))).toEqual(message);
    }
    for (const reply of [
      { kind: "answers", busy: false, answers: [{ entry, rest: 5, dryMs: 0, owner: "" }] },
      { kind: "answers", busy: false, answers: [{ entry, rest: 0, dryMs: 250, owner: "c" }] },
      { kind: "answers", busy: true, answers: [] },
      { kind: "ledger", entries: [entry] },
    ] as const) {
      expect(unpackReply(packReply(reply))).toEqual(reply);
    }
  });

  it("of a newer version are read as far as they are known, and of nobody else's at all", () => {
    const wire = [
      "api_key:a",
      1,
      10,
      600,
      [
        [0, 3, [1, 4, 9, 9], "new"],
        [7, 1, []],
      ],
      "new",
    ];
    const told = { v: 1, kind: "ledger", from: "a", names: ["x", "y"], entries: [wire], new: 1 };
    const read = { ...ID, limit: 600, rows: [{ holder: "x", returned: 3, granted: [["y", 4]] }] };
    expect(unpackMessage(pack(told))).toEqual({ kind: "ledger", from: "a", entries: [read] });
    for (const bad of [
      { ...told, v: 2 },
      { ...told, kind: "new" },
      { ...told, entries: [["api_key:a", 1, 10, -1, []]] },
      { ...told, entries: [["api_key:a", 1, 10, 600, [[0, Number.NaN, []]]]] },
      "text",
    ]) {
      expect(unpackMessage(pack(bad))).toBeNull();
    }
    expect(unpackMessage(new Uint8Array([0xc1]))).toBeNull();
    expect(unpackReply(pack({ v: 1, kind: "answers" }))).toBeNull();
  });

  it("of an older version call back what is not in use", () => {
    const bytes = pack({ v: 1, kind: "recall", from: "a", buckets: [[ID.bucket, ID.dimension, ID.window]] });
    expect(unpackMessage(bytes)).toEqual({ kind: "recall", from: "a", buckets: [{ ...ID, least: 0 }] });
  });

  it("are cut into parts that NATS takes", () => {
    const many = Array.from({ length: 20_000 }, (_, at) => ({ ...entry, bucket: `api_key:${at}` }));
    const chunks = chunksOf(many);
    expect(chunks.flat()).toEqual(many);
    for (const entries of chunks) {
      expect(packMessage({ kind: "ledger", from: "a", entries }).length).toBeLessThan(512 * 1024);
    }
  });
});

describe("how much is asked for", () => {
  const wanted = { ...ID, amount: 600, want: 1 };

  it("doubles while grants are gone soon, and halves when they last", () => {
    const sizes = new GrantSizes();
    const found: number[] = [];
    for (const at of [0, 100, 200, 300, 3_000, 6_000]) {
      const units = sizes.next(wanted, at);
      found.push(units);
      sizes.granted(wanted, units, 0);
    }
    expect(found).toEqual([6, 12, 24, 48, 24, 12]);
  });

  it("does not grow where less was granted, and calms down where nothing was, in this window", () => {
    const sizes = new GrantSizes();
    expect(sizes.next(wanted, 0)).toBe(6);
    sizes.granted(wanted, 2, 500);
    expect(sizes.next(wanted, 10)).toBe(6);
    sizes.granted(wanted, 0, 510);
    expect(sizes.calmUntil(wanted)).toBe(510);
    expect(sizes.calmUntil({ ...wanted, window: 11 })).toBe(0);
  });

  it("is never more than half of the limit, but what is needed", () => {
    const sizes = new GrantSizes();
    for (let at = 0; at < 900; at += 100) {
      expect(sizes.next(wanted, at)).toBeLessThanOrEqual(300);
      sizes.granted(wanted, 300, 0);
    }
    expect(sizes.next({ ...wanted, want: 500 }, 1_000)).toBe(500);
  });
});

describe("Pace", () => {
  it("lets a burst pass, then so many a second", () => {
    const pace = new Pace(3, 0);
    const taken = (from: number, to: number) => {
      let count = 0;
      for (let now = from; now < to; now += 10) if (pace.take(now, 5)) count += 1;
      return count;
    };
    expect(taken(0, 10)).toBe(1);
    expect(taken(10, 1_000)).toBe(6);
    expect(taken(60_000, 60_100)).toBe(3);
  });
});
