/** Answers with an error of the gateway's own, in the envelope of the caller's dialect. */
import { ERRORS, type Failure } from "../errors.js";
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";

export function refuse(exchange: Exchange, node: Node, failure: Failure): void {
  const { status } = ERRORS[failure.code];
  exchange.status = status;
  exchange.error = failure.code;
  if (exchange.sink.closed) return;
  const body = exchange.route.dialect.renderError(failure, exchange.id);
  exchange.responseBytes = Buffer.byteLength(body);
  exchange.sink.answer(status, failureHeaders(exchange, node, failure), body);
}

/** Headers of an error answer: names and values alternate. */
export function failureHeaders(exchange: Exchange, node: Node, failure: Failure): string[] {
  const headers = ["content-type", "application/json", node.headerNames.requestId, exchange.id];
  if (failure.retryAfterSeconds > 0) headers.push("retry-after", String(failure.retryAfterSeconds));
  if (exchange.attempts > 0) headers.push(node.headerNames.attempts, String(exchange.attempts));
  if (failure.code === "method_not_allowed") headers.push("allow", allowed(exchange.route.method));
  return headers;
}

/** What answers GET answers HEAD (RFC 9110 section 9.1). */
function allowed(method: "POST" | "GET"): string {
  return method === "GET" ? "GET, HEAD" : method;
}
