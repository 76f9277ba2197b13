/** The fake upstream in a process of its own, for scenarios in which three programs share the cores. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Stats } from "../fake-upstream/ledger.js";
import { call } from "./calls.js";
import { until } from "./gateway.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const START_MS = 40_000;

export interface UpstreamProcess {
  readonly url: string;
  /** Asked over a connection of its own, which the answer counts. */
  stats(): Promise<Stats>;
  /** Ends it. */
  close(): Promise<void>;
}

export async function startUpstreamProcess(): Promise<UpstreamProcess> {
  const args = ["--import", "tsx", "test/fake-upstream/main.ts"];
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise<void>((done) => child.once("exit", () => done()));
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (part: string) => {
    text += part;
  });
  const close = async (): Promise<void> => {
    child.kill("SIGTERM");
    await ended;
  };
  const url = await until(() => {
    if (child.exitCode !== null) throw new Error(`the fake upstream ended with ${child.exitCode}`);
    return /fake upstream on (\S+)/.exec(text)?.[1];
  }, START_MS).catch(async (error: unknown) => {
    await close();
    throw error;
  });
  return {
    url,
    stats: async () => JSON.parse((await call(`${url}/__control/stats`, { headers: {} })).text) as Stats,
    close,
  };
}
