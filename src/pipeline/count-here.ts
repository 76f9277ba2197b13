/** Counts a prompt's tokens for models whose provider has no counter of its own; flagged as an estimate. */
import { renderTokenCount } from "../dialects/token-count-answer.js";
import { COUNTING, type Operation } from "../dialects/dialect.js";
import { refuseState } from "../dialects/hub.js";
import { rateLimitHeaders } from "../quota/headers.js";
import { voidLease } from "../quota/lease.js";
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";
import { waitFor } from "./pending.js";
import type { StageOutcome } from "./pipeline.js";
import { settleLeases, voidAdmission } from "./settle-leases.js";

const NO_ANSWER = new Uint8Array(0);

/** Can this operation be answered without asking an upstream? Such an operation uses no tokens. */
export function countsHere(operation: Operation): boolean {
  return COUNTING.has(operation);
}

/** A prompt that leans on state of the provider's is refused, and uses nothing: what stands in the request is not all of it. */
export function countHere(exchange: Exchange, node: Node): StageOutcome {
  const refusal = refuseState(exchange.route.dialect.id, exchange.body);
  if (refusal !== null) {
    // Whoever runs several attempts knows when none is left.
    if (exchange.succession === null && exchange.attempts === 0) voidAdmission(exchange, node);
    return refusal;
  }
  return waitFor(exchange, node, answerHere(exchange, node), (answer) => {
    exchange.status = 200;
    exchange.responseBytes = answer.length;
    settleLeases(exchange, node);
    exchange.sink.answer(200, estimateHeaders(exchange, node), answer);
    return "answered";
  });
}

/** Counts in place of an attempt that would find no counter; its room under the target's own limits is given back. */
export function countInstead(exchange: Exchange, node: Node): StageOutcome {
  const { targetLease } = exchange;
  exchange.targetLease = null;
  if (targetLease !== null) voidLease(node.quota, targetLease);
  return countHere(exchange, node);
}

/** The whole answer of a counting operation, made on a pool thread. Rejects when the pool has no room or failed. */
export async function answerHere({ route, body }: Exchange, { estimator }: Node): Promise<Buffer> {
  if (route.operation === "tokenize") {
    const bytes = await estimator.tokenize(body);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  const { inputTokens } = await estimator.estimate({
    dialect: route.dialect.id,
    operation: route.operation,
    request: body,
    answer: NO_ANSWER,
    answerBytesTotal: 0,
    streamed: false,
  });
  return Buffer.from(renderTokenCount(route.dialect.id, inputTokens));
}

/** Headers of an answer that the gateway made itself: names and values alternate. */
export function estimateHeaders(exchange: Exchange, { headerNames: names }: Node): string[] {
  const headers = ["content-type", "application/json", names.requestId, exchange.id, names.estimated, "true"];
  if (exchange.attempts > 0) headers.push(names.attempts, String(exchange.attempts));
  if (exchange.lease !== null) rateLimitHeaders(exchange.lease, Date.now(), headers);
  return headers;
}
