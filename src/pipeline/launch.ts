/** Starts one attempt at one candidate, in the caller's own words or in the target's. */
import { carriesForeignProof } from "../dialects/codecs.js";
import { failure, isFailure } from "../errors.js";
import type { Target } from "../providers/target.js";
import type { PlannedCandidate } from "../routing/plan.js";
import { isCounterAbsent } from "./absent-counters.js";
import { Attempt } from "./attempt.js";
import { countInstead, countsHere } from "./count-here.js";
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";
import type { StageOutcome } from "./pipeline.js";
import { headersFor } from "./request-variables.js";
import { launchTranslated } from "./translate.js";

export function launch(exchange: Exchange, node: Node, candidate: PlannedCandidate): StageOutcome {
  const { view } = exchange;
  if (view === null) return failure("internal_error");
  const { target, model } = candidate;
  if (mustTranslate(exchange, target)) return launchTranslated(exchange, node, candidate);
  if (target.counter !== null && isCounterAbsent(target, model.upstreamModel)) return countInstead(exchange, node);
  const spliced = exchange.route.dialect.spliceRequest(exchange.body, view, model.upstreamModel);
  const forwarded = target.forwarded(exchange.headers.passed, exchange.headers.others);
  const body = target.bodyFor(spliced, forwarded, model.upstreamModel);
  if (isFailure(body)) return body;
  new Attempt(exchange, node, candidate, null).start(body, headersFor(exchange, candidate, forwarded));
  return "under-way";
}

/** Off the diagonal always; on it only where the body holds what the target would refuse. */
function mustTranslate(exchange: Exchange, target: Target): boolean {
  if (target.bridge.kind === "hub" || exchange.continuation !== null) return true;
  return !countsHere(exchange.route.operation) && carriesForeignProof(exchange.route.dialect.id, exchange.body);
}
