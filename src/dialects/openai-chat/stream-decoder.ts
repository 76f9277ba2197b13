/** Chat chunks of the vendor or a look-alike → events. */
import { blockEvents } from "../answer-fold.js";
import { DecodeError, type EncodedRequest, type StreamDecoder, type WireEvent } from "../codec.js";
import { asCount, asObject, asObjects, asString, isObject, parseValue } from "../json.js";
import type { Annotation, AnswerError, AnswerEvent, JsonObject, MediaSource } from "../semantic.js";
import { type Reading, partBlocks, stopOf } from "./decode-answer.js";
import { foreignBlocks, imagesOf } from "./decode-messages.js";
import { annotationOf } from "./decode-parts.js";
import { errorIn, readError } from "./error.js";
import { dataSource } from "../media.js";
import { readDetail, type ReasoningDetail } from "./reasoning.js";
import { type CallState, closeCalls, hasOpenCall, newCallState, pushCall } from "./tool-deltas.js";
import { losesThinkingBlocks, reportUnread, reportUnreadBeside, sourcesIn } from "./unread.js";
import { usageIn } from "./usage.js";
import { WIRE } from "./wire-name.js";

/** The open block of a candidate, calls aside. */
type Open = "text" | "thinking" | "refusal" | null;

interface Choice {
  readonly index: number;
  open: Open;
  /** Index and id of the entry that the open thinking grows by. */
  detail: { readonly index: number; readonly id: string } | null;
  /** Which field carries the text of thinking, once known: the other one repeats it. */
  channel: "content" | "details" | null;
  readonly calls: CallState;
  hadCalls: boolean;
  /** Citations have been said. */
  cited: boolean;
  /** Deltas that came while calls were open; they are read after them. */
  late: JsonObject[];
  /** Sound arrives in pieces and is said whole. */
  audio: string[];
  stop: Extract<AnswerEvent, { readonly kind: "stop" }> | null;
}

interface State {
  readonly reading: Reading;
  readonly choices: Map<number, Choice>;
  /** Index of the candidate that events belong to. */
  current: number;
  started: boolean;
  usageSeen: boolean;
  over: boolean;
}

function newChoice(index: number): Choice {
  return {
    index,
    open: null,
    detail: null,
    channel: null,
    calls: newCallState(),
    hadCalls: false,
    cited: false,
    late: [],
    audio: [],
    stop: null,
  };
}

/** Reads chunks; after `[DONE]` or an error nothing more. */
export function streamDecoder(encoded: EncodedRequest): StreamDecoder {
  const state: State = {
    reading: { encoded, answerId: "", calls: 0, sources: [] },
    choices: new Map(),
    current: 0,
    started: false,
    usageSeen: false,
    over: false,
  };
  return { push: (event) => push(state, event), finish: () => finish(state), close: () => close(state) };
}

function push(state: State, { event, data }: WireEvent): readonly AnswerEvent[] {
  const text = data.trim();
  if (state.over || (text === "" && event !== "error")) return [];
  if (text === "[DONE]") return endAnswer(state);
  const value = parseValue(text);
  const body = asObject(value);
  if (event === "error") return fail(state, readError(body === null ? text : (errorIn(body) ?? body), 0));
  if (body === null) throw new DecodeError("A chunk of the stream is not a JSON object.");
  const error = errorIn(body);
  if (error !== null) return fail(state, readError(error, 0));
  return readChunk(state, body);
}

function fail(state: State, error: AnswerError): AnswerEvent[] {
  state.over = true;
  return [{ kind: "error", error }];
}

function readChunk(state: State, body: JsonObject): AnswerEvent[] {
  const events: AnswerEvent[] = [];
  const choices = asObjects(body.choices);
  // A chunk about the prompt alone may stand in front, without id and model.
  if (!state.started && (choices.length > 0 || asString(body.id) !== "")) events.push(startEvent(state, body));
  state.reading.sources = sourcesIn(body) ?? state.reading.sources;
  reportUnreadBeside(body, events);
  for (const choice of choices) {
    if (isObject(choice.error)) return [...events, ...fail(state, readError(choice.error, 0))];
    readChoice(state, choice, events);
  }
  const usage = usageIn(body);
  if (usage !== null) {
    state.usageSeen = true;
    events.push({ kind: "usage", usage });
  }
  return events;
}

function startEvent(state: State, body: JsonObject): AnswerEvent {
  state.started = true;
  const id = asString(body.id);
  state.reading.answerId = id;
  return { kind: "start", id, model: asString(body.model), created: Math.max(0, asCount(body.created)) };
}

/** The candidate of this index; a `choice` event where it is not the current one. */
function choiceAt(state: State, index: number, events: AnswerEvent[]): Choice {
  let choice = state.choices.get(index);
  if (choice === undefined) {
    choice = newChoice(index);
    state.choices.set(index, choice);
  }
  if (state.current !== index) {
    state.current = index;
    events.push({ kind: "choice", index });
  }
  return choice;
}

