import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { NewEntry } from "../../../src/cache/entries.js";
import { allocateShard, Shard } from "../../../src/cache/shard.js";
import { allocateCacheMemory, CacheStore, tagOf } from "../../../src/cache/store.js";

const KIB = 1024;
const NOW = 1_000_000;

function keyOf(name: string | number): Buffer {
  return createHash("sha256").update(String(name)).digest();
}

/** Bytes that tell which entry they belong to. */
function bodyOf(name: string | number, version: number, length: number): Buffer {
  return Buffer.alloc(length, `${name}/${version};`);
}

function entry(name: string | number, fields: Partial<NewEntry> = {}): NewEntry {
  return {
    key: keyOf(name),
    meta: Buffer.from(`meta of ${name}`),
    body: Buffer.from(`body of ${name}`),
    expiresAt: NOW + 1000,
    tags: { policy: tagOf("p"), model: tagOf("m"), apiKey: tagOf("k") },
    meaning: null,
    ...fields,
  };
}

function twoViews(bytes = 1024 * KIB): [CacheStore, CacheStore] {
  const memory = allocateCacheMemory(bytes);
  return [new CacheStore(memory, 0), new CacheStore(memory, 1)];
}

describe("the store", () => {
  it("gives back what another thread has put in", () => {
    const [left, right] = twoViews();
    expect(left.put(entry("a"), left.purges)).toBe(true);
    const found = right.get(keyOf("a"), NOW);
    expect(found?.meta.toString()).toBe("meta of a");
    expect(found?.body.toString()).toBe("body of a");
    expect(right.get(keyOf("b"), NOW)).toBeNull();
  });

  it("shows what it has to one that is no caller, and until when; that is no second chance", () => {
    const [store] = twoViews(64 * KIB);
    store.put(entry("seen"), 0);
    expect(store.peek(keyOf("seen"), NOW)).toMatchObject({ expiresAt: NOW + 1000 });
    for (let index = 0; store.evictions === 0; index += 1) {
      expect(store.put(entry(index, { body: Buffer.alloc(4 * KIB) }), 0)).toBe(true);
    }
    expect(store.peek(keyOf("seen"), NOW)).toBeNull();
  });

  it("keeps the newest of several with one key", () => {
    const [left, right] = twoViews();
    left.put(entry("a"), 0);
    right.put(entry("a", { body: Buffer.from("new") }), 0);
    expect(left.get(keyOf("a"), NOW)?.body.toString()).toBe("new");
    expect(left.stats().entries).toBe(1);
  });

  it("forgets an entry when its time is over", () => {
    const [store] = twoViews();
    store.put(entry("a"), 0);
    expect(store.get(keyOf("a"), NOW + 999)).not.toBeNull();
    expect(store.get(keyOf("a"), NOW + 1000)).toBeNull();
    expect(store.get(keyOf("a"), NOW)).toBeNull();
  });

  it("takes nothing longer than an eighth of its memory", () => {
    const [store] = twoViews();
    const most = store.maxEntryBytes;
    expect(most).toBeGreaterThan(127 * KIB);
    expect(most).toBeLessThanOrEqual(128 * KIB);
    expect(store.put(entry("a", { body: Buffer.alloc(most) }), 0)).toBe(false);
    expect(store.put(entry("a", { body: Buffer.alloc(most - 200) }), 0)).toBe(true);
  });

  it("makes room by letting the oldest go, but not those that are asked for", () => {
    const [store] = twoViews();
    const body = Buffer.alloc(10 * KIB);
    store.put(entry("loved", { body }), 0);
    for (let index = 0; index < 1000; index += 1) {
      store.put(entry(index, { body }), 0);
      if (index % 20 === 0) expect(store.get(keyOf("loved"), NOW), `after ${index}`).not.toBeNull();
    }
    expect(store.get(keyOf(0), NOW)).toBeNull();
    expect(store.get(keyOf(999), NOW)).not.toBeNull();
    const { entries, bytes } = store.stats();
    expect(entries).toBeGreaterThan(90);
    expect(bytes).toBeLessThanOrEqual(1024 * KIB);
    expect(store.evictions + entries).toBe(1001);
  });

  it("holds many small entries, and loses the oldest of those that crowd", () => {
    const [store] = twoViews();
    for (let index = 0; index < 10_000; index += 1) store.put(entry(index), 0);
    const { entries } = store.stats();
    expect(entries).toBeGreaterThan(1500);
    for (let index = 9_990; index < 10_000; index += 1) expect(store.get(keyOf(index), NOW)).not.toBeNull();
  });

  it("purges everything, or what bears all the names given", () => {
    const [left, right] = twoViews();
    const fill = () => {
      for (const policy of ["p", "q"])
        for (const model of ["m", "n"])
          for (const apiKey of ["k", "l"]) {
            const tags = { policy: tagOf(policy), model: tagOf(model), apiKey: tagOf(apiKey) };
            left.put(entry(policy + model + apiKey, { tags }), left.purges);
          }
    };
    const left8 = () => right.stats().entries;
    fill();
    expect(right.purge({ policy: "p" })).toBe(4);
    expect([left8(), left.get(keyOf("pmk"), NOW)]).toEqual([4, null]);
    expect(left.get(keyOf("qmk"), NOW)).not.toBeNull();
    fill();
    expect(right.purge({ policy: "q", model: "n", apiKey: "l" })).toBe(1);
    expect(left.get(keyOf("qnl"), NOW)).toBeNull();
    expect(right.purge({ model: "none" })).toBe(0);
    expect(right.purge()).toBe(7);
    expect(left8()).toBe(0);
    fill();
    expect(left8()).toBe(8);
  });

  it("does not keep what was asked for before a purge", () => {
    const [left, right] = twoViews();
    const before = left.purges;
    right.purge();
    expect(left.put(entry("a"), before)).toBe(false);
    expect(left.put(entry("a"), left.purges)).toBe(true);
    right.purge({ policy: "other" });
    expect(left.put(entry("b"), before + 1)).toBe(false);
  });

  it("spreads over several shards where one would be too long", () => {
    const memory = { ...allocateCacheMemory(KIB * KIB), shards: [0, 1, 2].map(() => allocateShard(64 * KIB)) };
    const store = new CacheStore(memory, 0);
    for (let index = 0; index < 60; index += 1) store.put(entry(index), 0);
    for (let index = 0; index < 60; index += 1)
      expect(store.get(keyOf(index), NOW)?.body.toString()).toBe(`body of ${index}`);
    expect(store.purge({ model: "m" })).toBe(60);
  });

  it("frees the lock of a dead thread", () => {
    const memory = allocateCacheMemory(1024 * KIB);
    const word = new Int32Array(memory.shards[0]!, 0, 1);
    // As if thread 4 had died with the lock.
    word[0] = 5;
    new CacheStore(memory, 3).bury();
    expect(word[0]).toBe(5);
    new CacheStore(memory, 4).bury();
    expect(new CacheStore(memory, 0).put(entry("a"), 0)).toBe(true);
  });
});

