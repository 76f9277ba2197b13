/**
 * Ends what limits and budgets hold of an exchange. Before an answer's end leaves: a caller who has read it may ask
 * again at once, at whatever acceptor, and finds the place free and everything counted.
 */
import { settleLease } from "../quota/lease.js";
import { warnOfBudgets } from "./budget-warnings.js";
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";

/** Tokens and money of the exchange must be known. Once is enough; again does nothing. */
export function settleLeases({ lease, chosenLease, tokensUsed, microsUsed }: Exchange, node: Node): void {
  if (lease !== null) {
    const crossings = settleLease(node.quota, lease, { tokens: tokensUsed, micros: microsUsed });
    if (crossings.length > 0) warnOfBudgets(node, crossings);
  }
  if (chosenLease !== null) settleLease(node.quota, chosenLease, { tokens: tokensUsed, micros: 0 });
}
