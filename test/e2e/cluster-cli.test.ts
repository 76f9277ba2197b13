/** The commands that ask a running gateway, as people type them: against two nodes of a fleet, and one without. */
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { KEY, oneProvider, type RunningGateway, sha256, startGateway, until } from "./gateway.js";
import { NATS_PROGRAM, NATS_REASON, NatsServer } from "./nats.js";
import { ask, chat, page } from "./wire.js";

const MAIN = fileURLToPath(new URL("../../dist/main.js", import.meta.url));
const ADMIN = "admin-key-of-the-test";
const SECRET = "sk-upstream-openai";
const VARIABLE = `$${"{UPSTREAM_SECRET}"}`;

interface Said {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the program. It has the admin key and nothing else of the nodes' environment. */
function weir(argv: string[], environment: Record<string, string> = {}): Promise<Said> {
  const env = { PATH: process.env.PATH ?? "", WEIR_ADMIN_KEY: ADMIN, ...environment };
  const child = spawn(process.execPath, [MAIN, ...argv], { env, stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  return new Promise((done) => child.once("close", (code) => done({ code, stdout, stderr })));
}

/** biome-ignore lint/suspicious/noExplicitAny: a file is changed here and there. */
type File = any;

let upstream: FakeUpstream;
beforeAll(async () => {
  upstream = await startFakeUpstream();
});
afterAll(() => upstream?.close());

const gateways = new Set<RunningGateway>();
async function startNode(config: Record<string, unknown>, resources: File | null): Promise<RunningGateway> {
  const gateway = await startGateway({
    config: {
      acceptors: 2,
      log: { access: false },
      ops: { listen: "127.0.0.1:0", admin_key_hashes: [sha256(ADMIN)] },
      ...config,
    },
    environment: { UPSTREAM_SECRET: SECRET },
    resources,
  });
  gateways.add(gateway);
  return gateway;
}

/** One provider key by a variable of the nodes, one spelled out. */
function resourcesOf(): File {
  const resources: File = oneProvider(upstream.url);
  resources.provider_keys[0].api_key = VARIABLE;
  return resources;
}

/** Connections are spread over the acceptors: all of them answer so. */
async function allAnswer(node: RunningGateway, wanted: number, { key = KEY, model = "gpt-test" } = {}): Promise<void> {
  await until(async () => {
    const call = () => ask(node.url, chat({}, { model }), { key, headers: { connection: "close" } });
    const answers = await Promise.all(Array.from({ length: 8 }, call));
    return answers.every(({ status }) => status === wanted);
  }, 20_000);
}

describe.skipIf(NATS_PROGRAM === null)(`the commands at a fleet${NATS_REASON}`, () => {
  let nats: NatsServer;
  let nodes: readonly RunningGateway[];
  let first: RunningGateway;
  let second: RunningGateway;

  const at = (node: RunningGateway): string[] => ["--admin", node.opsUrl, "--timeout", "20"];
  const fileOf = (value: File): string => {
    const path = join(first.directory, "applied.yaml");
    writeFileSync(path, typeof value === "string" ? value : stringify(value));
    return path;
  };

  beforeAll(async () => {
    nats = await NatsServer.create();
    const fleet = (name: string) => ({ node_name: name, cluster: { nats: { servers: [nats.url] } } });
    nodes = await Promise.all([startNode(fleet("first"), resourcesOf()), startNode(fleet("second"), resourcesOf())]);
    [first, second] = nodes as [RunningGateway, RunningGateway];
    const source = async (node: RunningGateway) => (await page(`${node.opsUrl}/status/config`)).json.source;
    for (const node of nodes) await until(async () => (await source(node)) === "nats", 20_000);
  });
  afterAll(async () => {
    for (const gateway of gateways) await gateway.dispose();
    gateways.clear();
    await nats?.dispose();
  });

  it("show what is there, without its secrets", async () => {
    const { code, stdout, stderr } = await weir(["get", "provider_keys", ...at(first)]);
    expect([code, stderr]).toEqual([0, expect.stringMatching(/^2 entries, revision \d+ \(nats\)\n$/)]);
    expect(stdout).toContain(VARIABLE);
    expect(stdout).toContain("[redacted]");
    const one = await weir(["get", "models", "gpt-*", "--json", ...at(second)]);
    expect(JSON.parse(one.stdout)).toMatchObject({ name: "gpt-*", value: { model_name: "gpt-*" } });
  });

  it("export a file that another gateway can serve, and that makes no difference", async () => {
    const path = join(first.directory, "exported.yaml");
    const { code, stdout, stderr } = await weir(["export", "-o", path, ...at(second)]);
    expect([code, stdout]).toEqual([0, ""]);
    expect(stderr).toBe("provider_keys/anthropic-main: api_key is [redacted]: fill it in\n");
    expect(await weir(["diff", "-f", path, "--prune", ...at(first)])).toMatchObject({ code: 0, stdout: "" });
    const again = await weir(["apply", "-f", path, "--prune", ...at(first)]);
    expect([again.code, again.stdout]).toEqual([0, "nothing; 7 equal\n"]);
    writeFileSync(path, readFileSync(path, "utf8").replace("[redacted]", "sk-filled-in"));
    const checked = await weir(["validate", "--resources", path], { UPSTREAM_SECRET: "x" });
    expect([checked.code, checked.stderr]).toEqual([0, ""]);
  });

  it("apply a file: it is in force on both nodes", async () => {
    const next = resourcesOf();
    next.models.unshift({ display_name: "best", routing: { targets: [{ model: "gpt-alias" }] } });
    next.models = next.models.filter((model: File) => model.display_name !== "claude-*");
    next.api_keys[0].rate_limit = { rpm: 100_000 };
    next.provider_keys[1].api_key = "sk-another";
    const differs = await weir(["diff", "-f", fileOf(next), "--prune", ...at(second)]);
    expect(differs.code).toBe(1);
    expect(differs.stdout).toBe(
      [
        "~ provider_keys/anthropic-main",
        "    api_key: [redacted]: whether it differs is unknown",
        "+ models/best",
        "~ api_keys/tester",
        '    rate_limit: (none) → {"rpm":100000}',
        "- models/claude-*",
        "",
      ].join("\n"),
    );
    const { code, stdout, stderr } = await weir(["apply", "-f", fileOf(next), "--prune", ...at(first)]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(
      new RegExp(
        [
          "^changed provider_keys/anthropic-main \\(api_key\\?\\)",
          "created models/best",
          "changed api_keys/tester \\(rate_limit\\)",
          "deleted models/claude-\\*",
          "1 created, 2 changed, 1 deleted; 4 equal \\(revision \\d+\\)\n$",
        ].join("\n"),
      ),
    );
    for (const node of nodes) {
      await allAnswer(node, 200, { model: "best" });
      await allAnswer(node, 404, { model: "claude-test" });
    }
    // The secret that could not be compared is the same this time, which the gateway knows.
    const again = await weir(["apply", "-f", fileOf(next), "--prune", ...at(second)]);
    expect([again.code, again.stdout]).toEqual([0, "nothing; 7 equal\n"]);
  });

  it("refuse what only the nodes can see is wrong, and change nothing", async () => {
    const next = resourcesOf();
    next.provider_keys[0].api_key = `$${"{NOBODY_SETS_THIS}"}`;
    next.provider_keys.length = 1;
    next.models = next.models.slice(0, 1);
    delete next.api_keys;
    const { code, stdout, stderr } = await weir(["apply", "-f", fileOf(next), ...at(first)]);
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toContain("provider_keys/openai-main: the gateway refuses (400)");
    expect(stderr).toContain("environment variable NOBODY_SETS_THIS is not set or empty");
    const nonsense = await weir(["apply", "-f", fileOf("nonsense: 1"), ...at(first)]);
    expect([nonsense.code, nonsense.stderr]).toEqual([1, expect.stringContaining("nonsense: unknown field")]);
    for (const node of nodes) await allAnswer(node, 200);
  });

  it("make a key that every node knows, and delete it", async () => {
    const made = await weir([
      "keys",
      "create",
      "ann",
      "--models",
      "gpt-*",
      "--set",
      "rate_limit.rpm=50000",
      ...at(first),
    ]);
    expect(made.code).toBe(0);
    const key = made.stdout.trim();
    expect(key).toMatch(/^sk-weir-[\w-]{43}$/);
    for (const node of nodes) await allAnswer(node, 200, { key });
    expect((await weir(["get", "api_keys", "ann", ...at(second)])).stdout).toContain(sha256(key));
    const twice = await weir(["keys", "create", "ann", ...at(second)]);
    expect([twice.code, twice.stdout, twice.stderr]).toEqual([1, "", expect.stringContaining("(409)")]);
    expect((await weir(["keys", "delete", "ann", ...at(second)])).code).toBe(0);
    for (const node of nodes) {
      await allAnswer(node, 401, { key });
      expect(node.stderr() + node.stdout()).not.toContain(key);
    }
  });

  it("tell who may not ask, and who is not the one to be asked", async () => {
    const refused = await weir(["get", "models", ...at(first)], { WEIR_ADMIN_KEY: "wrong" });
    expect([refused.code, refused.stderr]).toEqual([1, "the gateway refuses (401): The admin key is unknown.\n"]);
    const nobody = await weir(["get", "models", ...at(first)], { WEIR_ADMIN_KEY: "" });
    expect([nobody.code, nobody.stderr]).toEqual([1, expect.stringContaining("WEIR_ADMIN_KEY is not set")]);
    const proxy = await weir(["get", "models", "--admin", first.url]);
    expect([proxy.code, proxy.stdout]).toEqual([1, ""]);
  });

  it("fill a fleet that has been given nothing", async () => {
    const cluster = { name: "empty", nats: { servers: [nats.url] } };
    const node = await startNode({ node_name: "empty", cluster }, null);
    const path = fileOf(resourcesOf());
    await until(async () => (await weir(["diff", "-f", path, ...at(node)])).stderr.includes("7 to create, 0 equal"));
    const { code, stdout, stderr } = await weir(["apply", "-f", path, ...at(node)]);
    expect([code, stderr]).toEqual([0, "the gateway serves its embedded default; what is applied takes its place\n"]);
    expect(stdout).toContain("7 created; 0 equal");
    await allAnswer(node, 200);
  });
});

describe("the commands at a gateway with a file", () => {
  afterEach(async () => {
    for (const gateway of gateways) await gateway.dispose();
    gateways.clear();
  });

  it("show it, and refuse to change it", async () => {
    const node = await startNode({}, resourcesOf());
    const at = ["--admin", node.opsUrl];
    const { code, stdout } = await weir(["export", ...at]);
    expect(code).toBe(0);
    expect(parse(stdout)).toMatchObject({ _format_version: "1", models: expect.any(Array), guardrails: [] });
    const next = resourcesOf();
    next.models.pop();
    const path = join(node.directory, "next.yaml");
    writeFileSync(path, stringify(next));
    const refused = await weir(["apply", "-f", path, "--prune", ...at]);
    expect([refused.code, refused.stdout]).toEqual([1, ""]);
    expect(refused.stderr).toMatch(/the gateway refuses \(409\): .*file/);
    const key = await weir(["keys", "create", "ann", ...at]);
    expect([key.code, key.stdout, key.stderr]).toEqual([1, "", expect.stringContaining("(409)")]);
  });
});
