/** `npm test`: installs, builds, checks and tests everything; the last line is "N passed, N failed". */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fetchHaproxy, findHaproxy } from "./haproxy.mjs";
import { elapsed, ensureBuilt, ensureInstalled, ROOT, run, SetupError, say, signalRunning } from "./install.mjs";
import { fetchNatsServer, findNatsServer } from "./nats-server.mjs";

const STEP_LIMIT_MS = 30 * 60_000;
const totals = { passed: 0, failed: 0, skipped: 0 };
const reports = mkdtempSync(join(tmpdir(), "weir-test-"));
process.on("exit", () => rmSync(reports, { recursive: true, force: true }));

for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
]) {
  process.on(signal, () => {
    signalRunning(signal);
    process.exit(code);
  });
}

function bin(packageName, path) {
  return join(ROOT, "node_modules", packageName, path);
}

/** Runs one step under a heading and adds what it gave to the totals. */
async function step(name, action) {
  const start = performance.now();
  process.stdout.write(`\n== ${name}\n`);
  const { passed, failed, skipped } = await action();
  totals.passed += passed;
  totals.failed += failed;
  totals.skipped += skipped;
  const verdict = failed === 0 ? "ok" : `${failed} failed`;
  process.stdout.write(`== ${name}: ${verdict}, ${elapsed(start)}\n`);
}

function runNode(args) {
  return run(process.execPath, args, { stdio: ["ignore", 1, 2], timeoutMs: STEP_LIMIT_MS });
}

const ONE_PASSED = { passed: 1, failed: 0, skipped: 0 };
const ONE_FAILED = { passed: 0, failed: 1, skipped: 0 };

function check(name, args) {
  return step(name, async () => ((await runNode(args)) === 0 ? ONE_PASSED : ONE_FAILED));
}

/** Tests that need no built gateway run all the same when the build fails. */
async function build() {
  try {
    await ensureBuilt();
    return ONE_PASSED;
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(error.message);
    return ONE_FAILED;
  }
}

/** What a vitest run gave; a file that could not be loaded, or a run without a report, is one failure. */
function countReport(path, code) {
  let report;
  try {
    report = JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return ONE_FAILED;
  }
  const broken = report.testResults.filter((file) => file.status === "failed" && file.assertionResults.length === 0);
  const failed = report.numFailedTests + broken.length;
  return {
    passed: report.numPassedTests,
    failed: failed === 0 && code !== 0 ? 1 : failed,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

/** Without one, the tests that need it are skipped, and counted as skipped. */
async function provide(program, find, fetch) {
  if (find() !== null) return;
  say(`there is no ${program} here; fetching Debian's package …`);
  if ((await fetch()) === null) say(`${program} could not be fetched: tests of the fleet are skipped`);
}

function vitest(project) {
  const report = join(reports, `${project}.json`);
  const args = ["run", "--config", "test/vitest.config.ts", "--project", project];
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  return step(`tests: ${project}`, async () => {
    const code = await runNode([bin("vitest", "vitest.mjs"), ...args, ...reporters]);
    return countReport(report, code);
  });
}

async function main() {
  await ensureInstalled();
  await step("build", build);
  const biome = bin("@biomejs/biome", "bin/biome");
  const tsc = bin("typescript", "bin/tsc");
  await check("format", [biome, "format", "."]);
  await check("lint", [biome, "lint", "--error-on-warnings", "."]);
  await check("types: src", [tsc, "-p", "tsconfig.json", "--noEmit"]);
  await check("types: test and bench", [tsc, "-p", "test/tsconfig.json"]);
  await vitest("fast");
  await provide("nats-server", findNatsServer, fetchNatsServer);
  await provide("haproxy", findHaproxy, fetchHaproxy);
  await vitest("e2e");
}

try {
  await main();
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  say(error.message);
  totals.failed++;
}
const skipped = totals.skipped > 0 ? `, ${totals.skipped} skipped` : "";
process.stdout.write(`\n${totals.passed} passed, ${totals.failed} failed${skipped}\n`);
process.exitCode = totals.failed > 0 ? 1 : 0;
