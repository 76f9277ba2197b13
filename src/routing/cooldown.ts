/** How long a target is left alone after an attempt that failed. Pure. */
import type { Cooldown } from "../config/traffic.js";
import type { FailureKind } from "./health.js";

/** How an attempt failed, as far as its target's cooldown is concerned. */
export interface CooldownCause {
  readonly kind: FailureKind;
  /** The upstream's status; 0 where it sent none. */
  readonly status: number;
  /** How long the upstream asks to be left alone, milliseconds; 0 = it does not. */
  readonly retryAfterMs: number;
}

/** Milliseconds; 0 = no cooldown. */
export function cooldownFor(cooldown: Cooldown, cause: CooldownCause): number {
  if (!cooldown.enabled || !triggers(cooldown, cause)) return 0;
  const asked = cooldown.honorRetryAfter && cause.retryAfterMs > 0;
  return asked ? Math.min(cause.retryAfterMs, cooldown.maxSeconds * 1_000) : cooldown.defaultSeconds * 1_000;
}

function triggers(cooldown: Cooldown, { kind, status }: CooldownCause): boolean {
  switch (kind) {
    case "status":
      return cooldown.triggerStatuses.includes(status);
    case "timeout":
      return cooldown.triggerOnTimeout;
    case "transport":
    case "broken":
      return cooldown.triggerOnTransport;
    case "in_band":
      // An error inside an answer that began with 200 often says no status of its own.
      return status >= 300 ? cooldown.triggerStatuses.includes(status) : cooldown.triggerOnTransport;
    case "credentials":
    case "unsendable":
      return false;
  }
}
