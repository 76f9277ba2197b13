/**
 * Stage 6: the exchange is over, whichever way it ended. Gives back what it held and says what happened, in
 * the metrics and in the access log. Runs exactly once for every exchange.
 */
import { voidLease } from "../quota/lease.js";
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";
import { noteOutput } from "./note-output.js";
import type { Stage, StageOutcome } from "./pipeline.js";
import { settleLeases } from "./settle-leases.js";

export const settle: Stage = {
  name: "settle",
  needs: "body",
  failures: [],
  run(exchange: Exchange, node: Node): StageOutcome {
    if (exchange.settled) return "answered";
    exchange.settled = true;
    exchange.work = null;
    exchange.recording?.discard();
    if (!exchange.inner) {
      node.exchanges.delete(exchange);
      node.onSettled(exchange);
      exchange.screening?.end();
    }
    settleLeases(exchange, node);
    if (exchange.lease !== null) noteOutput(exchange, node);
    // Room for an attempt that never began: the client left, or the pool failed, while the request was translated.
    if (exchange.targetLease !== null) voidLease(node.quota, exchange.targetLease);
    const duration = performance.now() - exchange.startedAt;
    // A part is counted with its whole.
    if (!exchange.isPart) observe(exchange, node, duration);
    // One line for one request of a caller's.
    if (node.accessLog !== null && !exchange.inner) log(exchange, node, duration);
    exchange.whenSettled?.();
    return "answered";
  },
};

function observe(exchange: Exchange, node: Node, durationMs: number): void {
  const { usage } = exchange;
  if (exchange.clientGone && !exchange.inner) node.counters.aborts.add(1);
  if (usage?.estimated === true) node.counters.estimated.add(1);
  node.metrics.observeRequest({
    inner: exchange.inner,
    operation: exchange.route.operation,
    provider: usage?.provider ?? "",
    model: usage?.model_entry ?? "",
    responseModel: usage?.response_model ?? "",
    status: exchange.status,
    error: exchange.error,
    streamed: exchange.view?.stream === true,
    durationMs,
    firstTokenMs: firstByteMs(exchange),
    inputTokens: usage?.input_tokens ?? -1,
    outputTokens: usage?.output_tokens ?? -1,
    cacheReadTokens: usage?.cache_read_tokens ?? -1,
    cacheWriteTokens: usage?.cache_write_tokens ?? -1,
    reasoningTokens: usage?.reasoning_tokens ?? -1,
  });
}

function log(exchange: Exchange, node: Node, durationMs: number): void {
  const { usage } = exchange;
  node.accessLog?.write({
    time: exchange.startedAtWall + durationMs,
    request_id: exchange.id,
    method: exchange.method.toUpperCase(),
    path: exchange.path,
    status: exchange.status,
    duration_ms: durationMs,
    ttft_ms: firstByteMs(exchange),
    key: exchange.keyResource?.name ?? "",
    model: exchange.view?.model ?? "",
    upstream_model: usage?.upstream_model ?? "",
    provider: usage?.provider ?? "",
    operation: exchange.route.operation,
    input_tokens: usage?.input_tokens ?? -1,
    output_tokens: usage?.output_tokens ?? -1,
    estimated: usage?.estimated === true,
    client_address: exchange.clientAddress,
    user_agent: exchange.headers.userAgent,
    error: exchange.error,
    bytes_in: exchange.body.length,
    bytes_out: exchange.responseBytes,
    attempts: exchange.attempts,
    cache: exchange.cache,
  });
}

function firstByteMs(exchange: Exchange): number {
  return exchange.firstByteAt === 0 ? 0 : exchange.firstByteAt - exchange.startedAt;
}
