/** Output items of a response: opening, filling and closing them, each with its events in the vendor's order. */
import { asString, parseObject } from "../json.js";
import type { JsonObject, JsonValue } from "../semantic.js";
import {
  type AnswerState,
  deltaFrame,
  type ItemKind,
  type OpenItem,
  type OpenPart,
  say,
  sayDelta,
} from "./answer-state.js";
import { wrapThinking } from "./opaque.js";

const ID_PREFIX: Readonly<Record<ItemKind, string>> = {
  message: "msg",
  reasoning: "rs",
  function_call: "fc",
  custom_tool_call: "ctc",
};

/** An id for the next output item. */
export function nextItemId(state: AnswerState, prefix: string): string {
  return `${prefix}_${state.context.requestId}_${state.output.length}`;
}

/** Opens an item; `first` is what its `added` event shows beside type, id and status. */
export function openItem(state: AnswerState, kind: ItemKind, first: JsonObject, vendorId = ""): OpenItem {
  closeItem(state, "completed");
  const prefix = ID_PREFIX[kind];
  const id = vendorId.startsWith(`${prefix}_`) ? vendorId : nextItemId(state, prefix);
  const open: OpenItem = {
    kind,
    id,
    index: state.output.length,
    item: { id, type: kind, ...first },
    parts: [],
    part: null,
    text: "",
    deltaHead: "",
    deltaTail: "",
    wrapped: false,
    ended: false,
    origin: "",
    signature: "",
    encrypted: "",
    vendorId,
  };
  say(state, "response.output_item.added", { output_index: open.index, item: open.item });
  state.output.push(open.item);
  state.open = open;
  return open;
}

/** Puts a finished item, which has no deltas, into the output. */
export function addWholeItem(state: AnswerState, item: JsonObject): void {
  closeItem(state, "completed");
  const output_index = state.output.length;
  state.output.push(item);
  say(state, "response.output_item.added", { output_index, item });
  say(state, "response.output_item.done", { output_index, item });
}

// ---- text parts --------------------------------------------------------------------------------------

interface PartWords {
  readonly added: string;
  readonly delta: string;
  readonly done: string;
  readonly ended: string;
  /** Name of the part's place and of its text. */
  readonly index: "content_index" | "summary_index";
  readonly text: "text" | "refusal";
}

const PARTS: Readonly<Record<OpenPart["type"], PartWords>> = {
  output_text: {
    added: "response.content_part.added",
    delta: "response.output_text.delta",
    done: "response.output_text.done",
    ended: "response.content_part.done",
    index: "content_index",
    text: "text",
  },
  refusal: {
    added: "response.content_part.added",
    delta: "response.refusal.delta",
    done: "response.refusal.done",
    ended: "response.content_part.done",
    index: "content_index",
    text: "refusal",
  },
  summary_text: {
    added: "response.reasoning_summary_part.added",
    delta: "response.reasoning_summary_text.delta",
    done: "response.reasoning_summary_text.done",
    ended: "response.reasoning_summary_part.done",
    index: "summary_index",
    text: "text",
  },
};

function partObject(part: OpenPart): JsonObject {
  const { type, text, annotations, logprobs } = part;
  if (type === "output_text") return { type, annotations, logprobs, text };
  return type === "refusal" ? { type, refusal: text } : { type, text };
}

function place(open: OpenItem, words: PartWords): JsonObject {
  return { item_id: open.id, output_index: open.index, [words.index]: open.parts.length };
}

/** Opens a part of the open item. */
export function openPart(state: AnswerState, open: OpenItem, type: OpenPart["type"]): OpenPart {
  closePart(state, open);
  const part: OpenPart = { type, annotations: [], logprobs: [], text: "", deltaHead: "", deltaTail: "" };
  open.part = part;
  open.ended = false;
  if (type === "output_text") state.lastLogprobs = part.logprobs;
  const words = PARTS[type];
  say(state, words.added, { ...place(open, words), part: partObject(part) });
  return part;
}

/** Says some of the open part's text. */
export function addText(state: AnswerState, open: OpenItem, part: OpenPart, text: string): void {
  part.text += text;
  if (!state.speaking) return;
  if (part.deltaHead === "") {
    const words = PARTS[part.type];
    const extra: JsonObject = part.type === "output_text" ? { logprobs: [] } : {};
    const frame = deltaFrame(words.delta, { ...place(open, words), ...extra });
    part.deltaHead = frame.head;
    part.deltaTail = frame.tail;
  }
  sayDelta(state, part, text);
}

