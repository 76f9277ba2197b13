/** The headers of an answer that came from an upstream. */
import type { Attempt } from "./attempt.js";

/** What a header value may hold; anything else could end the header and begin another. */
const SAFE = /^[\x21-\x7e]*$/;

/** Names and values alternate. */
export function answerHeaders(attempt: Attempt): string[] {
  const { exchange, node, target } = attempt;
  const names = node.headerNames;
  const head = attempt.head;
  const headers = head === null ? [] : head.passed;
  headers.push("content-type", head?.contentType || "application/json");
  headers.push(names.requestId, exchange.id);
  headers.push(names.servedBy, headerValue(target.provider));
  headers.push(names.upstreamModel, headerValue(exchange.model?.upstreamModel ?? ""));
  headers.push(names.cache, exchange.cache);
  headers.push(names.attempts, String(exchange.attempts));
  return headers;
}

/** A name that callers or files chose, made safe for a header. */
function headerValue(text: string): string {
  return SAFE.test(text) ? text : encodeURIComponent(text);
}
