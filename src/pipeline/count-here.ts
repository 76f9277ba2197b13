/** Counts a prompt's tokens for models whose provider has no counter of its own; flagged as an estimate. */
import { renderTokenCount } from "../dialects/token-count-answer.js";
import type { Operation } from "../dialects/dialect.js";
import { rateLimitHeaders } from "../quota/headers.js";
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";
import { waitFor } from "./pending.js";
import type { StageOutcome } from "./pipeline.js";

const NO_ANSWER = new Uint8Array(0);
const COUNTING: ReadonlySet<Operation> = new Set<Operation>(["count_tokens", "input_tokens", "tokenize"]);

/** Can this operation be answered without asking an upstream? Such an operation uses no tokens. */
export function countsHere(operation: Operation): boolean {
  return COUNTING.has(operation);
}

export function countHere(exchange: Exchange, node: Node): StageOutcome {
  return waitFor(exchange, node, answerHere(exchange, node), (answer) => {
    exchange.status = 200;
    exchange.responseBytes = answer.length;
    exchange.sink.answer(200, estimateHeaders(exchange, node), answer);
    return "answered";
  });
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
