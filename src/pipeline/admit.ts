/** Stage 3: is there room under the limits of the key and the model? All layers admit, or none counts. */
import { isFailure } from "../errors.js";
import { admitRequest, type LimitLayer } from "../quota/lease.js";
import { guessPromptTokens } from "../quota/window.js";
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";
import type { Stage, StageOutcome } from "./pipeline.js";

/** Output reserved for a request that names no cap of its own. */
const UNCAPPED_OUTPUT_TOKENS = 256;

export const admit: Stage = {
  name: "admit",
  needs: "body",
  failures: ["rate_limit_exceeded"],
  run(exchange: Exchange, node: Node): StageOutcome {
    const layers = layersOf(exchange, node);
    if (layers.length === 0) return "next";
    const lease = admitRequest(node.quota, layers, likelyTokens(exchange));
    if (isFailure(lease)) return lease;
    exchange.lease = lease;
    return "next";
  },
};

function layersOf(exchange: Exchange, node: Node): LimitLayer[] {
  const layers: LimitLayer[] = [];
  const key = exchange.keyResource;
  if (key?.rateLimit != null) push(layers, node.limits.get(`api_key:${key.name}`));
  const entry = exchange.model?.entry;
  if (entry?.rateLimit != null) push(layers, node.limits.get(`model:${entry.name}`));
  return layers;
}

function push(layers: LimitLayer[], layer: LimitLayer | undefined): void {
  if (layer !== undefined) layers.push(layer);
}

/** Prompt plus output as far as they can be guessed before the call; settled with the true figures. */
function likelyTokens(exchange: Exchange): number {
  const cap = exchange.view?.maxOutputTokens ?? -1;
  return guessPromptTokens(exchange.body.length) + (cap >= 0 ? cap : UNCAPPED_OUTPUT_TOKENS);
}
