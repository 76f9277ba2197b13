/** What is learned from an answer for the requests that follow. */
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";

/** Notes how long a whole answer was, for what later requests to the same model reserve. */
export function noteOutput(exchange: Exchange, node: Node): void {
  const { usage, model } = exchange;
  if (model === null || usage === null || !usage.complete || usage.status >= 300 || usage.output_tokens === 0) return;
  node.quota.outputs.record(node.quota.outputs.slotOf(model.entry.name), usage.output_tokens);
}
