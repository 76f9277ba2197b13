import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type CacheAsk, type CacheKept, FleetCache } from "../../../src/cache/fleet.js";

const WAIT_MS = 50;
const key = Buffer.alloc(32, 7);
const names = { policy: "p", model: "m", apiKey: "k" };
const question = { key, names, ttlMs: 5_000 };

let sent: (CacheAsk | CacheKept)[];
let full: boolean;
let fleet: FleetCache;

beforeEach(() => {
  vi.useFakeTimers();
  sent = [];
  full = false;
  fleet = new FleetCache((message) => {
    if (!full) sent.push(message);
    return !full;
  }, WAIT_MS);
});
afterEach(() => vi.useRealTimers());

function lastTicket(): number {
  const last = sent.at(-1);
  return last?.kind === "cache-ask" ? last.ticket : -1;
}

describe("an acceptor's way to shared answers", () => {
  it("asks by key, policy and model, and is told once", () => {
    const told = vi.fn();
    expect(fleet.ask(question, told)).not.toBeNull();
    expect(sent).toEqual([{ kind: "cache-ask", ticket: 1, key, policy: "p", model: "m", ttlMs: 5_000 }]);
    fleet.told(1, true);
    fleet.told(1, false);
    vi.advanceTimersByTime(10_000);
    expect(told.mock.calls).toEqual([[true]]);
  });

  it("waits no longer than the bound; what is told later means nothing", () => {
    const told = vi.fn();
    fleet.ask(question, told);
    vi.advanceTimersByTime(WAIT_MS - 1);
    expect(told).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    fleet.told(lastTicket(), true);
    expect(told.mock.calls).toEqual([[false]]);
  });

  it("is not told when it has given up", () => {
    const told = vi.fn();
    fleet.ask(question, told)?.cancel();
    fleet.told(lastTicket(), true);
    vi.advanceTimersByTime(10_000);
    expect(told).not.toHaveBeenCalled();
  });

  it("asks no more than so many at once, and nothing where the mailbox is full", () => {
    let asked = 0;
    while (fleet.ask(question, () => {}) !== null) asked += 1;
    expect(asked).toBe(256);
    fleet.told(1, false);
    full = true;
    expect(fleet.ask(question, () => {})).toBeNull();
    full = false;
    expect(fleet.ask(question, () => {})).not.toBeNull();
  });

  it("tells of a new answer by its names; not under a name that is too long", () => {
    fleet.keep(key, names, 77);
    expect(sent).toEqual([{ kind: "cache-kept", key, ...names, askedAt: 77 }]);
    const long = { ...names, model: "m".repeat(257) };
    fleet.keep(key, long, 77);
    expect(fleet.ask({ ...question, names: long }, () => {})).toBeNull();
    expect(sent).toHaveLength(1);
  });
});
