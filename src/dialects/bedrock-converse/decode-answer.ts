/** A whole answer of Converse as events. */
import { DecodeError, type EncodedRequest } from "../codec.js";
import { asArray, asObject, asObjects, asString, isObject } from "../json.js";
import type { AnswerEvent, JsonObject } from "../semantic.js";
import {
  type AnswerTally,
  annotationOf,
  callId,
  callStart,
  foreignEvent,
  isFormatTool,
  mediaEvent,
  stopEvent,
  traceLoss,
  usageOf,
} from "./answer-parts.js";

interface DecodeState {
  readonly events: AnswerEvent[];
  readonly encoded: EncodedRequest;
  readonly tally: AnswerTally;
  /** Place of the block in the answer. */
  index: number;
}

/** Reads an answer. Throws DecodeError when it has no message. */
export function decodeAnswer(body: JsonObject, encoded: EncodedRequest): AnswerEvent[] {
  const message = asObject(asObject(body.output)?.message);
  if (message === null || !Array.isArray(message.content)) throw new DecodeError("The answer has no message.");
  const events: AnswerEvent[] = [{ kind: "start", id: "", model: "", created: 0 }];
  const state: DecodeState = { events, encoded, tally: { calls: 0, formatCalls: 0 }, index: 0 };
  for (const block of asArray(message.content)) {
    if (!isObject(block)) throw new DecodeError("A content block of the answer is not an object.");
    decodeBlock(block, state);
    state.index++;
  }
  events.push(...traceLoss(body.trace));
  if (isObject(body.usage)) events.push({ kind: "usage", usage: usageOf(body.usage) });
  events.push(stopEvent(asString(body.stopReason), body.additionalModelResponseFields, state.tally), { kind: "end" });
  return events;
}

function decodeBlock(block: JsonObject, state: DecodeState): void {
  const name = Object.keys(block).find((member) => block[member] !== null && block[member] !== undefined) ?? "";
  const reader = Object.hasOwn(READERS, name) ? READERS[name] : undefined;
  if (reader === undefined) state.events.push(foreignEvent(name, block));
  else reader(block, state);
}

const READERS: Readonly<Record<string, (block: JsonObject, state: DecodeState) => void>> = {
  text: ({ text }, { events }) => pushText(events, asString(text)),
  reasoningContent: decodeReasoning,
  toolUse: decodeToolUse,
  citationsContent: decodeCitations,
  image: (block, state) => pushMedia("image", block, state),
  audio: (block, state) => pushMedia("audio", block, state),
};

function pushText(events: AnswerEvent[], text: string): void {
  // A stream has no trace of a block without text.
  if (text !== "") events.push({ kind: "text_start" }, { kind: "text", text }, { kind: "block_stop" });
}

function decodeReasoning(block: JsonObject, { events }: DecodeState): void {
  const content = asObject(block.reasoningContent);
  const reasoning = asObject(content?.reasoningText);
  const encrypted = asString(content?.redactedContent);
  events.push({ kind: "thinking_start", id: "", origin: "bedrock-converse" });
  const text = asString(reasoning?.text);
  const signature = asString(reasoning?.signature);
  if (text !== "") events.push({ kind: "thinking", text });
  if (signature !== "") events.push({ kind: "signature", signature });
  if (encrypted !== "") events.push({ kind: "encrypted", data: encrypted });
  events.push({ kind: "block_stop" });
}

function decodeToolUse(block: JsonObject, state: DecodeState): void {
  const { events, encoded, tally, index } = state;
  const call = asObject(block.toolUse) ?? {};
  if (call.type !== undefined && call.type !== null) {
    events.push(foreignEvent(asString(call.type), block));
    return;
  }
  const name = asString(call.name);
  const isFormat = isFormatTool(name, encoded);
  events.push(callStart(callId(asString(call.toolUseId), index), name, encoded));
  const text = JSON.stringify(call.input ?? {});
  events.push(isFormat ? { kind: "text", text } : { kind: "arguments", text }, { kind: "block_stop" });
  if (isFormat) tally.formatCalls++;
  else tally.calls++;
}

function decodeCitations(block: JsonObject, { events }: DecodeState): void {
  const content = asObject(block.citationsContent);
  const text = asObjects(content?.content).map((part) => asString(part.text));
  events.push({ kind: "text_start" });
  if (text.join("") !== "") events.push({ kind: "text", text: text.join("") });
  for (const citation of asObjects(content?.citations)) {
    events.push({ kind: "annotation", annotation: annotationOf(citation) });
  }
  events.push({ kind: "block_stop" });
}

function pushMedia(kind: "image" | "audio", block: JsonObject, { events }: DecodeState): void {
  events.push(mediaEvent(kind, asObject(block[kind]) ?? {}) ?? foreignEvent(kind, block));
}
