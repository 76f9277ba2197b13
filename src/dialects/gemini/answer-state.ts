/** An answer while it is read: a whole one is one chunk, a stream is many. */
import { DecodeError, type EncodedRequest } from "../codec.js";
import { asCount, asObject, asObjects, asString } from "../json.js";
import type { AnswerEvent, JsonObject } from "../semantic.js";
import { callIdBase } from "./call-ids.js";
import { type Candidate, finishCandidate, newCandidate, type PartContext, pushCandidate } from "./candidate.js";
import { inBandError } from "./error.js";
import { type Counts, NO_COUNTS, readCounts, usageOf } from "./usage.js";

export interface AnswerState {
  readonly encoded: EncodedRequest;
  readonly context: PartContext;
  readonly candidates: Map<number, Candidate>;
  readonly whole: boolean;
  started: boolean;
  /** The candidate that events belong to now. */
  current: number;
  counts: Counts;
  /** Why the prompt was blocked; null = it was not. */
  blocked: JsonObject | null;
  ended: boolean;
}

/** `whole`: the answer comes in one piece. */
export function newAnswerState(encoded: EncodedRequest, whole: boolean): AnswerState {
  const { renamed, formatTool, body } = encoded;
  const ownTools = asObjects(body.tools).some((tool) => tool.functionDeclarations === undefined);
  return {
    encoded,
    context: { renamed, formatTool, idBase: "", calls: 0, keepsText: whole || ownTools },
    candidates: new Map(),
    whole,
    started: false,
    current: 0,
    counts: NO_COUNTS,
    blocked: null,
    ended: false,
  };
}

/** What this piece of the answer means. */
export function pushChunk(state: AnswerState, chunk: JsonObject): AnswerEvent[] {
  if (state.ended) return [];
  if (asObject(chunk.error) !== null) {
    state.ended = true;
    return [{ kind: "error", error: inBandError(chunk) }];
  }
  const events: AnswerEvent[] = [];
  if (!state.started) start(state, chunk, events);
  const metadata = asObject(chunk.usageMetadata);
  if (metadata !== null) {
    const counts = readCounts(metadata, state.counts);
    if (counts !== state.counts) events.push({ kind: "usage", usage: usageOf(counts) });
    state.counts = counts;
  }
  const feedback = asObject(chunk.promptFeedback);
  if (asString(feedback?.blockReason) !== "") state.blocked = feedback;
  for (const part of asObjects(chunk.candidates)) {
    const candidate = candidateAt(state, Math.max(asCount(part.index), 0));
    const said = pushCandidate(candidate, part, state.context, state.whole);
    if (said.length > 0) pushAll(events, choose(state, candidate), said);
  }
  return events;
}

/** The end of the answer: every candidate closed, or an error when the end came before its reason. */
export function finishAnswer(state: AnswerState): AnswerEvent[] {
  if (state.ended) return [];
  state.ended = true;
  const candidates = [...state.candidates.values()].sort((left, right) => left.index - right.index);
  const complete = candidates.length > 0 && candidates.every((candidate) => candidate.finish !== "");
  if (!complete && state.blocked === null && !state.whole) {
    const message = "The upstream's stream ended before the answer was complete.";
    return [{ kind: "error", error: { status: 502, type: "transport_error", code: null, message } }];
  }
  if (candidates.length === 0 && state.blocked === null) throw new DecodeError("The answer holds no candidates.");
  const events: AnswerEvent[] = [];
  for (const candidate of candidates) {
    if (candidate.finish === "" && state.blocked !== null) candidate.finish = blockReason(state.blocked);
    pushAll(events, choose(state, candidate), finishCandidate(candidate));
  }
  if (candidates.length === 0 && state.blocked !== null) events.push(...refusal(state.blocked));
  events.push({ kind: "end" });
  return events;
}

function start(state: AnswerState, chunk: JsonObject, events: AnswerEvent[]): void {
  state.started = true;
  const id = asString(chunk.responseId);
  state.context.idBase = callIdBase(id, state.encoded.body);
  const seconds = Math.floor(Date.parse(asString(chunk.createTime)) / 1000);
  events.push({ kind: "start", id, model: asString(chunk.modelVersion), created: Math.max(seconds || 0, 0) });
}

function candidateAt(state: AnswerState, index: number): Candidate {
  let candidate = state.candidates.get(index);
  if (candidate === undefined) {
    candidate = newCandidate(index);
    state.candidates.set(index, candidate);
  }
  return candidate;
}

function choose(state: AnswerState, candidate: Candidate): AnswerEvent[] {
  if (state.current === candidate.index) return [];
  state.current = candidate.index;
  return [{ kind: "choice", index: candidate.index }];
}

function pushAll(events: AnswerEvent[], ...lists: readonly (readonly AnswerEvent[])[]): void {
  for (const list of lists) for (const event of list) events.push(event);
}

function blockReason(feedback: JsonObject): string {
  return asString(feedback.blockReason);
}

/** A blocked prompt has no answer; what the upstream says about it is a refusal. */
function refusal(feedback: JsonObject): AnswerEvent[] {
  const text = asString(feedback.blockReasonMessage);
  const said: AnswerEvent[] =
    text === "" ? [] : [{ kind: "refusal_start" }, { kind: "refusal", text }, { kind: "block_stop" }];
  return [...said, { kind: "stop", reason: "content_filter", sequence: null, native: blockReason(feedback) }];
}
