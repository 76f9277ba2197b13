/** What items and responses of this wire mean, for whole answers and for what a stream brings in one piece. */
import { asArray, asObject, asObjects, asString } from "../json.js";
import type { AnswerEvent, JsonObject, StopReason } from "../semantic.js";
import { reasoningText } from "./decode-input.js";
import { decodeAnswerError } from "./error.js";
import { decodeAnnotation, decodeUsage, WIRE } from "./shapes.js";

/** The name that the caller gave a tool, by the one that was sent. */
export type ToolNames = ReadonlyMap<string, string>;

/** The id of a call; one without any gets one by its place. */
export function callId(item: JsonObject, index: number): string {
  return asString(item.call_id) || asString(item.id) || `call_${index}`;
}

function textEvents(part: JsonObject): AnswerEvent[] {
  const events: AnswerEvent[] = [{ kind: "text_start" }];
  const text = asString(part.text);
  if (text !== "") events.push({ kind: "text", text });
  for (const raw of asObjects(part.annotations)) events.push({ kind: "annotation", annotation: decodeAnnotation(raw) });
  if (asArray(part.logprobs).length > 0) events.push({ kind: "logprobs", logprobs: { content: part.logprobs } });
  events.push({ kind: "block_stop" });
  return events;
}

/** A part of a message, whole. Parts that nobody knows are read as text if they have any. */
export function partEvents(part: JsonObject): AnswerEvent[] {
  if (part.type === "refusal") {
    return [{ kind: "refusal_start" }, { kind: "refusal", text: asString(part.refusal) }, { kind: "block_stop" }];
  }
  if (part.type === "output_text" || typeof part.text === "string") return textEvents(part);
  return [{ kind: "foreign", block: { kind: "foreign", wire: WIRE, type: asString(part.type), raw: part } }];
}

function reasoningEvents(item: JsonObject): AnswerEvent[] {
  const events: AnswerEvent[] = [{ kind: "thinking_start", id: asString(item.id), origin: WIRE }];
  const text = reasoningText(item);
  if (text !== "") events.push({ kind: "thinking", text });
  const data = asString(item.encrypted_content);
  if (data !== "") events.push({ kind: "encrypted", data });
  events.push({ kind: "block_stop" });
  return events;
}

/** The first event of a call. */
export function callStart(item: JsonObject, index: number, names: ToolNames): AnswerEvent {
  const name = asString(item.name);
  const flavour = item.type === "custom_tool_call" ? "custom" : "function";
  return { kind: "tool_start", id: callId(item, index), name: names.get(name) ?? name, signature: "", flavour };
}

function callEvents(item: JsonObject, index: number, names: ToolNames): AnswerEvent[] {
  const text = asString(item.type === "custom_tool_call" ? item.input : item.arguments);
  const events = [callStart(item, index, names)];
  if (text !== "") events.push({ kind: "arguments", text });
  events.push({ kind: "block_stop" });
  return events;
}

/** An item that the vendor's own tools made: a picture, or something that only this wire knows. */
function hostedEvents(item: JsonObject): AnswerEvent[] {
  const type = asString(item.type);
  const data = asString(item.result);
  if (type !== "image_generation_call" || data === "") {
    return [{ kind: "foreign", block: { kind: "foreign", wire: WIRE, type, raw: item } }];
  }
  const mediaType = `image/${asString(item.output_format) || "png"}`;
  const events: AnswerEvent[] = [{ kind: "media", source: { data, url: null, fileId: null, mediaType } }];
  // The words that the picture was really made from.
  if (asString(item.revised_prompt) !== "") events.push({ kind: "loss", name: "revised_prompt" });
  return events;
}

/** Remarks on the way to the answer are told from the answer itself by their phase, which has no event. */
export function phaseLoss(item: JsonObject): AnswerEvent[] {
  const phase = asString(item.phase);
  return phase === "" || phase === "final_answer" ? [] : [{ kind: "loss", name: "phase" }];
}

/** An output item, whole. */
export function itemEvents(item: JsonObject, index: number, names: ToolNames): AnswerEvent[] {
  switch (item.type) {
    case "message":
      return [...phaseLoss(item), ...asObjects(item.content).flatMap(partEvents)];
    case "reasoning":
      return reasoningEvents(item);
    case "function_call":
    case "custom_tool_call":
      return callEvents(item, index, names);
    default:
      return hostedEvents(item);
  }
}

/** Does an answer with this item want the caller to call something? */
export function isCall(item: JsonObject): boolean {
  return item.type === "function_call" || item.type === "custom_tool_call";
}

const INCOMPLETE: Readonly<Record<string, StopReason>> = {
  max_output_tokens: "length",
  max_tokens: "length",
  content_filter: "content_filter",
};

/** The last events of a response: usage, then why it stopped and the end, or its error. */
export function endEvents(response: JsonObject, called: boolean): AnswerEvent[] {
  const events: AnswerEvent[] = [];
  const usage = asObject(response.usage);
  if (usage !== null) events.push({ kind: "usage", usage: decodeUsage(usage) });
  const status = asString(response.status) || "completed";
  const error = asObject(response.error);
  if (error !== null || status === "failed" || status === "cancelled") {
    const fallback = `The upstream's response ended as ${status}.`;
    events.push({ kind: "error", error: decodeAnswerError(error ?? {}, fallback) });
    return events;
  }
  const native = asString(asObject(response.incomplete_details)?.reason) || status;
  let reason: StopReason = called ? "tool_calls" : "stop";
  if (status === "incomplete") reason = INCOMPLETE[native] ?? "length";
  events.push({ kind: "stop", reason, sequence: null, native }, { kind: "end" });
  return events;
}
