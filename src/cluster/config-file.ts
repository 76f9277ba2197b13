/** The last good resources from NATS, on file: what a node starts from when NATS is away. */
import { readFileSync } from "node:fs";
import { z } from "zod";
import type { RawEntry } from "../config/resource-set.js";
import { replaceFile } from "../usage/checkpoint.js";
import { type ClusterLog, reasonOf } from "./log.js";
import { delay } from "./time.js";

export const SNAPSHOT_FILE = "resources-snapshot.json";
/** It holds whatever secrets the entries hold. */
const OWNER_ONLY = 0o600;
const PAUSE_MS = 200;

export interface ConfigSnapshot {
  /** `cluster.name`. */
  readonly fleet: string;
  readonly revision: number;
  readonly entries: readonly RawEntry[];
}

const fileSchema = z.object({
  version: z.literal(1),
  fleet: z.string(),
  revision: z.int().min(0),
  entries: z.array(z.object({ collection: z.string(), name: z.string(), value: z.unknown() })),
});

/** What is on file for this fleet; null = nothing; a text = why it cannot be used. */
export function readConfigSnapshot(path: string, fleet: string): ConfigSnapshot | null | string {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return null;
    return code === undefined ? "it is not JSON" : `it cannot be read (${code})`;
  }
  const read = fileSchema.safeParse(value);
  if (!read.success) return "it is not a snapshot of this version";
  if (read.data.fleet !== fleet) return "it is another fleet's";
  const { revision, entries } = read.data;
  return { fleet, revision, entries };
}

/** Puts snapshots on file, one after the other and only the latest, while others go on with their work. */
export class SnapshotKeeper {
  readonly #path: string;
  readonly #log: ClusterLog;
  readonly #stopping = new AbortController();
  #next: ConfigSnapshot | null = null;
  #work: Promise<void> | null = null;
  #failed = false;

  constructor(path: string, log: ClusterLog) {
    this.#path = path;
    this.#log = log;
  }

  /** Returns at once. */
  keep(snapshot: ConfigSnapshot): void {
    this.#next = snapshot;
    this.#work ??= this.#writeAll();
  }

  /** Resolves when the latest one is on file, or could not be put there. Never rejects. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#work;
  }

  async #writeAll(): Promise<void> {
    for (let next = this.#next; next !== null; next = this.#next) {
      this.#next = null;
      try {
        await replaceFile(this.#path, JSON.stringify({ version: 1, ...next }), OWNER_ONLY);
        this.#failed = false;
      } catch (error) {
        if (!this.#failed) this.#log.error({ reason: reasonOf(error) }, "the snapshot of the resources cannot be kept");
        this.#failed = true;
      }
      await delay(PAUSE_MS, this.#stopping.signal);
    }
    // In the same turn as the last look: what comes next begins anew.
    this.#work = null;
  }
}
