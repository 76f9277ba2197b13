/**
 * Calls in a stream of chat chunks. The wire may interleave the fragments of parallel calls; blocks may not
 * overlap. The first call is passed on as it comes, the fragments of later ones wait until it is over.
 */
import { DecodeError } from "../codec.js";
import { asObject, asString } from "../json.js";
import type { AnswerEvent, JsonObject, JsonValue } from "../semantic.js";
import { argumentsOf, madeUpId, type Reading } from "./decode-answer.js";
import { signatureOf } from "./decode-messages.js";

interface Call {
  id: string;
  name: string;
  signature: string;
  flavour: "function" | "custom";
  /** Fragments that cannot be passed on yet: the name is missing, or an earlier call is still open. */
  waiting: string[];
  started: boolean;
  /** Is it the forced tool whose arguments are the structured answer? */
  isFormat: boolean;
}

/** The calls of one candidate. */
export interface CallState {
  /** By the wire's index, or by id where there is no index; the last one of each. */
  readonly byKey: Map<number | string, Call>;
  /** In order; the first is the open one. */
  readonly queue: Call[];
  last: Call | null;
}

export function newCallState(): CallState {
  return { byKey: new Map(), queue: [], last: null };
}

/** Is a call open, so that nothing else may begin? */
export function hasOpenCall(state: CallState): boolean {
  return state.queue.length > 0;
}

/** The call that a fragment belongs to. A known index with another id and a name is a new call: some servers count wrong. */
function callFor(state: CallState, delta: JsonObject, name: string): Call {
  const id = asString(delta.id);
  const key = typeof delta.index === "number" ? delta.index : id;
  const known = key === "" ? state.last : (state.byKey.get(key) ?? null);
  const isOther = known !== null && id !== "" && known.id !== "" && known.id !== id && name !== "";
  if (known !== null && !isOther) return known;
  const call: Call = { id, name: "", signature: "", flavour: "function", waiting: [], started: false, isFormat: false };
  if (key !== "") state.byKey.set(key, call);
  state.queue.push(call);
  return call;
}

/** Takes one entry of `tool_calls` (or the legacy `function_call`, as `{function}`) and says what can be said. */
export function pushCall(state: CallState, delta: JsonObject, reading: Reading): AnswerEvent[] {
  const custom = asObject(delta.custom);
  const called = custom ?? asObject(delta.function) ?? {};
  const name = asString(called.name);
  const call = callFor(state, delta, name);
  state.last = call;
  if (custom !== null || delta.type === "custom") call.flavour = "custom";
  if (call.id === "") call.id = asString(delta.id);
  if (call.signature === "") call.signature = signatureOf(delta);
  if (call.name === "" && name !== "") setName(call, name, reading);
  const said = argumentsOf((custom === null ? called.arguments : custom.input) as JsonValue | undefined);
  if (call !== state.queue[0]) {
    if (said !== "") call.waiting.push(said);
    return [];
  }
  return passOn(call, said, reading);
}

function setName(call: Call, name: string, reading: Reading): void {
  const { formatTool, renamed } = reading.encoded;
  call.isFormat = formatTool !== "" && name === formatTool;
  call.name = renamed.get(name) ?? name;
}

/** What the open call can say: its start once the name is known and arguments come, then every fragment. */
function passOn(call: Call, said: string, reading: Reading): AnswerEvent[] {
  if (call.started) return said === "" ? [] : [argumentEvent(call, said)];
  // The id may still come, until there is something to say.
  if (call.name === "" || (call.id === "" && said === "" && call.waiting.length === 0)) {
    if (said !== "") call.waiting.push(said);
    return [];
  }
  const events = [startEvent(call, reading), ...call.waiting.map((text) => argumentEvent(call, text))];
  call.waiting = [];
  if (said !== "") events.push(argumentEvent(call, said));
  return events;
}

function startEvent(call: Call, reading: Reading): AnswerEvent {
  call.started = true;
  if (call.isFormat) return { kind: "text_start" };
  const id = call.id === "" ? madeUpId(reading) : call.id;
  reading.calls++;
  return { kind: "tool_start", id, name: call.name, signature: call.signature, flavour: call.flavour };
}

function argumentEvent(call: Call, text: string): AnswerEvent {
  return call.isFormat ? { kind: "text", text } : { kind: "arguments", text };
}

/** Ends all calls, in order: what waited is said. Throws DecodeError for arguments whose call never got a name. */
export function closeCalls(state: CallState, reading: Reading): AnswerEvent[] {
  const events: AnswerEvent[] = [];
  for (const call of state.queue) {
    if (!call.started) {
      if (call.name === "" && call.waiting.length === 0) continue;
      if (call.name === "") throw new DecodeError("A tool call has no name.");
      events.push(startEvent(call, reading));
    }
    for (const text of call.waiting) events.push(argumentEvent(call, text));
    call.waiting = [];
    events.push({ kind: "block_stop" });
  }
  state.queue.length = 0;
  state.byKey.clear();
  state.last = null;
  return events;
}
