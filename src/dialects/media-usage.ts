/** Usage in answers of the operations whose units are not only tokens: images, speech, transcription, moderation. */
import { type AnswerObserver, FRAME, type LongEventObserver, type StreamObserver } from "./dialect.js";
import { TopLevelCapture } from "./json-capture.js";
import { scanTopLevel } from "./json-scan.js";
import { keyTable } from "./json-text.js";
import {
  asCount,
  asObject,
  errorName,
  type JsonObject,
  parseJson,
  parseObject,
  scannedValue,
  textOf,
} from "./json-values.js";
import { isErrorEvent, sseDataBytes } from "./sse.js";
import type { UsageTally } from "./usage-tally.js";

const KEYS = keyTable(["type", "model", "id", "usage", "size", "quality", "duration", "error"]);
const [TYPE, MODEL, ID, USAGE, SIZE, QUALITY, DURATION, ERROR] = [0, 1, 2, 3, 4, 5, 6, 7] as const;

/** The value of a key by its index in KEYS; null = absent. */
type Values = (index: number) => Buffer | null;

/** Sets what a `usage` object says: tokens under either of their names, or seconds of sound. */
export function setMediaUsage(tally: UsageTally, usage: JsonObject): void {
  const input = countIn(usage, "input_tokens", "prompt_tokens");
  if (input >= 0) tally.inputTokens = input;
  const output = countIn(usage, "output_tokens", "completion_tokens");
  if (output >= 0) tally.outputTokens = output;
  // Images say it in the plural, sounds in the singular.
  const parts = asObject(usage.input_tokens_details) ?? asObject(usage.input_token_details);
  const audio = asCount(parts?.audio_tokens);
  if (audio >= 0) tally.inputAudioTokens = audio;
  const images = asCount(parts?.image_tokens);
  if (images >= 0) tally.inputImageTokens = images;
  const seconds = secondsOf(usage.seconds);
  if (seconds >= 0) tally.audioSeconds = seconds;
}

function countIn(usage: JsonObject, name: string, other: string): number {
  const count = asCount(usage[name]);
  return count >= 0 ? count : asCount(usage[other]);
}

/** Some servers write the number as a text; -1 = it is neither. */
function secondsOf(value: unknown): number {
  const seconds = typeof value === "string" && value !== "" ? Number(value) : value;
  return typeof seconds === "number" && Number.isFinite(seconds) && seconds >= 0 ? seconds : -1;
}

function setValues(tally: UsageTally, values: Values): void {
  tally.responseModel = textOf(values(MODEL)) || tally.responseModel;
  tally.responseId = textOf(values(ID)) || tally.responseId;
  tally.imageSize = textOf(values(SIZE)) || tally.imageSize;
  tally.imageQuality = textOf(values(QUALITY)) || tally.imageQuality;
  const usage = parseObject(values(USAGE));
  if (usage !== null) setMediaUsage(tally, usage);
  const duration = values(DURATION);
  const seconds = duration === null ? -1 : secondsOf(parseJson(duration));
  if (seconds >= 0 && tally.audioSeconds < 0) tally.audioSeconds = seconds;
}

/** Watches one whole answer. One that is no JSON tells nothing. */
export class MediaAnswerObserver implements AnswerObserver {
  private readonly tally: UsageTally;
  private readonly capture = new TopLevelCapture(KEYS);

  constructor(tally: UsageTally) {
    this.tally = tally;
  }

  feed(chunk: Buffer): void {
    this.capture.feed(chunk);
  }

  finish(): void {
    setValues(this.tally, (index) => this.capture.value(index));
  }
}

const DONE = Buffer.from("[DONE]");
const DATA = Buffer.from("data:");
const OPEN_BRACE = 0x7b;
/** An event that ends an answer, or one of its images: "image_edit.completed", "speech.audio.done". */
const ENDS = /\.(?:completed|done)$/;
/** Usage, ends and errors; random base64 that matches too only costs a look. */
const INTEREST = /usage"|\.completed"|\.done"|error|\[DONE/g;

export interface MediaStreamOptions {
  /** Every event that ends something is one image. */
  readonly countsImages: boolean;
}

/** Watches a stream of events that name their `type`, or of chunks that end with [DONE]. */
export class MediaStreamObserver implements StreamObserver {
  readonly interest = INTEREST;
  private readonly tally: UsageTally;
  private readonly options: MediaStreamOptions;

  constructor(tally: UsageTally, options: MediaStreamOptions) {
    this.tally = tally;
    this.options = options;
  }

  observe(frame: Buffer): number {
    const data = sseDataBytes(frame);
    if (data[0] !== OPEN_BRACE) {
      if (DONE.equals(data.subarray(0, DONE.length))) return FRAME.TERMINAL;
      return isErrorEvent(frame, data) ? this.fail(null) : FRAME.PASS;
    }
    const scan = scanTopLevel(data, KEYS);
    const meaning = this.judge((index) => scannedValue(scan, index));
    return meaning === FRAME.PASS && isErrorEvent(frame, data) ? this.fail(parseJson(data)) : meaning;
  }

  observeLong(): LongEventObserver {
    return new LongEvent((values) => this.judge(values));
  }

  private judge(values: Values): number {
    const type = textOf(values(TYPE));
    const error = values(ERROR);
    if (type === "error" || error?.[0] === OPEN_BRACE) return this.fail(error === null ? null : parseJson(error));
    setValues(this.tally, values);
    if (!ENDS.test(type)) return FRAME.PASS;
    if (this.options.countsImages) this.tally.images = Math.max(0, this.tally.images) + 1;
    return FRAME.WHOLE;
  }

  private fail(error: unknown): number {
    if (this.tally.streamError === "") this.tally.streamError = errorName(asObject(error));
    return FRAME.ERROR;
  }
}

/** How far into an event its data begins at the latest. */
const MAX_BEFORE_DATA = 1_024;

/** Reads the data of one event that comes in pieces; the data is one line. */
class LongEvent implements LongEventObserver {
  private readonly judge: (values: Values) => number;
  private readonly capture = new TopLevelCapture(KEYS);
  /** What came before the data; null = the data has begun, or there is none. */
  private before: Buffer | null = Buffer.alloc(0);
  private found = false;

  constructor(judge: (values: Values) => number) {
    this.judge = judge;
  }

  feed(piece: Buffer): void {
    if (this.before === null) {
      if (this.found) this.capture.feed(piece);
      return;
    }
    const bytes = this.before.length === 0 ? piece : Buffer.concat([this.before, piece]);
    const data = bytes.indexOf(DATA);
    if (data < 0 && bytes.length < MAX_BEFORE_DATA) {
      this.before = Buffer.from(bytes);
      return;
    }
    this.before = null;
    this.found = data >= 0;
    if (this.found) this.capture.feed(bytes.subarray(data + DATA.length));
  }

  finish(): number {
    return this.found ? this.judge((index) => this.capture.value(index)) : FRAME.PASS;
  }
}
