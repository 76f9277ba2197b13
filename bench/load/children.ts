/** The rig's own child processes: pinned to a core, known by pid, ended whatever happens. */
import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from "node:child_process";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";

const END_AFTER_MS = 4000;
const alive = new Set<ChildProcess>();

export const REPOSITORY = fileURLToPath(new URL("../../", import.meta.url));

/** Arguments that run a TypeScript file of this folder in one process of its own. */
export function scriptArguments(file: string): string[] {
  return ["--import", import.meta.resolve("tsx"), fileURLToPath(new URL(file, import.meta.url))];
}

let tasksetWorks: boolean | null = null;

export function canPin(): boolean {
  tasksetWorks ??= spawnSync("taskset", ["-c", "1", "true"]).status === 0;
  return tasksetWorks;
}

/** Starts a command on one core (taskset replaces itself by the command, so the pid is the command's own). */
export function startPinned(
  core: number,
  command: string,
  args: readonly string[],
  options: SpawnOptions,
): ChildProcess {
  const child = canPin()
    ? spawn("taskset", ["-c", String(core), command, ...args], { cwd: REPOSITORY, ...options })
    : spawn(command, args, { cwd: REPOSITORY, ...options });
  alive.add(child);
  child.once("exit", () => alive.delete(child));
  child.once("error", () => alive.delete(child));
  return child;
}

/** Asks a child to end, and makes it end after 4 s; resolves when it is gone. */
export async function endChild(child: ChildProcess): Promise<void> {
  if (!alive.has(child)) return;
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), END_AFTER_MS);
  await gone;
  clearTimeout(timer);
}

export async function endAllChildren(): Promise<void> {
  await Promise.all([...alive].map(endChild));
}

/** For the process's exit handler, where nothing can be awaited. */
export function killAllChildren(): void {
  for (const child of alive) child.kill("SIGKILL");
}

/** Resolves with the first line that a child writes to its piped stdout; rejects when it ends or takes over 15 s. */
export function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    const timer = setTimeout(() => reject(new Error("a child of the rig said nothing for 15 s")), 15_000);
    child.once("exit", (code) => {
      clearTimeout(timer);
      reject(new Error(`a child of the rig ended with code ${code} before it was ready`));
    });
    child.stdout?.on("data", (piece: Buffer) => {
      text += piece.toString("utf8");
      const end = text.indexOf("\n");
      if (end < 0) return;
      clearTimeout(timer);
      resolve(text.slice(0, end));
    });
  });
}

/** A loopback port that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

/** Polls until `ready` holds; throws after `limitMs`, or at once when the child has ended. */
export async function waitUntil(child: ChildProcess, limitMs: number, ready: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + limitMs;
  while (!(await ready())) {
    if (!alive.has(child)) throw new Error(`ended with code ${child.exitCode ?? child.signalCode} before it was ready`);
    if (performance.now() > end) throw new Error(`not ready after ${limitMs} ms`);
    await pause(50);
  }
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
