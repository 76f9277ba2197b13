import { describe, expect, it } from "vitest";
import type { ApiKeyResource, Resources } from "../../../src/config/resources.js";
import { NO_TRAFFIC, type RateLimitPolicy } from "../../../src/config/traffic.js";
import { BlockAllocator, Places } from "../../../src/quota/blocks.js";

function resources(...names: string[]): Resources {
  const apiKeys = names.map((name) => ({ name, rateLimit: { rpm: 1 } }) as unknown as ApiKeyResource);
  return { revision: "", source: "", providerKeys: [], models: [], apiKeys, traffic: NO_TRAFFIC };
}

describe("blocks", () => {
  it("stay with their names over reloads", () => {
    const allocator = new BlockAllocator(8, () => {});
    const first = allocator.assign(resources("a", "b"));
    const second = allocator.assign(resources("b", "c", "a"));
    expect(second).toMatchObject(first ?? {});
  });

  it("are used again only when there is no fresh one, the one free for longest first, and cleared", () => {
    const cleared: number[] = [];
    const allocator = new BlockAllocator(4, (block) => cleared.push(block));
    allocator.assign(resources("a", "b"));
    allocator.assign(resources("b"));
    expect(allocator.assign(resources("b", "c"))).toEqual({ "api_key:b": 1, "api_key:c": 2 });
    allocator.assign(resources("c"));
    expect(allocator.assign(resources("c", "d", "e"))).toEqual({ "api_key:c": 2, "api_key:d": 3, "api_key:e": 0 });
    expect(cleared).toEqual([0, 1, 2, 3, 0]);
  });

  it("are refused when there are too many, and nothing changes", () => {
    const allocator = new BlockAllocator(2, () => {});
    expect(allocator.assign(resources("a", "b", "c"))).toBeNull();
    expect(allocator.assign(resources("a", "b"))).toEqual({ "api_key:a": 0, "api_key:b": 1 });
  });
});

describe("places", () => {
  const policies = [{ id: "p" } as unknown as RateLimitPolicy];
  const blocks = new BlockAllocator(4, () => {}).assign({
    ...resources("a"),
    traffic: { ...NO_TRAFFIC, policies },
  });

  it("of policies and keys are their blocks; of names within them they are found by a hash", () => {
    const places = new Places(blocks ?? {});
    expect([places.find("api_key:a").block, places.find("policy:p").block]).toEqual([0, 1]);
    const [group, same, other] = ["policy:p:x", "policy:p:x", "policy:p:y"].map((name) =>
      places.find(name, "policy:p"),
    );
    expect(group).toMatchObject({ overflow: 1, block: 1 });
    expect(same).toEqual(group);
    expect(other?.word0).not.toBe(group?.word0);
  });

  it("that nobody assigned are an error", () => {
    expect(() => new Places(blocks ?? {}).find("policy:none")).toThrow(/policy:none/);
  });
});