function readChoice(state: State, wire: JsonObject, events: AnswerEvent[]): void {
  const choice = choiceAt(state, Math.max(0, asCount(wire.index)), events);
  const delta = asObject(wire.delta) ?? asObject(wire.message);
  if (delta !== null) readDelta(state, choice, delta, events);
  if (isObject(wire.logprobs)) events.push({ kind: "logprobs", logprobs: wire.logprobs });
  if (asString(wire.finish_reason) === "" || choice.stop !== null) return;
  closeChoice(state, choice, events);
  const { stop, sequence, native } = stopOf(wire, choice.hadCalls);
  choice.stop = { kind: "stop", reason: stop ?? "stop", sequence, native };
}

/** Everything but calls waits while a call is open: its fragments may still come. */
function readDelta(state: State, choice: Choice, delta: JsonObject, events: AnswerEvent[]): void {
  const calls = callsIn(delta);
  reportUnread(delta, events);
  if (losesThinkingBlocks(delta)) events.push({ kind: "loss", name: "thinking_blocks" });
  if (hasOpenCall(choice.calls)) {
    if (saysMore(delta)) choice.late.push(delta);
  } else {
    readContent(choice, delta, events);
    if (calls.length > 0) closeOpen(choice, events);
  }
  for (const call of calls) {
    choice.hadCalls ||= !isFormatCall(state, call);
    for (const event of pushCall(choice.calls, call, state.reading)) events.push(event);
  }
}

function isFormatCall(state: State, call: JsonObject): boolean {
  const { formatTool } = state.reading.encoded;
  if (formatTool === "") return false;
  const name = asString(asObject(call.function)?.name);
  return name === "" || name === formatTool;
}

function callsIn(delta: JsonObject): readonly JsonObject[] {
  if (delta.tool_calls !== undefined && delta.tool_calls !== null) return asObjects(delta.tool_calls);
  return isObject(delta.function_call) ? [{ index: 0, function: delta.function_call }] : [];
}

/** Fields of a delta that `readContent` reads. */
const CONTENT_FIELDS = [
  "content",
  "refusal",
  "reasoning_content",
  "reasoning",
  "reasoning_details",
  "annotations",
  "images",
  "audio",
  "extra_content",
];

function saysMore(delta: JsonObject): boolean {
  return CONTENT_FIELDS.some((name) => {
    const value = delta[name];
    return value !== undefined && value !== null && value !== "";
  });
}

function readContent(choice: Choice, delta: JsonObject, events: AnswerEvent[]): void {
  readThinking(choice, delta, events);
  if (delta.extra_content !== undefined)
    whole(
      choice,
      foreignBlocks(delta).flatMap((block) => blockEvents(block as never)),
      events,
    );
  if (typeof delta.content === "string") say(choice, "text", delta.content, events);
  else for (const part of asObjects(delta.content)) readPart(choice, part, events);
  if (typeof delta.refusal === "string") say(choice, "refusal", delta.refusal, events);
  if (delta.annotations !== undefined) readAnnotations(choice, delta, events);
  for (const image of imagesOf(delta)) whole(choice, [{ kind: "media", source: image.source }], events);
  if (isObject(delta.audio)) readAudio(choice, delta.audio, events);
}

/** A part in a delta's content is a piece of its block, as a text would be. */
function readPart(choice: Choice, part: JsonObject, events: AnswerEvent[]): void {
  for (const block of partBlocks(part)) {
    if (block.kind === "text" || block.kind === "refusal") say(choice, block.kind, block.text, events);
    else if (block.kind === "thinking") {
      say(choice, "thinking", block.text, events);
      prove(choice, block, events);
    } else whole(choice, blockEvents(block), events);
  }
}

/** Annotations belong to the text, even when they come after it was closed. */
function readAnnotations(choice: Choice, delta: JsonObject, events: AnswerEvent[]): void {
  for (const raw of asObjects(delta.annotations)) {
    cite(choice, annotationOf(raw), events);
  }
}

function cite(choice: Choice, annotation: Annotation, events: AnswerEvent[]): void {
  if (choice.open !== "text") begin(choice, "text", events);
  choice.cited = true;
  events.push({ kind: "annotation", annotation });
}

function readAudio(choice: Choice, audio: JsonObject, events: AnswerEvent[]): void {
  say(choice, "text", asString(audio.transcript), events);
  const data = asString(audio.data);
  if (data !== "") choice.audio.push(data);
}

function readThinking(choice: Choice, delta: JsonObject, events: AnswerEvent[]): void {
  const text = asString(delta.reasoning_content) || asString(delta.reasoning);
  const details = asObjects(delta.reasoning_details).map(readDetail);
  if (details.length > 0) choice.channel ??= "details";
  else if (text !== "") choice.channel ??= "content";
  // Both in one chunk say the same; plain text that came alone is followed by entries for the proof only.
  if (details.length === 0 || choice.channel === "content") say(choice, "thinking", text, events);
  for (const detail of details) {
    if (choice.channel === "content" && choice.open === "thinking") {
      prove(choice, detail, events);
      closeOpen(choice, events);
    } else {
      readDetailDelta(choice, detail, events);
    }
  }
}

