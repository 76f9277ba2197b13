/**
 * What may be counted only once, however often an upstream tells of it, over all threads and restarts of a node: an
 * empty file for each, made by whoever is first. Other nodes have files of their own; to whom they tell it, the
 * event's id says that it is the same.
 */
import { createHash } from "node:crypto";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { readdir, stat, unlink } from "node:fs/promises";
import { join } from "node:path";

const MAX_REMEMBERED = 4_096;
/** No vendor tells of a batch for longer. */
const KEPT_MS = 180 * 86_400_000;
/** How many new ones there are between two looks for old ones. */
const SWEEP_EVERY = 256;

export class CountedOnce {
  readonly #directory: string;
  readonly #seen = new Set<string>();
  #made = 0;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** True for the first that asks. A file that cannot be made is a reason to count: better twice than never. */
  first(thing: string): boolean {
    const name = createHash("sha256").update(thing).digest("hex");
    if (this.#seen.has(name)) return false;
    if (this.#seen.size >= MAX_REMEMBERED) this.#seen.clear();
    this.#seen.add(name);
    return this.#make(name);
  }

  #make(name: string): boolean {
    try {
      if (this.#made === 0) mkdirSync(this.#directory, { recursive: true });
    } catch {
      return true;
    }
    try {
      closeSync(openSync(join(this.#directory, name), "wx"));
    } catch (error) {
      return (error as NodeJS.ErrnoException).code !== "EEXIST";
    }
    this.#made += 1;
    if (this.#made % SWEEP_EVERY === 0) void this.sweep(Date.now()).catch(() => {});
    return true;
  }

  /** Forgets what is older than half a year. */
  async sweep(now: number): Promise<void> {
    for (const name of await readdir(this.#directory)) {
      const path = join(this.#directory, name);
      const { mtimeMs } = await stat(path);
      if (now - mtimeMs > KEPT_MS) await unlink(path);
    }
  }
}
