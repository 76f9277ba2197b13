/** Why an answer ended, in this wire's words. */
import type { StopReason } from "../semantic.js";

const REASONS: Readonly<Record<string, StopReason>> = {
  STOP: "stop",
  FINISH_REASON_UNSPECIFIED: "stop",
  MAX_TOKENS: "length",
  CONTINUATION: "length",
  SAFETY: "content_filter",
  RECITATION: "content_filter",
  LANGUAGE: "content_filter",
  BLOCKLIST: "content_filter",
  PROHIBITED_CONTENT: "content_filter",
  SPII: "content_filter",
  MODEL_ARMOR: "content_filter",
  IMAGE_SAFETY: "content_filter",
  IMAGE_PROHIBITED_CONTENT: "content_filter",
  IMAGE_RECITATION: "content_filter",
  OTHER: "error",
  IMAGE_OTHER: "error",
  NO_IMAGE: "error",
  MALFORMED_FUNCTION_CALL: "error",
  UNEXPECTED_TOOL_CALL: "error",
  TOO_MANY_TOOL_CALLS: "error",
  MISSING_THOUGHT_SIGNATURE: "error",
  MALFORMED_RESPONSE: "error",
};

/** A plain stop with calls in the answer is a stop for the calls; reasons not known yet count as plain stops. */
export function stopReason(native: string, called: boolean): StopReason {
  const reason = Object.hasOwn(REASONS, native) ? (REASONS[native] ?? "stop") : "stop";
  return reason === "stop" && called ? "tool_calls" : reason;
}
