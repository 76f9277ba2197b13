/** The head of an HTTP/1.1 request. What could begin another field or another request is refused. */

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

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const FORBIDDEN_IN_PATH = /[^\x21-\x7e\x80-\xff]/;
const FORBIDDEN_IN_VALUE = /[^\t\x20-\x7e\x80-\xff]/;

/** What is said here of the connection and of the body's end, nobody else says. */
const FRAMING: ReadonlySet<string> = new Set([
  "connection",
  "expect",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** The head with the empty line at its end, latin1. Throws RequestError. */
export function requestHead(parts: RequestParts): string {
  const { method, path, headers, bodyBytes } = parts;
  if (!TOKEN.test(method)) throw new RequestError("method");
  if (FORBIDDEN_IN_PATH.test(path) || !path.startsWith("/")) throw new RequestError("path");
  let host = parts.authority;
  let fields = "";
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const given = headers[at] as string;
    const name = given.toLowerCase();
    const value = headers[at + 1] as string;
    // Some letters beyond ASCII become ASCII ones in lower case.
    if (!TOKEN.test(given) || FORBIDDEN_IN_VALUE.test(value) || FRAMING.has(name)) throw new RequestError("header");
    if (name === "host") host = value;
    else if (name !== "content-length") fields += `${name}: ${value}\r\n`;
  }
  const length = bodyBytes < 0 ? "" : `content-length: ${bodyBytes}\r\n`;
  return `${method} ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: keep-alive\r\n${fields}${length}\r\n`;
}
