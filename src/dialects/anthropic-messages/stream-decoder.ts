/**
 * Streams of this wire's upstreams. The wire numbers its blocks and could interleave them; the hub has one
 * block open at a time, so events of any other block wait until the open one stops. Whole answers take the
 * same path (decode-answer.ts), each block as a start that says everything.
 */
import { NO_USAGE } from "../answer-fold.js";
import { DecodeError, type EncodedRequest, type StreamDecoder, type WireEvent } from "../codec.js";
import { asArray, asCount, asObject, asString, isObject, parseObject } from "../json.js";
import { lossName } from "../loss-name.js";
import type { AnswerEvent, JsonObject, SemanticUsage, StopReason } from "../semantic.js";
import type { UsageTally } from "../usage-tally.js";
import { type DecoderState, lose, newDecoderState, startBlock, stopBlock, takeDelta } from "./decode-blocks.js";
import { decodeMessagesError } from "./error.js";

const STOP_REASONS: ReadonlyMap<string, StopReason> = new Map<string, StopReason>([
  ["end_turn", "stop"],
  ["stop_sequence", "stop_sequence"],
  ["max_tokens", "length"],
  ["model_context_window_exceeded", "length"],
  ["tool_use", "tool_calls"],
  ["pause_turn", "pause"],
  ["refusal", "content_filter"],
]);

// ---- message ---------------------------------------------------------------------------------------

function usageOf(tally: UsageTally): SemanticUsage {
  return {
    ...NO_USAGE,
    input: tally.inputTokens,
    output: tally.outputTokens,
    cacheRead: tally.cacheReadTokens,
    cacheWrite: tally.cacheWriteTokens,
    reasoning: tally.reasoningTokens,
    ...(tally.cacheWriteHourTokens < 0 ? {} : { cacheWriteHour: tally.cacheWriteHourTokens }),
  };
}

function takeUsage(state: DecoderState, usage: JsonObject | null): void {
  if (usage === null) return;
  state.usage.set(usage);
  state.out.push({ kind: "usage", usage: usageOf(state.tally) });
}

/** For a stream that forgot to begin. */
const NO_MESSAGE: JsonObject = {};

export function startMessage(state: DecoderState, message: JsonObject): void {
  if (state.started) return;
  state.started = true;
  state.out.push({ kind: "start", id: asString(message.id), model: asString(message.model), created: 0 });
  takeUsage(state, asObject(message.usage));
}

/** The reason to stop, and the counts that come with it. */
export function stopMessage(state: DecoderState, delta: JsonObject, usage: JsonObject | null): void {
  startMessage(state, NO_MESSAGE);
  takeUsage(state, usage);
  const native = asString(delta.stop_reason);
  if (native === "" || state.stopped) return;
  state.stopped = true;
  closeAll(state);
  readDetails(state, asObject(delta.stop_details));
  if (isObject(delta.container)) lose(state, "container");
  const reason = STOP_REASONS.get(native) ?? "stop";
  // A call of the tool that stands in for the answer's form is the answer, not a call.
  const answered = reason === "tool_calls" && state.calledFormat && !state.calledTools;
  const sequence = typeof delta.stop_sequence === "string" ? delta.stop_sequence : null;
  state.out.push({ kind: "stop", reason: answered ? "stop" : reason, sequence, native });
}

/** Why the vendor refused: its words are the refusal where there are no others, and a loss beside others. */
function readDetails(state: DecoderState, details: JsonObject | null): void {
  if (details === null) return;
  const text = asString(details.explanation);
  const alone = text !== "" && state.blocks === 0;
  if (alone) state.out.push({ kind: "refusal_start" }, { kind: "refusal", text }, { kind: "block_stop" });
  if (asString(details.category) !== "" || (text !== "" && !alone)) lose(state, "stop_details");
}

/** Which parts of the conversation the vendor left out before it answered. */
export function readEdits(state: DecoderState, management: JsonObject | null): void {
  if (asArray(management?.applied_edits).length > 0) lose(state, "context_management");
}

