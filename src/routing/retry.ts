/** What follows an attempt that failed before a byte of its answer was relayed, and after what pause. Pure. */
import type { Routing } from "../config/traffic.js";
import type { FailureKind } from "./health.js";

/** Tries on one target beyond the first where nobody says otherwise. */
export const DEFAULT_RETRIES = 2;

/** How an attempt failed. */
export interface AttemptProblem {
  /** `limited`: the target is over a limit of its own and was not called. */
  readonly kind: FailureKind | "limited";
  /** The upstream's status; 0 where it sent none. */
  readonly status: number;
}

/** What an exchange could still do. */
export interface WhatIsLeft {
  /** Tries on the same target. */
  readonly retries: number;
  /** Has somebody set the number of tries, on the target or the group? */
  readonly retriesSet: boolean;
  /** Targets after this one. */
  readonly targets: number;
}

export type Verdict = "end" | "retry_same" | "next";

/** Where a failure may lead: nowhere, to the next target only, or first to the same target again. */
type Scope = "nowhere" | "next" | "next_or_set" | "anywhere";

/** Statuses with which an upstream refuses the gateway's own credentials or account, which no caller can help. */
const OWN_CREDENTIALS: ReadonlySet<number> = new Set([401, 402, 403, 407]);
const REQUEST_TIMEOUT = 408;
const TOO_MANY_REQUESTS = 429;

/** `routing`: the group's rules; null for a model that one provider serves. */
export function judge(problem: AttemptProblem, routing: Routing | null, left: WhatIsLeft): Verdict {
  const scope = scopeOf(problem, routing);
  if (scope === "nowhere") return "end";
  const same = scope === "anywhere" || (scope === "next_or_set" && left.retriesSet);
  if (same && left.retries > 0) return "retry_same";
  return left.targets > 0 ? "next" : "end";
}

function scopeOf({ kind, status }: AttemptProblem, routing: Routing | null): Scope {
  switch (kind) {
    case "transport":
    case "broken":
    case "in_band":
      return "anywhere";
    case "timeout":
      return "next_or_set";
    case "credentials":
    case "unsendable":
    case "limited":
      return "next";
    case "status":
      return scopeOfStatus(status, routing);
  }
}

function scopeOfStatus(status: number, routing: Routing | null): Scope {
  if (routing?.fallbackOnStatuses.includes(status) === true) return "anywhere";
  if (status === TOO_MANY_REQUESTS) return routing?.retryOn429 === true ? "anywhere" : "nowhere";
  if (status === REQUEST_TIMEOUT) return "next_or_set";
  if (OWN_CREDENTIALS.has(status)) return "next";
  return status < 400 || status >= 500 ? "anywhere" : "nowhere";
}

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 2_000;
const JITTER_MS = 250;
/** An upstream that asks for more is not waited for. */
const LONGEST_ASKED_MS = 5_000;

/**
 * The pause before the same target is tried again, milliseconds; before another target there is none.
 * @param retry 1 for the first try beyond the first attempt
 * @param retryAfterMs what the upstream asks for; 0 = nothing
 * @param random from 0 to 1
 */
export function backoffMs(retry: number, retryAfterMs: number, random: number): number {
  if (retryAfterMs >= 1 && retryAfterMs <= LONGEST_ASKED_MS) return retryAfterMs;
  return Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (retry - 1)) + random * JITTER_MS;
}

const DECIMAL = /^\d{1,12}(?:\.\d{1,9})?$/;
/** The forms of RFC 9110 section 5.6.7 that name their timezone; the third one is obsolete and does not. */
const HTTP_DATE = /^[A-Z][a-z]{2,8}, [\w: -]{18,30} GMT$/;

/**
 * How long an upstream asks to be left alone, milliseconds; 0 = it does not, or in words that mean nothing.
 * @param retryAfter value of `retry-after`: seconds or a date; "" = none
 * @param retryAfterMs value of `retry-after-ms`, which is finer and goes first; "" = none
 */
export function retryAfterOf(retryAfter: string, retryAfterMs: string, nowMs: number): number {
  const fine = retryAfterMs.trim();
  if (DECIMAL.test(fine)) return Math.ceil(Number(fine));
  const text = retryAfter.trim();
  if (DECIMAL.test(text)) return Math.ceil(Number(text) * 1_000);
  if (!HTTP_DATE.test(text)) return 0;
  const at = Date.parse(text);
  return Number.isNaN(at) ? 0 : Math.max(0, at - nowMs);
}
