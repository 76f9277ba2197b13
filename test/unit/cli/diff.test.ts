import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { apply } from "../../../src/cli/apply.js";
import { diff } from "../../../src/cli/diff.js";
import { fieldChanges } from "../../../src/cli/entry-diff.js";
import { type Bench, FULL, openBench, run } from "./command-line.js";

let bench: Bench;
beforeEach(async () => {
  bench = await openBench();
});
afterEach(() => bench.end());

const resources = (text: string) => ["-f", bench.directory.write("resources.yaml", text), ...bench.at];

describe("weir diff", () => {
  it("has nothing to say about equal ones", async () => {
    await run(apply, resources(FULL));
    const { code, stdout, stderr } = await run(diff, resources(FULL));
    expect([code, stdout, stderr]).toEqual([0, "", "8 equal\n"]);
  });

  it("names what is new, what differs and what would go", async () => {
    await run(apply, resources(FULL));
    bench.gateway.put("budgets", "old", { name: "old", scope: "all", limit_usd: 1 });
    const next = FULL.replace("limit_usd: 100", "limit_usd: 200, action: warn")
      .replace("default: middle", "default: fast")
      .replace(
        "[{ name: a, target: fast, examples: [a] }]",
        "[{ name: a, target: fast, examples: [b, c], threshold: 1 }]",
      )
      .replace("display_name: ci", "display_name: builds");
    const plain = await run(diff, resources(next));
    expect(plain.code).toBe(1);
    expect(plain.stdout).toBe(
      [
        "~ models/best",
        '    semantic.default: "middle" → "fast"',
        '    semantic.routes[0].examples[0]: "a" → "b"',
        '    semantic.routes[0].examples[1]: (none) → "c"',
        "    semantic.routes[0].threshold: (none) → 1",
        "+ api_keys/builds",
        "~ budgets/everything",
        "    limit_usd: 100 → 200",
        '    action: (none) → "warn"',
        "",
      ].join("\n"),
    );
    expect(plain.stderr).toBe(
      "not in the file (--prune deletes such entries): api_keys: 1, budgets: 1\n1 to create, 2 to change, 5 equal\n",
    );
    const pruned = await run(diff, [...resources(next), "--prune"]);
    expect(pruned.stdout).toContain("- api_keys/ci\n+ api_keys/builds\n");
    expect(pruned.stdout).toContain("- budgets/old\n");
    expect(bench.gateway.writes.filter((write) => !write.startsWith("PUT"))).toEqual([]);
  });

  it("exits with 2 for an error", async () => {
    expect((await run(diff, resources("nonsense"))).code).toBe(2);
    expect((await run(diff, [])).code).toBe(2);
    expect((await run(diff, resources(FULL), { WEIR_ADMIN_KEY: "wrong" })).code).toBe(2);
    const kept = await run(diff, resources(FULL.replace("$" + "{UPSTREAM_KEY}", "[redacted]")));
    expect([kept.code, kept.stderr]).toEqual([2, expect.stringContaining("has no secret there")]);
  });
});

describe("the fields that differ", () => {
  const changes = (before: object, after: object) =>
    fieldChanges("provider_keys", before as Record<string, unknown>, after as Record<string, unknown>).map(
      ({ path, before: old, after: next, unknown }) => [path, old, next, unknown],
    );
  const variable = "$" + "{KEY}";

  it("does not depend on the order of fields", () => {
    expect(changes({ a: 1, b: { c: [1], d: null } }, { b: { d: null, c: [1] }, a: 1 })).toEqual([]);
  });

  it.each([
    ["a variable over the same", variable, variable, []],
    ["a variable over a secret", "[redacted]", variable, [["api_key", "[redacted]", variable, false]]],
    ["a secret over a variable", variable, "sk-1", [["api_key", variable, "[redacted]", false]]],
    ["a secret over a secret", "[redacted]", "sk-1", [["api_key", "[redacted]", "[redacted]", true]]],
    ["a secret over none", undefined, "sk-1", [["api_key", undefined, "[redacted]", false]]],
    ["none over a secret", "[redacted]", undefined, [["api_key", "[redacted]", undefined, false]]],
    ["what is kept", "[redacted]", "[redacted]", []],
    ["a kept variable", variable, "[redacted]", []],
    ["credentials over a secret", "[redacted]", { id: "x" }, [["api_key", "[redacted]", "[redacted]", true]]],
    ["new credentials", undefined, { id: "x", n: 1 }, [["api_key", undefined, { id: "[redacted]", n: 1 }, false]]],
    [
      "parts of credentials",
      { id: "[redacted]", key: variable },
      { id: "[redacted]", key: "sk-1" },
      [["api_key.key", variable, "[redacted]", false]],
    ],
  ])("shows no secret: %s", (_what, before, after, expected) => {
    expect(changes({ api_key: before }, { api_key: after })).toEqual(expected);
  });

  it("shows no secret header either", () => {
    const request = (headers: object) => ({ request: { default_headers: headers } });
    expect(
      changes(
        request({ "x-team": "a", authorization: variable }),
        request({ "x-team": "b", authorization: "Bearer s" }),
      ),
    ).toEqual([
      ["request.default_headers.x-team", "a", "b", false],
      ["request.default_headers.authorization", variable, "[redacted]", false],
    ]);
  });
});
