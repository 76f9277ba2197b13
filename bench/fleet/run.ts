/** The fleet rig's command; see bench/fleet/README.md. Exit code 1 when a bar was missed or a part could not start. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { NATS_PROGRAM } from "../../test/e2e/nats.js";
import { REPOSITORY } from "../load/children.js";
import { takeTurn } from "../load/lock.js";
import { describeMachine } from "../load/machine.js";
import { HAPROXY_PROGRAM } from "./balancer.js";
import { configChanges } from "./config-changes.js";
import { limitScenario } from "./limits.js";
import { natsAway } from "./nats-away.js";
import type { Outcome, RigOptions } from "./outcome.js";
import { quotaMessages } from "./quota-messages.js";
import { type FleetResult, fleetSection, outcomeTable, problemList, withFleetSection } from "./report.js";
import { rollingRestart } from "./rolling-restart.js";
import { usageKills } from "./usage-kills.js";

type Scenario = (options: RigOptions) => Promise<Outcome>;

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  rpm: (options) => limitScenario("rpm", options),
  tpm: (options) => limitScenario("tpm", options),
  rps: (options) => limitScenario("rps", options),
  "quota-messages": quotaMessages,
  "usage-kills": usageKills,
  "config-changes": configChanges,
  "nats-away": natsAway,
  "rolling-restart": rollingRestart,
};
/** Only where it is asked for, or in the place of the minute's limits. */
const SHORT_ONLY = "rps";
const LONG_ONLY = ["rpm", "tpm"];

const USAGE = `npx tsx bench/fleet/run.ts [options]
  --scenarios a,b     of ${Object.keys(SCENARIOS).join(", ")} (all but rps; with --short rps for rpm and tpm)
  --short             smaller and shorter than the bars ask, about four minutes in all; marked so in the tables
  --requests N        of usage-kills (100000; with --short 5000)
  --windows N         of rpm and tpm, before the first fault (5; with --short 1)
  --changes N         of config-changes (200; with --short 60)
  --away-seconds N    of nats-away (60; with --short 5)
  --direct            to the nodes by turns instead of through HAProxy; rolling-restart goes through it in any case
  --seed N            of the random faults (the clock's)
  --out FILE          results, as JSON (bench/results/fleet.json)
  --docs              write the fleet's section of docs/benchmarks.md
  --from FILE         measure nothing, report from an earlier results file`;

const TURN_LIMIT_MS = 3_600_000;

interface Command {
  readonly scenarios: readonly string[];
  readonly options: RigOptions;
  readonly out: string;
  readonly docs: boolean;
  readonly from: string | null;
}

function parseCommand(args: string[]): Command {
  const { values } = parseArgs({
    args,
    options: {
      scenarios: { type: "string" },
      short: { type: "boolean", default: false },
      requests: { type: "string" },
      windows: { type: "string" },
      changes: { type: "string" },
      "away-seconds": { type: "string" },
      direct: { type: "boolean", default: false },
      seed: { type: "string" },
      out: { type: "string", default: "bench/results/fleet.json" },
      docs: { type: "boolean", default: false },
      from: { type: "string" },
    },
  });
  const { short } = values;
  const whole = (option: "requests" | "windows" | "changes" | "away-seconds" | "seed", full: number, less = full) => {
    const value = Number(values[option] ?? (short ? less : full));
    if (!Number.isInteger(value) || value < 1) throw new Error(`--${option} must be a whole number from 1 on`);
    return value;
  };
  const options: RigOptions = {
    short,
    balanced: !values.direct,
    requests: whole("requests", 100_000, 5_000),
    windows: whole("windows", 5, 1),
    changes: whole("changes", 200, 60),
    propagationMs: 100,
    awayMs: whole("away-seconds", 60, 5) * 1_000,
    seed: whole("seed", 1 + (Date.now() % 100_000)),
    say,
  };
  return {
    scenarios: chosen(values.scenarios, short),
    options,
    out: resolve(REPOSITORY, values.out),
    docs: values.docs,
    from: values.from === undefined ? null : resolve(values.from),
  };
}

function chosen(text: string | undefined, short: boolean): string[] {
  const known = Object.keys(SCENARIOS);
  if (text === undefined) return known.filter((name) => (short ? !LONG_ONLY.includes(name) : name !== SHORT_ONLY));
  const names = text.split(",").filter((name) => name !== "");
  const strange = names.find((name) => !known.includes(name));
  if (strange !== undefined) throw new Error(`unknown scenario "${strange}"; there are ${known.join(", ")}`);
  return names;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** The results file is written after each scenario, so that an interrupted run keeps what it has. */
async function measure(command: Command): Promise<FleetResult> {
  if (NATS_PROGRAM === null) throw new Error("there is no nats-server; install Debian's package nats-server");
  if (HAPROXY_PROGRAM === null && command.options.balanced) throw new Error("there is no haproxy; give --direct");
  const outcomes: Outcome[] = [];
  const { say: _, ...options } = command.options;
  const { date, commit, uncommittedChanges, processor, cores, memoryBytes, node } = describeMachine(NO_PARAMETERS, {});
  const meta = { date, commit, uncommittedChanges, processor, cores, memoryBytes, node };
  const result: FleetResult = { meta, options, command: commandOf(command), outcomes };
  for (const name of command.scenarios) {
    say(`${name} …`);
    const outcome = await (SCENARIOS[name] as Scenario)(command.options);
    outcomes.push(outcome);
    say(`${outcomeTable([outcome]).split("\n").at(-1)} ${outcome.seconds.toFixed(0)} s`);
    mkdirSync(dirname(command.out), { recursive: true });
    writeFileSync(command.out, `${JSON.stringify(result, null, 1)}\n`);
  }
  return result;
}

/** The machine's description speaks of the load rig's parameters, too; this rig has its own. */
const NO_PARAMETERS = {
  scenarios: [],
  targets: [],
  repetitions: 0,
  seconds: 0,
  warmupSeconds: 0,
  quick: false,
} as const;

function commandOf({ scenarios, options }: Command): string {
  const { requests, windows, changes, awayMs, seed, short, balanced } = options;
  const words = ["npx tsx bench/fleet/run.ts", `--scenarios ${scenarios.join(",")}`];
  if (short) words.push("--short");
  if (!balanced) words.push("--direct");
  words.push(`--requests ${requests} --windows ${windows} --changes ${changes} --away-seconds ${awayMs / 1_000}`);
  return [...words, `--seed ${seed}`, "--docs"].join(" ");
}

async function main(): Promise<number> {
  if (process.argv.includes("--help")) {
    say(USAGE);
    return 0;
  }
  const command = parseCommand(process.argv.slice(2));
  // What was started ends with the process: see `Fleet`.
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
  if (command.from === null)
    await takeTurn(TURN_LIMIT_MS, () => say("another rig is running here: waiting for its end"));
  const { from } = command;
  const result = from === null ? await measure(command) : (JSON.parse(readFileSync(from, "utf8")) as FleetResult);
  say(`\n${outcomeTable(result.outcomes)}\n${problemList(result.outcomes)}`);
  if (command.docs) {
    const page = join(REPOSITORY, "docs/benchmarks.md");
    writeFileSync(page, withFleetSection(readFileSync(page, "utf8"), fleetSection(result)));
    say("the fleet's section of docs/benchmarks.md is written");
  }
  return result.outcomes.some(({ problems }) => problems.length > 0) ? 1 : 0;
}

try {
  process.exit(await main());
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
