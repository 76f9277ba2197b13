/** What a successful answer says of the limits: the one with least left, as it was just after the admission. */
import type { Lease, Tightest } from "./lease.js";

const PREFIX = "x-ratelimit-";

/** The text of a number, made once for as long as it is the same. */
class LastText {
  readonly #write: (value: number) => string;
  #value = Number.NaN;
  #text = "";

  constructor(write: (value: number) => string) {
    this.#write = write;
  }

  of(value: number): string {
    if (value !== this.#value) {
      this.#value = value;
      this.#text = this.#write(value);
    }
    return this.#text;
  }
}

type Names = ReturnType<typeof namesOf>;
const OF_REQUESTS = namesOf("requests");
const OF_TOKENS = namesOf("tokens");

function namesOf(unit: string) {
  return {
    limit: `${PREFIX}limit-${unit}`,
    remaining: `${PREFIX}remaining-${unit}`,
    reset: `${PREFIX}reset-${unit}`,
    /** Limits seldom differ from those of the answer before, and seconds are long. */
    limitText: new LastText(String),
    resetText: new LastText((seconds) => `${seconds}s`),
  };
}

/**
 * Adds the rate-limit headers of a lease to a list in which names and values alternate, in place of an upstream's
 * own: those tell of the gateway's account, not of the caller's. Nothing is added where nothing limits.
 */
export function rateLimitHeaders(lease: Lease, nowMs: number, headers: string[]): void {
  if (lease.requests.limit < 0 && lease.tokens.limit < 0) return;
  dropUpstreamOnes(headers);
  tell(lease.requests, OF_REQUESTS, nowMs, headers);
  tell(lease.tokens, OF_TOKENS, nowMs, headers);
}

function tell({ limit, remaining, resetsAt }: Tightest, names: Names, nowMs: number, headers: string[]): void {
  if (limit < 0) return;
  const seconds = Math.max(0, Math.ceil((resetsAt - nowMs) / 1_000));
  headers.push(names.limit, names.limitText.of(limit));
  headers.push(names.remaining, String(Math.max(0, Math.floor(remaining))));
  headers.push(names.reset, names.resetText.of(seconds));
}

function dropUpstreamOnes(headers: string[]): void {
  let kept = 0;
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const name = headers[at] as string;
    if (name.startsWith(PREFIX)) continue;
    headers[kept] = name;
    headers[kept + 1] = headers[at + 1] as string;
    kept += 2;
  }
  headers.length = kept;
}
