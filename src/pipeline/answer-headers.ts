/** The headers of an answer that came from an upstream. */
import { rateLimitHeaders } from "../quota/headers.js";
import type { Attempt } from "./attempt.js";

/** What a header value may hold; anything else could end the header and begin another. */
const SAFE = /^[\x21-\x7e]*$/;

const NO_LOSSES: readonly string[] = Object.freeze([]);

/**
 * Names and values alternate. `losses`: what is known to be lost; of a stream whose head leaves before its
 * answer has come, that is what the request lost, and the usage event tells the rest.
 */
export function answerHeaders(attempt: Attempt, losses = attempt.translation?.losses ?? NO_LOSSES): string[] {
  const { exchange, node, target } = attempt;
  const names = node.headerNames;
  const head = attempt.head;
  const headers = head === null ? [] : head.passed;
  headers.push("content-type", answerType(attempt));
  headers.push(names.requestId, exchange.id);
  headers.push(names.servedBy, headerValue(target.provider));
  headers.push(names.upstreamModel, headerValue(attempt.candidate.model.upstreamModel));
  headers.push(names.cache, exchange.cache);
  headers.push(names.attempts, String(exchange.attempts));
  if (losses.length > 0) headers.push(names.losses, losses.join(","));
  if (exchange.lease !== null && head !== null && head.status < 300)
    rateLimitHeaders(exchange.lease, Date.now(), headers);
  return headers;
}

/** Its content type. A translated answer has the form the caller asked for, not the one the upstream sent. */
export function answerType({ translation, exchange, head }: Attempt): string {
  if (translation === null) return head?.contentType || "application/json";
  const stream = exchange.view?.stream === true && head !== null && head.status < 300;
  return stream ? "text/event-stream; charset=utf-8" : "application/json";
}

/** A name that callers or files chose, made safe for a header. Half a surrogate pair cannot be encoded. */
export function headerValue(text: string): string {
  return SAFE.test(text) ? text : encodeURIComponent(text.replace(/\p{Surrogate}/gu, "\ufffd"));
}
