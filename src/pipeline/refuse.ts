/** Answers with an error of the gateway's own, in the envelope of the caller's dialect. */
import { ERRORS, type Failure } from "../errors.js";
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";
import { settleLeases } from "./settle-leases.js";

/** Of every stream that begins. */
const STREAM_STATUS = 200;

/** As a whole answer, or as the last event of a stream that has begun. */
export function refuse(exchange: Exchange, node: Node, failure: Failure): void {
  const status = refusalStatus(exchange, failure);
  exchange.status = status;
  exchange.error = failure.code;
  settleLeases(exchange, node);
  if (exchange.sink.closed) return;
  if (exchange.sink.started) {
    const event = Buffer.from(exchange.route.dialect.renderStreamError(failure, exchange.id));
    exchange.responseBytes += event.length;
    exchange.sink.end(event);
    return;
  }
  const body = exchange.route.dialect.renderError(failure, exchange.id);
  exchange.responseBytes = Buffer.byteLength(body);
  exchange.sink.answer(status, failureHeaders(exchange, node, failure), body);
}

/** What the caller sees: an attempt may have begun a stream that no other could go on with. */
export function refusalStatus(exchange: Exchange, { code }: Failure): number {
  return exchange.sink.started ? STREAM_STATUS : ERRORS[code].status;
}

/** Headers of an error answer: names and values alternate. */
export function failureHeaders(exchange: Exchange, node: Node, failure: Failure): string[] {
  const headers = ["content-type", "application/json", node.headerNames.requestId, exchange.id];
  if (failure.retryAfterSeconds > 0) headers.push("retry-after", String(failure.retryAfterSeconds));
  if (exchange.attempts > 0) headers.push(node.headerNames.attempts, String(exchange.attempts));
  if (failure.code === "method_not_allowed") headers.push("allow", exchange.allow);
  return headers;
}

/** Is it the target that failed? What guardrails refuse, or could not look at in time, another one would say too. */
export function isOfTarget({ code }: Failure): boolean {
  return code !== "content_filter" && code !== "overloaded" && code !== "internal_error";
}
