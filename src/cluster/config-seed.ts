/** Fills a bucket that is the source of nothing yet. Several nodes may do so at once: what is there stays. */
import type { RawEntry } from "../config/resource-set.js";
import type { OpenBucket } from "./config-bucket.js";
import { configKey, entryBytes, SEEDED } from "./config-entries.js";
import { WRONG_SEQUENCE, errorCode } from "./jetstream.js";

const WIDTH = 32;

/** Puts the entries in; answers how many were not there. Rejects when NATS refuses, or goes away. */
export async function seedEntries({ live, kv }: OpenBucket, entries: readonly RawEntry[]): Promise<number> {
  let created = 0;
  const queue = entries.values();
  const lane = async (): Promise<void> => {
    for (const { collection, name, value } of queue) {
      if (live.lost.aborted) throw new Error("the connection was lost");
      if (await createEntry(kv, configKey(collection, name), entryBytes(value))) created += 1;
    }
  };
  await Promise.all(Array.from({ length: WIDTH }, lane));
  return created;
}

/** From now on the bucket is the source. Answers the revision; null: somebody else has said so. */
export async function markSeeded({ kv }: OpenBucket, node: string): Promise<number | null> {
  try {
    return await kv.create(SEEDED, entryBytes({ v: 1, node, time: new Date().toISOString() }));
  } catch (error) {
    if (errorCode(error) === WRONG_SEQUENCE) return null;
    throw error;
  }
}

async function createEntry(kv: OpenBucket["kv"], key: string, bytes: Uint8Array): Promise<boolean> {
  try {
    await kv.create(key, bytes);
    return true;
  } catch (error) {
    if (errorCode(error) === WRONG_SEQUENCE) return false;
    throw error;
  }
}
