/** Keeps on file how far the journal has gone into the stream, and how that can be checked against the stream. */
import { readFileSync } from "node:fs";
import { z } from "zod";
import { replaceFile } from "../usage/checkpoint.js";
import type { Positions } from "../usage/journal-cursor.js";

/** What stood in the stream when the journal had gone out up to these positions. */
export interface Mark {
  readonly positions: Positions;
  /** Sequence and message id of the last event that went out, as the stream acknowledged it. */
  readonly sequence: number;
  readonly id: string;
}

const amount = z.int().min(0);
const fileSchema = z.object({
  version: z.literal(1),
  marks: z.array(z.object({ positions: z.record(z.string(), amount), sequence: amount, id: z.string() })),
});

/** The marks on file, the oldest first; [] = there is no file; a text = why the one there cannot be used. */
export function readMarks(path: string): Mark[] | string {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return [];
    return code === undefined ? "it is not JSON" : `it cannot be read (${code})`;
  }
  const read = fileSchema.safeParse(value);
  if (!read.success) return "it is not a checkpoint of this version";
  return read.data.marks.map(({ positions, ...mark }) => ({ ...mark, positions: new Map(Object.entries(positions)) }));
}

/** Puts the marks on file. Rejects with what failed. */
export function writeMarks(path: string, marks: readonly Mark[]): Promise<void> {
  const told = marks.map((mark) => ({ ...mark, positions: Object.fromEntries(mark.positions) }));
  return replaceFile(path, JSON.stringify({ version: 1, marks: told }));
}
