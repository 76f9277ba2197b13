/** Events of a /v2/chat stream → events of an answer; `message-end` completes it. */
import { DecodeError, type EncodedRequest, type StreamDecoder, type WireEvent } from "../codec.js";
import { lossName } from "../loss-name.js";
import { asCount, asObject, asString, isObject, parseValue } from "../json.js";
import type { AnswerEvent, JsonObject } from "../semantic.js";
import { listed, logprobsEvents, readUsage, stopEvent } from "./answer-values.js";
import { decodeError } from "./error.js";
import {
  cite,
  closeBlock,
  endCall,
  flushCalls,
  newStreamState,
  openBlock,
  pushCall,
  type StreamState,
  say,
  startAnswer,
  takeEvents,
  unknownItem,
} from "./stream-state.js";

type Handler = (state: StreamState, data: JsonObject) => void;

const HANDLERS: Readonly<Record<string, Handler>> = {
  "message-start": () => {},
  "content-start": (state, data) => readContent(state, data, true),
  "content-delta": (state, data) => readContent(state, data, false),
  "tool-plan-delta": (state, data) => say(state, "plan", asString(messageOf(data).tool_plan)),
  "tool-call-start": readCall,
  "tool-call-delta": readCall,
  "tool-call-end": (state, data) => endCall(state, Math.max(asCount(data.index), 0)),
  "citation-start": (state, data) => {
    for (const citation of listed(messageOf(data).citations)) cite(state, citation);
  },
  "message-end": readEnd,
  error: (state, data) => fail(state, data),
};

/** Events that say no more than the ones before them. */
const SILENT: ReadonlySet<string> = new Set(["", "content-end", "citation-end", "debug"]);

/** Throws DecodeError on what is not JSON. Event types not known are losses. */
export function streamDecoder(encoded: EncodedRequest): StreamDecoder {
  const state = newStreamState(encoded);
  return {
    push: (event) => push(state, event),
    finish: () => finish(state),
  };
}

function push(state: StreamState, { event, data }: WireEvent): readonly AnswerEvent[] {
  const text = data.trim();
  if (state.failed || text === "" || text === "[DONE]") return [];
  const value = parseValue(text);
  if (!isObject(value)) throw new DecodeError("A piece of the stream is not a JSON object.");
  const type = asString(value.type) || event;
  const handler = Object.hasOwn(HANDLERS, type) ? HANDLERS[type] : undefined;
  if (handler === undefined) {
    if (type === "" && (value.message !== undefined || value.error !== undefined)) fail(state, value);
    else if (!SILENT.has(type)) state.events.push({ kind: "loss", name: lossName(type, "stream_event") });
    return takeEvents(state);
  }
  // Whatever comes first begins the answer: some hosts leave message-start out.
  if (handler !== HANDLERS.error) startAnswer(state, asString(value.id));
  handler(state, value);
  return takeEvents(state);
}

function finish(state: StreamState): readonly AnswerEvent[] {
  if (state.failed) return [];
  state.failed = true;
  if (state.complete) return [{ kind: "end" }];
  const message = "The upstream's stream ended before the answer was complete.";
  return [{ kind: "error", error: { status: 502, type: "transport_error", code: null, message } }];
}

function messageOf(data: JsonObject): JsonObject {
  return asObject(asObject(data.delta)?.message) ?? {};
}

function readContent(state: StreamState, data: JsonObject, starts: boolean): void {
  const content = asObject(messageOf(data).content) ?? {};
  if (starts) unknownItem(state, content.type);
  const thinking = content.type === "thinking" || typeof content.thinking === "string";
  const said = asString(thinking ? content.thinking : content.text);
  // An item without words yet is opened by its first word, so that none is left empty.
  if (starts && said === "") endText(state, thinking ? "thinking" : "text");
  else if (starts) openBlock(state, thinking ? "thinking" : "text");
  say(state, thinking ? "thinking" : "text", said);
  if (data.logprobs !== undefined) state.events.push(...logprobsEvents(listed(data.logprobs)));
}

/** Two items of one kind side by side are two blocks. */
function endText(state: StreamState, kind: "text" | "thinking"): void {
  if (state.open === kind) closeBlock(state);
}

function readCall(state: StreamState, data: JsonObject): void {
  const index = Math.max(asCount(data.index), 0);
  for (const call of listed(messageOf(data).tool_calls)) {
    const called = asObject(call.function);
    pushCall(state, index, {
      id: asString(call.id),
      name: asString(called?.name),
      fragment: asString(called?.arguments),
    });
  }
}

function readEnd(state: StreamState, data: JsonObject): void {
  const delta = asObject(data.delta) ?? {};
  const error = asString(delta.error);
  if (error !== "") {
    fail(state, { message: error });
    return;
  }
  flushCalls(state);
  closeBlock(state);
  if (!state.complete) state.events.push(stopEvent(asString(delta.finish_reason), state.calls));
  const usage = readUsage(asObject(delta.usage));
  if (usage !== null) state.events.push({ kind: "usage", usage });
  state.complete = true;
}

function fail(state: StreamState, data: JsonObject): void {
  state.failed = true;
  state.events.push({ kind: "error", error: decodeError(500, data, "") });
}
