/** Keeps on file how far the journal has been added up, and to what totals. */
import { readFileSync } from "node:fs";
import { open, rename } from "node:fs/promises";
import { dirname } from "node:path";

export interface Checkpoint {
  readonly version: 1;
  /** What each budget in force is known by: others have not been added up. */
  readonly budgets: readonly string[];
  /** File of the journal → bytes read of it. */
  readonly positions: Readonly<Record<string, number>>;
  /** Counter → its period and billionths of a dollar spent in it. */
  readonly totals: Readonly<Record<string, readonly [period: number, nanos: number]>>;
}

/** The checkpoint on file; null = there is none; a text = why the one that is there cannot be used. */
export function readCheckpoint(path: string): Checkpoint | null | string {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === "ENOENT" ? null : `it cannot be read (${code ?? "unknown reason"})`;
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "it is not JSON";
  }
  return isCheckpoint(value) ? value : "it is not a checkpoint of this version";
}

/** Writes a new file, brings it to the disk and puts it in place of the old one. Rejects with what failed. */
export function writeCheckpoint(path: string, checkpoint: Checkpoint): Promise<void> {
  return replaceFile(path, JSON.stringify(checkpoint));
}

/** The same with any text: whoever reads the file finds the old text or the new one, also after a power failure. */
export async function replaceFile(path: string, text: string, mode = 0o640): Promise<void> {
  const fresh = `${path}.new`;
  const file = await open(fresh, "w", mode);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(fresh, path);
  const folder = await open(dirname(path), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function isCheckpoint(value: unknown): value is Checkpoint {
  if (!isRecord(value) || value.version !== 1) return false;
  const { budgets, positions, totals } = value;
  if (!Array.isArray(budgets) || !isRecord(positions) || !isRecord(totals)) return false;
  return (
    budgets.every((name) => typeof name === "string") &&
    Object.values(positions).every(isAmount) &&
    Object.values(totals).every((total) => Array.isArray(total) && total.length === 2 && total.every(isAmount))
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isAmount(value: unknown): boolean {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}
