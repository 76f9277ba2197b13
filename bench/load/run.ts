/** The load rig's command; see bench/README.md. Exit code 1 when a run had failures or a part could not start. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { canPin, endAllChildren, killAllChildren, REPOSITORY } from "./children.js";
import { takeTurn } from "./lock.js";
import { describeMachine } from "./machine.js";
import { measureScenario } from "./measure.js";
import { fleetSectionOf, withFleetSection } from "../fleet/report.js";
import { barsTable, benchmarksPage, scenarioTable } from "./report.js";
import type { RigParameters, RigResult, ScenarioResult } from "./results.js";
import { SCENARIOS } from "./scenarios.js";
import { TARGET_NAMES, type TargetName, unavailable } from "./targets.js";

const USAGE = `npx tsx bench/load/run.ts [options]
  --scenarios a,b     of ${SCENARIOS.map((scenario) => scenario.name).join(", ")} (all)
  --targets a,b       of ${TARGET_NAMES.join(", ")} (direct,nginx,gateway)
  --repetitions N     interleaved repetitions (4; with --quick 2)
  --seconds N         measured seconds of each run (5; with --quick 2)
  --quick             shorter runs, fewer steps, a short memory scenario
  --out FILE          results, as JSON (bench/results/load.json); FILE's .meta.json beside it
  --docs              write docs/benchmarks.md from the results
  --from FILE         measure nothing, report from an earlier results file`;

const TURN_LIMIT_MS = 3_600_000;

interface Command {
  readonly parameters: RigParameters;
  readonly out: string;
  readonly docs: boolean;
  readonly from: string | null;
}

function parseCommand(argv: readonly string[]): Command {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      scenarios: { type: "string" },
      targets: { type: "string", default: "direct,nginx,gateway" },
      repetitions: { type: "string" },
      seconds: { type: "string" },
      quick: { type: "boolean", default: false },
      out: { type: "string", default: "bench/results/load.json" },
      docs: { type: "boolean", default: false },
      from: { type: "string" },
    },
  });
  const known = SCENARIOS.map((scenario) => scenario.name);
  return {
    parameters: {
      scenarios: values.scenarios === undefined ? known : choices("scenario", values.scenarios, known),
      targets: choices("target", values.targets, TARGET_NAMES),
      repetitions: positive("--repetitions", values.repetitions ?? (values.quick ? "2" : "4")),
      seconds: positive("--seconds", values.seconds ?? (values.quick ? "2" : "5")),
      warmupSeconds: values.quick ? 1 : 2,
      quick: values.quick,
    },
    out: resolve(REPOSITORY, values.out),
    docs: values.docs,
    from: values.from === undefined ? null : resolve(values.from),
  };
}

function choices<Name extends string>(what: string, text: string, known: readonly Name[]): Name[] {
  const asked = text.split(",").filter((name) => name !== "");
  for (const name of asked) {
    if (!known.includes(name as Name)) throw new Error(`unknown ${what} "${name}"; there are ${known.join(", ")}`);
  }
  return known.filter((name) => asked.includes(name));
}

function positive(option: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 3600)
    throw new Error(`${option} must be a whole number from 1 on`);
  return value;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Measures all scenarios; a results file is written after each, so that an interrupted run keeps what it has. */
async function measure(command: Command, folder: string): Promise<RigResult> {
  const { parameters } = command;
  const missing: Record<string, string> = {};
  const targets: TargetName[] = [];
  for (const name of parameters.targets) {
    const reason = unavailable(name);
    if (reason === null) targets.push(name);
    else {
      missing[name] = reason;
      say(`${name} is left out: ${reason}`);
    }
  }
  if (!canPin()) say("taskset does not work here: nothing is pinned, the figures are worth little");
  const meta = describeMachine(parameters, missing);
  const scenarios: ScenarioResult[] = [];
  for (const scenario of SCENARIOS) {
    if (!parameters.scenarios.includes(scenario.name)) continue;
    say(`${scenario.name}: ${scenario.question}`);
    scenarios.push(await measureScenario({ parameters, targets, folder, log: say }, scenario));
    write(command.out, { meta, scenarios });
  }
  return { meta, scenarios };
}

function write(file: string, result: RigResult): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(result, null, 1)}\n`);
  writeFileSync(file.replace(/(\.json)?$/, ".meta.json"), `${JSON.stringify(result.meta, null, 2)}\n`);
}

function report(result: RigResult, docs: boolean): void {
  for (const scenario of result.scenarios) say(`\n${scenarioTable(scenario)}`);
  say(`${barsTable(result)}\n`);
  if (!docs) return;
  const path = join(REPOSITORY, "docs/benchmarks.md");
  // The fleet's section is another bench's.
  const section = fleetSectionOf(readFileSync(path, "utf8"));
  const page = benchmarksPage(result);
  writeFileSync(path, section === "" ? page : withFleetSection(page, section));
  say("docs/benchmarks.md is written");
}

async function main(): Promise<number> {
  if (process.argv.includes("--help")) {
    say(USAGE);
    return 0;
  }
  const command = parseCommand(process.argv.slice(2));
  if (command.from !== null) {
    report(JSON.parse(readFileSync(command.from, "utf8")) as RigResult, command.docs);
    return 0;
  }
  await takeTurn(TURN_LIMIT_MS, () => say("another load rig is running on this machine: waiting for its end"));
  const folder = mkdtempSync(join(tmpdir(), "weir-load-"));
  const removeFolder = (): void => rmSync(folder, { recursive: true, force: true });
  process.once("exit", () => {
    killAllChildren();
    removeFolder();
  });
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => void endAllChildren().then(() => process.exit(130)));
  }
  const result = await measure(command, folder);
  report(result, command.docs);
  const failed = result.scenarios.some((scenario) => scenario.measurements.some((run) => !run.valid));
  if (failed) say("Some runs had failures: they are marked, and this run proves nothing until they are gone.");
  return failed ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
} finally {
  await endAllChildren();
}
