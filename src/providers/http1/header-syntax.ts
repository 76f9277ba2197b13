/** What may be a header's name and value, in requests and in answers. */

/** Names that belong to the connection or to the body's framing: nobody else says anything of them. */
export const FRAMING_HEADERS: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "expect",
  "host",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const FORBIDDEN_IN_VALUE = /[^\t\x20-\x7e\x80-\xff]/;

/** RFC 9110 section 5.6.2. */
export function isHeaderName(name: string): boolean {
  return TOKEN.test(name);
}

/** RFC 9110 section 5.5: visible characters, spaces and tabs; a line break would begin another header. */
export function isHeaderValue(value: string): boolean {
  return !FORBIDDEN_IN_VALUE.test(value);
}
