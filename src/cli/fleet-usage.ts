/** `weir usage … --nats`: the usage of the whole fleet, as NATS has it. The client is loaded only here. */
import type { UsageReader } from "../cluster/usage-reader.js";
import { loadConfig, renderError } from "../config/load.js";
import type { WeirConfig } from "../config/schema.js";
import type { UsageEvent } from "../usage/event.js";
import { type Column, Summary } from "../usage/summary.js";

export interface FleetOptions {
  /** Servers from the command line, separated by commas; they go before those of the configuration. */
  readonly servers: string | undefined;
  /** null = none. */
  readonly configFile: string | null;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
}

/** Something that the person at the command line can mend. */
export class FleetError extends Error {}

/** What sums are kept by. */
export const FLEET_COLUMNS: readonly Column[] = ["key", "model", "day"];

type Nats = NonNullable<WeirConfig["cluster"]["nats"]>;

/** Hands every event to `take` until the signal aborts. Rejects with `FleetError`. */
export function tailFleet(options: FleetOptions, fromStart: boolean, take: (event: UsageEvent) => void): Promise<void> {
  return withReader(options, async (reader) => {
    for await (const event of reader.tail({ fromStart, signal: options.signal })) take(event);
  });
}

/** The sums of all days from that of `since` on (milliseconds since the epoch). Rejects with `FleetError`. */
export function sumFleet(options: FleetOptions, columns: readonly Column[], since: number): Promise<Summary> {
  const unknown = columns.find((column) => !FLEET_COLUMNS.includes(column));
  if (unknown !== undefined) {
    throw new FleetError(`with --nats, sums are kept by ${FLEET_COLUMNS.join(", ")}; not by ${unknown}`);
  }
  const firstDay = Number.isFinite(since) ? new Date(since).toISOString().slice(0, 10) : "";
  return withReader(options, async (reader) => {
    const summary = new Summary(columns);
    const rows = await reader.rows(firstDay, options.signal);
    for (const { sums, ...told } of rows) summary.addSums(told, sums);
    return summary;
  });
}

async function withReader<T>(options: FleetOptions, action: (reader: UsageReader) => Promise<T>): Promise<T> {
  const { name, nats } = fleetOf(options);
  const { UsageReader, UsageReaderError } = await import("../cluster/usage-reader.js");
  try {
    const reader = await UsageReader.open(name, nats);
    try {
      return await action(reader);
    } finally {
      await reader.close();
    }
  } catch (error) {
    if (error instanceof UsageReaderError) throw new FleetError(error.message);
    throw error;
  }
}

function fleetOf({ servers, configFile, environment }: FleetOptions): { readonly name: string; readonly nats: Nats } {
  const told = servers === undefined ? environment : { ...environment, WEIR_CLUSTER__NATS__SERVERS: servers };
  const config = loadConfig(configFile, told);
  if (!config.ok) throw new FleetError(config.errors.map(renderError).join("\n"));
  const { name, nats } = config.value.cluster;
  if (nats === null) throw new FleetError("where is NATS? Give --servers, or --config with cluster.nats");
  return { name, nats };
}
