/** What is looked up in the cache for an exchange, and the recording of its answer where nothing was found. */
import type { ChosenPolicy } from "../cache/policies.js";
import { Recording, type RecordingEnd } from "../cache/recording.js";
import type { EntryMeaning } from "../cache/entries.js";
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";

export interface LookUp {
  readonly chosen: ChosenPolicy;
  readonly key: Buffer;
  /** The caller's headers that count: names and values alternate. */
  readonly headers: readonly string[];
  /** The caller takes an answer that was kept. */
  readonly reads: boolean;
  /** The caller's answer may be kept. */
  readonly stores: boolean;
}

/** Do the nodes of a fleet share what is looked up? */
export function sharesAnswers({ cache }: Node, { chosen }: LookUp): boolean {
  return cache.fleet !== null && chosen.policy.backend === "cluster";
}

/** From here on the relays hand over what they send. */
export function recordMiss(
  exchange: Exchange,
  node: Node,
  lookUp: LookUp,
  more: { readonly meaning?: EntryMeaning | null; onEnd?(end: RecordingEnd): void } = {},
): void {
  exchange.cache = "miss";
  const { cache, counters } = node;
  counters.cache.misses.add(1);
  const { policy, tags, names } = lookUp.chosen;
  const shares = sharesAnswers(node, lookUp);
  exchange.recording = new Recording(
    { key: lookUp.key, tags, ttlMs: policy.ttlSeconds * 1_000, stores: lookUp.stores, meaning: more.meaning ?? null },
    {
      store: cache.store,
      clock: Date.now,
      onEnd: (end) => {
        if (end === "stored") {
          counters.cache.stored.add(1);
          if (shares) cache.fleet?.keep(lookUp.key, names, exchange.startedAtWall);
        }
        more.onEnd?.(end);
      },
    },
  );
}
