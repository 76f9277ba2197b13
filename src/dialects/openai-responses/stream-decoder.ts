/**
 * Streams of upstreams of the responses dialect. Items may be made at the same time; the answer's blocks never
 * overlap, so the first open item is forwarded as it comes, and what belongs to a later one waits for its turn.
 */
import { DecodeError, type EncodedRequest, type StreamDecoder, type WireEvent } from "../codec.js";
import { asCount, asObject, asObjects, asString, parseObject } from "../json.js";
import type { AnswerEvent, JsonObject } from "../semantic.js";
import { endEvents, isCall, itemEvents, type ToolNames } from "./answer-reading.js";
import { startEvent } from "./decode-answer.js";
import { decodeAnswerError } from "./error.js";
import { announce, closeBlock, finishItem, newItem, type OpenItem, type Reader, READERS } from "./stream-items.js";

export interface DecoderState {
  readonly names: ToolNames;
  started: boolean;
  ended: boolean;
  /** Does the answer want the caller to call something? */
  called: boolean;
  /** Items seen so far, those that are done included. */
  count: number;
  readonly items: Map<number, OpenItem>;
  /** Items that have not been forwarded whole, in the order of their beginning. */
  readonly order: OpenItem[];
  /** What the event at hand means. */
  out: AnswerEvent[];
}

function start(state: DecoderState, response: JsonObject): void {
  if (state.started) return;
  state.started = true;
  state.out.push(startEvent(response));
}

/** Adds an item; the first in line writes straight into the answer. */
function addItem(state: DecoderState, index: number, item: JsonObject): OpenItem {
  start(state, {});
  const added = newItem(item, index, state.order.length === 0 ? state.out : []);
  state.items.set(index, added);
  state.order.push(added);
  state.count++;
  return added;
}

/** The item that an event speaks of; one that was never announced is made of what the event tells. */
function itemOf(state: DecoderState, data: JsonObject, type: string): OpenItem {
  const said = asCount(data.output_index);
  const index = said >= 0 ? said : (state.order.at(-1)?.index ?? state.count);
  return state.items.get(index) ?? addItem(state, index, { type, id: asString(data.item_id) });
}

/** Forwards the items whose turn has come. */
function advance(state: DecoderState): void {
  while (state.order[0]?.done === true) {
    state.order.shift();
    const next = state.order[0];
    if (next === undefined) return;
    for (const event of next.events) state.out.push(event);
    next.events = state.out;
  }
}

/** What waits is written where it belongs: a new batch of events begins for the first in line. */
function newBatch(state: DecoderState): void {
  state.out = [];
  const first = state.order[0];
  if (first !== undefined) first.events = state.out;
}

function itemAdded(state: DecoderState, data: JsonObject): void {
  const item = asObject(data.item);
  if (item === null) return;
  const said = asCount(data.output_index);
  const index = said >= 0 ? said : state.count;
  const known = state.items.get(index);
  if (known !== undefined) known.item = { ...known.item, ...item };
  announce(known ?? addItem(state, index, item), state.names);
  if (isCall(item)) state.called = true;
}

function itemDone(state: DecoderState, data: JsonObject): void {
  const item = asObject(data.item);
  if (item === null) return;
  if (isCall(item)) state.called = true;
  const said = asCount(data.output_index);
  const index = said >= 0 ? said : (state.order.at(-1)?.index ?? state.count);
  const open = state.items.get(index) ?? addItem(state, index, item);
  if (open.done) return;
  finishItem(open, item, state.names);
  advance(state);
}

/** Ends the answer; an upstream that told nothing on the way tells it here. */
function responseEnded(state: DecoderState, data: JsonObject): void {
  const response = asObject(data.response) ?? data;
  start(state, response);
  closeAll(state);
  if (state.count === 0) {
    for (const [index, item] of asObjects(response.output).entries()) {
      if (isCall(item)) state.called = true;
      for (const event of itemEvents(item, index, state.names)) state.out.push(event);
    }
  }
  state.ended = true;
  state.out.push(...endEvents(response, state.called));
}

