/** Usage and identity in answers of the responses API, streamed and not. */
import { type AnswerObserver, FRAME, type Operation, type StreamObserver } from "../dialect.js";
import { scanTopLevel } from "../json-scan.js";
import { keyTable } from "../json-text.js";
import {
  asObject,
  asText,
  errorName,
  type JsonObject,
  parseJson,
  scannedObject,
  scannedText,
  scannedValue,
} from "../json-values.js";
import { setOpenAiUsage, type UsageNames } from "../openai-usage.js";
import { isErrorEvent, sseDataBytes } from "../sse.js";
import { TokenCountObserver } from "../token-count.js";
import type { UsageTally } from "../usage-tally.js";
import { CapturedAnswer, answerReading } from "../captured-answer.js";

const USAGE_NAMES: UsageNames = {
  input: "input_tokens",
  output: "output_tokens",
  inputDetails: "input_tokens_details",
  outputDetails: "output_tokens_details",
};

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
    const response = scannedValue(scan, RESPONSE);
    const type = scannedText(scan, TYPE);
    if (type === "error" || isErrorEvent(frame, data)) return this.fail(this.errorOf(data, scan.starts[ERROR] ?? -1));
    if (response === null) {
      const error = scannedObject(scan, ERROR);
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
    tally.responseId = scannedText(scan, 0) || tally.responseId;
    tally.responseModel = scannedText(scan, 1) || tally.responseModel;
    const usage = scannedObject(scan, 4);
    if (usage !== null) setOpenAiUsage(tally, usage, USAGE_NAMES);
    if (ends) setFinish(tally, scannedText(scan, 2), scannedObject(scan, 3));
    return scannedObject(scan, 5);
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

const ANSWER = answerReading(["status", "incomplete_details", "usage"], (tally, members) => {
  setFinish(tally, members.text(0), members.object(1));
  const counts = members.object(2);
  if (counts !== null) setOpenAiUsage(tally, counts, USAGE_NAMES);
});

/** The observer for an operation of this dialect. */
export function responsesAnswerObserver(operation: Operation, tally: UsageTally): AnswerObserver {
  return operation === "input_tokens" ? new TokenCountObserver(tally) : new CapturedAnswer(tally, ANSWER);
}
