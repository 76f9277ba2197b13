import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { apply } from "../../../src/cli/apply.js";
import type { Raw } from "../../../src/config/entry.js";
import { type Bench, FULL, openBench, run } from "./command-line.js";

let bench: Bench;
beforeEach(async () => {
  bench = await openBench();
});
afterEach(() => bench.end());

const applied = (text: string, ...options: string[]) =>
  run(apply, ["-f", bench.directory.write("resources.yaml", text), ...options, ...bench.at]);

const PROVIDER_KEY = { display_name: "main", provider: "openai", api_key: "sk-literal" };
const model = (name: string, change: Raw = {}): Raw => ({
  display_name: name,
  provider: "openai",
  model_name: "gpt-4o-mini",
  provider_key: "main",
  ...change,
});
const file = (collections: Record<string, unknown>): string => JSON.stringify({ _format_version: "1", ...collections });

describe("weir apply", () => {
  it("makes everything in one round of calls, in an order in which each is valid", async () => {
    const { code, stdout, stderr } = await applied(FULL);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toBe(
      [
        "created provider_keys/main",
        "created models/fast",
        "created models/middle",
        "created models/best",
        "created api_keys/ci",
        "created budgets/everything",
        "created guardrails/words",
        "created guardrail_attachments/words@model:best",
        "8 created; 0 equal (revision 8)",
        "",
      ].join("\n"),
    );
    expect(bench.gateway.writes).toHaveLength(8);
    expect(bench.gateway.calls.filter(({ method }) => method === "PUT").map((call) => call.ifNoneMatch)).toEqual(
      Array(8).fill("*"),
    );
  });

  it("sends variables as they are written, and knows them again", async () => {
    await applied(FULL);
    expect(bench.gateway.value("provider_keys", "main")?.api_key).toBe("$" + "{UPSTREAM_KEY}");
    const again = await applied(FULL);
    expect([again.code, again.stdout]).toEqual([0, "nothing; 8 equal\n"]);
    expect(bench.gateway.writes).toHaveLength(8);
  });

  it("writes only what differs, at the revision that it has seen", async () => {
    await applied(FULL);
    const { code, stdout } = await applied(FULL.replace("limit_usd: 100", "limit_usd: 200"));
    expect([code, stdout]).toEqual([0, "changed budgets/everything (limit_usd)\n1 changed; 7 equal (revision 9)\n"]);
    expect(bench.gateway.calls.at(-1)?.ifMatch).toBe('"6"');
  });

  it("writes a secret that it cannot compare, and leaves one alone that is redacted", async () => {
    bench.gateway.put("provider_keys", "main", PROVIDER_KEY);
    const spelled = await applied(file({ provider_keys: [{ ...PROVIDER_KEY, api_key: "sk-next" }] }));
    expect([spelled.code, spelled.stdout]).toEqual([
      0,
      "changed provider_keys/main (api_key?)\n1 changed; 0 equal (revision 2)\n",
    ]);
    const kept = await applied(
      file({ provider_keys: [{ ...PROVIDER_KEY, api_key: "[redacted]", region: "eu-west-1" }] }),
    );
    expect(kept.stdout).toBe("changed provider_keys/main (region)\n1 changed; 0 equal (revision 3)\n");
    expect(bench.gateway.value("provider_keys", "main")).toMatchObject({ api_key: "sk-next", region: "eu-west-1" });
  });

  it("takes a secret that turns out to be the same for no change", async () => {
    bench.gateway.put("provider_keys", "main", PROVIDER_KEY);
    const { code, stdout } = await applied(file({ provider_keys: [PROVIDER_KEY] }));
    expect([code, stdout]).toEqual([0, "nothing; 1 equal\n"]);
    expect(bench.gateway.writes).toEqual(["PUT provider_keys/main"]);
  });

  it("takes an embedded default for nothing: none of it is stored", async () => {
    const { gateway } = bench;
    gateway.source = "embedded default";
    gateway.put("provider_keys", "main", PROVIDER_KEY);
    gateway.beforeWrite = () => {
      gateway.beforeWrite = () => {};
      gateway.remove("provider_keys", "main");
    };
    const { code, stdout, stderr } = await applied(FULL, "--prune");
    expect([code, stderr]).toEqual([0, "the gateway serves its embedded default; what is applied takes its place\n"]);
    expect(stdout).toContain("created provider_keys/main\n");
    expect(stdout).toContain("8 created; 0 equal");
  });

  it("does not begin where a redacted secret has nothing to stand for", async () => {
    const { code, stderr } = await applied(file({ provider_keys: [{ ...PROVIDER_KEY, api_key: "[redacted]" }] }));
    expect(code).toBe(1);
    expect(stderr).toBe("provider_keys/main: api_key is [redacted], and the gateway has no secret there\n");
    expect(bench.gateway.writes).toEqual([]);
  });

  it("says everything that is wrong with the file, and asks nobody", async () => {
    const { code, stdout, stderr } = await applied('_format_version: "1"\nmodels: [{name: a, nonsense: 1}]\n');
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(/resources.yaml:models\[0\].nonsense: unknown field \(line 2\)\n/);
    expect(stderr).toMatch(/resources.yaml:models\[0\].model_name: is required \(line 2\)\n/);
    expect(bench.gateway.calls).toEqual([]);
  });

  it("deletes nothing unless told, and then in reverse order", async () => {
    await applied(FULL);
    const less = FULL.replace(/ {2}- display_name: best\n.*\n.*\n/, "")
      .replace(/ {2}- display_name: middle\n.*\n/, "")
      .replace(/guardrail_attachments:\n.*\n/, "guardrail_attachments: []\n")
      .replace(/guardrails:\n.*\n/, "guardrails: []\n")
      .replace(/budgets:\n.*\n/, "");
    const kept = await applied(less);
    expect([kept.code, kept.stdout]).toEqual([0, "nothing; 3 equal\n"]);
    expect(kept.stderr).toBe(
      "not in the file (--prune deletes such entries): models: 2, budgets: 1, guardrails: 1, guardrail_attachments: 1\n",
    );
    const pruned = await applied(less, "--prune");
    expect(pruned.stdout).toBe(
      [
        "deleted guardrail_attachments/words@model:best",
        "deleted guardrails/words",
        "deleted models/best",
        "deleted models/middle",
        "4 deleted; 3 equal (revision 12)",
        "",
      ].join("\n"),
    );
    expect(pruned.stderr).toBe("left alone, because the file does not name their collections: budgets: 1\n");
    expect(bench.gateway.value("budgets", "everything")).toBeDefined();
  });

  it("renames a key: the old one gives up its hash before the new one takes it", async () => {
    await applied(FULL);
    const { code, stdout } = await applied(FULL.replace("display_name: ci", "display_name: builds"), "--prune");
    expect(code).toBe(0);
    expect(stdout).toBe("deleted api_keys/ci\ncreated api_keys/builds\n1 created, 1 deleted; 7 equal (revision 10)\n");
  });

  it("tries again what another write had to come before", async () => {
    const provider_keys = [{ ...PROVIDER_KEY, api_key: "$" + "{UPSTREAM_KEY}" }];
    await applied(file({ provider_keys, models: [model("a", { id: "one" }), model("b")] }));
    // "b" can take the id only once "a" has given it up, and comes first in the file.
    const { code, stdout } = await applied(
      file({ provider_keys, models: [model("b", { id: "one" }), model("a", { id: "two" })] }),
    );
    expect(code).toBe(0);
    expect(stdout).toBe("changed models/a (id)\nchanged models/b (id)\n2 changed; 1 equal (revision 5)\n");
  });
});

