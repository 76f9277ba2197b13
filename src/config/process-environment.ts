/** The environment of this process, for those who look at it while requests run: credentials that live there. */
import type { Environment } from "./environment.js";

/** The environment as it is now; worker threads have a copy of the process's own. */
export function processEnvironment(): Environment {
  return process.env;
}
