/**
 * Ends what limits and budgets hold of an exchange. Before an answer's end leaves: a caller who has read it may ask
 * again at once, at whatever acceptor, and finds the place free and everything counted.
 */
import { releasePlace, settleLease, voidLease } from "../quota/lease.js";
import { warnOfBudgets } from "./budget-warnings.js";
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";

/** The client has gone: the places under concurrency limits are free at once, though tokens are still being counted. */
export function releasePlaces({ lease, chosenLease }: Exchange, node: Node): void {
  if (lease !== null) releasePlace(node.quota, lease);
  if (chosenLease !== null) releasePlace(node.quota, chosenLease);
}

/** The request is refused after its admission and before anything was done for it: it has never been admitted. */
export function voidAdmission(exchange: Exchange, node: Node): void {
  const { lease, chosenLease } = exchange;
  exchange.lease = null;
  exchange.chosenLease = null;
  if (lease !== null) voidLease(node.quota, lease);
  if (chosenLease !== null) voidLease(node.quota, chosenLease);
}

/** Tokens and money of the exchange must be known. Once is enough; again does nothing. */
export function settleLeases({ lease, chosenLease, tokensUsed, microsUsed }: Exchange, node: Node): void {
  if (lease !== null) {
    const crossings = settleLease(node.quota, lease, { tokens: tokensUsed, micros: microsUsed });
    if (crossings.length > 0) warnOfBudgets(node, crossings);
  }
  if (chosenLease !== null) settleLease(node.quota, chosenLease, { tokens: tokensUsed, micros: 0 });
}
