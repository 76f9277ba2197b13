/** What the translating relays share: the context of an answer, and usage read from its events. */
import type { CodecContext } from "../dialects/codec.js";
import type { Translation } from "../dialects/hub.js";
import type { AnswerEvent } from "../dialects/semantic.js";
import type { UsageTally } from "../dialects/usage-tally.js";
import type { Attempt } from "./attempt.js";

/** Everything the encoder of an answer may need of the exchange. */
export function codecContext(attempt: Attempt, translation: Translation): CodecContext {
  const { exchange } = attempt;
  return {
    model: exchange.view?.model ?? "",
    requestId: exchange.id,
    created: Math.floor(exchange.startedAtWall / 1_000),
    usageAsked: exchange.view?.usageAsked === true,
    request: translation.request,
  };
}

const MAX_NAME = 256;

/** Writes what an event says of usage, model and end into the tally; counts are set, never added. */
export function tallyEvent(event: AnswerEvent, tally: UsageTally): void {
  switch (event.kind) {
    case "start":
      tally.responseModel = event.model.slice(0, MAX_NAME);
      tally.responseId = event.id.slice(0, MAX_NAME);
      return;
    case "usage": {
      const { input, output, cacheRead, cacheWrite, reasoning } = event.usage;
      if (input >= 0) tally.inputTokens = input;
      if (output >= 0) tally.outputTokens = output;
      if (cacheRead >= 0) tally.cacheReadTokens = cacheRead;
      if (cacheWrite >= 0) tally.cacheWriteTokens = cacheWrite;
      if (reasoning >= 0) tally.reasoningTokens = reasoning;
      return;
    }
    case "stop":
      tally.finishReason = (event.native || event.reason).slice(0, MAX_NAME);
      return;
    case "error":
      tally.streamError = (event.error.code ?? event.error.type).slice(0, 64);
      return;
  }
}
