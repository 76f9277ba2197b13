/** `weir usage` reads the journal of a gateway that is running. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import type { UsageEvent } from "../../src/usage/event.js";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { oneProvider, type RunningGateway, sha256, startGateway, until } from "./gateway.js";
import { Client, ENDPOINTS, requestFor } from "./traffic.js";

const MAIN = fileURLToPath(new URL("../../dist/main.js", import.meta.url));
const OTHER_KEY = "sk-other-key";

let upstream: FakeUpstream;
let gateway: RunningGateway;
let client: Client;
let elsewhere: string;
const running = new Set<Command>();

beforeAll(async () => {
  upstream = await startFakeUpstream();
  const resources = oneProvider(upstream.url);
  (resources.api_keys as unknown[]).push({
    display_name: "other",
    key_hash: sha256(OTHER_KEY),
    allowed_models: ["*"],
    team_id: "team-7",
  });
  gateway = await startGateway({ config: { acceptors: 2 }, resources });
  client = new Client(gateway.url, 8);
  elsewhere = mkdtempSync(join(tmpdir(), "weir-cli-"));
});

afterEach(async () => {
  for (const command of running) {
    command.child.kill("SIGKILL");
    await command.ended;
  }
  running.clear();
});

afterAll(async () => {
  client?.close();
  await gateway?.dispose();
  await upstream?.close();
  rmSync(elsewhere, { recursive: true, force: true });
});

interface Command {
  readonly child: ChildProcess;
  stdout(): string;
  stderr(): string;
  readonly ended: Promise<number | null>;
}

function weir(args: readonly string[], directory = elsewhere, environment: Record<string, string> = {}): Command {
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd: directory,
    env: { PATH: process.env.PATH ?? "", ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const ended = new Promise<number | null>((done) => child.once("close", (code) => done(code)));
  const command = { child, stdout: () => stdout, stderr: () => stderr, ended };
  running.add(command);
  return command;
}

async function sum(...args: string[]): Promise<Record<string, unknown>[]> {
  const command = weir(["usage", "sum", "--json", ...args]);
  expect(await command.ended).toBe(0);
  expect(command.stderr()).toBe("");
  return command
    .stdout()
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

interface Asked {
  readonly model?: string;
  readonly key?: string;
  readonly fake?: object;
  readonly stream?: boolean;
}

function ask({ model = "gpt-a", key, fake = { words: 10 }, stream = false }: Asked) {
  const headers = key === undefined ? {} : { headers: { authorization: `Bearer ${key}` } };
  return client.post(ENDPOINTS.chat.path, requestFor(ENDPOINTS.chat, { model, fake, stream }), headers);
}

describe("weir usage sum", () => {
  beforeAll(async () => {
    await Promise.all([ask({}), ask({}), ask({ stream: true }), ask({ key: OTHER_KEY })]);
    await ask({ model: "gpt-b", key: OTHER_KEY, fake: { words: 20, cache_read_tokens: 100 } });
    await ask({ model: "gpt-b", key: OTHER_KEY, fake: { status: 500 } });
  });

  it("--by key,model adds up exactly what the upstream dealt out", async () => {
    const rows = await sum("--by", "key,model", "--data-dir", gateway.dataDirectory);
    const records = upstream.requests();
    const input = (model: string) => records.filter((record) => record.model === model && record.outputTokens > 0);
    const prompt = input("gpt-a")[0]?.inputTokens ?? 0;
    expect(rows).toContainEqual(
      expect.objectContaining({ key: "tester", model: "gpt-a", requests: 3, attempts: 3, errors: 0 }),
    );
    const found = (key: string, model: string) => rows.find((row) => row.key === key && row.model === model);
    expect(found("tester", "gpt-a")).toMatchObject({ input_tokens: 3 * prompt, output_tokens: 30 });
    expect(found("other", "gpt-a")).toMatchObject({ requests: 1, input_tokens: prompt, output_tokens: 10 });
    expect(found("other", "gpt-b")).toMatchObject({
      requests: 2,
      errors: 1,
      output_tokens: 20,
      cache_read_tokens: 100,
    });
    expect(found("other", "gpt-b")?.input_tokens).toBe(input("gpt-b")[0]?.inputTokens);
    expect(rows.length).toBe(3);
  });

  it("prints a table for people, with a total", async () => {
    const command = weir(["usage", "sum", "--by", "key,model", "--data-dir", gateway.dataDirectory]);
    expect(await command.ended).toBe(0);
    const lines = command.stdout().trimEnd().split("\n");
    expect(lines[0]).toMatch(/^key +model +requests +attempts +errors +input +output/);
    expect(lines.slice(1, -1).map((line) => line.split(/ +/).slice(0, 3))).toEqual(
      expect.arrayContaining([
        ["tester", "gpt-a", "3"],
        ["other", "gpt-a", "1"],
        ["other", "gpt-b", "2"],
      ]),
    );
    expect(lines.at(-1)).toMatch(/^total +6 +6 +1 /);
  });

  it("finds the journal by --config and by the environment, and says where there is none", async () => {
    const config = join(elsewhere, "weir.yaml");
    writeFileSync(config, stringify({ data_dir: gateway.dataDirectory }));
    const teams = await sum("--by", "team", "--config", config);
    expect(teams.map((row) => [row.team, row.requests]).sort()).toEqual([
      ["", 3],
      ["team-7", 3],
    ]);
    const byEnvironment = weir(["usage", "sum", "--by", "key"], elsewhere, { WEIR_DATA_DIR: gateway.dataDirectory });
    expect(await byEnvironment.ended).toBe(0);
    expect(byEnvironment.stdout()).toContain("tester");
    const nowhere = weir(["usage", "sum", "--by", "key"]);
    expect(await nowhere.ended).toBe(1);
    expect(nowhere.stderr()).toContain("no journal");
  });

  it("leaves out what is older than --since", async () => {
    const tomorrow = new Date(Date.now() + 86_400_000).toISOString();
    const command = weir([
      "usage",
      "sum",
      "--by",
      "key",
      "--json",
      "--since",
      tomorrow,
      "--data-dir",
      gateway.dataDirectory,
    ]);
    expect(await command.ended).toBe(0);
    expect(command.stdout()).toBe("");
    const lastHour = await sum("--by", "status", "--since", "1h", "--data-dir", gateway.dataDirectory);
    expect(lastHour.map((row) => [row.status, row.requests]).sort()).toEqual([
      ["200", 5],
      ["500", 1],
    ]);
  });

  it("says what is wrong with a command line", async () => {
    for (const [args, message] of [
      [["usage", "sum"], "--by is missing"],
      [["usage", "sum", "--by", "colour"], "colour"],
      [["usage", "sum", "--by", "key", "--since", "yesterday"], "--since"],
      [["usage", "count"], "count"],
      [["usage", "sum", "--nonsense"], "nonsense"],
    ] as const) {
      const command = weir(args);
      expect(await command.ended, args.join(" ")).toBe(1);
      expect(command.stderr()).toContain(message);
      expect(command.stdout()).toBe("");
    }
  });
});

describe("weir usage tail", () => {
  it("prints what is on file, then each event as it comes, and ends well on a signal", async () => {
    const onFile = (await gateway.events()).length;
    const tail = weir(["usage", "tail", "--from-start", "--json", "--data-dir", gateway.dataDirectory]);
    const lines = () => tail.stdout().split("\n").slice(0, -1);
    await until(() => lines().length === onFile);
    for (let index = 1; index <= 5; index += 1) {
      const reply = await ask({ model: `gpt-tail-${index}`, stream: index % 2 === 0 });
      await until(() => lines().length === onFile + index);
      const event = JSON.parse(lines().at(-1) ?? "") as UsageEvent;
      expect(event).toMatchObject({ request_id: reply.requestId, model: `gpt-tail-${index}`, output_tokens: 10 });
    }
    tail.child.kill("SIGTERM");
    expect(await tail.ended).toBe(0);
    const ids = lines().map((line) => (JSON.parse(line) as UsageEvent).id);
    expect(new Set(ids)).toEqual(new Set((await gateway.events()).map((event) => event.id)));
    expect(tail.stderr()).toBe("");
  });

  it("without --from-start begins now, and prints lines for people", async () => {
    const tail = weir(["usage", "tail", "--data-dir", gateway.dataDirectory]);
    // Whatever is asked before the tail looks is not its business: ask until it shows something.
    await until(async () => {
      await ask({ model: "gpt-now" });
      return tail.stdout() !== "";
    });
    tail.child.kill("SIGINT");
    expect(await tail.ended).toBe(0);
    for (const line of tail.stdout().trimEnd().split("\n")) {
      expect(line).toMatch(/ 200 chat gpt-now → openai\/gpt-now · \d+ in, 10 out · [\d.]+ ms · tester$/);
    }
  });

  it("waits for a journal that is not there yet", async () => {
    const later = join(elsewhere, "later");
    const tail = weir(["usage", "tail", "--from-start", "--json", "--data-dir", later]);
    const second = await startGateway({ config: { data_dir: later }, resources: oneProvider(upstream.url) });
    try {
      const other = new Client(second.url);
      const reply = await other.post(ENDPOINTS.chat.path, requestFor(ENDPOINTS.chat));
      await until(() => tail.stdout().includes(reply.requestId));
      other.close();
    } finally {
      await second.dispose();
    }
    tail.child.kill("SIGTERM");
    expect(await tail.ended).toBe(0);
  });
});
