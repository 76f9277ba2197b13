/**
 * Framing of server-sent events (WHATWG HTML §9.2): lines end with LF, CRLF or CR, a blank line ends an
 * event. Nothing here knows what an event means.
 */

export const LF = 0x0a;
export const CR = 0x0d;
const COLON = 0x3a;
const SPACE = 0x20;

/** Bytes looked at one by one before a native search is worth its call. */
const NEAR = 512;

/** What the bytes before a range ended with; bits. */
export const LINE = {
  INSIDE: 0,
  /** A line has just ended (or an event begins): a line end here makes a blank line. */
  START: 1,
  /** The last byte was CR: an LF here belongs to it. */
  AFTER_CR: 2,
} as const;

/**
 * Where the last whole event in [from, to) ends; `from` when none ends there. A CR as the very last byte
 * counts as a line end at once: the LF that may follow it is the caller's to attach.
 */
export function lastEventEnd(bytes: Buffer, from: number, to: number, before: number): number {
  for (let end = to; end > from; end--) {
    const byte = bytes[end - 1];
    if (byte !== LF && byte !== CR) continue;
    let start = end - 1;
    if (byte === LF && start > from && bytes[start - 1] === CR) start--;
    else if (byte === LF && start === from && (before & LINE.AFTER_CR) !== 0) return from;
    if (start === from) return (before & LINE.START) !== 0 ? end : from;
    const previous = bytes[start - 1];
    if (previous === LF || previous === CR) return end;
  }
  return from;
}

/** Where the event that holds the byte at `from` ends; the buffer's length when it does not end in it. */
export function nextEventEnd(bytes: Buffer, from: number, before: number): number {
  let at = from;
  let lineStart = (before & LINE.START) !== 0;
  if ((before & LINE.AFTER_CR) !== 0 && bytes[at] === LF) at++;
  while (at < bytes.length) {
    const end = lineEnd(bytes, at);
    if (end === bytes.length) return end;
    const next = bytes[end] === CR && bytes[end + 1] === LF ? end + 2 : end + 1;
    if (lineStart && end === at) return next;
    lineStart = true;
    at = next;
  }
  return bytes.length;
}

/** Where the line that holds `from` ends (at its LF or CR), or the buffer's length. */
function lineEnd(bytes: Buffer, from: number): number {
  const near = Math.min(bytes.length, from + NEAR);
  let at = from;
  while (at < near) {
    const byte = bytes[at];
    if (byte === LF || byte === CR) return at;
    at++;
  }
  if (at === bytes.length) return at;
  const feed = bytes.indexOf(LF, at);
  const end = feed < 0 ? bytes.length : feed;
  const carriage = bytes.indexOf(CR, at);
  return carriage >= 0 && carriage < end ? carriage : end;
}

/** Does a line at [from, end) hold this field? Gives where the value begins, or -1. */
function fieldValue(bytes: Buffer, from: number, end: number, field: string): number {
  const colon = from + field.length;
  if (colon > end) return -1;
  for (let index = 0; index < field.length; index++) {
    if (bytes[from + index] !== field.charCodeAt(index)) return -1;
  }
  if (colon === end) return end;
  if (bytes[colon] !== COLON) return -1;
  return bytes[colon + 1] === SPACE && colon + 1 < end ? colon + 2 : colon + 1;
}

function afterByteOrderMark(frame: Buffer): number {
  return frame[0] === 0xef && frame[1] === 0xbb && frame[2] === 0xbf ? 3 : 0;
}

const NOTHING = Buffer.alloc(0);
const NEWLINE = Buffer.from("\n");

/**
 * The data of one event: its data lines joined by LF. A view into the frame where it has one data line.
 * Empty when it has none.
 */
export function sseDataBytes(frame: Buffer): Buffer {
  let first: Buffer | null = null;
  let more: Buffer[] | null = null;
  let at = afterByteOrderMark(frame);
  while (at < frame.length) {
    const end = lineEnd(frame, at);
    const value = fieldValue(frame, at, end, "data");
    if (value >= 0) {
      const line = frame.subarray(value, end);
      if (first === null) first = line;
      else {
        more ??= [first];
        more.push(NEWLINE, line);
      }
    }
    at = end + 1;
  }
  return more === null ? (first ?? NOTHING) : Buffer.concat(more);
}

/** The data of one event as text. */
export function sseData(frame: Buffer): string {
  return sseDataBytes(frame).toString("utf8");
}

/** The event's name; "" when it has none. */
export function sseEvent(frame: Buffer): string {
  let name = "";
  let at = afterByteOrderMark(frame);
  while (at < frame.length) {
    const end = lineEnd(frame, at);
    const value = fieldValue(frame, at, end, "event");
    if (value >= 0) name = frame.toString("utf8", value, end);
    at = end + 1;
  }
  return name;
}

/** An event named "error" is at least this much longer than its data. */
const ERROR_NAME_BYTES = "event:error".length;

/** Is the event named "error"? `data` is its data as `sseDataBytes` gave it. */
export function isErrorEvent(frame: Buffer, data: Buffer): boolean {
  return frame.length - data.length >= ERROR_NAME_BYTES && sseEvent(frame) === "error";
}

export interface SseEvent {
  readonly event: string;
  readonly data: string;
}

/** Every event with data in a run of bytes; the last one may lack its blank line. Not for the hot path. */
export function parseSse(bytes: Buffer): SseEvent[] {
  const events: SseEvent[] = [];
  let at = 0;
  while (at < bytes.length) {
    const end = nextEventEnd(bytes, at, LINE.START);
    const frame = bytes.subarray(at, end);
    const data = sseData(frame);
    if (data !== "") events.push({ event: sseEvent(frame), data });
    at = end;
  }
  return events;
}
