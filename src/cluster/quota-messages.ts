/**
 * What nodes tell each other about limits, and its bytes. Instances' names are long and come again and again, so a
 * message has them once, and everything else names them by number. Fields that a newer version adds pass unread.
 */
import { z } from "zod";
import type { BucketId } from "./quota-bucket.js";
import type { EntryData, RowData } from "./quota-ledger.js";
import { pack, unpack } from "./wire.js";

/** A message of a ledger is no longer than about this; servers take 1 MiB as they come. */
const CHUNK_BYTES = 256 * 1024;
const ENTRY_BYTES = 48;
const ROW_BYTES = 24;
/** Of one message; the bytes are bounded by the server in any case. */
const MAX_ENTRIES = 65_536;

/** One bucket that a node asks for. */
export interface Ask {
  /** With the asker's own row: the owner learns what the asker took alone or gave back. */
  readonly entry: EntryData;
  /** Units needed now, by requests that wait; 0 = nobody waits. */
  readonly need: number;
  /** Units wished for, `need` included. */
  readonly want: number;
}

export interface Answer {
  /** With the asker's own row: what it was granted in all. */
  readonly entry: EntryData;
  readonly rest: number;
  /** So many milliseconds there will be nothing; 0 = there is something, or may be. */
  readonly dryMs: number;
  /** Another one is to be asked; "" = no. */
  readonly owner: string;
}

/** A bucket of which everything unspent is to be given back, and `least` in any case. */
export interface CalledBack extends BucketId {
  readonly least: number;
}

export type QuotaMessage =
  | {
      readonly kind: "ask";
      readonly from: string;
      readonly asks: readonly Ask[];
      readonly insteadOf: readonly string[];
    }
  | { readonly kind: "recall"; readonly from: string; readonly buckets: readonly CalledBack[] }
  /**
   * What do you know of what is mine if these live? To be told before the answer, in messages of kind "ledger".
   * Without names: those that the asked one knows.
   */
  | { readonly kind: "gather"; readonly from: string; readonly live: readonly string[] }
  | { readonly kind: "ledger"; readonly from: string; readonly entries: readonly EntryData[] };

export type QuotaReply =
  /** `busy`: not yet able to answer; ask again. */
  | { readonly kind: "answers"; readonly busy: boolean; readonly answers: readonly Answer[] }
  | { readonly kind: "ledger"; readonly entries: readonly EntryData[] };

const units = z.number().min(0).max(Number.MAX_SAFE_INTEGER);
const index = z.int().min(0).max(4_096);
const name = z.string().min(1).max(256);
const names = z.array(name).max(4_096);
const window = z.int().min(0);
const dimension = z.int().min(0).max(64);
const bucket = z.string().min(1).max(1_024);
const rowSchema = z.tuple([index, units, z.array(units).max(1_024)]).rest(z.unknown());
const entrySchema = z.tuple([bucket, dimension, window, units, z.array(rowSchema).max(1_024)]).rest(z.unknown());
const entries = z.array(entrySchema).max(MAX_ENTRIES);
type WireRow = [number, number, number[]];
type WireEntry = [string, number, number, number, WireRow[]];
const v = z.literal(1);

const messageSchema = z.discriminatedUnion("kind", [
  z.object({
    v,
    kind: z.literal("ask"),
    from: name,
    names,
    insteadOf: names,
    asks: z.array(z.tuple([entrySchema, units, units]).rest(z.unknown())).max(MAX_ENTRIES),
  }),
  z.object({
    v,
    kind: z.literal("recall"),
    from: name,
    buckets: z.array(z.tuple([bucket, dimension, window, units.optional()]).rest(z.unknown())).max(MAX_ENTRIES),
  }),
  z.object({ v, kind: z.literal("gather"), from: name, live: names.default([]) }),
  z.object({ v, kind: z.literal("ledger"), from: name, names, entries }),
]);

const replySchema = z.discriminatedUnion("kind", [
  z.object({
    v,
    kind: z.literal("answers"),
    busy: z.boolean(),
    names,
    answers: z
      .array(z.tuple([entrySchema, z.number(), units, z.int().min(-1).max(4_096)]).rest(z.unknown()))
      .max(MAX_ENTRIES),
  }),
  z.object({ v, kind: z.literal("ledger"), names, entries }),
]);

/** Numbers the names of one message. */
class Names {
  readonly list: string[] = [];
  readonly #numbers = new Map<string, number>();

  number(text: string): number {
    const known = this.#numbers.get(text);
    if (known !== undefined) return known;
    this.#numbers.set(text, this.list.length);
    return this.list.push(text) - 1;
  }

