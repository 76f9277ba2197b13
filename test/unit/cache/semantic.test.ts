import { describe, expect, it } from "vitest";
import { normalized, SemanticIndex } from "../../../src/cache/semantic.js";
import { allocateCacheMemory, CacheStore, tagOf } from "../../../src/cache/store.js";

const NOW = 1_000_000;
const PARTITION = Buffer.alloc(32, 7);
let counter = 0;

function setUp() {
  const memory = allocateCacheMemory(1024 * 1024);
  const [writer, reader] = [new CacheStore(memory, 0), new CacheStore(memory, 1)];
  const put = (
    name: string,
    vector: readonly number[],
    fields: { partition?: Buffer; expiresAt?: number; policy?: string; pad?: number } = {},
  ) =>
    writer.put(
      {
        key: Buffer.alloc(32, `${name}#${counter++}/`),
        meta: Buffer.alloc(fields.pad ?? 0),
        body: Buffer.from(name),
        expiresAt: fields.expiresAt ?? NOW + 1000,
        tags: { policy: tagOf(fields.policy ?? "p"), model: 0, apiKey: 0 },
        meaning: { partition: fields.partition ?? PARTITION, vector: normalized(vector)! },
      },
      writer.purges,
    );
  const index = new SemanticIndex(reader);
  const ask = async (
    vector: readonly number[],
    fields: { partition?: Buffer; threshold?: number; maxEntries?: number; now?: number } = {},
  ) =>
    (
      await index.find(
        {
          partition: fields.partition ?? PARTITION,
          vector: normalized(vector)!,
          threshold: fields.threshold ?? 0.9,
          policy: tagOf("p"),
          maxEntries: fields.maxEntries ?? 1000,
        },
        fields.now ?? NOW,
      )
    )?.body.toString() ?? null;
  return { writer, put, ask };
}

describe("answers by meaning", () => {
  it("are the nearest at or above the threshold, put in by whatever thread", async () => {
    const { put, ask } = setUp();
    put("east", [1, 0]);
    put("north", [0, 1]);
    put("north-east", [1, 1]);
    expect(await ask([0.9, 0.1])).toBe("east");
    expect(await ask([1, 0.9])).toBe("north-east");
    expect(await ask([-1, 0])).toBeNull();
    expect(await ask([1, 0.4], { threshold: 0.95 })).toBeNull();
    expect(await ask([1, 0], { threshold: 1 })).toBe("east");
  });

  it("are those of the same partition and of vectors as long", async () => {
    const { put, ask } = setUp();
    put("other", [1, 0], { partition: Buffer.alloc(32, 8) });
    put("longer", [1, 0, 0]);
    expect(await ask([1, 0])).toBeNull();
    expect(await ask([1, 0], { partition: Buffer.alloc(32, 8) })).toBe("other");
    expect(await ask([1, 0, 0])).toBe("longer");
  });

  it("go with time, room and purges, and do not stand before those that are there", async () => {
    const { put, ask, writer } = setUp();
    put("short-lived", [1, 0], { expiresAt: NOW + 10 });
    put("long-lived", [1, 0.1]);
    expect(await ask([1, 0])).toBe("short-lived");
    expect(await ask([1, 0], { now: NOW + 10 })).toBe("long-lived");
    writer.purge();
    expect(await ask([1, 0])).toBeNull();
    put("after", [1, 0.2]);
    expect(await ask([1, 0])).toBe("after");
    writer.purge({ policy: "p" });
    put("later", [1, 0.3]);
    expect(await ask([1, 0])).toBe("later");
    for (let index = 0; index < 40; index += 1) put("filler", [0, 1], { pad: 100_000 });
    expect(await ask([1, 0])).toBeNull();
  });

  it("are at most so many of a policy, the newest", async () => {
    const { put, ask } = setUp();
    put("elsewhere", [-1, 0], { policy: "q" });
    for (const name of ["a", "b", "c"]) put(name, name === "a" ? [1, 0] : [0, 1]);
    expect(await ask([1, 0], { maxEntries: 2 })).toBeNull();
    expect(await ask([-1, 0], { maxEntries: 2 })).toBe("elsewhere");
  });
});

describe("a vector without a direction", () => {
  it("is none", () => {
    expect(normalized([0, 0])).toBeNull();
    expect(normalized([Number.NaN])).toBeNull();
    expect([...normalized([3, 4])!]).toEqual([0.6000000238418579, 0.800000011920929]);
  });
});
