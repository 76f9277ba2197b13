/** Why an answer ended: the chat family's words ⇄ the hub's. */
import type { StopReason } from "../semantic.js";

const FINISH: Readonly<Record<StopReason, string>> = {
  stop: "stop",
  stop_sequence: "stop",
  pause: "stop",
  length: "length",
  tool_calls: "tool_calls",
  content_filter: "content_filter",
  // The vendor has no word for it; routers of its shape say "error", and "stop" would be a lie.
  error: "error",
};

/** The `finish_reason` for a reason; an answer that calls tools says so, whatever else it says. */
export function finishReason(reason: StopReason | null, hasCalls: boolean, isLegacy: boolean): string {
  const calls = reason === "tool_calls" || (hasCalls && (reason === null || reason === "stop"));
  if (calls && hasCalls) return isLegacy ? "function_call" : "tool_calls";
  return FINISH[reason ?? "stop"];
}

const REASONS: Readonly<Record<string, StopReason>> = {
  length: "length",
  max_tokens: "length",
  model_length: "length",
  model_context_window_exceeded: "length",
  tool_calls: "tool_calls",
  tool_call: "tool_calls",
  tool_use: "tool_calls",
  function_call: "tool_calls",
  content_filter: "content_filter",
  content_filtered: "content_filter",
  safety: "content_filter",
  sensitive: "content_filter",
  refusal: "content_filter",
  error: "error",
  network_error: "error",
  insufficient_system_resource: "error",
  stop_sequence: "stop_sequence",
  pause_turn: "pause",
};

/**
 * The reason for a `finish_reason` of the vendor or its look-alikes; what nobody knows ("eos") is a plain stop.
 * Whether there are calls is seen, not believed: a forced tool that stands for the answer's format is none.
 */
export function stopReason(native: string, hasCalls: boolean): StopReason {
  const reason = (Object.hasOwn(REASONS, native) ? REASONS[native] : undefined) ?? "stop";
  if (reason !== "stop" && reason !== "tool_calls") return reason;
  return hasCalls ? "tool_calls" : "stop";
}
