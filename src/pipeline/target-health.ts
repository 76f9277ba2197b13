/** Tells the node's threads how an attempt's target did: for the next plan, and for people who look. */
import { cooldownFor } from "../routing/cooldown.js";
import type { HealthSlot } from "../routing/slots.js";
import { retryAfterMs } from "./answer-head.js";
import type { Attempt, Conclusion } from "./attempt.js";
import type { Mishap } from "./succession.js";

const CLIENT_GONE = 499;
/** A timer counts from the beginning of the event loop's turn that set it: after a long turn, it rings early. */
const EARLY_MS = 50;
/** Refusals of the gateway's account or pace, below 500, which no request is to blame for. */
const NOT_THE_REQUESTS: ReadonlySet<number> = new Set([401, 402, 403, 407, 408, 429]);

export function attemptBegins({ node, candidate }: Attempt): void {
  node.router.health.changeInFlight(candidate.slot, 1);
}

export function attemptEnds(attempt: Attempt, conclusion: Conclusion): void {
  const { exchange, node, candidate, head } = attempt;
  const { health } = node.router;
  health.changeInFlight(candidate.slot, -1);
  // A background check has a rule of its own for what its status means.
  if (conclusion.status === CLIENT_GONE || (exchange.inner && exchange.parent === null)) return;
  const mishap = attempt.mishap ?? mishapOf(attempt, conclusion);
  if (mishap === null) {
    const latency = attempt.firstByteAt === 0 ? -1 : attempt.firstByteAt - attempt.startedAt;
    health.reportSuccess(candidate.slot, head?.status ?? 0, latency, Date.now());
  } else reportMishap(attempt, candidate.slot, mishap);
}

function reportMishap(attempt: Attempt, slot: HealthSlot, mishap: Mishap): void {
  const { health } = attempt.node.router;
  const { cooldown } = attempt.candidate.model.entry;
  // A refusal that is the request's own fault says that the target is well.
  if (mishap.kind === "status" && blamesRequest(mishap.status) && !cooldown.triggerStatuses.includes(mishap.status)) {
    health.reportSuccess(slot, mishap.status, -1, Date.now());
    return;
  }
  health.reportFailure(slot, mishap.kind, mishap.status);
  if (mishap.kind === "timeout" && hadLittleTime(attempt)) return;
  const length = cooldownFor(cooldown, { ...mishap, retryAfterMs: retryAfterMs(attempt.head) });
  if (length > 0) health.coolDown(slot, Date.now() + length);
}

function blamesRequest(status: number): boolean {
  return status >= 400 && status < 500 && !NOT_THE_REQUESTS.has(status);
}

/** The request's time is over, and an earlier attempt has used up a part of it. */
function hadLittleTime({ exchange, number }: Attempt): boolean {
  return number > 1 && performance.now() >= exchange.deadline - EARLY_MS;
}

/** Of an attempt whose failure was the caller's answer; null = it did not fail. */
function mishapOf({ head }: Attempt, { error }: Conclusion): Mishap | null {
  const status = head?.status ?? 0;
  switch (error) {
    case "":
      return null;
    case "upstream_error":
      return { kind: status >= 300 ? "status" : "in_band", status };
    case "timeout":
      return { kind: "timeout", status };
    case "upstream_decode_error":
      return { kind: "broken", status };
    case "transport_error":
      return { kind: "transport", status };
    default:
      // The gateway's own reasons say nothing of the target.
      return null;
  }
}
