/** What each event of an answer does to the response that is being made. */
import { reportForeign, reportMedia, reportStop } from "../answer-losses.js";
import { asArray, asString } from "../json.js";
import type { AnswerError, AnswerEvent, MediaSource, StopReason } from "../semantic.js";
import {
  addAnnotation,
  addArguments,
  addLogprobs,
  addText,
  addWholeItem,
  closeItem,
  closePart,
  nextItemId,
  openItem,
  openPart,
} from "./answer-items.js";
import {
  type AnswerState,
  begin,
  type Ending,
  finish,
  type OpenItem,
  type OpenPart,
  say,
  setUsage,
} from "./answer-state.js";
import { openAiErrorOf, responseErrorOf } from "./error.js";
import { wrapCallSignature } from "./opaque.js";
import { encodeAnnotation, WIRE } from "./shapes.js";

type Kind = AnswerEvent["kind"];
type EventOf<Name extends Kind> = Extract<AnswerEvent, { readonly kind: Name }>;

const ENDINGS: Readonly<Record<StopReason, Ending>> = {
  stop: { status: "completed", reason: null, error: null },
  stop_sequence: { status: "completed", reason: null, error: null },
  tool_calls: { status: "completed", reason: null, error: null },
  pause: { status: "completed", reason: null, error: null },
  length: { status: "incomplete", reason: "max_output_tokens", error: null },
  content_filter: { status: "incomplete", reason: "content_filter", error: null },
  error: {
    status: "failed",
    reason: null,
    error: { code: "server_error", message: "The model failed to finish its answer." },
  },
};

/** A paused turn reads as completed. */
const WORDLESS: ReadonlySet<StopReason> = new Set<StopReason>(["pause"]);

/** The open message; texts and refusals that follow one another share it. */
function message(state: AnswerState): OpenItem {
  const { open } = state;
  if (open?.kind === "message") return open;
  return openItem(state, "message", { status: "in_progress", role: "assistant", content: [] });
}

function part(state: AnswerState, type: "output_text" | "refusal"): OpenPart {
  const open = message(state);
  return open.part?.type === type ? open.part : openPart(state, open, type);
}

function reasoning(state: AnswerState): OpenItem {
  const { open } = state;
  return open?.kind === "reasoning" && !open.ended ? open : startThinking(state, "", "");
}

function startThinking(state: AnswerState, id: string, origin: string): OpenItem {
  const open = openItem(state, "reasoning", { summary: [] }, id);
  open.origin = origin;
  return open;
}

function startCall(state: AnswerState, event: EventOf<"tool_start">): OpenItem {
  closeItem(state, "completed");
  const wrapped = event.flavour === "function" && state.customTools.has(event.name);
  const kind = event.flavour === "custom" || wrapped ? "custom_tool_call" : "function_call";
  const call_id = event.id || nextItemId(state, "call");
  if (event.signature !== "") {
    const encrypted_content = wrapCallSignature(call_id, event.signature);
    addWholeItem(state, { id: nextItemId(state, "rs"), type: "reasoning", summary: [], encrypted_content });
  }
  const text = kind === "function_call" ? { arguments: "" } : { input: "" };
  const open = openItem(state, kind, { status: "in_progress", call_id, name: event.name, ...text });
  open.wrapped = wrapped;
  return open;
}

function call(state: AnswerState): OpenItem {
  const { open } = state;
  if (open !== null && open.kind !== "message" && open.kind !== "reasoning") return open;
  return startCall(state, { kind: "tool_start", id: "", name: "", signature: "", flavour: "function" });
}

