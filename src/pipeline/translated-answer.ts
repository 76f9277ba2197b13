/** What the translating relays share: the context of an answer, its losses, and usage read from its events. */
import type { CodecContext } from "../dialects/codec.js";
import type { Translation } from "../dialects/hub.js";
import { type AnswerEvent, LossList } from "../dialects/semantic.js";
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
    ...(exchange.turn === null ? {} : { keeping: exchange.turn }),
  };
}

/**
 * The losses of an answer. Each new name is counted and put on the tally at once: a stream may break, and its
 * caller leave, at any event. What the request has lost already is not named again.
 */
export class AnswerLosses extends LossList {
  readonly #attempt: Attempt;

  constructor(attempt: Attempt, translation: Translation) {
    super(translation.losses);
    this.#attempt = attempt;
  }

  override add(name: string): void {
    const before = this.size;
    super.add(name);
    if (this.size === before) return;
    const { tally, node } = this.#attempt;
    tally.losses = [...tally.losses, name];
    node.counters.losses.add(1);
  }
}

const NO_LOSSES: readonly string[] = Object.freeze([]);

/** All that the translation of a request, and of its answer as far as it has come, has lost. */
export function lossesOf({ translation, tally }: Attempt): readonly string[] {
  const asked = translation?.losses ?? NO_LOSSES;
  return tally.losses.length === 0 ? asked : [...asked, ...tally.losses];
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
      const { input, output, cacheRead, cacheWrite, cacheWriteHour, reasoning } = event.usage;
      if (input >= 0) tally.inputTokens = input;
      if (output >= 0) tally.outputTokens = output;
      if (cacheRead >= 0) tally.cacheReadTokens = cacheRead;
      if (cacheWrite >= 0) tally.cacheWriteTokens = cacheWrite;
      if (cacheWriteHour !== undefined) tally.cacheWriteHourTokens = cacheWriteHour;
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
