/** What usage adds up to for one key, model and day, and how far in the stream it has been added. */
import { z } from "zod";
import type { UsageEvent } from "../usage/event.js";
import { addTo, noSums, SUM_NAMES, type Sums } from "../usage/summary.js";

/** One entry of the bucket. */
export interface Rollup {
  /** YYYY-MM-DD, UTC. */
  readonly day: string;
  readonly key: string;
  readonly model: string;
  /** When the stream was made whose sequences are meant: a new one begins again at 1. */
  readonly stream: string;
  /** Everything of the stream up to this sequence is in the sums. */
  readonly sequence: number;
  readonly sums: Readonly<Sums>;
}

/** An event with its place in the stream. */
export interface Placed {
  readonly sequence: number;
  readonly event: UsageEvent;
}

const amount = z.int().min(0);
const rollupSchema = z.object({
  v: z.literal(1),
  day: z.string(),
  key: z.string(),
  model: z.string(),
  stream: z.string(),
  sequence: amount,
  sums: z.record(z.string(), z.number()),
});
const positionSchema = z.object({ stream: z.string(), sequence: amount });

/** Everything in the stream up to here is in some entry. */
export type RollupPosition = z.infer<typeof positionSchema>;

export function emptyRollup(place: Pick<Rollup, "day" | "key" | "model">, stream: string): Rollup {
  return { ...place, stream, sequence: 0, sums: noSums() };
}

/**
 * The entry with these events, which are in the stream's order, added. Those that it holds already are passed over,
 * so adding the same ones again changes nothing: then the entry itself comes back.
 */
export function withEvents(rollup: Rollup, stream: string, placed: readonly Placed[]): Rollup {
  const behind = rollup.stream === stream ? rollup.sequence : 0;
  const fresh = placed.filter(({ sequence }) => sequence > behind);
  const last = fresh.at(-1);
  if (last === undefined) return rollup;
  const sums = { ...rollup.sums };
  for (const { event } of fresh) addTo(sums, event);
  return { ...rollup, stream, sequence: last.sequence, sums };
}

export function rollupBytes(rollup: Rollup): Uint8Array {
  return Buffer.from(JSON.stringify({ v: 1, ...rollup }));
}

export function positionBytes(position: RollupPosition): Uint8Array {
  return Buffer.from(JSON.stringify(position));
}

/** null: the bytes are no entry that we know. Sums that the entry's writer did not know are 0. */
export function parseRollup(bytes: Uint8Array): Rollup | null {
  const read = rollupSchema.safeParse(parsed(bytes));
  if (!read.success) return null;
  const { v: _version, sums: told, ...rest } = read.data;
  const sums = noSums();
  for (const name of SUM_NAMES) sums[name] = told[name] ?? 0;
  return { ...rest, sums };
}

export function parsePosition(bytes: Uint8Array): RollupPosition | null {
  const read = positionSchema.safeParse(parsed(bytes));
  return read.success ? read.data : null;
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch {
    return undefined;
  }
}
