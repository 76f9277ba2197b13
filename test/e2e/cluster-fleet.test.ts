/** Nodes of a fleet know each other, and the fleet's usage can be read from anywhere. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { ClusterStatus } from "../../src/cluster/actor.js";
import type { UsageEvent } from "../../src/usage/event.js";
import { call } from "./calls.js";
import { oneProvider, type RunningGateway, sha256, startGateway, until } from "./gateway.js";
import { NATS_PROGRAM, NATS_REASON, NatsServer } from "./nats.js";
import { Client, ENDPOINTS, requestFor } from "./traffic.js";
import { startUpstreamProcess, type UpstreamProcess } from "./upstream-process.js";

const MAIN = fileURLToPath(new URL("../../dist/main.js", import.meta.url));
const OTHER_KEY = "sk-other-key";
const OTHER_NAME = "team b. (*>)";

let upstream: UpstreamProcess;
let nats: NatsServer;
let elsewhere: string;
const gateways = new Set<RunningGateway>();
const commands = new Set<Command>();

async function startNode(name: string): Promise<RunningGateway> {
  const resources = oneProvider(upstream.url);
  (resources.api_keys as unknown[]).push({
    display_name: OTHER_NAME,
    key_hash: sha256(OTHER_KEY),
    allowed_models: ["*"],
  });
  const gateway = await startGateway({
    config: { acceptors: 1, node_name: name, log: { access: false } },
    environment: { WEIR_CLUSTER__NATS__SERVERS: nats.url, WEIR_CLUSTER__NAME: "fleet-1" },
    resources,
  });
  gateways.add(gateway);
  return gateway;
}

async function status({ opsUrl }: RunningGateway): Promise<ClusterStatus> {
  return JSON.parse((await call(`${opsUrl}/status/cluster`, { headers: {} })).text) as ClusterStatus;
}

async function names(gateway: RunningGateway): Promise<string> {
  const { members } = await status(gateway);
  return members
    .map(({ node }) => node)
    .sort()
    .join();
}

interface Command {
  readonly child: ChildProcess;
  stdout(): string;
  stderr(): string;
  readonly ended: Promise<number | null>;
}

function weir(...args: string[]): Command {
  const child = spawn(process.execPath, [MAIN, "usage", ...args], {
    cwd: elsewhere,
    env: { PATH: process.env.PATH ?? "", WEIR_CLUSTER__NAME: "fleet-1" },
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
  commands.add(command);
  return command;
}

async function rows(...args: string[]): Promise<unknown[]> {
  const command = weir("sum", "--json", ...args);
  expect(await command.ended, command.stderr()).toBe(0);
  return command
    .stdout()
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as unknown);
}

async function ask(gateway: RunningGateway, count: number, key?: string): Promise<void> {
  const client = new Client(gateway.url);
  const manner = key === undefined ? {} : { headers: { authorization: `Bearer ${key}` } };
  for (let index = 0; index < count; index += 1) {
    const body = requestFor(ENDPOINTS.chat, { model: `gpt-4.${index % 2}`, fake: { words: 5 } });
    expect((await client.post(ENDPOINTS.chat.path, body, manner)).status).toBe(200);
  }
  client.close();
}

describe.skipIf(NATS_PROGRAM === null)(`a fleet of two${NATS_REASON}`, () => {
  let first: RunningGateway;
  let second: RunningGateway;

  beforeAll(async () => {
    elsewhere = mkdtempSync(join(tmpdir(), "weir-fleet-"));
    upstream = await startUpstreamProcess();
    nats = await NatsServer.create();
    first = await startNode("first");
    second = await startNode("second");
  });

  afterEach(async () => {
    for (const { child, ended } of commands) {
      child.kill("SIGKILL");
      await ended;
    }
    commands.clear();
  });

  afterAll(async () => {
    for (const gateway of gateways) await gateway.dispose();
    await nats?.dispose();
    await upstream?.close();
    rmSync(elsewhere, { recursive: true, force: true });
  });

  it("both list both, with version, load and state", async () => {
    for (const gateway of [first, second]) await until(async () => (await names(gateway)) === "first,second");
    // The first has heard of the second lately: within three of its beats.
    await until(async () => (await status(first)).members.every(({ heard_ms }) => heard_ms < 3_000));
    const { name, self, members } = await status(first);
    expect(name).toBe("fleet-1");
    expect(members.find(({ instance }) => instance === self)).toMatchObject({ node: "first", heard_ms: 0 });
    const other = members.find(({ node }) => node === "second");
    expect(other).toMatchObject({
      version: expect.stringMatching(/^\d+\.\d+/),
      state: "serving",
      load: { in_flight: 0 },
    });
  });

  it("usage tail --nats prints what both answered, and goes on when NATS was away", async () => {
    const tail = weir("tail", "--nats", "--servers", nats.url, "--from-start", "--json");
    const printed = () =>
      tail
        .stdout()
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line) as UsageEvent);
    await ask(first, 3);
    await ask(second, 2, OTHER_KEY);
    await until(() => printed().length === 5);
    expect(printed()).toContainEqual(
      expect.objectContaining({ node: "second", api_key: OTHER_NAME, model: "gpt-4.0" }),
    );
    await nats.kill();
    await nats.start();
    await ask(first, 3);
    await until(() => printed().length === 8, 20_000);
    expect(new Set(printed().map(({ id }) => id)).size).toBe(8);
    tail.child.kill("SIGTERM");
    expect(await tail.ended).toBe(0);
    expect(tail.stderr()).toBe("");
  });

  it("usage sum --nats says what the journals of both say, before and after it was added up", async () => {
    await ask(second, 4);
    const journals = await Promise.all(
      [first, second].map(({ dataDirectory }) => rows("--by", "key,model", "--data-dir", dataDirectory)),
    );
    const requests = journals.flat().reduce<number>((sum, row) => sum + (row as { requests: number }).requests, 0);
    const fleet = () => rows("--nats", "--servers", nats.url, "--by", "key,model");
    const sumOf = (found: unknown[]) =>
      found.reduce<number>((sum, row) => sum + (row as { requests: number }).requests, 0);
    let found: unknown[] = [];
    await until(async () => {
      found = await fleet();
      return sumOf(found) === requests;
    }, 20_000);
    const position = () =>
      nats.with(async (_manager, client) => {
        const bucket = await client.jetstream().views.kv("FLEET-1_ROLLUPS", { bindOnly: true });
        return (await bucket.get("position"))?.json<{ sequence: number }>().sequence ?? 0;
      });
    const stored = await nats.count("FLEET-1_USAGE");
    expect(stored).toBe(requests);
    await until(async () => (await position()) === stored, 20_000);
    expect(await fleet()).toEqual(found);
    const byDay = await rows("--nats", "--servers", nats.url, "--by", "day", "--since", "24h");
    expect(sumOf(byDay)).toBe(requests);
    const totals = (all: unknown[], field: string) =>
      all.reduce<number>((sum, row) => sum + ((row as Record<string, number>)[field] ?? 0), 0);
    for (const field of ["input_tokens", "output_tokens", "attempts", "errors"]) {
      expect(totals(found, field), field).toBe(totals(journals.flat(), field));
    }
    expect(found).toContainEqual(expect.objectContaining({ key: OTHER_NAME, model: "gpt-4.1", requests: 1 }));
  });

  it("the command says what it lacks", async () => {
    for (const [args, message] of [
      [["sum", "--nats", "--by", "key"], "where is NATS?"],
      [["sum", "--nats", "--by", "team", "--servers", nats.url], "not by team"],
      [["sum", "--by", "key", "--servers", nats.url], "--servers goes with --nats"],
      [["tail", "--nats", "--servers", "nats://127.0.0.1:1"], "cannot be reached"],
    ] as const) {
      const command = weir(...args);
      expect(await command.ended, args.join(" ")).toBe(1);
      expect(command.stderr()).toContain(message);
    }
  });

  it("a node that is killed is gone after three missed beats; one that drains says so", async () => {
    const third = await startNode("third");
    await until(async () => (await names(first)) === "first,second,third");
    const killed = performance.now();
    await third.end("SIGKILL");
    await until(async () => (await names(first)) === "first,second");
    expect(performance.now() - killed).toBeGreaterThan(2_000);
    expect(performance.now() - killed).toBeLessThan(15_000);
    const heardOfSecond = async () =>
      (await status(first)).members.find(({ node }) => node === "second")?.heard_ms ?? 0;
    let silence = 0;
    const ended = second.end();
    await until(async () => {
      const heard = await heardOfSecond();
      silence = Math.max(silence, heard);
      return (await names(first)) === "first";
    });
    expect(await ended).toEqual({ code: 0, signal: null });
    // It was not missed: it had said so.
    expect(silence).toBeLessThan(2_900);
  });
});
