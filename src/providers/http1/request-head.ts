/** The head of an HTTP/1.1 request. What could begin another field or another request is refused. */
import { FRAMING_HEADERS, isHeaderName, isHeaderValue } from "./header-syntax.js";

/** What a head says of everything but its body. */
export interface RequestParts {
  /** "host:port" as the Host field says it. */
  readonly authority: string;
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** Flat list of names and values. */
  readonly headers: readonly string[];
}

/** A head as it goes out, in two pieces: most requests to a target share the first. */
export interface RequestHead {
  /** Everything up to the body's length. */
  readonly fields: Buffer;
  /** The body's length and the empty line: ASCII. */
  readonly end: string;
}

/** A request that cannot be written; names the place, never a value. */
export class RequestError extends Error {
  override readonly name = "RequestError";
}

const FORBIDDEN_IN_PATH = /[^\x21-\x7e\x80-\xff]/;

/** The end of a head. `bodyBytes`: -1 = there is no body. */
export function headEnd(bodyBytes: number): string {
  return bodyBytes < 0 ? "\r\n" : `content-length: ${bodyBytes}\r\n\r\n`;
}

/** Writes heads to one origin; one that is the same as the last is not written again. */
export class HeadWriter {
  #last: { readonly parts: RequestParts; readonly fields: Buffer } | null = null;

  /** Throws RequestError. */
  fieldsOf(parts: RequestParts): Buffer {
    if (this.#last !== null && areEqual(this.#last.parts, parts)) return this.#last.fields;
    const fields = headFields(parts);
    this.#last = { parts, fields };
    return fields;
  }
}

function areEqual(one: RequestParts, other: RequestParts): boolean {
  const { headers } = one;
  if (headers.length !== other.headers.length || one.path !== other.path || one.method !== other.method) return false;
  if (one.authority !== other.authority) return false;
  for (let at = 0; at < headers.length; at += 1) if (headers[at] !== other.headers[at]) return false;
  return true;
}

function headFields({ authority, method, path, headers }: RequestParts): Buffer {
  if (!isHeaderName(method)) throw new RequestError("method");
  if (FORBIDDEN_IN_PATH.test(path) || !path.startsWith("/")) throw new RequestError("path");
  let host = authority;
  let fields = "";
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const given = headers[at] as string;
    // Some letters beyond ASCII become ASCII ones in lower case.
    if (!isHeaderName(given)) throw new RequestError("header");
    const name = given.toLowerCase();
    const value = headers[at + 1] as string;
    if (!isHeaderValue(value)) throw new RequestError("header");
    if (name === "host") host = value;
    else if (name !== "content-length") {
      if (FRAMING_HEADERS.has(name)) throw new RequestError("header");
      fields += `${name}: ${value}\r\n`;
    }
  }
  return Buffer.from(`${method} ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: keep-alive\r\n${fields}`, "latin1");
}