  entry = ({ bucket, dimension, window, limit, rows }: EntryData): WireEntry => [
    bucket,
    dimension,
    window,
    limit,
    rows.map(({ holder, returned, granted }) => [
      this.number(holder),
      returned,
      granted.flatMap(([author, amount]) => [this.number(author), amount]),
    ]),
  ];
}

export function packMessage(message: QuotaMessage): Uint8Array {
  const { kind, from } = message;
  const table = new Names();
  switch (message.kind) {
    case "ask": {
      const asks = message.asks.map(({ entry, need, want }) => [table.entry(entry), need, want]);
      return pack({ v: 1, kind, from, names: table.list, insteadOf: message.insteadOf, asks });
    }
    case "recall":
      return pack({
        v: 1,
        kind,
        from,
        buckets: message.buckets.map((of) => [of.bucket, of.dimension, of.window, of.least]),
      });
    case "gather":
      return pack({ v: 1, kind, from, live: message.live });
    case "ledger": {
      const told = message.entries.map(table.entry);
      return pack({ v: 1, kind, from, names: table.list, entries: told });
    }
    default:
      return message satisfies never;
  }
}

/** null: it says nothing that is understood here. */
export function unpackMessage(bytes: Uint8Array): QuotaMessage | null {
  const parsed = messageSchema.safeParse(unpack(bytes));
  if (!parsed.success) return null;
  const message = parsed.data;
  const { from } = message;
  switch (message.kind) {
    case "ask": {
      const asks = message.asks.map(([entry, need, want]) => ({ entry: read(message.names, entry), need, want }));
      return { kind: "ask", from, asks, insteadOf: message.insteadOf };
    }
    case "recall":
      return {
        kind: "recall",
        from,
        buckets: message.buckets.map(([thing, counted, number, least = 0]) => ({
          bucket: thing,
          dimension: counted,
          window: number,
          least,
        })),
      };
    case "gather":
      return { kind: "gather", from, live: message.live };
    case "ledger":
      return { kind: "ledger", from, entries: message.entries.map((entry) => read(message.names, entry)) };
    default:
      return message satisfies never;
  }
}

export function packReply(reply: QuotaReply): Uint8Array {
  const table = new Names();
  if (reply.kind === "ledger") {
    const told = reply.entries.map(table.entry);
    return pack({ v: 1, kind: "ledger", names: table.list, entries: told });
  }
  const answers = reply.answers.map(({ entry, rest, dryMs, owner }) => [
    table.entry(entry),
    rest,
    dryMs,
    owner === "" ? -1 : table.number(owner),
  ]);
  return pack({ v: 1, kind: "answers", busy: reply.busy, names: table.list, answers });
}

/** null: it says nothing that is understood here. */
export function unpackReply(bytes: Uint8Array): QuotaReply | null {
  const parsed = replySchema.safeParse(unpack(bytes));
  if (!parsed.success) return null;
  const reply = parsed.data;
  if (reply.kind === "ledger") {
    return { kind: "ledger", entries: reply.entries.map((entry) => read(reply.names, entry)) };
  }
  const answers = reply.answers.map(([entry, rest, dryMs, owner]) => ({
    entry: read(reply.names, entry),
    rest,
    dryMs,
    owner: reply.names[owner] ?? "",
  }));
  return { kind: "answers", busy: reply.busy, answers };
}

/** The entries in parts that fit into a message each. */
export function chunksOf(all: readonly EntryData[]): EntryData[][] {
  const chunks: EntryData[][] = [];
  let chunk: EntryData[] = [];
  let bytes = 0;
  for (const entry of all) {
    const size = ENTRY_BYTES + 3 * entry.bucket.length + rowsSize(entry.rows);
    if (chunk.length > 0 && (bytes + size > CHUNK_BYTES || chunk.length >= MAX_ENTRIES)) {
      chunks.push(chunk);
      chunk = [];
      bytes = 0;
    }
    chunk.push(entry);
    bytes += size;
  }
  if (chunk.length > 0) chunks.push(chunk);
  return chunks;
}

function rowsSize(rows: readonly RowData[]): number {
  let size = 0;
  for (const { granted } of rows) size += ROW_BYTES + granted.length * ROW_BYTES;
  return size;
}

/** Numbers that name nobody are left out. */
function read(table: readonly string[], entry: z.infer<typeof entrySchema>): EntryData {
  const [thing, counted, number, limit, wireRows] = entry;
  const rows: RowData[] = [];
  for (const [holder, returned, pairs] of wireRows) {
    const who = table[holder];
    if (who === undefined) continue;
    const granted: [string, number][] = [];
    for (let at = 0; at + 1 < pairs.length; at += 2) {
      const author = table[pairs[at] as number];
      if (author !== undefined) granted.push([author, pairs[at + 1] as number]);
    }
    rows.push({ holder: who, returned, granted });
  }
  return { bucket: thing, dimension: counted, window: number, limit, rows };
}
