/** `npm start`: installs and builds what is missing, then runs the gateway; arguments pass through. */
import { join } from "node:path";
import { ensureBuilt, ensureInstalled, ROOT, run, SetupError, say, signalRunning } from "./install.mjs";

/** npm hands its child a second copy of a signal that the terminal has sent already. */
const SAME_SIGNAL_MS = 250;

/** A terminal sends Ctrl-C to the gateway as well; a copy from here would count as the second one. */
const fromTerminal = [process.stdin, process.stdout, process.stderr].some((stream) => stream.isTTY === true);

let serving = false;
const lastSeen = new Map();

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    const now = performance.now();
    const copy = now - (lastSeen.get(signal) ?? Number.NEGATIVE_INFINITY) < SAME_SIGNAL_MS;
    lastSeen.set(signal, now);
    if (copy) return;
    if (!(serving && signal === "SIGINT" && fromTerminal)) signalRunning(signal);
    if (!serving) process.exit(signal === "SIGINT" ? 130 : signal === "SIGTERM" ? 143 : 129);
  });
}

try {
  await ensureInstalled();
  await ensureBuilt();
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  say(error.message);
  process.exit(1);
}

serving = true;
const entry = join(ROOT, "dist", "main.js");
process.exit(await run(process.execPath, [entry, "serve", ...process.argv.slice(2)], { stdio: "inherit" }));
