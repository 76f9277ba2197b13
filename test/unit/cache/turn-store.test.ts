import { describe, expect, it } from "vitest";
import { allocateCacheMemory, CacheStore } from "../../../src/cache/store.js";
import { TurnStore } from "../../../src/cache/turn-store.js";

const NOW = 1_000_000;
const MIB = 1024 * 1024;
const turn = (text: string, length = 10) => ({ input: Buffer.from(`[${text}]`), answer: Buffer.alloc(length, text) });

function stores(bounds = { ttlMs: 1_000, maxBytes: 4_096 }) {
  const memory = allocateCacheMemory(MIB);
  return [0, 1].map((row) => new TurnStore(new CacheStore(memory, row), bounds)) as [TurnStore, TurnStore];
}

describe("the store of turns", () => {
  it("gives another thread what one has kept, and no other key", () => {
    const [left, right] = stores();
    expect(left.put("k", "resp_1", turn("a"), NOW)).toBe(true);
    expect(right.get("k", "resp_1", NOW)).toEqual(turn("a"));
    expect(right.get("other", "resp_1", NOW)).toBeNull();
    expect(right.get("k", "resp_2", NOW)).toBeNull();
    left.put('k","x', "y", turn("b"), NOW);
    expect(right.get("k", 'x","y', NOW)).toBeNull();
  });

  it("forgets by time", () => {
    const [store] = stores();
    store.put("k", "resp_1", turn("a"), NOW);
    expect(store.get("k", "resp_1", NOW + 999)).not.toBeNull();
    expect(store.get("k", "resp_1", NOW + 1_001)).toBeNull();
  });

  it("forgets what is deleted, once, and of that key only", () => {
    const [left, right] = stores();
    left.put("k", "resp_1", turn("a"), NOW);
    left.put("k", "resp_2", turn("b"), NOW);
    expect(right.delete("other", "resp_1", NOW)).toBe(false);
    expect(right.delete("k", "resp_1", NOW)).toBe(true);
    expect(left.delete("k", "resp_1", NOW)).toBe(false);
    expect(left.get("k", "resp_1", NOW)).toBeNull();
    expect(left.get("k", "resp_2", NOW)).toEqual(turn("b"));
  });

  it("keeps nothing that is too long, and the newest of what there is no room for", () => {
    const [store] = stores();
    expect(store.put("k", "long", turn("a", 4_096), NOW)).toBe(false);
    for (let count = 0; count < 1_000; count += 1)
      expect(store.put("k", `resp_${count}`, turn("a", 4_000), NOW)).toBe(true);
    expect(store.get("k", "resp_999", NOW)).not.toBeNull();
    expect(store.get("k", "resp_0", NOW)).toBeNull();
  });
});
