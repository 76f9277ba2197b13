/** When a crashed acceptor is replaced: at once, unless it keeps crashing. */

const WINDOW_MS = 10_000;
const FREE_RESTARTS = 5;
const MAX_DELAY_MS = 2_000;

/**
 * Milliseconds to wait before the next restart. `times` holds earlier crashes (monotonic milliseconds) and
 * gets this one added; only the last ten seconds count.
 */
export function restartDelay(times: number[], now: number): number {
  times.push(now);
  while (times.length > 0 && now - (times[0] as number) > WINDOW_MS) times.shift();
  const excess = times.length - FREE_RESTARTS;
  return excess <= 0 ? 0 : Math.min(MAX_DELAY_MS, 100 * 2 ** (excess - 1));
}
