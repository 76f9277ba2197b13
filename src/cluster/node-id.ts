/**
 * Who a node is over its restarts: an id that stands in its data directory. Names of nodes may be given twice, and a
 * process has another id with every start.
 */
import { randomUUID } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type ClusterLog, reasonOf } from "./log.js";

const ID = /^[0-9a-f-]{36}$/;

/** The id in `node-id` of the directory, which is made where it is missing; one for this start alone where it cannot be. */
export function nodeId(dataDirectory: string, log: ClusterLog): string {
  const file = join(dataDirectory, "node-id");
  const fresh = randomUUID();
  try {
    const known = readFileSync(file, "utf8").trim();
    if (ID.test(known)) return known;
    log.warn({ file }, "the id of this node cannot be read; it has a new one");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") return unkept(file, fresh, error, log);
  }
  try {
    writeFileSync(file, `${fresh}\n`, { mode: 0o600 });
    return fresh;
  } catch (error) {
    return unkept(file, fresh, error, log);
  }
}

function unkept(file: string, fresh: string, error: unknown, log: ClusterLog): string {
  log.error(
    { file, reason: reasonOf(error) },
    "the id of this node cannot be kept; what it spends has another after a restart",
  );
  return fresh;
}
