/**
 * Fetches Debian's packages for the tests that need a program, and unpacks them below dist/tools/, without touching the
 * system and without any rights. Plain Node without a dependency.
 */
import { spawn } from "node:child_process";
import { accessSync, constants, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const FETCH_MS = 60_000;

/** The first of these folders' programs of that name that may be run; null = none. */
export function findProgram(name, folders) {
  return folders.map((folder) => join(folder, name)).find(isExecutable) ?? null;
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Where a fetched program's packages are unpacked. */
export function unpackedFolder(program) {
  return join(ROOT, "dist", "tools", program);
}

/** Runs a program quietly; what it wrote to stdout, or null when it failed. */
export function outputOf(program, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { ...options, stdio: ["ignore", "pipe", "ignore"], timeout: FETCH_MS });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text) => {
      output += text;
    });
    child.once("error", () => resolve(null));
    child.once("close", (code) => resolve(code === 0 ? output : null));
  });
}

/** Unpacks the packages into the program's folder; false when this system does not know them, or cannot fetch them. */
export async function fetchPackages(program, names) {
  const target = unpackedFolder(program);
  mkdirSync(target, { recursive: true });
  const folder = mkdtempSync(join(ROOT, "dist", `.${program}-`));
  try {
    if ((await outputOf("apt-get", ["download", ...names], { cwd: folder })) === null) return false;
    const archives = readdirSync(folder).filter((name) => name.endsWith(".deb"));
    for (const archive of archives) {
      if ((await outputOf("dpkg-deb", ["-x", archive, target], { cwd: folder })) === null) return false;
    }
    return archives.length > 0;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