/** Pictures are items of their own; what this dialect has no item for is said as a link where it has an address. */
function addMedia(state: AnswerState, source: MediaSource): void {
  const isImage = source.mediaType === "" || source.mediaType.startsWith("image/");
  if (source.data === null || !isImage) reportMedia(source, state.losses);
  if (source.data !== null && isImage) {
    const output_format = source.mediaType.replace(/^image\//, "") || "png";
    const id = nextItemId(state, "ig");
    addWholeItem(state, { id, type: "image_generation_call", status: "completed", output_format, result: source.data });
  } else if (source.url !== null) {
    const open = message(state);
    addText(state, open, openPart(state, open, "output_text"), `![${isImage ? "image" : "media"}](${source.url})`);
    closePart(state, open);
  }
}

function addProbabilities(state: AnswerState, event: EventOf<"logprobs">): void {
  const tokens = asArray(event.logprobs.content);
  const { open } = state;
  if (open !== null && open.part?.type === "output_text") addLogprobs(state, open, open.part, tokens);
  // The text may have been closed before: the part's list is the one in the output.
  else if (state.lastLogprobs !== null) for (const token of tokens) state.lastLogprobs.push(token);
  else if (tokens.length > 0) state.losses.add("logprobs");
  // Of a refusal's words they have no place.
  if (asArray(event.logprobs.refusal).length > 0) state.losses.add("logprobs");
}

function annotate(state: AnswerState, event: EventOf<"annotation">): void {
  const text = part(state, "output_text");
  addAnnotation(state, message(state), text, encodeAnnotation(event.annotation, text.text.length, state.losses));
}

function stop(state: AnswerState, event: EventOf<"stop">): void {
  reportStop(event.reason, WORDLESS, state.losses);
  if (event.sequence !== null) state.losses.add("stop_sequence");
  state.ending = ENDINGS[event.reason];
  closeItem(state, state.ending.status === "completed" ? "completed" : "incomplete");
}

/**
 * The error, in the order of the vendor: an `error` event, then the response that failed. What is cut off
 * stands in that response alone: a caller that saw a call "done" might make it.
 */
function fail(state: AnswerState, error: AnswerError): void {
  const { speaking } = state;
  state.speaking = false;
  closeItem(state, "incomplete");
  state.speaking = speaking;
  const { message: text, code } = openAiErrorOf(error);
  say(state, "error", {
    code: asString(code) || null,
    message: asString(text),
    param: null,
    error: openAiErrorOf(error),
  });
  state.ending = { status: "failed", reason: null, error: responseErrorOf(error) };
  finish(state);
}

function end(state: AnswerState): void {
  closeItem(state, "completed");
  finish(state);
}

const HANDLERS: { readonly [Name in Kind]: (state: AnswerState, event: EventOf<Name>) => void } = {
  start: (state, event) => begin(state, event.id),
  choice: (state, event) => {
    state.candidate = event.index;
    if (event.index > 0) state.losses.add("n");
  },
  text_start: (state) => {
    openPart(state, message(state), "output_text");
  },
  text: (state, event) => {
    const open = part(state, "output_text");
    addText(state, message(state), open, event.text);
  },
  annotation: annotate,
  thinking_start: (state, event) => {
    startThinking(state, event.id, event.origin);
  },
  thinking: (state, event) => {
    if (event.text === "") return;
    const open = reasoning(state);
    addText(state, open, open.part ?? openPart(state, open, "summary_text"), event.text);
  },
  signature: (state, event) => {
    reasoning(state).signature += event.signature;
  },
  encrypted: (state, event) => {
    reasoning(state).encrypted += event.data;
  },
  tool_start: (state, event) => {
    startCall(state, event);
  },
  arguments: (state, event) => addArguments(state, call(state), event.text),
  refusal_start: (state) => {
    openPart(state, message(state), "refusal");
  },
  refusal: (state, event) => {
    const open = part(state, "refusal");
    addText(state, message(state), open, event.text);
  },
  media: (state, event) => addMedia(state, event.source),
  foreign: (state, event) => {
    if (event.block.wire === WIRE) addWholeItem(state, event.block.raw);
    else reportForeign(event.block, state.losses);
  },
  block_stop: (state) => {
    if (state.open === null) return;
    closePart(state, state.open);
    state.open.ended = true;
  },
  logprobs: addProbabilities,
  usage: setUsage,
  loss: (state, event) => state.losses.add(event.name),
  stop,
  error: (state, event) => fail(state, event.error),
  end,
};

/** Events that concern the answer as a whole, whichever candidate was meant last. */
const OF_THE_WHOLE: ReadonlySet<Kind> = new Set<Kind>(["start", "choice", "usage", "loss", "error", "end"]);

/** Takes one more event in; after the end there is nothing to add. */
export function takeEvent(state: AnswerState, event: AnswerEvent): void {
  if (state.finished || (state.candidate !== 0 && !OF_THE_WHOLE.has(event.kind))) return;
  if (event.kind !== "start" && event.kind !== "loss") begin(state, "");
  const handler = HANDLERS[event.kind] as (state: AnswerState, event: AnswerEvent) => void;
  handler(state, event);
}
