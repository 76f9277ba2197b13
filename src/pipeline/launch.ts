/** Starts one attempt at one candidate, in the caller's own words or in the target's. */
import { editedPieces, LARGE_BODY_BYTES } from "../dialects/body-pieces.js";
import { carriesForeignProof } from "../dialects/codecs.js";
import { isOlderForm } from "../dialects/operations.js";
import type { RequestView } from "../dialects/dialect.js";
import { type Failure, failure, isFailure } from "../errors.js";
import type { Target } from "../providers/target.js";
import type { PlannedCandidate } from "../routing/plan.js";
import { isCounterAbsent } from "./absent-counters.js";
import { Attempt } from "./attempt.js";
import { countInstead, countsHere } from "./count-here.js";
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";
import { launchOutgoing } from "./outgoing.js";
import type { StageOutcome } from "./pipeline.js";
import { headersFor } from "./request-variables.js";
import { launchTranslated } from "./translate.js";

export function launch(exchange: Exchange, node: Node, candidate: PlannedCandidate): StageOutcome {
  const { view } = exchange;
  if (view === null) return failure("internal_error");
  if (exchange.outgoing !== null) return launchOutgoing(exchange, node, candidate);
  const { target, model } = candidate;
  if (mustTranslate(exchange, target)) return launchTranslated(exchange, node, candidate);
  if (target.counter !== null && isCounterAbsent(target, model.upstreamModel)) return countInstead(exchange, node);
  const forwarded = target.forwarded(exchange.headers.passed, exchange.headers.others);
  const body = bodyFor(exchange, view, candidate, forwarded);
  if (isFailure(body)) return body;
  new Attempt(exchange, node, candidate, null).start(body, headersFor(exchange, candidate, forwarded));
  return "under-way";
}

/**
 * The caller's bytes with what the target needs. A large body is not copied where nothing but that is changed; what a
 * provider key changes concerns members of JSON, and forms have none.
 */
function bodyFor(
  { body, route: { dialect } }: Exchange,
  view: RequestView,
  { target, model }: PlannedCandidate,
  forwarded: readonly string[],
): Buffer | readonly Buffer[] | Failure {
  const name = model.upstreamModel;
  const asIs = view.form !== undefined || target.changesNothing;
  if (asIs && !target.signsBody && body.length > LARGE_BODY_BYTES && dialect.requestEdits !== undefined) {
    return editedPieces(body, dialect.requestEdits(body, view, name));
  }
  const spliced = dialect.spliceRequest(body, view, name);
  return asIs ? spliced : target.bodyFor(spliced, forwarded, name);
}

/** Off the diagonal always; on it only where the body holds what the target would refuse. */
function mustTranslate(exchange: Exchange, target: Target): boolean {
  if (target.bridge.kind === "hub" || exchange.continuation !== null || exchange.writtenHere) return true;
  const { id } = exchange.route.dialect;
  if (target.newestFormOnly && isOlderForm(id, exchange.body)) return true;
  return !countsHere(exchange.route.operation) && carriesForeignProof(id, exchange.body);
}
