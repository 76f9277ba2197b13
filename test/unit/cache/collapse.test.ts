import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Collapse } from "../../../src/cache/collapse.js";
import { ALONE, allocateMarks, FOLLOWS, Marks } from "../../../src/cache/marks.js";

const key = (name: number) => Buffer.alloc(32, name);

describe("marks", () => {
  it("make one the first, on whatever thread", () => {
    const memory = allocateMarks();
    const [left, right] = [new Marks(memory, 0), new Marks(memory, 1)];
    const ticket = left.claim(key(1), 0, 100);
    expect(ticket).toBeGreaterThan(0);
    expect(right.claim(key(1), 0, 100)).toBe(FOLLOWS);
    expect(left.claim(key(1), 0, 100)).toBe(FOLLOWS);
    expect(right.claim(key(2), 0, 100)).toBeGreaterThan(0);
    left.release(key(1), ticket);
    expect(right.isMarked(key(1), 0)).toBe(false);
    expect(right.claim(key(1), 0, 100)).toBeGreaterThan(0);
  });

  it("expire, and are then not their first owner's to take back", () => {
    const memory = allocateMarks();
    const [left, right] = [new Marks(memory, 0), new Marks(memory, 0)];
    const stale = left.claim(key(1), 0, 100);
    expect(left.isMarked(key(1), 99)).toBe(true);
    expect(left.isMarked(key(1), 100)).toBe(false);
    expect(right.claim(key(1), 100, 200)).not.toBe(stale);
    left.release(key(1), stale);
    expect(left.isMarked(key(1), 150)).toBe(true);
  });

  it("go with their thread", () => {
    const memory = allocateMarks();
    const [left, right] = [new Marks(memory, 0), new Marks(memory, 1)];
    left.claim(key(1), 0, 100);
    right.claim(key(2), 0, 100);
    new Marks(memory, 0).bury();
    expect([right.isMarked(key(1), 0), right.isMarked(key(2), 0)]).toEqual([false, true]);
  });

  it("let a request go alone where there is no room", () => {
    const marks = new Marks(allocateMarks(), 0);
    // Same place, different keys.
    const near = (name: number) => Buffer.concat([Buffer.alloc(16, name), Buffer.alloc(16)]);
    const tickets = [1, 2, 3, 4, 5].map((name) => marks.claim(near(name), 0, 100));
    expect(tickets.slice(0, 4).every((ticket) => ticket > 0)).toBe(true);
    expect(tickets[4]).toBe(ALONE);
  });
});

describe("a collapse", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  function threads() {
    const memory = allocateMarks();
    return [0, 1].map((row) => new Collapse(new Marks(memory, row), () => 0)) as [Collapse, Collapse];
  }

  it("tells those on its thread at once, with what became of it", () => {
    const [here] = threads();
    const told: string[] = [];
    expect(here.join(key(1), 100)).toBe("leads");
    expect(here.join(key(1), 100)).toBe("follows");
    here.wait(key(1), (end) => told.push(`a ${end}`));
    here.wait(key(1), (end) => told.push(`b ${end}`)).cancel();
    here.wait(key(2), (end) => told.push(`c ${end}`));
    here.end(key(1), "stored");
    expect(told).toEqual(["a stored"]);
    expect(here.join(key(1), 100)).toBe("leads");
  });

  it("tells those on other threads within milliseconds", () => {
    const [here, there] = threads();
    const told: string[] = [];
    here.join(key(1), 100);
    expect(there.join(key(1), 100)).toBe("follows");
    there.wait(key(1), (end) => told.push(end));
    vi.advanceTimersByTime(50);
    expect(told).toEqual([]);
    here.end(key(1), "stored");
    vi.advanceTimersByTime(5);
    expect(told).toEqual(["failed"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("leaves no timer behind when all have left", () => {
    const [here, there] = threads();
    here.join(key(1), 100);
    const waits = [1, 2].map(() => there.wait(key(1), () => {}));
    for (const wait of waits) wait.cancel();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("ends only what it leads", () => {
    const [here, there] = threads();
    here.join(key(1), 100);
    there.end(key(1), "failed");
    expect(there.join(key(1), 100)).toBe("follows");
  });
});
