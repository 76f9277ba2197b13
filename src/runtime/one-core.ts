/** How memory is cleaned up where the process has one core alone. */
import { availableParallelism } from "node:os";
import { setFlagsFromString } from "node:v8";

/**
 * V8 has threads that help with what is collected most often. On one core they only take turns with the thread that
 * they help, and waking them costs more than they do. (Its other collections may be under way when flags change, and
 * do not bear it.)
 */
const NO_HELP = ["--no-parallel-scavenge", "--no-concurrent-array-buffer-sweeping"];

/** To be called before the first thread is started. `cores`: how many the process may use. */
export function adaptToCores(cores = availableParallelism()): void {
  if (cores === 1) for (const flag of NO_HELP) setFlagsFromString(flag);
}