describe("weir apply beside other writers", () => {
  const budget = (limit: number) => file({ budgets: [{ name: "all", scope: "all", limit_usd: limit }] });

  it("reads an entry again that has been changed meanwhile", async () => {
    await applied(budget(1));
    bench.gateway.beforeWrite = () => {
      bench.gateway.beforeWrite = () => {};
      bench.gateway.put("budgets", "all", { name: "all", scope: "all", limit_usd: 7 });
    };
    const { code, stdout } = await applied(budget(2));
    expect([code, stdout]).toEqual([0, "changed budgets/all (limit_usd)\n1 changed; 0 equal (revision 3)\n"]);
    expect(bench.gateway.value("budgets", "all")?.limit_usd).toBe(2);
  });

  it("leaves it alone where the other has written the same", async () => {
    bench.gateway.beforeWrite = () => {
      bench.gateway.beforeWrite = () => {};
      bench.gateway.put("budgets", "all", { name: "all", scope: "all", limit_usd: 2 });
    };
    const { code, stdout } = await applied(budget(2));
    expect([code, stdout]).toEqual([0, "nothing; 1 equal\n"]);
  });

  it("gives up on an entry that changes all the time, and says which", async () => {
    let limit = 10;
    bench.gateway.beforeWrite = ({ path }) => {
      if (path !== "budgets/all") return;
      limit += 1;
      bench.gateway.put("budgets", "all", { name: "all", scope: "all", limit_usd: limit });
    };
    const other = { name: "other", scope: "all", limit_usd: 5 };
    const { code, stdout, stderr } = await applied(
      file({ budgets: [{ name: "all", scope: "all", limit_usd: 2 }, other] }),
    );
    expect([code, stdout]).toEqual([1, "created budgets/other\n"]);
    expect(stderr).toMatch(/^budgets\/all: the gateway refuses \(412\)/);
    expect(stderr).toContain("not finished: 1 created (revision 3); 1 failed\n");
  });
});

