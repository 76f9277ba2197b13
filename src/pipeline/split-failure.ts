/** The failure of one part is the failure of the whole request. */
import { type ErrorCode, ERRORS, type Failure, failure, isFailure } from "../errors.js";
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";
import { refuse } from "./refuse.js";
import { joinedHeaders } from "./split-answer.js";
import type { SubCallAnswer } from "./sub-call.js";

/** What failed is told as it was told the gateway, with the time to wait that it names. */
export function tellFailure(exchange: Exchange, node: Node, failed: SubCallAnswer | Failure): void {
  if (isFailure(failed)) {
    refuse(exchange, node, failed);
    return;
  }
  const { status, error, body, headers } = failed;
  // Cut off by the gateway: there is nothing that could be passed on.
  if (status === 0) {
    refuse(exchange, node, failure(error in ERRORS ? (error as ErrorCode) : "internal_error"));
    return;
  }
  exchange.status = status;
  exchange.error = error;
  exchange.responseBytes = body.length;
  const told = joinedHeaders(exchange, node);
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const name = headers[at] as string;
    if (name === "retry-after" || name === "retry-after-ms") told.push(name, headers[at + 1] as string);
  }
  exchange.sink.answer(status, told, body);
}
