/** `weir usage`: follows the journal, or sums it up; with `--nats`, the usage of the whole fleet. */
import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import { loadConfig, renderError } from "../config/load.js";
import type { UsageEvent } from "../usage/event.js";
import { followEvents } from "../usage/follow.js";
import { noFaults, type ReadFaults, readEvents } from "../usage/reader.js";
import { journalDirectory } from "../usage/segments.js";
import { FLEET_COLUMNS, FleetError, type FleetOptions, sumFleet, tailFleet } from "./fleet-usage.js";
import { COLUMN_NAMES, type Column, isColumn, printable, renderTable, Summary } from "../usage/summary.js";

export interface UsageContext {
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
  /** Used when the command line names none. */
  readonly dataDir: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Ends `tail`. */
  readonly signal: AbortSignal;
}

const USAGE = `usage: weir usage tail [--data-dir DIR | --config FILE] [--from-start] [--json]
       weir usage sum --by COLUMN,… [--since 24h|TIME] [--data-dir DIR | --config FILE] [--json]
       weir usage tail --nats [--servers ADDRESS,… | --config FILE] [--from-start] [--json]
       weir usage sum --nats --by COLUMN,… [--since 24h|TIME] [--servers ADDRESS,… | --config FILE] [--json]
columns: ${COLUMN_NAMES.join(", ")}; with --nats: ${FLEET_COLUMNS.join(", ")}
`;

/** A mistake in the command line, told to the person who typed it. */
class UsageError extends Error {}

/** Runs `weir usage ARGV…`; answers the exit code: 0, or 1 with the reason on stderr. */
export async function usage(argv: readonly string[], context: UsageContext): Promise<number> {
  try {
    const [command, ...rest] = argv;
    if (command === "tail") return await tail(rest, context);
    if (command === "sum") return await sum(rest, context);
    throw new UsageError(command === undefined ? USAGE : `unknown command "${command}"\n${USAGE}`);
  } catch (error) {
    const mistyped = (error as NodeJS.ErrnoException).code?.startsWith("ERR_PARSE_ARGS") === true;
    if (!mistyped && !(error instanceof UsageError) && !(error instanceof FleetError)) throw error;
    context.stderr.write(`${(error as Error).message.trimEnd()}\n`);
    return 1;
  }
}

const WHERE = {
  "data-dir": { type: "string" },
  config: { type: "string" },
  json: { type: "boolean" },
  nats: { type: "boolean" },
  servers: { type: "string" },
} as const;

async function tail(argv: readonly string[], context: UsageContext): Promise<number> {
  const { values } = parseArgs({ args: [...argv], options: { ...WHERE, "from-start": { type: "boolean" } } });
  const print = (event: UsageEvent): void => {
    context.stdout.write(values.json === true ? `${JSON.stringify(event)}\n` : `${describe(event)}\n`);
  };
  const fleet = fleetOf(values, context);
  if (fleet !== null) {
    await tailFleet(fleet, values["from-start"] === true, print);
    return 0;
  }
  const directory = journalOf(values["data-dir"], values.config, context);
  const faults = noFaults();
  const options = { fromStart: values["from-start"] === true, signal: context.signal, faults };
  for await (const event of followEvents(directory, options)) print(event);
  reportFaults(faults, context);
  return 0;
}

async function sum(argv: readonly string[], context: UsageContext): Promise<number> {
  const { values } = parseArgs({
    args: [...argv],
    options: { ...WHERE, by: { type: "string" }, since: { type: "string" } },
  });
  const columns = parseColumns(values.by);
  const since = parseSince(values.since, Date.now());
  const print = (summary: Summary): void => {
    if (values.json === true) for (const row of summary.rows()) context.stdout.write(`${JSON.stringify(row)}\n`);
    else context.stdout.write(renderTable(columns, summary));
  };
  const fleet = fleetOf(values, context);
  if (fleet !== null) {
    print(await sumFleet(fleet, columns, since));
    return 0;
  }
  const directory = journalOf(values["data-dir"], values.config, context);
  if (!existsSync(directory)) throw new UsageError(`there is no journal at ${directory}`);
  const faults = noFaults();
  const summary = new Summary(columns);
  for await (const event of readEvents(directory, { since, faults })) summary.add(event);
  print(summary);
  reportFaults(faults, context);
  return 0;
}

interface Where {
  readonly nats?: boolean | undefined;
  readonly servers?: string | undefined;
  readonly config?: string | undefined;
  readonly "data-dir"?: string | undefined;
}

/** null: the journal of one node is meant. */
function fleetOf({ nats, servers, config, "data-dir": dataDir }: Where, context: UsageContext): FleetOptions | null {
  if (nats !== true) {
    if (servers !== undefined) throw new UsageError("--servers goes with --nats");
    return null;
  }
  if (dataDir !== undefined) throw new UsageError("give --nats or --data-dir, not both");
  const { environment, signal } = context;
  return { servers, configFile: config ?? (environment.WEIR_CONFIG || null), environment, signal };
}

function journalOf(dataDir: string | undefined, configFile: string | undefined, context: UsageContext): string {
  if (dataDir !== undefined && configFile !== undefined) {
    throw new UsageError("give --data-dir or --config, not both");
  }
  if (configFile === undefined) return journalDirectory(dataDir ?? context.dataDir);
  const config = loadConfig(configFile, context.environment);
  if (!config.ok) throw new UsageError(config.errors.map(renderError).join("\n"));
  return journalDirectory(config.value.data_dir);
}

function parseColumns(by: string | undefined): Column[] {
  if (by === undefined || by === "") throw new UsageError(`--by is missing\n${USAGE}`);
  const columns: Column[] = [];
  for (const name of by.split(",").map((part) => part.trim())) {
    if (!isColumn(name)) {
      throw new UsageError(`unknown column "${name}"; there are: ${COLUMN_NAMES.join(", ")}`);
    }
    if (!columns.includes(name)) columns.push(name);
  }
  return columns;
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** A length of time before `now` ("24h"), or a point in it (RFC 3339, or a date); milliseconds since the epoch. */
export function parseSince(text: string | undefined, now: number): number {
  if (text === undefined) return Number.NEGATIVE_INFINITY;
  const length = /^(\d{1,9})([smhdw])$/.exec(text);
  if (length !== null) return now - Number(length[1]) * (UNIT_MS[length[2] as string] as number);
  const point = /^\d{4}-\d\d-\d\d(?:$|[Tt ].*(?:[Zz]|[+-]\d\d:\d\d)$)/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(point)) {
    throw new UsageError(`--since "${text}": expected a length (30m, 24h, 7d) or a time (2026-01-31T00:00:00Z)`);
  }
  return point;
}

function describe(event: UsageEvent): string {
  const target = `${printable(event.provider)}/${printable(event.upstream_model)}`;
  const tokens = `${event.input_tokens} in, ${event.output_tokens} out${event.estimated ? " (estimated)" : ""}`;
  const error = event.error === "" ? "" : ` ${printable(event.error)}`;
  return `${printable(event.time)} ${event.status}${error} ${printable(event.operation)} ${printable(event.model)} → ${target} · ${tokens} · ${event.duration_ms} ms · ${printable(event.api_key)}`;
}

function reportFaults(faults: ReadFaults, context: UsageContext): void {
  if (faults.invalid > 0) context.stderr.write(`${faults.invalid} lines were not usage events\n`);
  if (faults.torn > 0) context.stderr.write(`${faults.torn} files end in a torn line\n`);
  if (faults.unreadable > 0) context.stderr.write(`${faults.unreadable} files could not be read\n`);
}
