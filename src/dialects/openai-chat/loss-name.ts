/** Names of losses made from what a client wrote. */

const SAFE = /^[a-z][a-z0-9_]{0,39}$/;

/** The name itself where it is a plain lower-case word; else `fallback`: losses go to a header and a metric. */
export function lossName(name: string, fallback: string): string {
  return SAFE.test(name) ? name : fallback;
}
