import { afterAll, describe, expect, it } from "vitest";
import { validate } from "../../../src/cli/validate.js";
import { contextWith, MINIMAL, temporaryDirectory } from "./files.js";

const directory = temporaryDirectory();
afterAll(() => directory.remove());

async function run(argv: string[], environment: Record<string, string> = {}) {
  let stdout = "";
  let stderr = "";
  const code = await validate(argv, {
    ...contextWith(environment),
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      stderr += text;
    },
  });
  return { code, stdout, stderr };
}

describe("weir validate", () => {
  const good = directory.write("good.yaml", MINIMAL);
  const later = directory.write("later.yaml", `${MINIMAL}mcp_servers: []\n`);
  const bad = directory.write("bad.yaml", '_format_version: "1"\nmodels: [{name: a}]\n');
  const config = directory.write("weir.yaml", "acceptors: 0\n");

  it("counts what it found", async () => {
    const { code, stdout, stderr } = await run(["--resources", good]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^OK: .*1 provider keys, 1 models, 1 API keys \(revision [0-9a-f]{12}\)\n$/);
  });

  it("prints the errors of both files, one a line", async () => {
    const { code, stdout, stderr } = await run([`--config=${config}`, "--resources", bad]);
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr.trimEnd().split("\n").sort()).toEqual([
      `${bad}:models[0].model_name: is required (line 2)`,
      `${bad}:models[0].provider: is required (or one of routing, ensemble, semantic) (line 2)`,
      `${bad}:models[0].provider_key: is required (or provider_key_id) (line 2)`,
      `${config}:acceptors: must be at least 1 (line 1)`,
    ]);
  });

  it("checks the environment without any file", async () => {
    expect((await run([])).code).toBe(0);
    const { code, stderr } = await run([], { WEIR_ACCEPTORS: "none" });
    expect([code, stderr]).toEqual([1, "environment:WEIR_ACCEPTORS: must be a whole number\n"]);
  });

  it("passes over what is not supported yet only when told", async () => {
    expect((await run(["--resources", later])).stderr).toBe(`${later}:mcp_servers: not yet supported (line 16)\n`);
    const { code, stderr } = await run(["--resources", later, "--ignore-unsupported"]);
    expect([code, stderr]).toEqual([0, `ignored: ${later}:mcp_servers: not yet supported (line 16)\n`]);
  });

  it.each([[["--nonsense"]], [["stray"]], [["--config"]]])("explains itself for %j", async (argv) => {
    const { code, stderr } = await run(argv);
    expect(code).toBe(1);
    expect(stderr).toContain("usage: weir validate");
  });
});
