/**
 * Finds a nats-server for the tests that need a real one; where there is none, fetches Debian's package and unpacks
 * it below dist/, without touching the system. Plain Node without a dependency. Speaks on stderr only.
 */
import { spawn } from "node:child_process";
import { accessSync, constants, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const UNPACKED = join(ROOT, "dist", "tools", "nats-server");
const FETCH_MS = 60_000;

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Path of a nats-server: on the PATH, where Debian puts it, or unpacked by `fetchNatsServer`; null = none. */
export function findNatsServer(path = process.env.PATH ?? "") {
  const folders = [...path.split(delimiter), "/usr/sbin", "/usr/local/bin", join(UNPACKED, "usr", "sbin")];
  return folders.map((folder) => join(folder, "nats-server")).find(isExecutable) ?? null;
}

function runQuietly(program, args, cwd) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd, stdio: "ignore", timeout: FETCH_MS });
    child.once("error", () => resolve(false));
    child.once("exit", (code) => resolve(code === 0));
  });
}

/** Fetches Debian's package, if this system knows it; answers the path, or null. Needs no rights. */
export async function fetchNatsServer() {
  mkdirSync(UNPACKED, { recursive: true });
  const folder = mkdtempSync(join(ROOT, "dist", ".nats-server-"));
  try {
    if (!(await runQuietly("apt-get", ["download", "nats-server"], folder))) return null;
    const archive = readdirSync(folder).find((name) => name.endsWith(".deb"));
    if (archive === undefined) return null;
    if (!(await runQuietly("dpkg-deb", ["-x", archive, UNPACKED], folder))) return null;
    const unpacked = join(UNPACKED, "usr", "sbin", "nats-server");
    return isExecutable(unpacked) ? unpacked : null;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
