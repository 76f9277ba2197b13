/** Which of a caller's headers go on with a request that passes as it is. */
import { FRAMING_HEADERS } from "./http1/header-syntax.js";
import { AUTH_HEADERS } from "./target-headers.js";

/** What belongs to this connection, to this gateway, or to whoever stands in front of it. */
const KEPT_BACK: ReadonlySet<string> = new Set([
  ...FRAMING_HEADERS,
  "accept-encoding",
  "content-type",
  "cookie",
  "forwarded",
  "origin",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "via",
  "x-real-ip",
]);
const KEPT_BACK_PREFIX = "x-forwarded-";

export interface RawHeaderRules {
  /** Names that begin so are the gateway's own. */
  readonly ownPrefix: string;
  /** The caller's own credentials go on. */
  readonly forwardsCredentials: boolean;
  /** Lower-case name of a header that holds the gateway's key; "" = none beside the usual ones. */
  readonly keyHeader: string;
  /** Is this one of the gateway's own keys? */
  isGatewayKey(value: string): boolean;
}

/** `lists`: names in lower case and values alternate. */
export function rawHeaders(lists: readonly (readonly string[])[], rules: RawHeaderRules): string[] {
  const named = namedByConnection(lists);
  const kept: string[] = [];
  for (const list of lists) {
    for (let at = 0; at + 1 < list.length; at += 2) {
      const name = list[at] as string;
      const value = list[at + 1] as string;
      if (!named.has(name) && goesOn(name, value, rules)) kept.push(name, value);
    }
  }
  return kept;
}

function goesOn(name: string, value: string, rules: RawHeaderRules): boolean {
  if (KEPT_BACK.has(name) || name.startsWith(KEPT_BACK_PREFIX) || name.startsWith(rules.ownPrefix)) return false;
  if (name === rules.keyHeader) return false;
  if (!AUTH_HEADERS.has(name)) return true;
  return rules.forwardsCredentials && !rules.isGatewayKey(name === "authorization" ? bare(value) : value);
}

function bare(value: string): string {
  return value.replace(/^bearer /i, "").trim();
}

/** What `connection` names belongs to that connection (RFC 9110 section 7.6.1). */
function namedByConnection(lists: readonly (readonly string[])[]): ReadonlySet<string> {
  const names = new Set<string>();
  for (const list of lists) {
    for (let at = 0; at + 1 < list.length; at += 2) {
      if (list[at] !== "connection") continue;
      for (const name of (list[at + 1] as string).split(",")) names.add(name.trim().toLowerCase());
    }
  }
  return names;
}
