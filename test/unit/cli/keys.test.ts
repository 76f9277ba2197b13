import { createHash } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { keys } from "../../../src/cli/keys.js";
import { type Bench, openBench, run } from "./command-line.js";

let bench: Bench;
beforeEach(async () => {
  bench = await openBench();
});
afterEach(() => bench.end());

describe("weir keys", () => {
  it("makes a key, and tells it once and alone", async () => {
    const { code, stdout, stderr } = await run(keys, ["create", "ann", "--models", "gpt-*, fast", ...bench.at]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^sk-weir-[\w-]{43}\n$/);
    expect(stderr).toBe("created api_keys/ann (revision 1); the key is not told again\n");
    expect(bench.gateway.value("api_keys", "ann")).toEqual({
      display_name: "ann",
      allowed_models: ["gpt-*", "fast"],
      key_hash: createHash("sha256").update(stdout.trim()).digest("hex"),
    });
  });

  it("sets other fields, with values as YAML has them", async () => {
    const set = ["rate_limit.rpm=600", "rate_limit.tpm=5", "disabled=true", "team_id='7'", "metadata.note=a=b: c: d"];
    const { code, stderr } = await run(keys, ["create", "bob", ...set.flatMap((text) => ["--set", text]), ...bench.at]);
    expect(code).toBe(0);
    expect(stderr).toContain("it may use no model yet");
    expect(bench.gateway.value("api_keys", "bob")).toMatchObject({
      rate_limit: { rpm: 600, tpm: 5 },
      disabled: true,
      team_id: "7",
      metadata: { note: "a=b: c: d" },
    });
  });

  it("passes on what the gateway has against it", async () => {
    const { code, stdout, stderr } = await run(keys, ["create", "bob", "--set", "nonsense=1", ...bench.at]);
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toContain('  api_keys "bob".nonsense: unknown field\n');
  });

  it("deletes one", async () => {
    await run(keys, ["create", "ann", ...bench.at]);
    const deleted = await run(keys, ["delete", "ann", ...bench.at]);
    expect([deleted.code, deleted.stdout]).toEqual([0, "deleted api_keys/ann (revision 2)\n"]);
    const gone = await run(keys, ["delete", "ann", ...bench.at]);
    expect([gone.code, gone.stderr]).toEqual([1, "there is no api_keys/ann\n"]);
  });

  it.each([
    [["create"]],
    [["rotate", "ann"]],
    [["create", "a", "b"]],
    [["delete", "a", "--models", "x"]],
    [["create", "a", "--set", "nothing"]],
    [["create", "a", "--set", "key_hash=x"]],
    [["create", "a", "--set", "metadata.__proto__=x"]],
  ])("explains itself for %j", async (argv) => {
    const { code, stderr } = await run(keys, [...argv, ...bench.at]);
    expect(code).toBe(2);
    expect(stderr).toContain("usage: weir keys");
    expect(bench.gateway.calls).toEqual([]);
  });
});
