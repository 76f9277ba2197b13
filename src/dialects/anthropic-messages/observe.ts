/** Usage and identity in answers of the messages API, streamed and not. */
import { type AnswerObserver, FRAME, type Operation, type StreamObserver } from "../dialect.js";
import { scanTopLevel } from "../json-scan.js";
import { keyTable } from "../json-text.js";
import {
  asCount,
  asObject,
  asText,
  errorName,
  type JsonObject,
  parseJson,
  scannedText,
  scannedObject,
} from "../json-values.js";
import { isErrorEvent, sseDataBytes } from "../sse.js";
import { TokenCountObserver } from "../token-count.js";
import type { UsageTally } from "../usage-tally.js";
import { CapturedAnswer, answerReading } from "../captured-answer.js";

/**
 * Sets usage on a tally. The wire counts fresh, cache-read and cache-written prompt tokens apart; the
 * tally's inputTokens is their sum, whichever event brought each part.
 */
export class MessagesUsage {
  private readonly tally: UsageTally;
  private freshTokens = -1;

  constructor(tally: UsageTally) {
    this.tally = tally;
  }

  /** Counts are cumulative: they are set; those that are absent keep their value. */
  set(usage: JsonObject): void {
    const { tally } = this;
    const fresh = asCount(usage.input_tokens);
    if (fresh >= 0) this.freshTokens = fresh;
    const read = asCount(usage.cache_read_input_tokens);
    if (read >= 0) tally.cacheReadTokens = read;
    const write = asCount(usage.cache_creation_input_tokens);
    if (write >= 0) tally.cacheWriteTokens = write;
    const hour = asCount(asObject(usage.cache_creation)?.ephemeral_1h_input_tokens);
    if (hour >= 0) tally.cacheWriteHourTokens = hour;
    const output = asCount(usage.output_tokens);
    if (output >= 0) tally.outputTokens = output;
    const thinking = asCount(asObject(usage.output_tokens_details)?.thinking_tokens);
    if (thinking >= 0) tally.reasoningTokens = thinking;
    if (this.freshTokens >= 0) {
      tally.inputTokens = this.freshTokens + Math.max(0, tally.cacheReadTokens) + Math.max(0, tally.cacheWriteTokens);
    }
  }
}

/** The events that say something, an event named error, or an error object. Deltas match none of these. */
const INTEREST = /message_(?:start|delta|stop)"|"error"|: ?error[\r\n]/g;

const EVENT_KEYS = keyTable(["type", "message", "delta", "usage", "error"]);
const [TYPE, MESSAGE, DELTA, USAGE, ERROR] = [0, 1, 2, 3, 4] as const;

/** Watches a stream of messages events. */
export class MessagesStreamObserver implements StreamObserver {
  readonly interest = INTEREST;
  private readonly tally: UsageTally;
  private readonly usage: MessagesUsage;

  constructor(tally: UsageTally) {
    this.tally = tally;
    this.usage = new MessagesUsage(tally);
  }

  observe(frame: Buffer): number {
    const data = sseDataBytes(frame);
    const scan = scanTopLevel(data, EVENT_KEYS);
    if (scan.brokenAt >= 0) return isErrorEvent(frame, data) ? this.fail(null) : FRAME.PASS;
    switch (scannedText(scan, TYPE)) {
      case "message_start":
        this.start(scannedObject(scan, MESSAGE));
        return FRAME.PASS;
      case "message_delta":
        this.delta(scannedObject(scan, DELTA), scannedObject(scan, USAGE));
        return FRAME.PASS;
      case "message_stop":
        return FRAME.TERMINAL;
      case "error":
        return this.fail(scannedObject(scan, ERROR));
      default: {
        const error = scannedObject(scan, ERROR);
        if (error !== null) return this.fail(error);
        return isErrorEvent(frame, data) ? this.fail(parseJson(data)) : FRAME.PASS;
      }
    }
  }

  private start(message: JsonObject | null): void {
    if (message === null) return;
    this.tally.responseId = asText(message.id).slice(0, 256) || this.tally.responseId;
    this.tally.responseModel = asText(message.model).slice(0, 256) || this.tally.responseModel;
    const usage = asObject(message.usage);
    if (usage !== null) this.usage.set(usage);
  }

  private delta(delta: JsonObject | null, usage: JsonObject | null): void {
    this.tally.finishReason = asText(delta?.stop_reason).slice(0, 64) || this.tally.finishReason;
    if (usage !== null) this.usage.set(usage);
  }

  private fail(error: unknown): number {
    if (this.tally.streamError === "") this.tally.streamError = errorName(error);
    return FRAME.ERROR;
  }
}

const ANSWER = answerReading(["stop_reason", "usage"], (tally, members) => {
  tally.finishReason = members.text(0).slice(0, 64) || tally.finishReason;
  const counts = members.object(1);
  if (counts !== null) new MessagesUsage(tally).set(counts);
});

/** The observer for an operation of this dialect. */
export function messagesAnswerObserver(operation: Operation, tally: UsageTally): AnswerObserver {
  return operation === "count_tokens" ? new TokenCountObserver(tally) : new CapturedAnswer(tally, ANSWER);
}
