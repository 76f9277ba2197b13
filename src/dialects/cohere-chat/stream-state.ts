/** A streamed answer while it is read; a whole answer is read through the same blocks. */
import type { EncodedRequest } from "../codec.js";
import { lossName } from "../loss-name.js";
import type { AnswerEvent, JsonObject, JsonValue } from "../semantic.js";
import { annotationsOf, isOfText } from "./citations.js";
import { PLAN_ID, WIRE } from "./encode-messages.js";

/** A call that waits for its turn: another is open, or its name has not come. */
interface WaitingCall {
  readonly index: number;
  id: string;
  name: string;
  readonly fragments: string[];
  ended: boolean;
}

export interface StreamState {
  readonly encoded: EncodedRequest;
  readonly events: AnswerEvent[];
  started: boolean;
  /** The open block; text stays open after its end, for citations that come later. */
  open: "" | "text" | "thinking" | "plan" | "call" | "format";
  /** The wire's index of the open call; -1 = none. */
  openCall: number;
  /** The open call has arguments. */
  argued: boolean;
  readonly waiting: Map<number, WaitingCall>;
  /** Calls so far, the format tool's not counted. */
  calls: number;
  /** message-end was seen: the answer is complete. */
  complete: boolean;
  failed: boolean;
}

export function newStreamState(encoded: EncodedRequest): StreamState {
  return {
    encoded,
    events: [],
    started: false,
    open: "",
    openCall: -1,
    argued: false,
    waiting: new Map(),
    calls: 0,
    complete: false,
    failed: false,
  };
}

/** What has been understood since the last time. */
export function takeEvents(state: StreamState): readonly AnswerEvent[] {
  if (state.events.length === 0) return [];
  return state.events.splice(0);
}

/** Says `start` once. */
export function startAnswer(state: StreamState, id: string): void {
  if (state.started) return;
  state.started = true;
  const model = state.encoded.body.model;
  state.events.push({ kind: "start", id, model: typeof model === "string" ? model : "", created: 0 });
}

/** Opens a block of this kind; what was open is closed, a call with all that waits behind it. */
export function openBlock(state: StreamState, kind: "text" | "thinking" | "plan"): void {
  flushCalls(state);
  closeBlock(state);
  state.open = kind;
  if (kind === "text") state.events.push({ kind: "text_start" });
  else state.events.push({ kind: "thinking_start", id: kind === "plan" ? PLAN_ID : "", origin: WIRE });
}

/** Text of a block of this kind, which is opened when it is not. */
export function say(state: StreamState, kind: "text" | "thinking" | "plan", text: string): void {
  if (text === "") return;
  if (state.open !== kind) openBlock(state, kind);
  state.events.push({ kind: kind === "text" ? "text" : "thinking", text });
}

/** A citation of the open text; one of the plan or of the thinking only this wire knows. */
export function cite(state: StreamState, citation: JsonObject): void {
  if (isOfText(citation) && state.open === "text") {
    for (const annotation of annotationsOf(citation)) state.events.push({ kind: "annotation", annotation });
    return;
  }
  flushCalls(state);
  closeBlock(state);
  state.events.push({ kind: "foreign", block: { kind: "foreign", wire: WIRE, type: "citation", raw: citation } });
}

/** Content of a type that is not known here says whatever text it has, and that there was more. */
export function unknownItem(state: StreamState, type: JsonValue | undefined): void {
  if (typeof type !== "string" || type === "text" || type === "thinking") return;
  state.events.push({ kind: "loss", name: lossName(type, "content_item") });
}

// ---- calls -----------------------------------------------------------------------------------------

/** A piece of a call: its start, more of its arguments, or both at once. */
export interface CallPiece {
  readonly id: string;
  readonly name: string;
  readonly fragment: string;
}

/** Takes a piece in. The first call goes out as it comes; others wait until it has ended. */
export function pushCall(state: StreamState, index: number, piece: CallPiece): void {
  if (state.openCall === index) {
    argumentsOf(state, piece.fragment);
    return;
  }
  let call = state.waiting.get(index);
  if (call === undefined) {
    call = { index, id: "", name: "", fragments: [], ended: false };
    state.waiting.set(index, call);
  }
  call.id ||= piece.id;
  call.name ||= piece.name;
  if (piece.fragment !== "") call.fragments.push(piece.fragment);
  if (state.openCall < 0 && call.name !== "") openCall(state, call);
}

/** The call is over; the calls that waited for its end come out. */
export function endCall(state: StreamState, index: number): void {
  const waiting = state.waiting.get(index);
  if (waiting !== undefined) waiting.ended = true;
  if (state.openCall !== index) return;
  closeBlock(state);
  for (const call of state.waiting.values()) {
    if (call.name === "") continue;
    openCall(state, call);
    if (!call.ended) return;
    closeBlock(state);
  }
}

function openCall(state: StreamState, call: WaitingCall): void {
  closeBlock(state);
  state.waiting.delete(call.index);
  state.openCall = call.index;
  if (call.name === state.encoded.formatTool && call.name !== "") {
    state.open = "format";
    state.events.push({ kind: "text_start" });
  } else {
    state.open = "call";
    const name = state.encoded.renamed.get(call.name) ?? call.name;
    const id = call.id || `call_unnamed_${conversationLength(state)}_${state.calls}`;
    state.calls++;
    state.events.push({ kind: "tool_start", id, name, signature: "", flavour: "function" });
  }
  for (const fragment of call.fragments) argumentsOf(state, fragment);
}

/** Grows turn by turn, so that made-up ids differ within a conversation. */
function conversationLength(state: StreamState): number {
  const { messages } = state.encoded.body;
  return Array.isArray(messages) ? messages.length : 0;
}

function argumentsOf(state: StreamState, text: string): void {
  if (text === "") return;
  state.argued = true;
  state.events.push(state.open === "format" ? { kind: "text", text } : { kind: "arguments", text });
}

/** Brings out every call that still waits, ended or not: something else follows. */
export function flushCalls(state: StreamState): void {
  for (const call of state.waiting.values()) openCall(state, call);
}

/** Closes what is open; a call without a word has no arguments, which is an empty object. */
export function closeBlock(state: StreamState): void {
  if ((state.open === "call" || state.open === "format") && !state.argued) argumentsOf(state, "{}");
  if (state.open !== "") state.events.push({ kind: "block_stop" });
  state.open = "";
  state.openCall = -1;
  state.argued = false;
}