describe("a shard under random use from two threads", () => {
  const action = fc.record({
    view: fc.nat(1),
    name: fc.nat(30),
    length: fc.integer({ min: 1, max: 5000 }),
    kind: fc.constantFrom("put", "put", "put", "get", "get", "purge", "later"),
  });

  it("never gives wrong bytes, and what it gives is the newest", () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 300, size: "max" }), (actions) => {
        const memory = allocateShard(40 * KIB);
        const views = [new Shard(memory, 0), new Shard(memory, 1)];
        const newest = new Map<number, { body: Buffer; expiresAt: number }>();
        let now = NOW;
        for (const [step, { view, name, length, kind }] of actions.entries()) {
          const shard = views[view]!;
          if (kind === "put") {
            const body = bodyOf(name, step, length);
            const expiresAt = now + 50;
            const meaning = step % 3 === 0 ? { partition: keyOf("part"), vector: new Float32Array([1, step]) } : null;
            if (shard.put(entry(name, { body, expiresAt, meaning }), shard.purges))
              newest.set(name, { body, expiresAt });
            else expect(length).toBeGreaterThan(4000);
          } else if (kind === "get") {
            const found = shard.get(keyOf(name), now);
            const held = newest.get(name);
            if (found !== null) {
              expect(held).toBeDefined();
              expect(found.body.equals(held!.body)).toBe(true);
              expect(found.meta.toString()).toBe(`meta of ${name}`);
              expect(held!.expiresAt).toBeGreaterThan(now);
            }
          } else if (kind === "purge") {
            if (name > 15) shard.purgeAll();
            else shard.purge({ policy: tagOf("p") });
            newest.clear();
          } else now += length / 100;
          expect(shard.bytes).toBeLessThanOrEqual(40 * KIB);
        }
      }),
      { numRuns: 200 },
    );
  });

  it("finds what was just put in", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(50), fc.integer({ min: 1, max: 4000 })), { maxLength: 200, size: "max" }),
        (puts) => {
          const memory = allocateShard(40 * KIB);
          const [left, right] = [new Shard(memory, 0), new Shard(memory, 1)];
          for (const [name, length] of puts) {
            expect(left.put(entry(name, { body: bodyOf(name, 0, length) }), 0)).toBe(true);
            expect(right.get(keyOf(name), NOW)?.body.length).toBe(length);
          }
        },
      ),
    );
  });
});
