/** The head of an upstream's answer, read once: what the relay needs and what the client may see. */
import { retryAfterOf } from "../routing/retry.js";

/** Never passed on: connection matters, what the gateway says itself, and state that is not the caller's. */
const DROPPED: ReadonlySet<string> = new Set([
  "keep-alive",
  "proxy-authenticate",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "content-length",
  "content-encoding",
  "date",
  "server",
  "uwebsockets",
  "set-cookie",
  "alt-svc",
  "strict-transport-security",
  "www-authenticate",
  "via",
  "vary",
]);
const DROPPED_PREFIX = "access-control-";
/** More than any vendor sends; a bound for what a broken one might. */
const MAX_PASSED_BYTES = 16_384;

export interface AnswerHead {
  readonly status: number;
  readonly contentType: string;
  readonly contentEncoding: string;
  /** Bytes of the body as the upstream announced them; -1 = it did not. */
  readonly length: number;
  /** Headers for the client, names and values alternating, content-type not among them. */
  readonly passed: string[];
}

/** `raw`: names in lower case and values alternate. `ownPrefix`: names that begin so are the gateway's own and may not come from an upstream. */
export function readAnswerHead(status: number, raw: readonly string[], ownPrefix: string): AnswerHead {
  let contentType = "";
  let contentEncoding = "";
  let length = -1;
  let connection = "";
  let bytes = 0;
  const passed: string[] = [];
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index] as string;
    const value = raw[index + 1] as string;
    if (name === "content-type") contentType = value;
    else if (name === "content-encoding") contentEncoding = value;
    else if (name === "content-length") length = Number(value);
    else if (name === "connection") connection += `,${value.toLowerCase()}`;
    else if (!DROPPED.has(name) && !name.startsWith(DROPPED_PREFIX) && !name.startsWith(ownPrefix)) {
      bytes += name.length + value.length;
      if (bytes <= MAX_PASSED_BYTES) passed.push(name, value);
    }
  }
  return { status, contentType, contentEncoding, length, passed: withoutNamed(passed, connection) };
}

/** What `connection` names belongs to that connection and goes no further (RFC 9110 section 7.6.1). */
function withoutNamed(passed: string[], connection: string): string[] {
  if (connection === "" || connection === ",keep-alive" || connection === ",close") return passed;
  const named = new Set(connection.split(",").map((name) => name.trim()));
  const kept: string[] = [];
  for (let index = 0; index + 1 < passed.length; index += 2) {
    if (!named.has(passed[index] as string)) kept.push(passed[index] as string, passed[index + 1] as string);
  }
  return kept;
}

/** How long the upstream asks to be left alone, milliseconds; 0 = it does not. */
export function retryAfterMs(head: AnswerHead | null): number {
  if (head === null || head.status < 300) return 0;
  return retryAfterOf(valueIn(head.passed, "retry-after"), valueIn(head.passed, "retry-after-ms"), Date.now());
}

function valueIn(flat: readonly string[], name: string): string {
  for (let index = 0; index + 1 < flat.length; index += 2) if (flat[index] === name) return flat[index + 1] as string;
  return "";
}

/** Is this an event stream? */
export function isEventStream(contentType: string): boolean {
  return contentType.length >= 17 && contentType.slice(0, 17).toLowerCase() === "text/event-stream";
}
