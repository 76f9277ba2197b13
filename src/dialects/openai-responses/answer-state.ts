/**
 * A response while it is made, and the events that say so. Whole answers and streams run through the same
 * state, so they cannot differ; a whole answer merely says nothing on the way.
 */
import { mergeUsage, NO_USAGE } from "../answer-fold.js";
import type { CodecContext } from "../codec.js";
import type { AnswerEvent, JsonObject, JsonValue, LossList, SemanticUsage } from "../semantic.js";
import { responseId, unchangingFields } from "./echo.js";
import { encodeUsage, isCustomTool } from "./shapes.js";

/** How a response ended. */
export interface Ending {
  readonly status: "completed" | "incomplete" | "failed";
  readonly reason: string | null;
  readonly error: JsonObject | null;
}

export type ItemKind = "message" | "reasoning" | "function_call" | "custom_tool_call";

/** The output item that is being made. */
export interface OpenItem {
  readonly kind: ItemKind;
  readonly id: string;
  readonly index: number;
  /** As it stands in the output; filled when it is closed. */
  readonly item: JsonObject;
  /** Parts of a message's content or a reasoning's summary, the open one not among them. */
  readonly parts: JsonObject[];
  part: OpenPart | null;
  /** Arguments or input of a call, a rope of `+=`: V8 flattens it once. */
  text: string;
  /** Before and after the JSON of a delta's text; "" = not built yet. */
  deltaHead: string;
  deltaTail: string;
  /** The call's arguments are JSON around the free text that the caller's tool wants. */
  wrapped: boolean;
  /** No more deltas: it is closed with what comes next, which tells whether it was cut short. */
  ended: boolean;
  /** Origin, signature and encrypted form of thinking. */
  origin: string;
  signature: string;
  encrypted: string;
  /** The vendor's id of a thinking item. */
  vendorId: string;
}

/** The text part that is being made. */
export interface OpenPart {
  readonly type: "output_text" | "refusal" | "summary_text";
  readonly annotations: JsonObject[];
  readonly logprobs: JsonValue[];
  text: string;
  deltaHead: string;
  deltaTail: string;
}

export interface AnswerState {
  readonly context: CodecContext;
  readonly losses: LossList;
  /** Are events said? Not for whole answers, nor of what an error cuts off. */
  speaking: boolean;
  /** Tools of the caller that take free text. */
  readonly customTools: ReadonlySet<string>;
  readonly output: JsonObject[];
  /** Events since they were last taken. */
  text: string;
  sequence: number;
  started: boolean;
  finished: boolean;
  /** What does not change of the response: as fields, and as JSON without its closing brace. */
  fields: JsonObject;
  head: string;
  open: OpenItem | null;
  usage: SemanticUsage;
  ending: Ending;
  /** Candidates beyond the first have no place in this dialect. */
  candidate: number;
  /** Log probabilities of the last text part, which may come after it. */
  lastLogprobs: JsonValue[] | null;
}

const COMPLETED: Ending = Object.freeze({ status: "completed", reason: null, error: null });

export function newAnswer(context: CodecContext, streaming: boolean, losses: LossList): AnswerState {
  const customTools = context.request.tools.filter(isCustomTool).map((tool) => tool.name);
  return {
    context,
    losses,
    speaking: streaming,
    customTools: new Set(customTools),
    output: [],
    text: "",
    sequence: 0,
    started: false,
    finished: false,
    fields: {},
    head: "",
    open: null,
    usage: NO_USAGE,
    ending: COMPLETED,
    candidate: 0,
    lastLogprobs: null,
  };
}

// ---- events ------------------------------------------------------------------------------------------

/** Says an event; its type and its number are added. JSON text holds no raw line end. */
export function say(state: AnswerState, type: string, fields: JsonObject): void {
  if (!state.speaking) return;
  const data = JSON.stringify({ type, ...fields, sequence_number: state.sequence++ });
  state.text += `event: ${type}\ndata: ${data}\n\n`;
}

/** Builds what stands around the text of every delta of one part or item. */
export function deltaFrame(type: string, fields: JsonObject): { readonly head: string; readonly tail: string } {
  const json = JSON.stringify({ type, ...fields });
  return { head: `event: ${type}\ndata: ${json.slice(0, -1)},"delta":`, tail: `,"sequence_number":` };
}

/** Says a delta within a frame. */
export function sayDelta(state: AnswerState, frame: { deltaHead: string; deltaTail: string }, text: string): void {
  if (!state.speaking) return;
  state.text += `${frame.deltaHead}${JSON.stringify(text)}${frame.deltaTail}${state.sequence++}}\n\n`;
}

/** Says an event that carries the whole response. Its unchanging part is long and written only once. */
function sayResponse(state: AnswerState, type: string, changing: JsonObject): void {
  if (!state.speaking) return;
  if (state.head === "") state.head = JSON.stringify(state.fields).slice(0, -1);
  const response = `${state.head},${JSON.stringify(changing).slice(1)}`;
  const data = `{"type":"${type}","response":${response},"sequence_number":${state.sequence++}}`;
  state.text += `event: ${type}\ndata: ${data}\n\n`;
}

/** The fields of a response that change. */
function changingFields(state: AnswerState, status: string, said: boolean): JsonObject {
  const { reason, error } = state.ending;
  return {
    status,
    error: said ? error : null,
    incomplete_details: said && reason !== null ? { reason } : null,
    output: state.output,
    usage: said && state.usage !== NO_USAGE ? encodeUsage(state.usage) : null,
  };
}

/** Begins the response, if that has not been done. */
export function begin(state: AnswerState, upstreamId: string): void {
  if (state.started) return;
  state.started = true;
  state.fields = unchangingFields(state.context, responseId(upstreamId, state.context));
  const changing = changingFields(state, "in_progress", false);
  sayResponse(state, "response.created", changing);
  sayResponse(state, "response.in_progress", changing);
}

/** Ends the response and says how. */
export function finish(state: AnswerState): void {
  state.finished = true;
  const { status } = state.ending;
  sayResponse(state, `response.${status}`, changingFields(state, status, true));
}

/** The response as it stands. */
export function wholeResponse(state: AnswerState): JsonObject {
  return { ...state.fields, ...changingFields(state, state.ending.status, true) };
}

export function setUsage(state: AnswerState, event: Extract<AnswerEvent, { readonly kind: "usage" }>): void {
  state.usage = mergeUsage(state.usage, event.usage);
}
