/** Starts the built gateway as its users do, on free ports, and tells what it wrote and how it ended. */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import type { UsageEvent } from "../../src/usage/event.js";
import { readEvents } from "../../src/usage/reader.js";
import { journalDirectory } from "../../src/usage/segments.js";

const MAIN = fileURLToPath(new URL("../../dist/main.js", import.meta.url));
const START_MS = 40_000;
/** For what should come at once: a machine that has other things to do is no reason to fail. */
const PATIENCE_MS = 20_000;

/** The caller's key that `oneProvider` knows. */
export const KEY = "sk-test-key";

export interface GatewayOptions {
  /** weir.yaml as an object; ports and data directory are filled in. */
  readonly config?: Record<string, unknown>;
  /** resources.yaml as an object; null = none, the embedded default. */
  readonly resources?: Record<string, unknown> | null;
  readonly environment?: Record<string, string>;
}

export interface RunningGateway {
  readonly url: string;
  readonly opsUrl: string;
  readonly child: ChildProcess;
  readonly directory: string;
  readonly resourcesPath: string;
  readonly dataDirectory: string;
  /** Everything on stderr and stdout so far. */
  stderr(): string;
  stdout(): string;
  /** Writes another resource file over the one in use. */
  writeResources(resources: Record<string, unknown> | string): void;
  /** All usage events on file now. */
  events(): Promise<UsageEvent[]>;
  /** Polls until the condition gives something other than null, undefined or false. */
  until<T>(condition: () => T | Promise<T>, timeoutMs?: number): Promise<NonNullable<T>>;
  /** Sends a signal and waits for the end. Resolves with exit code and signal. */
  end(signal?: NodeJS.Signals): Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** Ends it however it takes and removes its files. */
  dispose(): Promise<void>;
}

export function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** Resources with one OpenAI-shaped and one Anthropic-shaped provider key at `upstream`, and the key `KEY`. */
export function oneProvider(upstream: string, key: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    _format_version: "1",
    provider_keys: [
      { display_name: "openai-main", provider: "openai", api_base: `${upstream}/v1`, api_key: "sk-upstream-openai" },
      { display_name: "anthropic-main", provider: "anthropic", api_base: upstream, api_key: "sk-upstream-anthropic" },
    ],
    models: [
      { display_name: "gpt-alias", provider: "openai", model_name: "gpt-upstream", provider_key: "openai-main" },
      { display_name: "gpt-*", provider: "openai", model_name: "gpt-*", provider_key: "openai-main" },
      {
        display_name: "text-embedding-*",
        provider: "openai",
        model_name: "text-embedding-*",
        provider_key: "openai-main",
      },
      { display_name: "claude-*", provider: "anthropic", model_name: "claude-*", provider_key: "anthropic-main" },
    ],
    api_keys: [{ display_name: "tester", key_hash: sha256(KEY), allowed_models: ["*"], ...key }],
  };
}

export async function startGateway(options: GatewayOptions = {}): Promise<RunningGateway> {
  const { directory, dataDirectory, resourcesPath, args } = writeFiles(options);
  const environment = { PATH: process.env.PATH ?? "", ...options.environment };
  const child = spawn(process.execPath, args, { env: environment, stdio: ["ignore", "pipe", "pipe"], cwd: directory });
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((done) => {
    child.once("exit", (code, signal) => done({ code, signal }));
  });
  const dispose = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGKILL");
      await ended;
    }
    rmSync(directory, { recursive: true, force: true });
  };
  const addresses = await until(() => {
    if (child.exitCode !== null) throw new Error(`the gateway ended with ${child.exitCode}:\n${stderr}\n${stdout}`);
    const url = /serving on (\S+)/.exec(stderr)?.[1];
    const opsUrl = /status on (\S+)/.exec(stderr)?.[1];
    return url !== undefined && opsUrl !== undefined ? { url, opsUrl } : null;
  }, START_MS).catch(async (error: unknown) => {
    await dispose();
    throw error;
  });
  return {
    ...addresses,
    child,
    directory,
    resourcesPath,
    dataDirectory,
    stdout: () => stdout,
    stderr: () => stderr,
    writeResources: (resources) => {
      writeFileSync(resourcesPath, typeof resources === "string" ? resources : stringify(resources));
    },
    events: () => readAll(dataDirectory),
    until,
    end: (signal = "SIGTERM") => {
      child.kill(signal);
      return ended;
    },
    dispose,
  };
}

/** The two files in a folder of their own, and the command line that names them. */
function writeFiles(options: GatewayOptions) {
  const directory = mkdtempSync(join(tmpdir(), "weir-e2e-"));
  const dataDirectory = join(directory, "data");
  const configPath = join(directory, "weir.yaml");
  const resourcesPath = join(directory, "resources.yaml");
  const config = {
    listen: "127.0.0.1:0",
    ops: { listen: "127.0.0.1:0" },
    data_dir: dataDirectory,
    node_name: "test-node",
    ...options.config,
  };
  writeFileSync(configPath, stringify(config));
  const args = [MAIN, "serve", "--config", configPath];
  if (options.resources != null) {
    writeFileSync(resourcesPath, stringify(options.resources));
    args.push("--resources", resourcesPath);
  }
  return { directory, dataDirectory, resourcesPath, args };
}

async function readAll(dataDirectory: string): Promise<UsageEvent[]> {
  const events: UsageEvent[] = [];
  for await (const event of readEvents(journalDirectory(dataDirectory))) events.push(event);
  return events;
}

/** Waits for a condition, not for luck: polls every 20 ms, fails after the bound. */
export async function until<T>(condition: () => T | Promise<T>, timeoutMs = PATIENCE_MS): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value !== null && value !== undefined && value !== false) return value as NonNullable<T>;
    if (performance.now() > deadline) throw new Error(`the condition did not come true within ${timeoutMs} ms`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

/**
 * Windows of limits are aligned to the clock: waits until so much is left of the one that runs, milliseconds, so that it
 * does not end within a scenario.
 */
export async function roomInWindow(windowMs: number, roomMs: number): Promise<void> {
  const left = windowMs - (Date.now() % windowMs);
  // A timer may ring a moment early.
  if (left < roomMs) await until(() => windowMs - (Date.now() % windowMs) >= roomMs, left + PATIENCE_MS);
}

/**
 * Repeats a scenario whose times a busy machine may spoil until they are as they should be, so many times at most: what
 * can be done once in so many tries can be done. Returns what it found last, to be looked at by the test as ever.
 */
export async function undisturbed<T>(
  scenario: () => Promise<T>,
  isAsItShould: (found: T) => boolean,
  tries = 5,
): Promise<T> {
  let found = await scenario();
  for (let tried = 1; tried < tries && !isAsItShould(found); tried += 1) found = await scenario();
  return found;
}
