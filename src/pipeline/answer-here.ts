/** Answers that the gateway has itself: no upstream is asked. */
import { rateLimitHeaders } from "../quota/headers.js";
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";
import { settleLeases } from "./settle-leases.js";

/** Sends a whole JSON answer with status 200; the request has used nothing. */
export function answerHere(exchange: Exchange, node: Node, body: string | Buffer): "answered" {
  exchange.status = 200;
  exchange.responseBytes = Buffer.byteLength(body);
  const sent = ["content-type", "application/json", node.headerNames.requestId, exchange.id];
  if (exchange.lease !== null) rateLimitHeaders(exchange.lease, Date.now(), sent);
  settleLeases(exchange, node);
  exchange.sink.answer(200, sent, body);
  return "answered";
}
