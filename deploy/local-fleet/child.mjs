/** A process that is kept running: one that ends by itself, or is killed, is started again. */
import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

/** Time to look at what the others do without it. */
const PAUSE_MS = 3_000;
/** Who ends sooner than this after its start has a fault that another start does not mend. */
const EARLY_MS = 5_000;
const EARLY_ENDS = 5;
const TOLD_LINES = 15;

/** Told in its own words, without a stack. */
export class FleetError extends Error {}

export class Child {
  /**
   * @param {{ name: string, program: string, args: string[], env: Record<string, string>, log: string,
   *   tell: (line: string) => void, changed: () => void, failed: (error: Error) => void }} options
   */
  constructor(options) {
    this.options = options;
    this.process = null;
    this.early = 0;
    this.starts = 0;
    this.stopping = false;
    this.ended = Promise.resolve();
  }

  get name() {
    return this.options.name;
  }

  /** null while it does not run. */
  get pid() {
    return this.process?.pid ?? null;
  }

  start() {
    const { program, args, env, log, changed } = this.options;
    const file = openSync(log, "a");
    const startedAt = performance.now();
    // In a group of its own: Ctrl-C at the terminal is for the one who leads the fleet, and it knows the order.
    const child = spawn(program, args, { env, stdio: ["ignore", file, file], detached: true });
    closeSync(file);
    this.process = child;
    this.starts += 1;
    this.ended = new Promise((done) => {
      const end = (how) => {
        if (this.process !== child) return;
        this.process = null;
        done();
        if (!this.stopping) void this.again(how, performance.now() - startedAt);
        changed();
      };
      child.once("error", (error) => end(`could not be started (${error.message})`));
      child.once("exit", (code, signal) => end(signal === null ? `ended with ${code}` : `was ended by ${signal}`));
    });
    changed();
  }

  /** What came of a process that was not told to end. */
  async again(how, livedMs) {
    const { name, tell, failed } = this.options;
    this.early = livedMs < EARLY_MS ? this.early + 1 : 0;
    if (this.early >= EARLY_ENDS) {
      failed(new FleetError(`${name} ${how} again and again. The end of its log:\n${this.lastLines()}`));
      return;
    }
    tell(`${name} ${how}; it starts again in ${PAUSE_MS / 1000} s`);
    await delay(PAUSE_MS, undefined, { ref: false });
    if (!this.stopping) this.start();
  }

  /** Waits until `isReady` says so; throws when the process ends first, or is too slow. */
  async ready(isReady, limitMs) {
    const deadline = performance.now() + limitMs;
    while (!(await isReady())) {
      const slow = performance.now() > deadline;
      if (this.pid !== null && this.starts === 1 && !slow) await delay(50);
      else {
        const what = slow ? `is not ready after ${limitMs / 1000} s` : "ended at its start";
        throw new FleetError(`${this.name} ${what}. The end of its log:\n${this.lastLines()}`);
      }
    }
  }

  /** Tells it to end, waits, and kills it when it takes longer than `limitMs`. */
  async stop(signal, limitMs) {
    this.stopping = true;
    if (this.process === null) return;
    this.process.kill(signal);
    const timer = setTimeout(() => this.kill(), limitMs);
    await this.ended;
    clearTimeout(timer);
  }

  /** At once. */
  kill() {
    this.stopping = true;
    this.process?.kill("SIGKILL");
  }

  lastLines() {
    try {
      return readFileSync(this.options.log, "utf8").trimEnd().split("\n").slice(-TOLD_LINES).join("\n");
    } catch {
      return "(there is none)";
    }
  }
}
