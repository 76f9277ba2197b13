/**
 * The examples of semantic models as vectors: asked for once by each thread for each configuration, when the first
 * request needs them. The calls are nobody's: whoever comes first does not pay for all.
 */
import type { SemanticModel } from "../config/resources.js";
import { type ExampleVectors, normalized } from "../routing/semantic-route.js";
import { embeddingCall, vectorsOf } from "./embed.js";
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";
import { callForNobody } from "./sub-call.js";

/** Texts of one call; vendors take some hundreds at least. */
const BATCH = 96;
/** No request waits for it: each has its own time. */
const CALL_MS = 60_000;

/** Gone with the snapshot that holds the model. */
const known = new WeakMap<SemanticModel, ExampleVectors>();
const asked = new WeakMap<SemanticModel, Promise<ExampleVectors | null>>();

/** The vectors where they are known; else a promise of them, null for failure (who comes later asks anew). */
export function examplesOf(
  exchange: Exchange,
  node: Node,
  entry: SemanticModel,
): ExampleVectors | Promise<ExampleVectors | null> {
  const found = known.get(entry);
  if (found !== undefined) return found;
  let pending = asked.get(entry);
  if (pending === undefined) {
    pending = ask(exchange, node, entry)
      .catch((error: unknown) => {
        node.reportFault(error);
        return null;
      })
      .then((vectors) => {
        asked.delete(entry);
        if (vectors !== null) known.set(entry, vectors);
        return vectors;
      });
    asked.set(entry, pending);
  }
  return pending;
}

/** One batch after the other, so that many examples do not come upon the upstream at once. */
async function ask({ snapshot }: Exchange, node: Node, { semantic }: SemanticModel): Promise<ExampleVectors | null> {
  const texts = semantic.routes.flatMap((route) => route.examples);
  const vectors: Float32Array[] = [];
  while (vectors.length < texts.length) {
    const batch = texts.slice(vectors.length, vectors.length + BATCH);
    const request = embeddingCall({
      model: semantic.embeddingModel,
      texts: batch,
      deadline: performance.now() + CALL_MS,
    });
    const found = vectorsOf(await callForNobody(snapshot, node, request).answer, batch.length)?.map(normalized) ?? [
      null,
    ];
    for (const vector of found) {
      if (vector === null) return null;
      vectors.push(vector);
    }
  }
  let from = 0;
  return semantic.routes.map(({ examples }) => {
    from += examples.length;
    return vectors.slice(from - examples.length, from);
  });
}
