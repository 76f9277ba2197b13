/** Pieces of answers that whole and streamed ones share: stop reasons, usage, the message, its blocks. */
import { reportMedia } from "../answer-losses.js";
import type { CodecContext } from "../codec.js";
import type { JsonObject, JsonValue, LossList, MediaSource, SemanticUsage, StopReason } from "../semantic.js";
import { type CarriedSignature, TOOL_CALL_ORIGIN, tagSignature } from "./signature-tag.js";
import { MESSAGES } from "./wire-name.js";

const STOP_REASONS: Readonly<Record<StopReason, string>> = {
  stop: "end_turn",
  stop_sequence: "stop_sequence",
  length: "max_tokens",
  tool_calls: "tool_use",
  content_filter: "refusal",
  pause: "pause_turn",
  error: "end_turn",
};

/** A vendor's failure to finish has no word here. */
export const WORDLESS: ReadonlySet<StopReason> = new Set<StopReason>(["error"]);

export interface Stop {
  readonly reason: StopReason | null;
  readonly sequence: string | null;
  readonly native: string;
  /** Did the answer call a tool? Some upstreams say "stop" all the same, and callers' loops would end. */
  readonly calledTools: boolean;
}

/** stop_reason, stop_sequence and stop_details. */
export function stopFields(stop: Stop): JsonObject {
  const reason = stop.calledTools && (stop.reason ?? "stop") === "stop" ? "tool_calls" : (stop.reason ?? "stop");
  const overflow = reason === "length" && stop.native === "model_context_window_exceeded";
  return {
    stop_reason: overflow ? stop.native : STOP_REASONS[reason],
    stop_sequence: reason === "stop_sequence" ? stop.sequence : null,
    stop_details: reason === "content_filter" ? { type: "refusal", category: null, explanation: null } : null,
  };
}

/** Counts of message_delta: what is not known counts as nothing. Cached tokens stand apart on this wire. */
export function deltaUsage(usage: SemanticUsage): JsonObject {
  const cacheRead = Math.max(0, usage.cacheRead);
  const cacheWrite = Math.max(0, usage.cacheWrite);
  return {
    input_tokens: Math.max(0, usage.input - cacheRead - cacheWrite),
    cache_creation_input_tokens: cacheWrite,
    cache_read_input_tokens: cacheRead,
    output_tokens: Math.max(0, usage.output),
    output_tokens_details: usage.reasoning < 0 ? null : { thinking_tokens: usage.reasoning },
    server_tool_use: null,
  };
}

/** The counts of a message. */
function messageUsage(usage: SemanticUsage): JsonObject {
  return { ...deltaUsage(usage), cache_creation: null, inference_geo: null, service_tier: null, speed: null };
}

export interface MessageParts {
  readonly id: string;
  readonly content: JsonValue[];
  /** null while the answer has only begun. */
  readonly stop: Stop | null;
  readonly usage: SemanticUsage;
}

const NOT_STOPPED: JsonObject = { stop_reason: null, stop_sequence: null, stop_details: null };

/** A message with every field that the vendor's has. */
export function messageOf(parts: MessageParts, context: CodecContext): JsonObject {
  return {
    id: parts.id === "" ? `msg_${context.requestId}` : parts.id,
    type: "message",
    role: "assistant",
    model: context.model,
    content: parts.content,
    ...(parts.stop === null ? NOT_STOPPED : stopFields(parts.stop)),
    container: null,
    diagnostics: null,
    usage: messageUsage(parts.usage),
  };
}

/** The call's id, or one made up from the request's and the number of the call. */
export function callIdOf(id: string, count: number, context: CodecContext): string {
  return id === "" ? `toolu_${context.requestId.replace(/[^a-zA-Z0-9_-]/g, "_")}_${count}` : id;
}

/** A tool_use block as the vendor's answers have it. */
export function toolUse(id: string, name: string, input: JsonValue): JsonObject {
  return { type: "tool_use", id, name, input, caller: { type: "direct" } };
}

/** The block that carries a call's signature through the caller and back. */
export function callSignatureBlock(callId: string, signature: string): JsonObject {
  const data = tagSignature({ origin: TOOL_CALL_ORIGIN, signature, encrypted: "", id: callId });
  return { type: "redacted_thinking", data };
}

/** The signature under which thinking goes to the caller: its own, or another vendor's in a tag. */
export function thinkingSignature(carried: CarriedSignature): string {
  return carried.origin === MESSAGES && carried.encrypted === "" ? carried.signature : tagSignature(carried);
}

/** The redacted_thinking block for thinking without a word; null when it is to be a thinking block. */
export function redactedBlock(carried: CarriedSignature): JsonObject | null {
  if (carried.encrypted === "") return null;
  const own = carried.origin === MESSAGES && carried.signature === "";
  return { type: "redacted_thinking", data: own ? carried.encrypted : tagSignature(carried) };
}

/** An image or sound in the only form that answers of this wire have for it: a link in a text, which is a loss. */
export function mediaText(source: MediaSource, losses: LossList): string {
  reportMedia(source, losses);
  const address = source.url ?? (source.data === null ? "" : `data:${source.mediaType};base64,${source.data}`);
  return `![${source.mediaType.startsWith("audio/") ? "audio" : "image"}](${address || (source.fileId ?? "")})`;
}
