/** The part of dispatch that is only needed off the diagonal: translates the request, then starts its attempt. */
import type { TargetTraits } from "../dialects/codec.js";
import { type Translation, type TranslationJob, translateRequest } from "../dialects/hub.js";
import { withoutStore } from "../dialects/kept-turn.js";
import { wantsVocabulary } from "../dialects/operations.js";
import { type Failure, failure, isFailure } from "../errors.js";
import { traitsOf } from "../providers/traits.js";
import type { Target } from "../providers/target.js";
import type { PlannedCandidate } from "../routing/plan.js";
import { isCounterAbsent } from "./absent-counters.js";
import { Attempt } from "./attempt.js";
import { countInstead } from "./count-here.js";
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";
import { waitFor } from "./pending.js";
import type { StageOutcome } from "./pipeline.js";
import { headersFor } from "./request-variables.js";

/** Translates here if the body is small, else on a pool thread, so that other requests do not wait for it. */
export function launchTranslated(exchange: Exchange, node: Node, candidate: PlannedCandidate): StageOutcome {
  const job = translationJob(exchange, candidate);
  const small = exchange.body.length <= node.config.pool.inline_bytes;
  if (small && !wantsVocabulary(job.client, exchange.body)) {
    const translation = translateRequest(job);
    return isFailure(translation) ? translation : start(exchange, node, candidate, translation);
  }
  return waitFor(exchange, node, node.translator.translate(job), (translation) => {
    const outcome = isFailure(translation) ? translation : start(exchange, node, candidate, translation);
    return isFailure(outcome) ? (exchange.succession?.insteadOf(outcome) ?? outcome) : outcome;
  });
}

function translationJob(exchange: Exchange, { target, model }: PlannedCandidate): TranslationJob {
  const traits: TargetTraits = traitsOf(target, model.upstreamModel);
  return {
    client: exchange.route.dialect.id,
    wire: target.dialect,
    body: exchange.turn?.demanded === true ? withoutStore(exchange.body) : exchange.body,
    traits,
    stream: exchange.view?.stream === true,
  };
}

function start(exchange: Exchange, node: Node, candidate: PlannedCandidate, translation: Translation): StageOutcome {
  const { target } = candidate;
  if (translation.losses.length > 0 && isStrict(exchange)) return strictRefusal(translation.losses);
  const uncounted = target.counter !== null && isCounterAbsent(target, candidate.model.upstreamModel);
  if (uncounted) return countInstead(exchange, node);
  if (translation.losses.length > 0) node.counters.losses.add(translation.losses.length);
  const forwarded = target.forwarded(passedHeaders(exchange, target, translation), exchange.headers.others);
  const body = target.bodyFor(asBuffer(translation.body), forwarded, candidate.model.upstreamModel);
  if (isFailure(body)) return body;
  const attempt = new Attempt(exchange, node, candidate, translation);
  attempt.start(body, headersFor(exchange, candidate, forwarded));
  return "under-way";
}

/** What callers say in headers of their dialect holds where the target speaks it, too. */
function passedHeaders({ route, headers }: Exchange, { dialect }: Target, translation: Translation): readonly string[] {
  if (dialect !== route.dialect.id) return translation.headers;
  const said = new Set(headers.passed.filter((_, index) => index % 2 === 0));
  const added = translation.headers.filter((_, index) => !said.has(translation.headers[index - (index % 2)] as string));
  return [...headers.passed, ...added];
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Would the caller rather be refused than lose a part of the request? */
export function isStrict(exchange: Exchange): boolean {
  return exchange.headers.strict || exchange.keyResource?.strict === true || exchange.model?.entry.strict === true;
}

function strictRefusal(losses: readonly string[]): Failure {
  return failure("unsupported_operation", `The model's provider cannot take: ${losses.join(", ")} (strict mode).`);
}