/** Does the entry go on with the open thinking? Fragments may leave the id away, but not the index, if there is one. */
function goesOn(choice: Choice, { index, id, encrypted }: ReasoningDetail): boolean {
  if (choice.open !== "thinking" || choice.detail === null || choice.detail.index !== index) return false;
  return (index >= 0 || encrypted === "") && (id === "" || choice.detail.id === id);
}

function readDetailDelta(choice: Choice, detail: ReasoningDetail, events: AnswerEvent[]): void {
  if (!goesOn(choice, detail)) {
    begin(choice, "thinking", events, detail);
    choice.detail = { index: detail.index, id: detail.id };
  }
  if (detail.text !== "") events.push({ kind: "thinking", text: detail.text });
  prove(choice, detail, events);
}

function prove(choice: Choice, proof: { signature: string; encrypted: string }, events: AnswerEvent[]): void {
  if (proof.signature === "" && proof.encrypted === "") return;
  if (choice.open !== "thinking") begin(choice, "thinking", events);
  if (proof.signature !== "") events.push({ kind: "signature", signature: proof.signature });
  if (proof.encrypted !== "") events.push({ kind: "encrypted", data: proof.encrypted });
}

/** Opens a block, whatever was open before. */
function begin(choice: Choice, kind: NonNullable<Open>, events: AnswerEvent[], detail?: ReasoningDetail): void {
  closeOpen(choice, events);
  choice.open = kind;
  if (kind === "thinking")
    events.push({ kind: "thinking_start", id: detail?.id ?? "", origin: detail?.origin || WIRE });
  else events.push({ kind: kind === "text" ? "text_start" : "refusal_start" });
}

function say(choice: Choice, kind: NonNullable<Open>, text: string, events: AnswerEvent[]): void {
  if (text === "") return;
  if (choice.open !== kind) begin(choice, kind, events);
  events.push({ kind, text });
}

function whole(choice: Choice, said: readonly AnswerEvent[], events: AnswerEvent[]): void {
  if (said.length === 0) return;
  closeOpen(choice, events);
  events.push(...said);
}

function closeOpen(choice: Choice, events: AnswerEvent[]): void {
  if (choice.open !== null) events.push({ kind: "block_stop" });
  choice.open = null;
  choice.detail = null;
}

/** Ends every block of a candidate: the calls, then what came while they were open. */
function closeChoice(state: State, choice: Choice, events: AnswerEvent[]): void {
  events.push(...closeCalls(choice.calls, state.reading));
  const { late } = choice;
  choice.late = [];
  for (const delta of late) readContent(choice, delta, events);
  if (!choice.cited) for (const source of state.reading.sources) cite(choice, source, events);
  closeOpen(choice, events);
  if (choice.audio.length === 0) return;
  const source: MediaSource = dataSource(choice.audio.join(""), "audio/wav");
  choice.audio = [];
  events.push({ kind: "media", source });
}

/** `stop` of every candidate is said at the very end, as some servers go on after the reason. */
function endAnswer(state: State): AnswerEvent[] {
  state.over = true;
  const events: AnswerEvent[] = [];
  if (!state.started) events.push(startEvent(state, {}));
  if (state.choices.size === 0) choiceAt(state, 0, events);
  for (const { index } of [...state.choices.values()]) {
    const choice = choiceAt(state, index, events);
    closeChoice(state, choice, events);
    const reason = choice.hadCalls ? "tool_calls" : "stop";
    events.push(choice.stop ?? { kind: "stop", reason, sequence: null, native: "" });
  }
  events.push({ kind: "end" });
  return events;
}

const CUT_OFF: AnswerError = Object.freeze({
  status: 502,
  type: "upstream_decode_error",
  code: "upstream_decode_error",
  message: "The upstream ended its stream before the answer was complete.",
});

/**
 * The body has ended. Without `[DONE]` an answer is complete only when every candidate has said why it ended
 * and usage, which comes last, was seen: some look-alikes leave the terminator away.
 */
function finish(state: State): AnswerEvent[] {
  if (state.over) return [];
  const choices = [...state.choices.values()];
  const isComplete = choices.length > 0 && state.usageSeen && choices.every((choice) => choice.stop !== null);
  return isComplete ? endAnswer(state) : fail(state, CUT_OFF);
}

/** Nothing follows the reasons but usage, which can be estimated. */
function close(state: State): AnswerEvent[] {
  const choices = [...state.choices.values()];
  const allStopped = choices.length > 0 && choices.every((choice) => choice.stop !== null);
  return !state.over && allStopped ? endAnswer(state) : [];
}
