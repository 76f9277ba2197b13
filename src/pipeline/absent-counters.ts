/** Remembers where a provider's own token counter turned out not to be there, so that it is not asked every time. */
import type { Target } from "../providers/target.js";

/** A counter may be added, and a proxy repaired. */
const REMEMBERED_MS = 10 * 60_000;
/** Models of one target; callers may make names up where a pattern lets them. */
const MOST_MODELS = 256;

/** Statuses that are about the counter alone; others may be about this request or this moment. */
const ABSENT: ReadonlySet<number> = new Set([404, 405, 501]);

/** Of each target: model as the upstream calls it → when to ask again. A reload brings new targets. */
const absent = new WeakMap<Target, Map<string, number>>();

/** Notes what the counter answered for this model. `now`: milliseconds of a clock that never goes back. */
export function noteCounterRefusal(target: Target, model: string, status: number, now = performance.now()): void {
  if (!ABSENT.has(status)) return;
  const models = absent.get(target) ?? new Map<string, number>();
  absent.set(target, models);
  // Set anew at the end: the first of the map is always the oldest.
  models.delete(model);
  models.set(model, now + REMEMBERED_MS);
  if (models.size > MOST_MODELS) models.delete(models.keys().next().value as string);
}

/** Is there, as far as anybody knows, no counter for this model? */
export function isCounterAbsent(target: Target, model: string, now = performance.now()): boolean {
  const models = absent.get(target);
  const until = models?.get(model);
  if (until === undefined) return false;
  if (now < until) return true;
  models?.delete(model);
  return false;
}
