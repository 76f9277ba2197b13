/** Where an attempt's answer is taken down for the cache: as the caller's dialect has it, before guardrails change it. */
import type { Recording } from "../cache/recording.js";
import type { Attempt } from "./attempt.js";
import { answerType } from "./answer-headers.js";
import { isEventStream } from "./answer-head.js";
import type { EventTap } from "./stream-relay.js";
import { lossesOf } from "./translated-answer.js";

/** A tap whose events are recorded as they come out. */
export class RecordedTap implements EventTap {
  readonly #inner: EventTap;
  readonly #recording: Recording;

  constructor(inner: EventTap, recording: Recording) {
    this.#inner = inner;
    this.#recording = recording;
  }

  get terminal(): boolean {
    return this.#inner.terminal;
  }

  get failed(): boolean {
    return this.#inner.failed;
  }

  get oversize(): boolean {
    return this.#inner.oversize;
  }

  push(batch: Buffer): Buffer | null {
    return this.#recorded(this.#inner.push(batch));
  }

  end(): Buffer | null {
    return this.#recorded(this.#inner.end());
  }

  errorBytes(): Buffer | null {
    return this.#inner.errorBytes?.() ?? null;
  }

  owedLineFeed(): Buffer | null {
    return this.#recorded(this.#inner.owedLineFeed());
  }

  #recorded(bytes: Buffer | null): Buffer | null {
    if (bytes !== null) this.#recording.add(bytes);
    return bytes;
  }
}

/** The attempt is over and its usage event made: a whole and good answer is kept. */
export function concludeRecording(attempt: Attempt): void {
  const { exchange, concluded, candidate, target, tally } = attempt;
  const { recording, usage, view } = exchange;
  if (recording === null || usage === null || concluded === null || concluded.delivery === exchange.succession) return;
  const good = concluded.complete && concluded.error === "" && concluded.status >= 200 && concluded.status < 300;
  if (!good || tally.streamError !== "") {
    recording.discard();
    return;
  }
  const contentType = answerType(attempt);
  recording.commit({
    mode: isEventStream(contentType) ? "stream" : "whole",
    contentType,
    usageShown: view?.stream === true && view.usageAsked,
    targetDialect: target.dialect,
    provider: target.provider,
    upstreamModel: candidate.model.upstreamModel,
    responseModel: usage.response_model,
    responseId: usage.response_id,
    finishReason: usage.finish_reason,
    inputTokens: usage.input_tokens,
    outputTokens: usage.output_tokens,
    cacheReadTokens: usage.cache_read_tokens,
    cacheWriteTokens: usage.cache_write_tokens,
    reasoningTokens: usage.reasoning_tokens,
    costUsd: usage.cost_usd,
    losses: lossesOf(attempt),
  });
}

/** The attempt has come to nothing, and another follows. What goes on in the middle of an answer is not kept. */
export function recordAnew({ exchange }: Attempt): void {
  if (exchange.sink.started) exchange.recording?.discard();
  else exchange.recording?.restart();
}
