/** What whole answers and streams of Converse have in common: usage, stop reasons, citations, media. */
import { NO_USAGE } from "../answer-fold.js";
import type { EncodedRequest } from "../codec.js";
import { asCount, asObject, asObjects, asString } from "../json.js";
import type { Annotation, AnswerEvent, JsonObject, JsonValue, SemanticUsage, StopReason } from "../semantic.js";
import { WIRE } from "./encode-messages.js";

const STOP_REASONS: ReadonlyMap<string, StopReason> = new Map([
  ["end_turn", "stop"],
  ["stop_sequence", "stop_sequence"],
  ["tool_use", "tool_calls"],
  ["max_tokens", "length"],
  ["model_context_window_exceeded", "length"],
  ["content_filtered", "content_filter"],
  ["guardrail_intervened", "content_filter"],
  ["malformed_tool_use", "error"],
  ["malformed_model_output", "error"],
]);

/** What an answer held, as far as its end depends on it. */
export interface AnswerTally {
  /** Tool calls of the caller's tools. */
  calls: number;
  /** Calls of the forced tool that stands in for structured output. */
  formatCalls: number;
}

/** The `stop` event for a stop reason, `additionalModelResponseFields` telling which sequence it was. */
export function stopEvent(native: string, fields: JsonValue | undefined, tally: AnswerTally): AnswerEvent {
  let reason = STOP_REASONS.get(native) ?? "stop";
  // The structured answer is no call to the caller; and some models call tools and say that the turn is over.
  if (reason === "tool_calls" && tally.calls === 0 && tally.formatCalls > 0) reason = "stop";
  else if (native === "end_turn" && tally.calls > 0) reason = "tool_calls";
  return { kind: "stop", reason, sequence: reason === "stop_sequence" ? sequenceIn(fields) : null, native };
}

function sequenceIn(fields: JsonValue | undefined): string | null {
  const object = asObject(fields);
  return asString(object?.stop_sequence) || asString(asObject(object?.delta)?.stop_sequence) || null;
}

/** Converse counts cached prompt tokens apart; `input` here holds them. */
export function usageOf(value: JsonValue | undefined): SemanticUsage {
  const usage = asObject(value);
  if (usage === null) return NO_USAGE;
  const cacheRead = asCount(usage.cacheReadInputTokens);
  const cacheWrite = asCount(usage.cacheWriteInputTokens);
  const fresh = asCount(usage.inputTokens);
  const input = fresh < 0 ? -1 : fresh + Math.max(cacheRead, 0) + Math.max(cacheWrite, 0);
  return { input, output: asCount(usage.outputTokens), cacheRead, cacheWrite, reasoning: -1 };
}

/** A citation; the part of it that no other wire knows stays in `raw`. */
export function annotationOf(citation: JsonObject): Annotation {
  const location = asObject(citation.location);
  const web = asObject(location?.web);
  const cited = asObjects(citation.sourceContent).map((content) => asString(content.text));
  return {
    kind: web === null ? "document" : "url",
    url: asString(web?.url),
    title: asString(citation.title),
    citedText: cited.join(""),
    // Converse says where in the document, never where in the answer.
    start: -1,
    end: -1,
    raw: citation,
  };
}

/** An image or sound that the model made; null when its bytes are not there. */
export function mediaEvent(kind: "image" | "audio", block: JsonObject): AnswerEvent | null {
  const source = asObject(block.source);
  const data = asString(source?.bytes);
  const url = asString(asObject(source?.s3Location)?.uri);
  if (data === "" && url === "") return null;
  const mediaType = `${kind}/${asString(block.format)}`;
  return { kind: "media", source: { data: data || null, url: data === "" ? url : null, fileId: null, mediaType } };
}

/** A block of a kind that only Converse knows, carried raw. */
export function foreignEvent(type: string, raw: JsonObject): AnswerEvent {
  return { kind: "foreign", block: { kind: "foreign", wire: WIRE, type, raw } };
}

/** What guardrails and routers tell of their work has no place in an answer; `[]` when they told nothing. */
export function traceLoss(trace: JsonValue | undefined): AnswerEvent[] {
  const told = asObject(trace);
  return told === null || Object.keys(told).length === 0 ? [] : [{ kind: "loss", name: "trace" }];
}

/** The event that opens a tool call, or the structured answer that a forced tool stands in for. */
export function callStart(id: string, name: string, encoded: EncodedRequest): AnswerEvent {
  if (isFormatTool(name, encoded)) return { kind: "text_start" };
  return { kind: "tool_start", id, name: encoded.renamed.get(name) ?? name, signature: "", flavour: "function" };
}

/** Is this the forced tool that stands in for structured output? */
export function isFormatTool(name: string, encoded: EncodedRequest): boolean {
  return encoded.formatTool !== "" && name === encoded.formatTool;
}

/** An id for a call that came without one: the same for the same place in the answer. */
export function callId(given: string, index: number): string {
  return given || `tool_${index}`;
}
