/**
 * Frames of application/vnd.amazon.eventstream: total length, headers' length, CRC of both, headers, payload,
 * CRC of everything before it; numbers are big-endian. Only the string headers that name the message are
 * kept; the others are stepped over. The format is that of the Smithy event stream specification.
 */
import { crc32 } from "node:zlib";
import { DecodeError, type WireEvent } from "../../dialects/codec.js";

/** A frame may not be larger; the largest the vendor sends is far below. */
export const MAX_FRAME_BYTES = 16 * 1024 * 1024;

/** Name under which failures without a type of their own are handed on. */
export const UNTYPED_ERROR = "error";

const PRELUDE_BYTES = 12;
const CHECKSUM_BYTES = 4;
const MIN_FRAME_BYTES = PRELUDE_BYTES + CHECKSUM_BYTES;

const STRING_TAG = 7;
const BYTES_TAG = 6;
/** Bytes of a header's value by its type tag: true, false, byte, short, int, long, (sized), (sized), time, uuid. */
const FIXED_BYTES: readonly number[] = [0, 0, 1, 2, 4, 8, -1, -1, 8, 16];

/** The headers that say what a message is; "" = absent. */
interface MessageHeaders {
  messageType: string;
  eventType: string;
  exceptionType: string;
  errorCode: string;
  errorMessage: string;
}

const HEADER_FIELDS: ReadonlyMap<string, keyof MessageHeaders> = new Map([
  [":message-type", "messageType"],
  [":event-type", "eventType"],
  [":exception-type", "exceptionType"],
  [":error-code", "errorCode"],
  [":error-message", "errorMessage"],
]);

/**
 * Cuts bytes into frames and frames into events, however the bytes arrive. Every byte is copied once at most.
 * An exception becomes an event named after its type (it ends in "Exception"); a failure that has no such type
 * becomes an event named "error" whose data is `{"code", "message"}`.
 */
export class EventStreamDecoder {
  #parts: Buffer[] = [];
  #held = 0;
  /** Bytes that must be there before anything can be read. */
  #wanted = PRELUDE_BYTES;

  /** The events that these bytes complete. Throws DecodeError for bytes that are no frames; the stream is lost then. */
  push(chunk: Buffer): readonly WireEvent[] {
    if (this.#held > 0) {
      this.#parts.push(chunk);
      this.#held += chunk.length;
      if (this.#held < this.#wanted) return NOTHING;
      return this.#read(this.#joined());
    }
    return this.#read(chunk);
  }

  /** The body has ended. Throws DecodeError when it ended inside a frame. */
  finish(): void {
    if (this.#held > 0) throw new DecodeError("The event stream ended inside a frame.");
  }

  #joined(): Buffer {
    const bytes = this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts, this.#held);
    this.#parts = [];
    this.#held = 0;
    return bytes;
  }

  #read(bytes: Buffer): readonly WireEvent[] {
    const events: WireEvent[] = [];
    let at = 0;
    while (bytes.length - at >= PRELUDE_BYTES) {
      const length = frameLength(bytes, at);
      if (bytes.length - at < length) break;
      events.push(readFrame(bytes.subarray(at, at + length)));
      at += length;
    }
    this.#hold(at === 0 ? bytes : bytes.subarray(at));
    return events;
  }

  #hold(rest: Buffer): void {
    if (rest.length === 0) return;
    this.#parts = [rest];
    this.#held = rest.length;
    this.#wanted = rest.length < PRELUDE_BYTES ? PRELUDE_BYTES : frameLength(rest, 0);
  }
}

const NOTHING: readonly WireEvent[] = Object.freeze([]);

/** Length of the frame that begins here, its prelude checked. */
function frameLength(bytes: Buffer, at: number): number {
  const length = bytes.readUInt32BE(at);
  // Checked first: whatever these bytes are, nobody waits for gigabytes of them.
  if (length < MIN_FRAME_BYTES || length > MAX_FRAME_BYTES) throw new DecodeError("An event frame has a false length.");
  if (crc32(bytes.subarray(at, at + 8)) !== bytes.readUInt32BE(at + 8)) {
    throw new DecodeError("The prelude of an event frame is damaged.");
  }
  return length;
}

function readFrame(frame: Buffer): WireEvent {
  const end = frame.length - CHECKSUM_BYTES;
  if (crc32(frame.subarray(0, end)) !== frame.readUInt32BE(end)) throw new DecodeError("An event frame is damaged.");
  const payloadAt = PRELUDE_BYTES + frame.readUInt32BE(4);
  if (payloadAt > end) throw new DecodeError("The headers of an event frame are longer than the frame.");
  const headers = readHeaders(frame.subarray(PRELUDE_BYTES, payloadAt));
  return asEvent(headers, frame.toString("utf8", payloadAt, end));
}

function asEvent(headers: MessageHeaders, data: string): WireEvent {
  if (headers.messageType === "event" || headers.messageType === "") return { event: headers.eventType, data };
  if (headers.messageType === "exception" && headers.exceptionType.endsWith("Exception")) {
    return { event: headers.exceptionType, data };
  }
  const code = headers.errorCode || headers.exceptionType;
  return { event: UNTYPED_ERROR, data: JSON.stringify({ code, message: headers.errorMessage || messageIn(data) }) };
}

/** The message of a failure's payload, or the payload itself. */
function messageIn(data: string): string {
  try {
    const value = JSON.parse(data) as { message?: unknown; Message?: unknown } | null;
    const message = value?.message ?? value?.Message;
    return typeof message === "string" ? message : "";
  } catch {
    return data;
  }
}

function readHeaders(bytes: Buffer): MessageHeaders {
  const headers: MessageHeaders = {
    messageType: "",
    eventType: "",
    exceptionType: "",
    errorCode: "",
    errorMessage: "",
  };
  let at = 0;
  while (at < bytes.length) {
    const nameEnd = at + 1 + (bytes[at] as number);
    const tag = bytes[nameEnd] ?? -1;
    const sized = tag === BYTES_TAG || tag === STRING_TAG;
    const valueAt = nameEnd + (sized ? 3 : 1);
    if (valueAt > bytes.length) throw new DecodeError("A header of an event frame is cut.");
    const size = sized ? bytes.readUInt16BE(nameEnd + 1) : (FIXED_BYTES[tag] ?? -1);
    if (size < 0 || valueAt + size > bytes.length) throw new DecodeError("A header of an event frame cannot be read.");
    const field = tag === STRING_TAG ? HEADER_FIELDS.get(bytes.toString("latin1", at + 1, nameEnd)) : undefined;
    if (field !== undefined) headers[field] = bytes.toString("utf8", valueAt, valueAt + size);
    at = valueAt + size;
  }
  return headers;
}
