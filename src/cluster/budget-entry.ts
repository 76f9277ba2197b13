/** What the bucket of the budgets holds: what one node has spent of one counter, and of what the fleet was warned. */
import { z } from "zod";
import { budgetKey } from "./subjects.js";
import { pack, unpack } from "./wire.js";

const amount = z.number().min(0).max(Number.MAX_SAFE_INTEGER);

/** Fields that a newer version adds pass unread. */
const spentSchema = z.object({
  v: z.literal(1),
  counter: z.string().min(1).max(4096),
  node: z.string().min(1).max(64),
  instance: z.string().max(256),
  period: amount,
  nanos: amount,
  at: amount,
});

/** What one node has spent. */
export interface SpentEntry {
  /** The name of the counter. */
  readonly counter: string;
  /** Id of the node's data directory. */
  readonly node: string;
  /** The process that wrote it. */
  readonly instance: string;
  /** The period's id. */
  readonly period: number;
  /** Billionths of a dollar. */
  readonly nanos: number;
  /** When it was written, milliseconds since the epoch. */
  readonly at: number;
}

const warnedSchema = z.object({ v: z.literal(1), period: amount, fraction: amount });

/** The highest fraction that was warned of in a period. */
export interface WarnedEntry {
  readonly period: number;
  readonly fraction: number;
}

export function packSpent(entry: SpentEntry): Uint8Array {
  return pack({ v: 1, ...entry });
}

/** null: no entry of ours, or one under a key that is not its own. */
export function unpackSpent(key: string, data: Uint8Array): SpentEntry | null {
  const read = spentSchema.safeParse(unpack(data));
  if (!read.success || budgetKey(read.data.counter, read.data.node) !== key) return null;
  return read.data;
}

export function packWarned(entry: WarnedEntry): Uint8Array {
  return pack({ v: 1, ...entry });
}

export function unpackWarned(data: Uint8Array): WarnedEntry | null {
  const read = warnedSchema.safeParse(unpack(data));
  return read.success ? read.data : null;
}