export function endMessage(state: DecoderState): void {
  startMessage(state, NO_MESSAGE);
  closeAll(state);
  state.ended = true;
  state.out.push({ kind: "end" });
}

function fail(state: DecoderState, body: JsonObject, text: string): void {
  state.ended = true;
  state.out.push({ kind: "error", error: decodeMessagesError(0, body, text) });
}

// ---- order of blocks -------------------------------------------------------------------------------

type BlockEvent = (state: DecoderState, index: number, event: JsonObject) => void;

const BLOCK_EVENTS: ReadonlyMap<string, BlockEvent> = new Map<string, BlockEvent>([
  ["content_block_start", (state, index, event) => startBlock(state, index, asObject(event.content_block) ?? {})],
  [
    "content_block_delta",
    (state, _index, event) => {
      const delta = asObject(event.delta);
      if (state.open !== null && delta !== null) takeDelta(state, state.open, delta);
    },
  ],
  ["content_block_stop", stopBlock],
]);

/** Takes the events of blocks that waited, until one of them is open or none is left. */
function resume(state: DecoderState): void {
  for (const [index, events] of state.waiting) {
    if (state.open !== null) return;
    state.waiting.delete(index);
    for (const event of events) BLOCK_EVENTS.get(asString(event.type))?.(state, index, event);
  }
}

/** One event of a block: now, when its block is open or may open; else when the open one has stopped. */
function takeBlockEvent(state: DecoderState, event: JsonObject): void {
  startMessage(state, NO_MESSAGE);
  const index = asCount(event.index);
  if (state.open !== null && state.open.index !== index) {
    const events = state.waiting.get(index);
    if (events === undefined) state.waiting.set(index, [event]);
    else events.push(event);
    return;
  }
  BLOCK_EVENTS.get(asString(event.type))?.(state, index, event);
  if (state.open === null) resume(state);
}

function closeAll(state: DecoderState): void {
  while (state.open !== null || state.waiting.size > 0) {
    stopBlock(state);
    resume(state);
  }
}

// ---- stream ----------------------------------------------------------------------------------------

const EVENTS: ReadonlyMap<string, (state: DecoderState, event: JsonObject) => void> = new Map([
  ["message_start", (state, event) => startMessage(state, asObject(event.message) ?? {})],
  ["content_block_start", takeBlockEvent],
  ["content_block_delta", takeBlockEvent],
  ["content_block_stop", takeBlockEvent],
  [
    "message_delta",
    (state, event) => {
      readEdits(state, asObject(event.context_management));
      stopMessage(state, asObject(event.delta) ?? {}, asObject(event.usage));
    },
  ],
  ["message_stop", endMessage],
  ["ping", () => {}],
  ["", () => {}],
]);

/** Reads a stream of this wire. */
export class MessagesStreamDecoder implements StreamDecoder {
  readonly #state: DecoderState;

  constructor(encoded: EncodedRequest) {
    this.#state = newDecoderState(encoded);
  }

  push(event: WireEvent): readonly AnswerEvent[] {
    const state = this.#state;
    if (state.ended) return [];
    state.out = [];
    const data = parseObject(event.data);
    if (data === null) {
      if (event.event === "error") fail(state, {}, event.data);
      else if (event.data.trim() !== "") throw new DecodeError("an event of the stream is not a JSON object");
      return state.out;
    }
    const type = asString(data.type) || event.event;
    if (type === "error" || isObject(data.error)) fail(state, data, "");
    else {
      const reader = EVENTS.get(type);
      if (reader === undefined) lose(state, lossName(type, "stream_event"));
      else reader(state, data);
    }
    return state.out;
  }

  finish(): readonly AnswerEvent[] {
    const state = this.#state;
    if (state.ended) return [];
    state.ended = true;
    const message = "The upstream ended its stream before the message was complete.";
    return [{ kind: "error", error: { status: 502, type: "api_error", code: "upstream_decode_error", message } }];
  }
}
