/** What may follow an attempt that failed before its answer began. */
import type { ErrorCode, Failure } from "../errors.js";
import type { Attempt } from "./attempt.js";
import type { StageOutcome } from "./pipeline.js";
import type { Delivery } from "./ledger.js";

/** Why an attempt came to nothing before a byte of its answer had left. */
export interface Mishap {
  /**
   * `broken`: an answer that is none; `in_band`: an error event; `credentials`: none to be had; `unsendable`: this
   * target cannot take the request.
   */
  readonly kind: "status" | "timeout" | "transport" | "broken" | "in_band" | "credentials" | "unsendable";
  /** The upstream's status; 0 where it sent none. */
  readonly status: number;
}

/** Delivering means: the attempt's usage line is on file, the next one may begin. */
export interface Succession extends Delivery {
  /** True: another attempt follows once this one's usage line is on file; false: its failure is the caller's answer. */
  /** A target cannot take the request, which was found out later: the next attempt, or the failure itself. */
  insteadOf(problem: Failure): StageOutcome;
  takesOver(attempt: Attempt, mishap: Mishap): boolean;
}

/** What the usage event of an attempt says that another took over. */
export const MISHAP_CODES = {
  status: "upstream_error",
  in_band: "upstream_error",
  timeout: "timeout",
  transport: "transport_error",
  broken: "upstream_decode_error",
  credentials: "transport_error",
  unsendable: "unsupported_operation",
} as const satisfies Record<Mishap["kind"], ErrorCode | "upstream_error">;
