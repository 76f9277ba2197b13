/** Where and with what a run was made. */
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { join } from "node:path";
import { canPin, REPOSITORY } from "./children.js";
import type { Meta, RigParameters } from "./results.js";

const PACKAGES = ["uWebSockets.js", "piscina", "msgpackr"];

export function describeMachine(parameters: RigParameters, missing: Readonly<Record<string, string>>): Meta {
  const processors = cpus();
  const nginx = spawnSync("nginx", ["-v"], { encoding: "utf8" });
  return {
    date: new Date().toISOString(),
    commit: git("rev-parse", "--short=12", "HEAD"),
    uncommittedChanges: git("status", "--porcelain") !== "",
    processor: processors[0]?.model ?? "unknown",
    cores: processors.length,
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.versions.node,
    packages: Object.fromEntries(PACKAGES.map((name) => [name, installedVersion(name)])),
    nginx: nginx.error === undefined ? nginx.stderr.trim().replace(/^.*\//, "") : null,
    loadAverageBefore: loadavg().map((value) => Math.round(value * 100) / 100),
    pinned: canPin(),
    parameters,
    missing,
  };
}

function git(...args: string[]): string {
  try {
    return execFileSync("git", args, { cwd: REPOSITORY, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return "unknown";
  }
}

function installedVersion(name: string): string {
  try {
    const text = readFileSync(join(REPOSITORY, "node_modules", name, "package.json"), "utf8");
    return (JSON.parse(text) as { version: string }).version;
  } catch {
    return "unknown";
  }
}
