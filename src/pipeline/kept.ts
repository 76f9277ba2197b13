/** Requests that name what a provider keeps: its own ids are put in, and it is the one that is asked. */
import { carryId } from "../dialects/carried-id.js";
import { type FoundId, findCarriedIds, withRestoredIds } from "../dialects/restored-ids.js";
import { type Failure, failure } from "../errors.js";
import type { Exchange } from "./exchange.js";

const NONE: readonly FoundId[] = Object.freeze([]);

/** Puts upstreams' ids into the body. */
export function restoreKept(exchange: Exchange): readonly FoundId[] {
  if (exchange.route.dialect.namesKept !== true) return NONE;
  const found = findCarriedIds(exchange.body);
  if (found.length > 0) {
    exchange.body = withRestoredIds(exchange.body, found);
    exchange.restoredIds = new Map(found.map(({ carried }) => [carried.id, carryId(carried)]));
  }
  return found;
}

/** Leaves only those targets that keep what the request names; a Failure where none of them does. */
export function staysWithKeepers(exchange: Exchange, found: readonly FoundId[]): Failure | null {
  const { plan } = exchange;
  if (plan === null || found.length === 0) return null;
  const keeps = (providerKey: string) => found.every(({ carried }) => carried.providerKey === providerKey);
  const keeping = plan.candidates.filter(({ target }) => keeps(target.providerKey));
  if (keeping.length === plan.candidates.length) return null;
  if (keeping.length === 0) {
    const message = "What the request refers to by its id is kept by another provider than the model's.";
    return failure("invalid_request_error", message);
  }
  exchange.plan = plan.narrowedTo(keeping);
  return null;
}
