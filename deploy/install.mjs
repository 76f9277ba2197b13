/**
 * What `npm start` and `npm test` share: the right Node, the packages of the lock file, the built sources.
 * Plain Node without a dependency, because it runs before anything is installed. Speaks on stderr only.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("..", import.meta.url));

const OLDEST_NODE = [20, 18, 1];
const LOCK_WAIT_MS = 600_000;
const TELL_EVERY_MS = 10_000;

/** A failure that is told in its own words, without a stack. */
export class SetupError extends Error {}

/** One line on stderr. */
export function say(line) {
  process.stderr.write(`weir: ${line}\n`);
}

/** Whole seconds since `start` (from performance.now()), with one decimal. */
export function elapsed(start) {
  return `${((performance.now() - start) / 1000).toFixed(1)} s`;
}

/** Throws a SetupError when this Node is too old. */
export function checkNodeVersion(version = process.versions.node) {
  const parts = version.split(".").map((part) => Number.parseInt(part, 10));
  for (let at = 0; at < OLDEST_NODE.length; at++) {
    if (parts[at] > OLDEST_NODE[at]) return;
    if (parts[at] < OLDEST_NODE[at]) {
      throw new SetupError(`Weir needs Node.js ${OLDEST_NODE.join(".")} or newer; this is ${version}.`);
    }
  }
}

/** The child that runs now, so that a signal can be handed to it. */
let running = null;

/** Hands a signal to the child that runs now; false when there is none. */
export function signalRunning(signal) {
  return running?.kill(signal) ?? false;
}

/**
 * Runs a program to its end. Its output goes to stderr unless `stdio` says otherwise.
 * @returns {Promise<number>} its exit code; 128 + n when signal n ended it, 127 when it could not be started.
 */
export function run(program, args, { stdio = ["ignore", 2, 2], env = process.env, timeoutMs = 0 } = {}) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd: ROOT, stdio, env });
    running = child;
    const timer = timeoutMs > 0 ? setTimeout(() => child.kill("SIGKILL"), timeoutMs) : undefined;
    const end = (code) => {
      clearTimeout(timer);
      if (running === child) running = null;
      resolve(code);
    };
    child.once("error", (error) => {
      say(`could not run ${program}: ${error.message}`);
      end(127);
    });
    child.once("exit", (code, signal) => end(code ?? 128 + (SIGNAL_NUMBERS[signal] ?? 0)));
  });
}

const SIGNAL_NUMBERS = { SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGTERM: 15 };

async function runTelling(what, program, args) {
  const start = performance.now();
  const teller = setInterval(() => say(`still ${what} (${elapsed(start)})`), TELL_EVERY_MS);
  say(`${what} …`);
  try {
    const code = await run(program, args);
    if (code !== 0) throw new SetupError(`${what} failed after ${elapsed(start)} (exit code ${code}).`);
    say(`${what}: done in ${elapsed(start)}`);
  } finally {
    clearInterval(teller);
  }
}