describe("weir apply that cannot be finished", () => {
  it("does what it can, says what is wrong with the rest, and prunes nothing", async () => {
    bench.gateway.put("budgets", "old", { name: "old", scope: "all", limit_usd: 1 });
    // Only the gateway knows that this variable is not set.
    const next = FULL.replace("UPSTREAM_KEY", "NOBODY_SETS_THIS");
    const { code, stdout, stderr } = await applied(next, "--prune");
    expect(code).toBe(1);
    expect(stdout).toBe("created api_keys/ci\ncreated budgets/everything\ncreated guardrails/words\n");
    expect(stderr).toContain("provider_keys/main: the gateway refuses (400): The resources would not be valid.\n");
    expect(stderr).toContain(
      '  provider_keys "main".api_key: environment variable NOBODY_SETS_THIS is not set or empty\n',
    );
    expect(stderr).toContain("not finished: 3 created (revision 4); 5 failed, 1 not done\n");
    expect(bench.gateway.value("budgets", "old")).toBeDefined();
  });

  it("stops at once where no write can succeed", async () => {
    const message = "The resources come from a file: change resources.yaml.";
    bench.gateway.refuseWrites = { status: 409, body: { error: { message } } };
    const { code, stdout, stderr } = await applied(FULL);
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toBe(
      `provider_keys/main: the gateway refuses (409): ${message}\nnot finished: nothing; 8 not done\n`,
    );
    expect(bench.gateway.writes).toHaveLength(1);
  });

  it("waits a moment for NATS", async () => {
    const { gateway } = bench;
    gateway.refuseWrites = { status: 503, body: { error: { message: "NATS cannot be reached." } } };
    gateway.beforeWrite = () => {
      if (gateway.writes.length > 1) gateway.refuseWrites = null;
    };
    const { code, stdout } = await applied(FULL);
    expect([code, gateway.writes.length]).toEqual([0, 9]);
    expect(stdout).toContain("8 created");
  });

  it("says that what it wrote is not in force, where others have spoilt it", async () => {
    bench.gateway.notInForce = [{ path: 'guardrails "x"', message: "is not JSON" }];
    const { code, stdout, stderr } = await applied(FULL);
    expect([code, stdout.split("\n").length]).toEqual([1, 10]);
    expect(stderr).toBe(
      'stored, but nothing new is in force until all entries are right:\n  guardrails "x": is not JSON\n',
    );
  });

  it("only says what it would do with --dry-run", async () => {
    const { code, stdout } = await applied(FULL, "--dry-run");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^would create provider_keys\/main\n[\s\S]*\n8 to create, 0 equal\n$/);
    expect(bench.gateway.writes).toEqual([]);
  });

  it.each([[[]], [["-f"]], [["stray"]], [["--nonsense"]]])("explains itself for %j", async (argv) => {
    const { code, stderr } = await run(apply, argv);
    expect(code).toBe(2);
    expect(stderr).toContain("usage: weir apply");
  });
});
