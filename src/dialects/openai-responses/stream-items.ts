/** Output items of a stream while they are made: what each event about one adds to the answer. */
import { asArray, asCount, asObject, asObjects, asString } from "../json.js";
import type { AnswerEvent, JsonObject, JsonValue } from "../semantic.js";
import { callStart, itemEvents, partEvents, phaseLoss, type ToolNames } from "./answer-reading.js";
import { decodeAnnotation, PARAGRAPH, WIRE } from "./shapes.js";

export interface OpenItem {
  readonly index: number;
  /** As it was announced; its name may only come at the end. */
  item: JsonObject;
  /** Where its events go: into the answer, or aside until its turn comes. */
  events: AnswerEvent[];
  done: boolean;
  /** The block that is open. */
  block: "none" | "text" | "refusal" | "thinking" | "tool";
  /** Which of several parts is open; -1 = none. */
  part: number;
  /** Has the open part said anything? */
  said: boolean;
  /** Has any block of the item been opened? */
  opened: boolean;
  /** Annotations of the open part that have been said. */
  annotations: number;
  /** Log probabilities of the open part that have been said. */
  logprobs: number;
  /** Arguments that came before the name, a rope of `+=`. */
  early: string;
}

/** What one event about an item does. */
export type Reader = (item: OpenItem, data: JsonObject, names: ToolNames) => void;

const CALLS: ReadonlySet<JsonValue | undefined> = new Set(["function_call", "custom_tool_call"]);

export function newItem(item: JsonObject, index: number, events: AnswerEvent[]): OpenItem {
  const open: OpenItem = {
    index,
    item,
    events,
    done: false,
    block: "none",
    part: -1,
    said: false,
    opened: false,
    annotations: 0,
    logprobs: 0,
    early: "",
  };
  if (item.type === "reasoning") openThinking(open);
  return open;
}

function openThinking(open: OpenItem): void {
  if (open.block === "thinking") return;
  open.events.push({ kind: "thinking_start", id: asString(open.item.id), origin: WIRE });
  open.block = "thinking";
  open.opened = true;
}

/** Opens a text or refusal, unless this very part is open. */
function openPart(open: OpenItem, block: "text" | "refusal", index: number): void {
  if (open.block === block && (open.part === index || index < 0)) return;
  stopBlock(open);
  open.events.push(block === "text" ? { kind: "text_start" } : { kind: "refusal_start" });
  open.block = block;
  open.part = index;
  open.said = false;
  open.opened = true;
  open.annotations = 0;
  open.logprobs = 0;
}

function stopBlock(open: OpenItem): void {
  if (open.block === "none") return;
  open.events.push({ kind: "block_stop" });
  open.block = "none";
  open.part = -1;
}

/** Closes what is open of an item that was cut off; a call without any name is announced without one. */
export function closeBlock(open: OpenItem, names: ToolNames): void {
  if (CALLS.has(open.item.type)) openCall(open, names, true);
  stopBlock(open);
}

// ---- messages ----------------------------------------------------------------------------------------

function sayLogprobs(open: OpenItem, tokens: readonly JsonValue[]): void {
  if (tokens.length === 0) return;
  open.logprobs += tokens.length;
  open.events.push({ kind: "logprobs", logprobs: { content: [...tokens] } });
}

function readText(open: OpenItem, data: JsonObject): void {
  const text = asString(data.delta);
  openPart(open, "text", asCount(data.content_index));
  if (text !== "") open.events.push({ kind: "text", text });
  open.said ||= text !== "";
  sayLogprobs(open, asArray(data.logprobs));
}

function readTextDone(open: OpenItem, data: JsonObject): void {
  openPart(open, "text", asCount(data.content_index));
  if (!open.said && asString(data.text) !== "") {
    open.events.push({ kind: "text", text: asString(data.text) });
    open.said = true;
  }
  if (open.logprobs === 0) sayLogprobs(open, asArray(data.logprobs));
}

function readRefusal(open: OpenItem, data: JsonObject): void {
  openPart(open, "refusal", asCount(data.content_index));
  open.events.push({ kind: "refusal", text: asString(data.delta) });
  open.said = true;
}

function readRefusalDone(open: OpenItem, data: JsonObject): void {
  openPart(open, "refusal", asCount(data.content_index));
  if (open.said) return;
  open.events.push({ kind: "refusal", text: asString(data.refusal) });
  open.said = true;
}

function readAnnotation(open: OpenItem, data: JsonObject): void {
  const raw = asObject(data.annotation);
  if (raw === null) return;
  openPart(open, "text", asCount(data.content_index));
  open.annotations++;
  open.events.push({ kind: "annotation", annotation: decodeAnnotation(raw) });
}

function readPartAdded(open: OpenItem, data: JsonObject): void {
  const type = asObject(data.part)?.type;
  if (type === "output_text") openPart(open, "text", asCount(data.content_index));
  else if (type === "refusal") openPart(open, "refusal", asCount(data.content_index));
}

function readPartDone(open: OpenItem, data: JsonObject): void {
  const part = asObject(data.part);
  if (part === null || part.type === "reasoning_text") return;
  finishPart(open, part, asCount(data.content_index));
}

