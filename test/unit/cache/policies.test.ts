import { expect, test } from "vitest";
import { CachePolicies } from "../../../src/cache/policies.js";
import type { CachePolicy } from "../../../src/config/traffic.js";

function policy(
  name: string,
  kind: "all" | "model" | "api_key",
  reference = "",
  more: Partial<CachePolicy> = {},
): CachePolicy {
  return {
    id: name,
    name,
    enabled: true,
    appliesTo: { kind, name: reference },
    backend: "memory",
    scope: "api_key",
    ttlSeconds: 60,
    purgeGeneration: 0,
    semantic: null,
    streams: true,
    collapse: false,
    ...more,
  };
}

const POLICIES = [
  policy("off", "all", "", { enabled: false }),
  policy("model", "model", "fast"),
  policy("pattern", "model", "gpt-*"),
  policy("key", "api_key", "ann"),
];

function chosen(policies: readonly CachePolicy[], apiKey: string, model: string, entry = model): string | undefined {
  return CachePolicies.of(policies)?.choose({ apiKey, model, entry })?.policy.name;
}

test("the most particular enabled policy that applies is the one, wherever it stands", () => {
  expect(chosen(POLICIES, "ann", "fast")).toBe("key");
  expect(chosen(POLICIES, "bob", "fast")).toBe("model");
  expect(chosen([policy("rest", "all"), ...POLICIES], "bob", "fast")).toBe("model");
  expect(chosen([policy("other", "model", "fast"), ...POLICIES], "bob", "fast")).toBe("other");
  expect(chosen(POLICIES, "ann", "slow")).toBe("key");
  expect(chosen(POLICIES, "bob", "slow")).toBeUndefined();
  expect(chosen(POLICIES, "bob", "gpt-x", "gpt-*")).toBe("pattern");
  expect(chosen([...POLICIES, policy("rest", "all")], "bob", "slow")).toBe("rest");
});

test("no enabled policy, none at all", () => {
  expect(CachePolicies.of([])).toBeNull();
  expect(CachePolicies.of([POLICIES[0]!])).toBeNull();
});

test("the choice is remembered for key and model, however many models are named", () => {
  const policies = CachePolicies.of([policy("all", "all")])!;
  const asking = { apiKey: "ann", model: "fast", entry: "fast" };
  const first = policies.choose(asking);
  expect(policies.choose(asking)).toBe(first);
  expect(policies.choose({ ...asking, apiKey: "bob" })?.scope).not.toBe(first?.scope);
  for (let index = 0; index < 10_000; index += 1) policies.choose({ ...asking, model: `m${index}` });
  expect(policies.choose(asking)).toEqual(first);
  expect(policies.choose({ ...asking, model: "x".repeat(10_000) })?.policy.name).toBe("all");
});
