/**
 * Folds the events of an answer into blocks, and turns blocks back into events. Blocks never overlap within
 * a candidate; each candidate has its own open block, so that candidates may interleave delta by delta.
 */
import type {
  Annotation,
  AnswerError,
  AnswerEvent,
  AudioBlock,
  Block,
  ForeignBlock,
  ImageBlock,
  JsonObject,
  MediaSource,
  SemanticUsage,
  StopReason,
} from "./semantic.js";

/** What a whole answer may hold; never a tool result or a document. */
export type AnswerBlock = Exclude<Block, { readonly kind: "tool_result" | "document" }>;

export interface FoldedChoice {
  readonly index: number;
  readonly blocks: readonly AnswerBlock[];
  /** null: the answer ended without saying why. */
  readonly stop: StopReason | null;
  readonly sequence: string | null;
  /** The upstream's own word for the reason; "" = not said. */
  readonly native: string;
  /** `{content: […], refusal: […]}` of all deltas together; null = none. */
  readonly logprobs: JsonObject | null;
}

export interface FoldedAnswer {
  readonly id: string;
  readonly model: string;
  /** Seconds since the epoch; 0 = not said. */
  readonly created: number;
  /** By index; at least one. */
  readonly choices: readonly FoldedChoice[];
  /** -1 in every field that was never said. */
  readonly usage: SemanticUsage;
  readonly error: AnswerError | null;
  /** What the decoder found no place for, each name once; absent = nothing. */
  readonly losses?: readonly string[];
}

/** Nothing said about usage. */
export const NO_USAGE: SemanticUsage = Object.freeze({
  input: -1,
  output: -1,
  cacheRead: -1,
  cacheWrite: -1,
  reasoning: -1,
});

/** The later counts over the earlier ones; what the later ones leave out keeps its value. */
export function mergeUsage(before: SemanticUsage, later: SemanticUsage): SemanticUsage {
  const cacheWriteHour = later.cacheWriteHour ?? before.cacheWriteHour;
  return {
    input: later.input >= 0 ? later.input : before.input,
    output: later.output >= 0 ? later.output : before.output,
    cacheRead: later.cacheRead >= 0 ? later.cacheRead : before.cacheRead,
    cacheWrite: later.cacheWrite >= 0 ? later.cacheWrite : before.cacheWrite,
    reasoning: later.reasoning >= 0 ? later.reasoning : before.reasoning,
    ...(cacheWriteHour === undefined ? {} : { cacheWriteHour }),
  };
}

/** A block while it grows. Its text is a rope of `+=`, which V8 flattens once at the end: linear in its size. */
interface OpenBlock {
  readonly kind: "text" | "thinking" | "tool_call" | "refusal";
  text: string;
  signature: string;
  encrypted: string;
  readonly id: string;
  readonly name: string;
  readonly origin: string;
  readonly flavour: "function" | "custom";
  readonly annotations: Annotation[];
}

interface OpenChoice {
  readonly index: number;
  readonly blocks: AnswerBlock[];
  open: OpenBlock | null;
  stop: StopReason | null;
  sequence: string | null;
  native: string;
  logprobs: JsonObject | null;
}

interface Start {
  readonly id: string;
  readonly model: string;
  readonly created: number;
}

/** An answer while it is folded; begin with `newFold`, feed with `foldEvent`, read with `foldedAnswer`. */
export interface AnswerFold {
  start: Start;
  readonly choices: Map<number, OpenChoice>;
  current: OpenChoice | null;
  usage: SemanticUsage;
  error: AnswerError | null;
  losses: readonly string[];
}

const NO_LOSSES: readonly string[] = Object.freeze([]);

export function newFold(): AnswerFold {
  const start = { id: "", model: "", created: 0 };
  return { start, choices: new Map(), current: null, usage: NO_USAGE, error: null, losses: NO_LOSSES };
}

function choiceAt(fold: AnswerFold, index: number): OpenChoice {
  let choice = fold.choices.get(index);
  if (choice === undefined) {
    choice = { index, blocks: [], open: null, stop: null, sequence: null, native: "", logprobs: null };
    fold.choices.set(index, choice);
  }
  fold.current = choice;
  return choice;
}

function openBlock(kind: OpenBlock["kind"], fields: Partial<OpenBlock> = {}): OpenBlock {
  return {
    kind,
    text: "",
    signature: fields.signature ?? "",
    encrypted: "",
    id: fields.id ?? "",
    name: fields.name ?? "",
    origin: fields.origin ?? "",
    flavour: fields.flavour ?? "function",
    annotations: [],
  };
}

