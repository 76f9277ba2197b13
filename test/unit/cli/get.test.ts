import { readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { apply } from "../../../src/cli/apply.js";
import { diff } from "../../../src/cli/diff.js";
import { exportResources } from "../../../src/cli/export.js";
import { get } from "../../../src/cli/get.js";
import { loadResources } from "../../../src/config/load.js";
import { contextWith } from "../config/files.js";
import { type Bench, FULL, openBench, run } from "./command-line.js";
import { ADMIN_KEY } from "./fake-gateway.js";

let bench: Bench;
beforeEach(async () => {
  bench = await openBench();
  await run(apply, ["-f", bench.directory.write("resources.yaml", FULL), ...bench.at]);
});
afterEach(() => bench.end());

describe("weir get", () => {
  it("shows a collection as a table", async () => {
    const { code, stdout, stderr } = await run(get, ["models", ...bench.at]);
    expect(code).toBe(0);
    expect(stdout.split("\n").map((line) => line.split(/ {2,}/))).toEqual([
      ["name", "revision", "kind", "provider", "model_name", "provider_key"],
      ["best", "4", "semantic", "-", "-", "-"],
      ["fast", "2", "direct", "openai", "gpt-4o-mini", "main"],
      ["middle", "3", "routing", "-", "-", "-"],
      [""],
    ]);
    expect(stderr).toBe("3 entries, revision 8 (nats)\n");
  });

  it("shows it as JSON or as a resource file has it", async () => {
    const { stdout } = await run(get, ["budgets", "--json", ...bench.at]);
    const value = { name: "everything", scope: "all", limit_usd: 100 };
    expect(JSON.parse(stdout)).toEqual({
      revision: 8,
      source: "nats",
      items: [{ name: "everything", revision: 6, value }],
    });
    expect((await run(get, ["budgets", "--yaml", ...bench.at])).stdout).toBe(
      "budgets:\n  - name: everything\n    scope: all\n    limit_usd: 100\n",
    );
  });

  it("shows one entry, whatever its name", async () => {
    const name = "a/b ü*%2F";
    bench.gateway.put("budgets", name, { name, scope: "all", limit_usd: 3 });
    const { stdout } = await run(get, ["budgets", name, ...bench.at]);
    expect(stdout).toBe(`name: ${name}\nscope: all\nlimit_usd: 3\n`);
    expect(JSON.parse((await run(get, ["budgets", name, "--json", ...bench.at])).stdout)).toMatchObject({
      revision: 9,
    });
    const gone = await run(get, ["budgets", "gone", ...bench.at]);
    expect([gone.code, gone.stderr]).toEqual([1, "there is no budgets/gone\n"]);
  });

  it.each([
    [[], "which collection"],
    [["nonsense"], 'no collection "nonsense"'],
    [["models", "a", "b"], "which collection"],
    [["models", "--json", "--yaml"], "not both"],
    [["models", "--timeout", "0"], "--timeout must be"],
    [["models", "--admin", "ftp://x"], "--admin must be"],
    [["models", "--admin", "http://u:p@x"], "--admin must be"],
  ])("explains itself for %j", async (argv, message) => {
    const { code, stderr } = await run(get, argv);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
    expect(stderr).toContain("usage: weir get");
  });

  it("shows its usage to who asks", async () => {
    const { code, stdout, stderr } = await run(get, ["--help"], { WEIR_ADMIN_KEY: "" });
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toContain("usage: weir get");
  });
});

describe("a gateway that does not answer as hoped", () => {
  const asked = (options: string[], environment?: Record<string, string>) =>
    run(get, ["models", ...options], environment);

  it("is told of: no key, a wrong one, one that no header carries", async () => {
    const none = await asked(bench.at, { WEIR_ADMIN_KEY: "" });
    expect([none.code, none.stderr]).toEqual([1, "WEIR_ADMIN_KEY is not set: the gateway wants to know who asks.\n"]);
    const wrong = await asked(bench.at, { WEIR_ADMIN_KEY: "wrong" });
    expect([wrong.code, wrong.stderr]).toEqual([1, "the gateway refuses (401): The admin key is unknown.\n"]);
    expect((await asked(bench.at, { WEIR_ADMIN_KEY: "a\nb" })).stderr).toContain("no header can carry");
  });

  it("is told of: nobody there", async () => {
    const other = await openBench();
    const { url } = other.gateway;
    await other.end();
    const { code, stderr } = await asked(["--admin", url]);
    expect([code, stderr]).toEqual([
      1,
      expect.stringContaining(`the gateway at ${url} cannot be reached: connect ECONN`),
    ]);
  });

  it("is told of: no answer in time, and an answer of something else", async () => {
    let answer = "";
    const other = createServer((_request, response) => {
      if (answer !== "") response.end(answer);
    });
    await new Promise<void>((done) => other.listen(0, "127.0.0.1", done));
    const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
    try {
      expect((await asked(["--admin", url, "--timeout", "0.05"])).stderr).toBe(
        `the gateway at ${url} has not answered within 0.05 s\n`,
      );
      for (answer of ["<html>", "{}", "[]"]) {
        expect((await asked(["--admin", url])).stderr).toContain("is it the ops listener?");
      }
    } finally {
      other.closeAllConnections();
      other.close();
    }
  });

  it("is found by the configuration", async () => {
    const port = new URL(bench.gateway.url).port;
    const config = bench.directory.write("weir.yaml", `ops: { listen: "0.0.0.0:${port}" }\n`);
    expect((await asked(["--config", config])).code).toBe(0);
    expect((await asked([], { WEIR_CONFIG: config })).code).toBe(0);
    expect((await asked([], { WEIR_OPS__LISTEN: `127.0.0.1:${port}` })).code).toBe(0);
    expect((await asked([], { WEIR_OPS__LISTEN: "127.0.0.1:0" })).stderr).toContain("--admin URL");
    expect((await asked(["--config", "gone.yaml"])).stderr).toContain("cannot be read");
  });
});

describe("weir export", () => {
  it("writes a file that serves, and that differs in nothing", async () => {
    const path = join(bench.directory.write("x", ""), "..", "exported.yaml");
    const { code, stdout, stderr } = await run(exportResources, ["-o", path, ...bench.at]);
    expect([code, stdout, stderr]).toEqual([0, "", ""]);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readFileSync(path, "utf8")).toMatch(
      /^_format_version: "1"\nprovider_keys:\n[\s\S]*\nmodels:\n[\s\S]*\ncache_policies: \[\]\n/,
    );
    const loaded = loadResources(path, contextWith({ UPSTREAM_KEY: "sk" }));
    expect(loaded.ok && [loaded.value.models.length, loaded.value.traffic.attachments.length]).toEqual([3, 1]);
    const same = await run(diff, ["-f", path, "--prune", ...bench.at]);
    expect([same.code, same.stdout, same.stderr]).toEqual([0, "", "8 equal\n"]);
  });

  it("names the secrets that are to be filled in", async () => {
    const secret = { display_name: "spelled", provider: "openai", api_key: "sk-literal" };
    bench.gateway.put("provider_keys", "spelled", secret);
    const { code, stdout, stderr } = await run(exportResources, bench.at);
    expect(code).toBe(0);
    expect(stdout).not.toContain("sk-literal");
    expect(stderr).toBe("provider_keys/spelled: api_key is [redacted]: fill it in\n");
  });

  it("reads again what has changed meanwhile, and says where it never rests", async () => {
    const { gateway } = bench;
    const list = gateway.calls;
    let changes = 1;
    list.push = (...calls) => {
      if (changes > 0 && calls[0]?.path === "models") {
        changes -= 1;
        gateway.put("budgets", "everything", { name: "everything", scope: "all", limit_usd: 500 + changes });
      }
      return Array.prototype.push.apply(list, calls);
    };
    const once = await run(exportResources, bench.at);
    expect(once.stderr).toBe("");
    expect(once.stdout).toContain("limit_usd: 500");
    changes = 100;
    expect((await run(exportResources, bench.at)).stderr).toContain("may not all be of one revision");
  });

  it("says why a file cannot be written", async () => {
    const { code, stderr } = await run(exportResources, ["-o", "gone/directory/file.yaml", ...bench.at]);
    expect([code, stderr]).toEqual([1, "gone/directory/file.yaml cannot be written (ENOENT)\n"]);
  });

  it("tells the key to nobody but the gateway", async () => {
    const { stdout, stderr } = await run(exportResources, bench.at);
    expect(stdout + stderr).not.toContain(ADMIN_KEY);
  });
});
