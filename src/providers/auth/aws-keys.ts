/** AWS keys in the answers of those who hand them out, whatever each calls its parts. */
import { AuthError } from "./auth.js";
import type { AwsKeys } from "./sigv4.js";
import type { Grant } from "./token-cache.js";

/** The parts as they were found; only what has the right form is taken. */
export interface FoundKeys {
  readonly id: unknown;
  readonly secret: unknown;
  /** Not there with long-lived keys. */
  readonly session: unknown;
  /** Text of a time, or milliseconds since the epoch; not there: the keys never expire. */
  readonly expiration: unknown;
}

/** What a header can carry: id and session token go into one. */
const HEADER_TEXT = /^[\x21-\x7e]+$/;

/** Throws AuthError that names the source when the parts make no keys. */
export function grantOf(found: FoundKeys, source: string): Grant<AwsKeys> {
  const { id, secret, session } = found;
  const expiresAt = expiryOf(found.expiration);
  if (typeof id !== "string" || typeof secret !== "string" || id === "" || secret === "" || Number.isNaN(expiresAt)) {
    throw new AuthError("refused", `${source} answered without credentials`);
  }
  const sessionToken = typeof session === "string" ? session : "";
  if (!HEADER_TEXT.test(id) || (sessionToken !== "" && !HEADER_TEXT.test(sessionToken))) {
    throw new AuthError("refused", `${source} answered with credentials that a header cannot carry`);
  }
  return { token: { accessKeyId: id, secretAccessKey: secret, sessionToken }, expiresAt };
}

function expiryOf(written: unknown): number {
  if (written === undefined || written === null) return Number.POSITIVE_INFINITY;
  if (typeof written === "number") return written;
  return typeof written === "string" ? Date.parse(written) : Number.NaN;
}