function closeAll(state: DecoderState): void {
  for (const item of [...state.order]) {
    if (!item.done) {
      closeBlock(item, state.names);
      item.done = true;
    }
    advance(state);
  }
}

function failed(state: DecoderState, data: JsonObject): void {
  const error = asObject(data.error) ?? data;
  state.ended = true;
  state.out.push({ kind: "error", error: decodeAnswerError(error, "The upstream's stream broke off with an error.") });
}

type Handler = (state: DecoderState, data: JsonObject) => void;

/** A handler for events about one item, of the type that such events imply. */
function ofItem(type: string, reader: Reader): Handler {
  return (state, data) => {
    const item = itemOf(state, data, type);
    if (isCall({ type })) state.called = true;
    if (!item.done) reader(item, data, state.names);
  };
}

const HANDLERS: Readonly<Record<string, Handler>> = {
  "response.created": (state, data) => start(state, asObject(data.response) ?? {}),
  "response.output_item.added": itemAdded,
  "response.output_item.done": itemDone,
  "response.content_part.added": ofItem("message", READERS.partAdded),
  "response.content_part.done": ofItem("message", READERS.partDone),
  "response.output_text.delta": ofItem("message", READERS.text),
  "response.output_text.done": ofItem("message", READERS.textDone),
  "response.output_text.annotation.added": ofItem("message", READERS.annotation),
  "response.refusal.delta": ofItem("message", READERS.refusal),
  "response.refusal.done": ofItem("message", READERS.refusalDone),
  "response.reasoning_summary_text.delta": ofItem("reasoning", READERS.summary),
  "response.reasoning_summary_text.done": ofItem("reasoning", READERS.summaryDone),
  "response.reasoning_text.delta": ofItem("reasoning", READERS.reasoning),
  "response.reasoning_text.done": ofItem("reasoning", READERS.reasoningDone),
  "response.function_call_arguments.delta": ofItem("function_call", READERS.arguments),
  "response.function_call_arguments.done": ofItem("function_call", READERS.argumentsDone),
  "response.custom_tool_call_input.delta": ofItem("custom_tool_call", READERS.arguments),
  "response.custom_tool_call_input.done": ofItem("custom_tool_call", READERS.argumentsDone),
  "response.completed": responseEnded,
  "response.incomplete": responseEnded,
  "response.failed": responseEnded,
  "response.cancelled": responseEnded,
  error: failed,
};

/** Events that say nothing new, however long they are: not even parsed. */
const SILENT: ReadonlySet<string> = new Set(["response.in_progress", "response.queued"]);

function read(state: DecoderState, event: WireEvent): void {
  // Look-alikes close with the terminator of chat.
  if (SILENT.has(event.event) || event.data === "[DONE]" || event.data === "") return;
  const data = parseObject(event.data);
  if (data === null) throw new DecodeError("The upstream's stream holds an event that is not JSON.");
  const type = asString(data.type) || event.event;
  const handler = Object.hasOwn(HANDLERS, type) ? HANDLERS[type] : undefined;
  if (handler !== undefined) handler(state, data);
  else if (type === "" && asObject(data.error) !== null) failed(state, data);
}

const CUT: AnswerEvent = {
  kind: "error",
  error: {
    status: 502,
    type: "transport_error",
    code: "transport_error",
    message: "The upstream's stream ended before the answer did.",
  },
};

export function streamDecoder(encoded: EncodedRequest): StreamDecoder {
  const state: DecoderState = {
    names: encoded.renamed,
    started: false,
    ended: false,
    called: false,
    count: 0,
    items: new Map(),
    order: [],
    out: [],
  };
  return {
    push(event) {
      if (state.ended) return [];
      newBatch(state);
      read(state, event);
      return state.out;
    },
    finish: () => (state.ended ? [] : [CUT]),
  };
}
