/** Usage and identity in answers of the responses API, streamed and not. */
import { type AnswerObserver, FRAME, type Operation, type StreamObserver } from "../dialect.js";
import { TopLevelCapture } from "../json-capture.js";
import { keyTable, scanTopLevel } from "../json-splice.js";
import {
  asCount,
  asObject,
  asText,
  errorName,
  type JsonObject,
  parseJson,
  parseObject,
  scannedText,
  textOf,
  scannedValue,
} from "../json-values.js";
import { isErrorEvent, sseDataBytes } from "../sse.js";
import { TokenCountObserver } from "../token-count.js";
import type { UsageTally } from "../usage-tally.js";

/** Sets what a `usage` object says; what it leaves out keeps its value. */
export function setResponsesUsage(tally: UsageTally, usage: JsonObject): void {
  const input = asCount(usage.input_tokens);
  if (input >= 0) tally.inputTokens = input;
  const output = asCount(usage.output_tokens);
  if (output >= 0) tally.outputTokens = output;
  const details = asObject(usage.input_tokens_details);
  const read = asCount(details?.cached_tokens);
  if (read >= 0) tally.cacheReadTokens = read;
  const write = asCount(details?.cache_write_tokens);
  if (write >= 0) tally.cacheWriteTokens = write;
  const reasoning = asCount(asObject(usage.output_tokens_details)?.reasoning_tokens);
  if (reasoning >= 0) tally.reasoningTokens = reasoning;
}

/** The events that end an answer, an event named error, or an error that is not null. Deltas match none. */
const INTEREST = /response\.(?:completed|incomplete|failed)"|"error"(?!: ?n)|: ?error[\r\n]/g;

const EVENT_KEYS = keyTable(["type", "response", "error"]);
const [TYPE, RESPONSE, ERROR] = [0, 1, 2] as const;
const RESPONSE_KEYS = keyTable(["id", "model", "status", "incomplete_details", "usage", "error"]);

/** Watches a stream of responses events. The answer inside the last one may be long: it is scanned, not parsed. */
export class ResponsesStreamObserver implements StreamObserver {
  readonly interest = INTEREST;
  private readonly tally: UsageTally;

  constructor(tally: UsageTally) {
    this.tally = tally;
  }

  observe(frame: Buffer): number {
    const data = sseDataBytes(frame);
    const scan = scanTopLevel(data, EVENT_KEYS);
    if (scan.brokenAt >= 0) return isErrorEvent(frame, data) ? this.fail(null) : FRAME.PASS;
    const response = scannedValue(data, scan, RESPONSE);
    const type = scannedText(data, scan, TYPE);
    if (type === "error" || isErrorEvent(frame, data)) return this.fail(this.errorOf(data, scan.starts[ERROR] ?? -1));
    if (response === null) {
      const error = parseObject(scannedValue(data, scan, ERROR));
      return error === null ? FRAME.PASS : this.fail(error);
    }
    const ends = type === "response.completed" || type === "response.incomplete" || type === "response.failed";
    const error = this.readResponse(response, ends);
    if (type === "response.failed") return FRAME.TERMINAL | this.fail(error);
    return ends ? FRAME.TERMINAL : FRAME.PASS;
  }

  /** The error object of an `error` event: inside `error`, or the event's own code. */
  private errorOf(data: Buffer, errorStart: number): unknown {
    const event = asObject(parseJson(data));
    const inner = errorStart < 0 ? null : asObject(event?.error);
    return inner ?? { code: event?.code };
  }

  private readResponse(response: Buffer, ends: boolean): JsonObject | null {
    const { tally } = this;
    const scan = scanTopLevel(response, RESPONSE_KEYS);
    if (scan.brokenAt >= 0) return null;
    tally.responseId = scannedText(response, scan, 0) || tally.responseId;
    tally.responseModel = scannedText(response, scan, 1) || tally.responseModel;
    const usage = parseObject(scannedValue(response, scan, 4));
    if (usage !== null) setResponsesUsage(tally, usage);
    if (ends) setFinish(tally, scannedText(response, scan, 2), parseObject(scannedValue(response, scan, 3)));
    return parseObject(scannedValue(response, scan, 5));
  }

  private fail(error: unknown): number {
    if (this.tally.streamError === "") this.tally.streamError = errorName(error);
    return FRAME.ERROR;
  }
}

/** An incomplete answer's reason says more than its status. */
function setFinish(tally: UsageTally, status: string, details: JsonObject | null): void {
  tally.finishReason = (asText(details?.reason) || status).slice(0, 64) || tally.finishReason;
}

const ANSWER_KEYS = keyTable(["id", "model", "status", "incomplete_details", "usage"]);

/** Watches one whole answer of the responses API. */
export class ResponsesAnswerObserver implements AnswerObserver {
  private readonly tally: UsageTally;
  private readonly capture = new TopLevelCapture(ANSWER_KEYS);

  constructor(tally: UsageTally) {
    this.tally = tally;
  }

  feed(chunk: Buffer): void {
    this.capture.feed(chunk);
  }

  finish(): void {
    const { tally, capture } = this;
    tally.responseId = textOf(capture.value(0)) || tally.responseId;
    tally.responseModel = textOf(capture.value(1)) || tally.responseModel;
    setFinish(tally, textOf(capture.value(2)), parseObject(capture.value(3)));
    const usage = parseObject(capture.value(4));
    if (usage !== null) setResponsesUsage(tally, usage);
  }
}

/** The observer for an operation of this dialect. */
export function responsesAnswerObserver(operation: Operation, tally: UsageTally): AnswerObserver {
  return operation === "input_tokens" ? new TokenCountObserver(tally) : new ResponsesAnswerObserver(tally);
}