/** Says what the whole part holds beyond what its events said, and closes it. */
function finishPart(open: OpenItem, part: JsonObject, index: number): void {
  if (part.type === "refusal") readRefusalDone(open, { refusal: part.refusal, content_index: index });
  else if (part.type === "output_text") {
    readTextDone(open, { text: part.text, logprobs: part.logprobs, content_index: index });
    for (const raw of asObjects(part.annotations).slice(open.annotations)) {
      open.events.push({ kind: "annotation", annotation: decodeAnnotation(raw) });
    }
  } else {
    stopBlock(open);
    open.opened = true;
    for (const event of partEvents(part)) open.events.push(event);
  }
  stopBlock(open);
}

// ---- reasoning ---------------------------------------------------------------------------------------

/** Numbers of raw reasoning's parts begin here, so that they differ from those of the summary. */
const RAW = 1 << 20;

function sayThinking(open: OpenItem, part: number, text: string): void {
  openThinking(open);
  if (text === "") return;
  const apart = open.said && open.part !== part;
  open.part = part;
  open.said = true;
  open.events.push({ kind: "thinking", text: apart ? PARAGRAPH + text : text });
}

function readWholeThinking(open: OpenItem, part: number, text: string): void {
  if (open.part < part) sayThinking(open, part, text);
}

// ---- calls -------------------------------------------------------------------------------------------

/** Announces the call as soon as its name and id are known; `force` = now, whatever is known. */
function openCall(open: OpenItem, names: ToolNames, force: boolean): void {
  if (open.opened || (!force && !isNamed(open.item))) return;
  open.events.push(callStart(open.item, open.index, names));
  open.block = "tool";
  open.opened = true;
  if (open.early !== "") open.events.push({ kind: "arguments", text: open.early });
  open.early = "";
}

function isNamed(item: JsonObject): boolean {
  return asString(item.name) !== "" && asString(item.call_id) !== "";
}

/** Announces a call that has just been announced by the upstream. */
export function announce(open: OpenItem, names: ToolNames): void {
  if (CALLS.has(open.item.type)) openCall(open, names, false);
}

const readArguments: Reader = (open, data, names) => {
  const text = asString(data.delta);
  if (text === "") return;
  open.said = true;
  openCall(open, names, false);
  if (open.opened) open.events.push({ kind: "arguments", text });
  else open.early += text;
};

/** The whole arguments matter only where no delta came; the name may come as late as here. */
const readArgumentsDone: Reader = (open, data, names) => {
  if (asString(open.item.name) === "" && asString(data.name) !== "") open.item = { ...open.item, name: data.name };
  if (!open.said) readArguments(open, { delta: data.arguments ?? data.input }, names);
};

export const READERS = {
  partAdded: readPartAdded,
  partDone: readPartDone,
  text: readText,
  textDone: readTextDone,
  annotation: readAnnotation,
  refusal: readRefusal,
  refusalDone: readRefusalDone,
  summary: (open, data) => sayThinking(open, Math.max(asCount(data.summary_index), 0), asString(data.delta)),
  summaryDone: (open, data) => readWholeThinking(open, Math.max(asCount(data.summary_index), 0), asString(data.text)),
  reasoning: (open, data) => sayThinking(open, RAW + Math.max(asCount(data.content_index), 0), asString(data.delta)),
  reasoningDone: (open, data) =>
    readWholeThinking(open, RAW + Math.max(asCount(data.content_index), 0), asString(data.text)),
  arguments: readArguments,
  argumentsDone: readArgumentsDone,
} satisfies Record<string, Reader>;

// ---- the end of an item ------------------------------------------------------------------------------

/** Ends an item: what its whole form holds beyond what was said is said now. */
export function finishItem(open: OpenItem, item: JsonObject, names: ToolNames): void {
  open.done = true;
  if (CALLS.has(item.type)) {
    open.item = { ...open.item, ...item };
    readArgumentsDone(open, item, names);
    openCall(open, names, true);
  } else if (item.type === "reasoning") finishReasoning(open, item);
  else if (item.type === "message" && open.opened) {
    for (const event of phaseLoss(item)) open.events.push(event);
    finishMessage(open, item);
  } else for (const event of itemEvents(item, open.index, names)) open.events.push(event);
  stopBlock(open);
}

/** A part that is still open has no `done` of its own. */
function finishMessage(open: OpenItem, item: JsonObject): void {
  if (open.block === "none") return;
  const part = asObject(asArray(item.content)[Math.max(open.part, 0)]);
  if (part !== null) finishPart(open, part, open.part);
}

function finishReasoning(open: OpenItem, item: JsonObject): void {
  openThinking(open);
  if (!open.said) {
    for (const [index, part] of asObjects(item.summary).entries()) sayThinking(open, index, asString(part.text));
    for (const [index, part] of asObjects(item.content).entries()) sayThinking(open, RAW + index, asString(part.text));
  }
  const data = asString(item.encrypted_content);
  if (data !== "") open.events.push({ kind: "encrypted", data });
}