/** Says log probabilities of text that has been said: a delta without text. */
export function addLogprobs(state: AnswerState, open: OpenItem, part: OpenPart, logprobs: readonly JsonValue[]): void {
  for (const token of logprobs) part.logprobs.push(token);
  say(state, PARTS.output_text.delta, { ...place(open, PARTS.output_text), delta: "", logprobs: [...logprobs] });
}

export function addAnnotation(state: AnswerState, open: OpenItem, part: OpenPart, annotation: JsonObject): void {
  const fields = { ...place(open, PARTS.output_text), annotation_index: part.annotations.length, annotation };
  part.annotations.push(annotation);
  say(state, "response.output_text.annotation.added", fields);
}

/** Closes the open part, if there is one. */
export function closePart(state: AnswerState, open: OpenItem): void {
  const { part } = open;
  if (part === null) return;
  const words = PARTS[part.type];
  const where = place(open, words);
  const object = partObject(part);
  const extra: JsonObject = part.type === "output_text" ? { logprobs: part.logprobs } : {};
  say(state, words.done, { ...where, [words.text]: part.text, ...extra });
  say(state, words.ended, { ...where, part: object });
  open.parts.push(object);
  open.part = null;
}

// ---- calls -------------------------------------------------------------------------------------------

const CALL_DELTA = {
  function_call: "response.function_call_arguments.delta",
  custom_tool_call: "response.custom_tool_call_input.delta",
} as const;

/** Says some of the open call's arguments, or keeps them where they are not yet what the caller's tool wants. */
export function addArguments(state: AnswerState, open: OpenItem, text: string): void {
  open.text += text;
  if (!open.wrapped) sayArguments(state, open, text);
}

function sayArguments(state: AnswerState, open: OpenItem, text: string): void {
  if (!state.speaking || text === "") return;
  if (open.deltaHead === "") {
    const type = open.kind === "custom_tool_call" ? CALL_DELTA.custom_tool_call : CALL_DELTA.function_call;
    const frame = deltaFrame(type, { item_id: open.id, output_index: open.index });
    open.deltaHead = frame.head;
    open.deltaTail = frame.tail;
  }
  sayDelta(state, open, text);
}

/** The free text inside `{"input": "…"}`, which is how a free-text tool is offered to those that only know functions. */
function unwrappedInput(text: string): string {
  const input = parseObject(text)?.input;
  return typeof input === "string" ? input : text;
}

function closeCall(state: AnswerState, open: OpenItem): void {
  const where = { item_id: open.id, output_index: open.index };
  if (open.kind === "custom_tool_call") {
    if (open.wrapped) {
      open.text = unwrappedInput(open.text);
      sayArguments(state, open, open.text);
    }
    open.item.input = open.text;
    say(state, "response.custom_tool_call_input.done", { ...where, input: open.text });
    return;
  }
  if (open.text === "") {
    open.text = "{}";
    sayArguments(state, open, open.text);
  }
  open.item.arguments = open.text;
  const name = asString(open.item.name);
  say(state, "response.function_call_arguments.done", { ...where, name, arguments: open.text });
}

// ---- closing -----------------------------------------------------------------------------------------

function closeReasoning(open: OpenItem): void {
  const { origin, signature, encrypted, vendorId } = open;
  const text = asString(open.parts[0]?.text);
  const sealed = wrapThinking({ origin, text, signature, encrypted, id: vendorId });
  open.item.summary = open.parts;
  if (sealed !== "") open.item.encrypted_content = sealed;
}

/** Closes the open item, if there is one. */
export function closeItem(state: AnswerState, status: "completed" | "incomplete"): void {
  const { open } = state;
  if (open === null) return;
  closePart(state, open);
  if (open.kind === "message") open.item.content = open.parts;
  else if (open.kind === "reasoning") closeReasoning(open);
  else closeCall(state, open);
  if (open.kind !== "reasoning") open.item.status = status;
  say(state, "response.output_item.done", { output_index: open.index, item: open.item });
  state.open = null;
}
