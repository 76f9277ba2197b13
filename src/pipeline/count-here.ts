/** Counts a prompt's tokens for models whose provider has no counter of its own; flagged as an estimate. */
import { renderTokenCount } from "../dialects/token-count-answer.js";
import type { Operation } from "../dialects/dialect.js";
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";
import { waitFor } from "./pending.js";
import type { StageOutcome } from "./pipeline.js";

const NO_ANSWER = new Uint8Array(0);
const COUNTING: ReadonlySet<Operation> = new Set<Operation>(["count_tokens", "input_tokens"]);

/** Can this operation be answered without asking an upstream? */
export function countsHere(operation: Operation): boolean {
  return COUNTING.has(operation);
}

export function countHere(exchange: Exchange, node: Node): StageOutcome {
  const { route, body } = exchange;
  const job = node.estimator.estimate({
    dialect: route.dialect.id,
    operation: route.operation,
    request: body,
    answer: NO_ANSWER,
    answerBytesTotal: 0,
    streamed: false,
  });
  return waitFor(exchange, node, job, ({ inputTokens }) => {
    const answer = renderTokenCount(route.dialect.id, inputTokens);
    const names = node.headerNames;
    exchange.status = 200;
    exchange.responseBytes = Buffer.byteLength(answer);
    exchange.sink.answer(
      200,
      ["content-type", "application/json", names.requestId, exchange.id, names.estimated, "true"],
      answer,
    );
    return "answered";
  });
}
