/** The end of an exchange in which something threw that nobody foresaw, where nobody else would catch it. */
import { failure } from "../errors.js";
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";
import { refuse } from "./refuse.js";
import { settle } from "./settle.js";

/** Reports the fault and ends the exchange with `internal_error`; whatever happens in that costs this exchange alone. Never throws. */
export function endFaulty(exchange: Exchange, node: Node, error: unknown): void {
  node.reportFault(error);
  if (exchange.settled) return;
  try {
    refuse(exchange, node, failure("internal_error"));
  } catch (second) {
    node.reportFault(second);
    exchange.sink.abort();
  }
  try {
    settle.run(exchange, node);
  } catch (second) {
    node.reportFault(second);
  }
}
