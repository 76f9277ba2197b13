/** Stage 5: has this been answered before? A hit is told at once; of a miss the answer is recorded on its way. */
import { cacheKey, readKeyedBody } from "../cache/key.js";
import type { Operation } from "../dialects/dialect.js";
import { answerFromCache } from "./cache-hit.js";
import type { Exchange } from "./exchange.js";
import { type LookUp, recordMiss, sharesAnswers } from "./look-up.js";
import { membersOpen } from "./members-open.js";
import type { Node } from "./node.js";
import type { Stage, StageOutcome } from "./pipeline.js";
import { Recollection } from "./recollection.js";
import { isStrict } from "./translate.js";

/** Operations whose answers depend on nothing but the request. */
const CACHEABLE: ReadonlySet<Operation> = new Set<Operation>([
  "chat",
  "messages",
  "responses",
  "completions",
  "embeddings",
  "rerank",
]);

export const recall: Stage = {
  name: "recall",
  needs: "body",
  failures: ["timeout"],
  run(exchange: Exchange, node: Node): StageOutcome {
    if (node.cache.policies === null) return "next";
    const lookUp = lookUpOf(exchange, node);
    if (lookUp === null) {
      node.counters.cache.bypass.add(1);
      return "next";
    }
    if (lookUp.reads) {
      const found = node.cache.store.get(lookUp.key, Date.now());
      if (found !== null && answerFromCache(exchange, node, found)) {
        node.counters.cache.hits.add(1);
        return "under-way";
      }
    }
    const { policy } = lookUp.chosen;
    const asksFleet = lookUp.reads && sharesAnswers(node, lookUp);
    const waits = asksFleet || policy.semantic !== null || (policy.collapse && lookUp.reads && lookUp.stores);
    if (waits) return new Recollection(exchange, node, lookUp).begin();
    recordMiss(exchange, node, lookUp);
    return "next";
  },
};

/** null: no policy concerns the exchange, or its answer is none for a cache. */
function lookUpOf(exchange: Exchange, node: Node): LookUp | null {
  const { view, model, route, headers } = exchange;
  if (view === null || model === null || !CACHEABLE.has(route.operation)) return null;
  const asking = { apiKey: exchange.keyResource?.name ?? "", model: view.model, entry: model.entry.name };
  const chosen = node.cache.policies?.choose(asking) ?? null;
  if (chosen === null || (view.stream && !chosen.policy.streams)) return null;
  const reads = !headers.cacheControl.includes("no-cache");
  const stores = !headers.cacheControl.includes("no-store");
  if (!reads && !stores) return null;
  const body = readKeyedBody(exchange.body);
  if (body === null) return null;
  const { scope } = chosen;
  const forwarded = forwardedBy(exchange, node);
  const open = membersOpen(exchange, model);
  // No header has such a name.
  const counting = open === "" ? forwarded : [...forwarded, "open to the caller", open];
  const parts = { scope, operation: route.operation, strict: isStrict(exchange), headers: counting };
  return { chosen, key: cacheKey(parts, body), headers: counting, reads, stores };
}

/**
 * The caller's headers that may change the answer: those that any of the possible targets gets, and the one by which
 * the caller chooses among them.
 */
function forwardedBy(exchange: Exchange, node: Node): readonly string[] {
  const { passed, others } = exchange.headers;
  if (others.length === 0) return passed;
  const { plan } = exchange;
  if (plan === null) return [...passed, ...others];
  const all = new Map<string, string>();
  const add = (list: readonly string[]) => {
    for (let at = 0; at + 1 < list.length; at += 2) all.set(list[at] as string, list[at + 1] as string);
  };
  for (const { target } of plan.possible) add(target.forwarded(passed, others));
  const tags = `${node.headerNames.prefix}routing-tags`;
  for (let at = 0; at + 1 < others.length; at += 2) if (others[at] === tags) add([tags, others[at + 1] as string]);
  return [...all].flat();
}