function readText(path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function packagesOf(lockText) {
  try {
    return JSON.parse(lockText).packages ?? {};
  } catch {
    return {};
  }
}

function installStamp() {
  const lock = createHash("sha256")
    .update(readText(join(ROOT, "package-lock.json")))
    .digest("hex");
  return `${lock} ${process.platform}-${process.arch}`;
}

/** Does node_modules hold what the lock file asks for, by npm's own account of what it put there? */
export function sameVersions(wantedLock, installedLock) {
  const installed = packagesOf(installedLock);
  const wanted = Object.entries(packagesOf(wantedLock)).filter(([path]) => path !== "");
  return (
    wanted.length > 0 &&
    wanted.every(([path, entry]) => {
      const there = installed[path];
      return there === undefined ? entry.optional === true : there.version === entry.version;
    })
  );
}

const INSTALL_STAMP = join(ROOT, "node_modules", ".weir-installed");
const BUILD_STAMP = join(ROOT, "dist", ".weir-built");

function isInstalled() {
  return readText(INSTALL_STAMP) === installStamp();
}

function npmCommand() {
  const script = process.env.npm_execpath ?? "";
  return /^npm(-cli)?\.c?js$/.test(basename(script)) ? [process.execPath, [script]] : ["npm", []];
}

async function install() {
  const wanted = readText(join(ROOT, "package-lock.json"));
  if (!sameVersions(wanted, readText(join(ROOT, "node_modules", ".package-lock.json")))) {
    const [program, args] = npmCommand();
    const options = ["ci", "--include=dev", "--no-audit", "--no-fund", "--loglevel=error"];
    await runTelling("installing packages (npm ci)", program, [...args, ...options]);
  }
  writeFileSync(INSTALL_STAMP, installStamp());
}

function buildStamp() {
  const hash = createHash("sha256");
  const files = readdirSync(join(ROOT, "src"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
  for (const file of [join(ROOT, "tsconfig.json"), join(ROOT, "package-lock.json"), ...files]) {
    hash
      .update(`${file.slice(ROOT.length)}\0`)
      .update(readText(file))
      .update("\0");
  }
  return hash.digest("hex");
}

function isBuilt() {
  return existsSync(join(ROOT, "dist", "main.js")) && readText(BUILD_STAMP) === buildStamp();
}

async function build() {
  const stamp = buildStamp();
  rmSync(BUILD_STAMP, { force: true });
  const compiler = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  await runTelling("building (tsc)", process.execPath, [compiler, "-p", "tsconfig.json"]);
  writeFileSync(BUILD_STAMP, stamp);
}

function ownerOf(lock) {
  try {
    return JSON.parse(readFileSync(join(lock, "owner"), "utf8"));
  } catch {
    return null;
  }
}

function isGone(owner) {
  if (owner === null || owner.host !== hostname()) return false;
  try {
    process.kill(owner.pid, 0);
    return false;
  } catch (error) {
    return error.code === "ESRCH";
  }
}

/** Takes the lock by renaming a finished folder into place, so that it never stands without its owner. */
function tryLock(lock) {
  const own = `${lock}.${process.pid}`;
  mkdirSync(own, { recursive: true });
  writeFileSync(join(own, "owner"), JSON.stringify({ pid: process.pid, host: hostname() }));
  try {
    renameSync(own, lock);
    return true;
  } catch {
    rmSync(own, { recursive: true, force: true });
    return false;
  }
}

/** Removes the lock of a process that is gone; one remover at a time, or a living lock could be removed. */
function removeAbandoned(lock) {
  const remover = `${lock}.remover`;
  if (!isGone(ownerOf(lock)) || !tryLock(remover)) return;
  if (isGone(ownerOf(lock))) rmSync(lock, { recursive: true, force: true });
  unlock(remover);
}

function unlock(lock) {
  if (ownerOf(lock)?.pid !== process.pid) return;
  const last = `${lock}.${process.pid}`;
  renameSync(lock, last);
  rmSync(last, { recursive: true, force: true });
}

/**
 * Runs `action` while no other process on this tree does. Waits at most ten minutes.
 * @throws {SetupError} when the other one does not finish.
 */
export async function withLock(lock, action, waitMs = LOCK_WAIT_MS) {
  const start = performance.now();
  mkdirSync(join(lock, ".."), { recursive: true });
  for (let told = false; !tryLock(lock); told = true) {
    removeAbandoned(lock);
    const owner = ownerOf(lock);
    if (!told) say(`waiting for another start that installs or builds (process ${owner?.pid ?? "unknown"}) …`);
    if (performance.now() - start > waitMs) {
      throw new SetupError(
        `${lock} is still held by process ${owner?.pid ?? "unknown"}; remove it if that one is gone.`,
      );
    }
    await delay(100);
  }
  const release = () => unlock(lock);
  process.once("exit", release);
  try {
    return await action();
  } finally {
    process.removeListener("exit", release);
    release();
  }
}

const LOCK = join(ROOT, "dist", ".weir-lock");

/**
 * Installs the packages of the lock file, if they are not there; needs no network when they are.
 * @throws {SetupError} with a line for people.
 */
export async function ensureInstalled() {
  checkNodeVersion();
  if (isInstalled()) return;
  await withLock(LOCK, async () => {
    if (!isInstalled()) await install();
  });
}

/**
 * Builds the sources, if what was built last is not of exactly these.
 * @throws {SetupError} with a line for people.
 */
export async function ensureBuilt() {
  if (isBuilt()) return;
  await withLock(LOCK, async () => {
    if (!isBuilt()) await build();
  });
}