/** The block of this open state; a call without arguments has `{}`, unless its argument is free text. */
function finished(open: OpenBlock): AnswerBlock {
  const { text, signature, id } = open;
  switch (open.kind) {
    case "text":
      return { kind: "text", text, cache: null, annotations: open.annotations };
    case "refusal":
      return { kind: "refusal", text };
    case "thinking":
      return { kind: "thinking", text, signature, encrypted: open.encrypted, id, origin: open.origin };
    case "tool_call": {
      const said = text === "" && open.flavour === "function" ? "{}" : text;
      return { kind: "tool_call", id, name: open.name, arguments: said, signature, flavour: open.flavour, cache: null };
    }
  }
}

function close(choice: OpenChoice): void {
  if (choice.open === null) return;
  choice.blocks.push(finished(choice.open));
  choice.open = null;
}

function begin(choice: OpenChoice, block: OpenBlock): void {
  close(choice);
  choice.open = block;
}

/** The open block of this kind; one is opened when the events forgot to. */
function ensure(choice: OpenChoice, kind: OpenBlock["kind"]): OpenBlock {
  if (choice.open?.kind !== kind) begin(choice, openBlock(kind));
  return choice.open as OpenBlock;
}

/** The block that stands for an image or sound. */
export function mediaBlock(source: MediaSource): ImageBlock | AudioBlock {
  return source.mediaType.startsWith("audio/")
    ? { kind: "audio", source }
    : { kind: "image", source, detail: null, cache: null };
}

function whole(choice: OpenChoice, block: AnswerBlock | ForeignBlock): void {
  close(choice);
  choice.blocks.push(block);
}

/** Joins the token lists of two `{content, refusal}` objects. */
function joinLogprobs(before: JsonObject | null, later: JsonObject): JsonObject {
  const joined: JsonObject = { ...(before ?? {}) };
  for (const [name, value] of Object.entries(later)) {
    const list = joined[name];
    if (Array.isArray(list) && Array.isArray(value)) {
      // In place, since the list is our own copy: copying it for every delta would cost the square of its length.
      for (const token of value) list.push(token);
    } else if (Array.isArray(value)) {
      joined[name] = [...value];
    } else if (list === undefined || list === null) {
      joined[name] = value;
    }
  }
  return joined;
}

type Folder<Kind extends AnswerEvent["kind"]> = (
  choice: OpenChoice,
  event: Extract<AnswerEvent, { readonly kind: Kind }>,
) => void;

/** Events that concern the current candidate. */
type ChoiceKind = Exclude<AnswerEvent["kind"], "start" | "choice" | "usage" | "loss" | "error" | "end">;

const FOLDERS: { readonly [Kind in ChoiceKind]: Folder<Kind> } = {
  text_start: (choice) => begin(choice, openBlock("text")),
  text: (choice, event) => {
    ensure(choice, "text").text += event.text;
  },
  annotation: (choice, event) => {
    ensure(choice, "text").annotations.push(event.annotation);
  },
  thinking_start: (choice, event) => begin(choice, openBlock("thinking", { id: event.id, origin: event.origin })),
  thinking: (choice, event) => {
    ensure(choice, "thinking").text += event.text;
  },
  signature: (choice, event) => {
    ensure(choice, "thinking").signature += event.signature;
  },
  encrypted: (choice, event) => {
    ensure(choice, "thinking").encrypted += event.data;
  },
  tool_start: (choice, { id, name, signature, flavour }) =>
    begin(choice, openBlock("tool_call", { id, name, signature, flavour })),
  arguments: (choice, event) => {
    ensure(choice, "tool_call").text += event.text;
  },
  refusal_start: (choice) => begin(choice, openBlock("refusal")),
  refusal: (choice, event) => {
    ensure(choice, "refusal").text += event.text;
  },
  media: (choice, event) => whole(choice, mediaBlock(event.source)),
  foreign: (choice, event) => whole(choice, event.block),
  block_stop: close,
  logprobs: (choice, event) => {
    choice.logprobs = joinLogprobs(choice.logprobs, event.logprobs);
  },
  stop: (choice, event) => {
    close(choice);
    choice.stop = event.reason;
    choice.sequence = event.sequence;
    choice.native = event.native;
  },
};

