/** The head of an HTTP/1.1 request. What could begin another field or another request is refused. */
import { FRAMING_HEADERS, isHeaderName, isHeaderValue } from "./header-syntax.js";

/** What goes out on a connection. */
export interface RequestParts {
  /** "host:port" as the Host field says it. */
  readonly authority: string;
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** Flat list of names and values. */
  readonly headers: readonly string[];
  /** Bytes of the body; -1 = there is none. */
  readonly bodyBytes: number;
}

/** A request that cannot be written; names the place, never a value. */
export class RequestError extends Error {
  override readonly name = "RequestError";
}

const FORBIDDEN_IN_PATH = /[^\x21-\x7e\x80-\xff]/;

/** The head with the empty line at its end, latin1. Throws RequestError. */
export function requestHead(parts: RequestParts): string {
  const { method, path, headers, bodyBytes } = parts;
  if (!isHeaderName(method)) throw new RequestError("method");
  if (FORBIDDEN_IN_PATH.test(path) || !path.startsWith("/")) throw new RequestError("path");
  let host = parts.authority;
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
  const length = bodyBytes < 0 ? "" : `content-length: ${bodyBytes}\r\n`;
  return `${method} ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: keep-alive\r\n${fields}${length}\r\n`;
}
