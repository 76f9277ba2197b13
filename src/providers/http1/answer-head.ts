/** The head of an HTTP/1 answer: status line, fields, and how its body ends. Grammar: RFC 9112. */
import { isHeaderName, isHeaderValue } from "./header-syntax.js";

/** Why an answer is none; names nothing of its content. */
export class AnswerError extends Error {
  override readonly name = "AnswerError";
}

/** How the body's end is told. */
export type BodyFraming = "none" | "length" | "chunked" | "close";

export interface ParsedHead {
  readonly status: number;
  /** Names in lower case and values alternate, as they came. */
  readonly headers: readonly string[];
  readonly framing: BodyFraming;
  /** Of the body; -1 = not told. */
  readonly length: number;
  /** May the connection serve another request? */
  readonly keepsAlive: boolean;
  /** Milliseconds for which the upstream keeps the connection at rest; NaN = it does not say. */
  readonly keepAliveMs: number;
}

const DIGITS = /^[0-9]{1,15}$/;
const STATUS = /^[1-9][0-9][0-9]$/;
const CLOSES = /(?:^|[,\s])close(?:$|[,\s])/;
const PERSISTS = /(?:^|[,\s])keep-alive(?:$|[,\s])/;
const KEEP_ALIVE_TIMEOUT = /(?:^|[,;\s])timeout=([0-9]{1,6})/i;

const SPACE = 0x20;
const TAB = 0x09;

/** What the fields say of the connection, gathered while they are read. */
class Framing {
  chunked = false;
  length = -1;
  connection = "";
  keepAliveMs = Number.NaN;

  note(name: string, value: string): void {
    switch (name) {
      case "content-length":
        // Two readers could disagree on which of two lengths counts.
        if (this.length >= 0 || !DIGITS.test(value)) throw new AnswerError("content-length");
        this.length = Number(value);
        break;
      case "transfer-encoding":
        if (this.chunked || value.toLowerCase() !== "chunked") throw new AnswerError("transfer-encoding");
        this.chunked = true;
        break;
      case "connection":
        this.connection += `,${value.toLowerCase()}`;
        break;
      case "keep-alive":
        this.keepAliveMs = Number(KEEP_ALIVE_TIMEOUT.exec(value)?.[1] ?? Number.NaN) * 1000;
        break;
      default:
    }
  }
}

/**
 * Reads a head: `text` (latin1) without the empty line at its end. `bodiless`: the request was one whose answers
 * have no body. Throws AnswerError.
 */
export function parseHead(text: string, bodiless: boolean): ParsedHead {
  const lineEnd = text.indexOf("\r\n");
  const statusLine = lineEnd < 0 ? text : text.slice(0, lineEnd);
  const { status, minor } = parseStatus(statusLine);
  const headers: string[] = [];
  const framing = new Framing();
  if (lineEnd >= 0) readFields(text, lineEnd + 2, headers, framing);
  if (framing.chunked && framing.length >= 0) throw new AnswerError("framing");
  const { connection, keepAliveMs } = framing;
  const closes = connection !== "" && CLOSES.test(connection);
  // HTTP/1.0 has no chunks: whoever sends them in its name cannot be trusted with another request.
  const persists = minor === 1 || (PERSISTS.test(connection) && !framing.chunked);
  const empty = bodiless || status < 200 || status === 204 || status === 304;
  const kind = empty ? "none" : framing.chunked ? "chunked" : framing.length >= 0 ? "length" : "close";
  return {
    status,
    headers,
    framing: kind,
    length: framing.length,
    keepsAlive: persists && !closes && kind !== "close",
    keepAliveMs,
  };
}

/** "HTTP/1.1 200 OK"; the reason may be missing, with its space or without. */
function parseStatus(line: string): { status: number; minor: number } {
  const minor = line.charCodeAt(7) - 0x30;
  const code = line.slice(9, 12);
  const fits = line.startsWith("HTTP/1.") && (minor === 0 || minor === 1) && line.charCodeAt(8) === SPACE;
  const ends = line.length === 12 || line.charCodeAt(12) === SPACE;
  if (!fits || !ends || !STATUS.test(code) || !isHeaderValue(line)) throw new AnswerError("status line");
  return { status: Number(code), minor };
}

function readFields(text: string, begin: number, headers: string[], framing: Framing): void {
  for (let from = begin; from <= text.length; ) {
    const found = text.indexOf("\r\n", from);
    const end = found < 0 ? text.length : found;
    const colon = text.indexOf(":", from);
    if (colon < 0 || colon >= end) throw new AnswerError("header");
    const name = text.slice(from, colon).toLowerCase();
    const value = trimmed(text, colon + 1, end);
    // A folded line begins with a space, and that is in no token.
    if (!isHeaderName(name) || !isHeaderValue(value)) throw new AnswerError("header");
    headers.push(name, value);
    framing.note(name, value);
    from = end + 2;
  }
}

function trimmed(text: string, begin: number, stop: number): string {
  let from = begin;
  let end = stop;
  while (from < end && isBlank(text.charCodeAt(from))) from += 1;
  while (end > from && isBlank(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(from, end);
}

function isBlank(code: number): boolean {
  return code === SPACE || code === TAB;
}