/** Takes one more event in. */
export function foldEvent(fold: AnswerFold, event: AnswerEvent): void {
  switch (event.kind) {
    case "start":
      fold.start = { id: event.id, model: event.model, created: event.created };
      return;
    case "choice":
      choiceAt(fold, event.index);
      return;
    case "usage":
      fold.usage = mergeUsage(fold.usage, event.usage);
      return;
    case "loss":
      if (!fold.losses.includes(event.name)) fold.losses = [...fold.losses, event.name];
      return;
    case "error":
      fold.error = event.error;
      return;
    case "end":
      return;
    default: {
      const folder = FOLDERS[event.kind] as Folder<ChoiceKind>;
      folder(fold.current ?? choiceAt(fold, 0), event);
    }
  }
}

/** What the events so far amount to; blocks that are still open are closed. */
export function foldedAnswer(fold: AnswerFold): FoldedAnswer {
  if (fold.choices.size === 0) choiceAt(fold, 0);
  const choices = [...fold.choices.values()].sort((left, right) => left.index - right.index);
  return {
    ...fold.start,
    choices: choices.map((choice) => {
      close(choice);
      const { index, blocks, stop, sequence, native, logprobs } = choice;
      return { index, blocks, stop, sequence, native, logprobs };
    }),
    usage: fold.usage,
    error: fold.error,
    ...(fold.losses.length === 0 ? {} : { losses: fold.losses }),
  };
}

/** Folds a whole answer. */
export function foldAnswer(events: Iterable<AnswerEvent>): FoldedAnswer {
  const fold = newFold();
  for (const event of events) foldEvent(fold, event);
  return foldedAnswer(fold);
}

/** The events that say this block, `…_start` to `block_stop`; media and foreign blocks are one event. */
export function blockEvents(block: AnswerBlock): AnswerEvent[] {
  switch (block.kind) {
    case "text": {
      const annotations = block.annotations.map((annotation) => ({ kind: "annotation", annotation }) as const);
      const said: AnswerEvent[] = block.text === "" ? [] : [{ kind: "text", text: block.text }];
      return [{ kind: "text_start" }, ...said, ...annotations, { kind: "block_stop" }];
    }
    case "thinking": {
      const events: AnswerEvent[] = [{ kind: "thinking_start", id: block.id, origin: block.origin }];
      if (block.text !== "") events.push({ kind: "thinking", text: block.text });
      if (block.signature !== "") events.push({ kind: "signature", signature: block.signature });
      if (block.encrypted !== "") events.push({ kind: "encrypted", data: block.encrypted });
      events.push({ kind: "block_stop" });
      return events;
    }
    case "tool_call": {
      const { id, name, signature, flavour } = block;
      const start: AnswerEvent = { kind: "tool_start", id, name, signature, flavour };
      const said: AnswerEvent[] = block.arguments === "" ? [] : [{ kind: "arguments", text: block.arguments }];
      return [start, ...said, { kind: "block_stop" }];
    }
    case "refusal":
      return [{ kind: "refusal_start" }, { kind: "refusal", text: block.text }, { kind: "block_stop" }];
    case "image":
    case "audio":
      return [{ kind: "media", source: block.source }];
    case "foreign":
      return [{ kind: "foreign", block }];
  }
}

function choiceEvents(choice: FoldedChoice): AnswerEvent[] {
  const events = choice.blocks.flatMap(blockEvents);
  if (choice.logprobs !== null) events.push({ kind: "logprobs", logprobs: choice.logprobs });
  if (choice.stop !== null) {
    events.push({ kind: "stop", reason: choice.stop, sequence: choice.sequence, native: choice.native });
  }
  return events;
}

/** The events of a whole answer, in order: start, every candidate's blocks and stop, usage if any was said, end. */
export function answerEvents(answer: FoldedAnswer): AnswerEvent[] {
  const { id, model, created, usage } = answer;
  const events: AnswerEvent[] = [{ kind: "start", id, model, created }];
  for (const name of answer.losses ?? NO_LOSSES) events.push({ kind: "loss", name });
  const several = answer.choices.length > 1 || (answer.choices[0]?.index ?? 0) !== 0;
  for (const choice of answer.choices) {
    if (several) events.push({ kind: "choice", index: choice.index });
    events.push(...choiceEvents(choice));
  }
  if (Object.values(usage).some((count) => count >= 0)) events.push({ kind: "usage", usage });
  events.push(answer.error === null ? { kind: "end" } : { kind: "error", error: answer.error });
  return events;
}
