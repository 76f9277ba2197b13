/** Which ids in answers become the gateway's own, so that any node knows whom to ask about them. */
import { CarriedStream, CarriedWhole, carryResponse, carryThings, type Origin } from "../dialects/carried-answer.js";
import type { KeyedPlace } from "../dialects/dialect.js";
import { KEPT_DIALECT } from "../dialects/registry.js";
import type { AnswerFilter, FilteredHead } from "../providers/answer-filter.js";
import { type Target, targetFor } from "../providers/target.js";
import type { Snapshot } from "../config/snapshot.js";
import { isEventStream } from "./answer-head.js";
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";

type Filter = (head: FilteredHead) => AnswerFilter | null;

/** Longer answers of this kind there are none; a list has at most ten thousand entries. */
const MAX_HELD_BYTES = 32 * 1024 * 1024;
const NONE: Filter = () => null;

/** For requests that go to a provider key. `carried`: what the request's own ids say; a plain one is answered plainly. */
export function carryingFilter(
  { route, pathParameter }: Exchange,
  { providerKey }: Target,
  carried: KeyedPlace["carried"],
): Filter {
  const origin: Origin = { providerKey, model: carried?.model ?? "" };
  if (route.operation === "responses_items") {
    return carried === null ? NONE : (head) => responseFilter(head, origin);
  }
  // Whoever asks with an upstream's own ids goes on with those.
  if (pathParameter !== "" && carried === null) return NONE;
  return (head) =>
    isJson(head) ? new CarriedWhole(head.contentType, (body) => carryThings(body, origin), MAX_HELD_BYTES) : null;
}

/** For a response made for the caller in its provider's own dialect; null = its id stays the provider's. */
export function createdFilter(
  { route, view, snapshot, restoredIds, inner }: Exchange,
  node: Node,
  target: Target,
): Filter | null {
  if (route.operation !== "responses" || view === null || inner) return null;
  const { carry_provider } = node.config.responses;
  if (carry_provider === "never" || (carry_provider === "auto" && !isAmbiguous(snapshot))) return null;
  const origin: Origin = { providerKey: target.providerKey, model: view.model, known: restoredIds };
  return (head) => responseFilter(head, origin);
}

function responseFilter(head: FilteredHead, origin: Origin): AnswerFilter | null {
  if (head.status >= 300) return null;
  if (isEventStream(head.contentType)) return new CarriedStream(head.contentType, origin);
  return isJson(head)
    ? new CarriedWhole(head.contentType, (body) => carryResponse(body, origin), MAX_HELD_BYTES)
    : null;
}

function isJson({ status, contentType }: FilteredHead): boolean {
  return status < 300 && /^application\/json\b/i.test(contentType);
}

/** Could more than one provider key have made a response? Asked once a configuration. */
function isAmbiguous(snapshot: Snapshot): boolean {
  let known = ambiguous.get(snapshot);
  if (known === undefined) {
    let keeping = 0;
    for (const providerKey of snapshot.providerKeys) {
      const target = targetFor({ providerKey, entry: providerKey }, "responses_items", KEPT_DIALECT.id);
      if (target !== null && !target.simulated) keeping += 1;
    }
    known = keeping > 1;
    ambiguous.set(snapshot, known);
  }
  return known;
}

const ambiguous = new WeakMap<Snapshot, boolean>();
