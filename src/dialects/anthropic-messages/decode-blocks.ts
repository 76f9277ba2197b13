/**
 * Content blocks of this wire's answers: how each kind starts, grows and stops, and the state of reading them.
 * Exactly one block is open at a time.
 */
import type { EncodedRequest } from "../codec.js";
import { asArray, asString, isObject, parseObject } from "../json.js";
import { lossName } from "../loss-name.js";
import type { AnswerEvent, JsonObject, JsonValue } from "../semantic.js";
import { UsageTally } from "../usage-tally.js";
import { decodeCitation } from "./citations.js";
import { freeTextTools } from "./encode-tools.js";
import { MessagesUsage } from "./observe.js";
import { MESSAGES } from "./wire-name.js";

type BlockKind = "text" | "thinking" | "redacted" | "tool" | "format" | "free_text" | "foreign";

interface OpenBlock {
  readonly index: number;
  readonly kind: BlockKind;
  /** The block as it started. */
  readonly raw: JsonObject;
  signature: string;
  /** Have argument fragments come? The start's own input counts only where none do. */
  argued: boolean;
  /** Fragments of arguments that are handed on whole: of foreign blocks and free text. */
  readonly fragments: string[];
  /** Fields of a foreign block that grow by deltas. */
  readonly grown: Map<string, JsonValue[]>;
  /** Citations of a text; some upstreams send them before the words. */
  readonly citations: AnswerEvent[];
}

export interface DecoderState {
  readonly encoded: EncodedRequest;
  readonly freeText: ReadonlySet<string>;
  readonly tally: UsageTally;
  readonly usage: MessagesUsage;
  started: boolean;
  stopped: boolean;
  ended: boolean;
  open: OpenBlock | null;
  /** Events of blocks that wait for the open one to stop, by block, oldest first. */
  readonly waiting: Map<number, JsonObject[]>;
  calledTools: boolean;
  calledFormat: boolean;
  madeUpIds: number;
  /** Blocks so far. */
  blocks: number;
  out: AnswerEvent[];
}

export function newDecoderState(encoded: EncodedRequest): DecoderState {
  const tally = new UsageTally();
  return {
    encoded,
    freeText: freeTextTools(encoded.body),
    tally,
    usage: new MessagesUsage(tally),
    started: false,
    stopped: false,
    ended: false,
    open: null,
    waiting: new Map(),
    calledTools: false,
    calledFormat: false,
    madeUpIds: 0,
    blocks: 0,
    out: [],
  };
}

// ---- blocks ----------------------------------------------------------------------------------------

function kindOf(state: DecoderState, block: JsonObject): BlockKind {
  switch (block.type) {
    case "text":
    case "thinking":
      return block.type;
    case "redacted_thinking":
      return "redacted";
    case "tool_use": {
      const name = asString(block.name);
      if (name !== "" && name === state.encoded.formatTool) return "format";
      return state.freeText.has(name) ? "free_text" : "tool";
    }
    default:
      return "foreign";
  }
}

/** Says that something of the answer has no event. */
export function lose(state: DecoderState, name: string): void {
  state.out.push({ kind: "loss", name });
}

function startTool(state: DecoderState, block: JsonObject, flavour: "function" | "custom"): void {
  const sent = asString(block.name);
  const id = asString(block.id) || `toolu_${state.madeUpIds++}`;
  state.calledTools = true;
  // Called by code that the vendor runs: the result goes to that code, which no other wire can say.
  if (isObject(block.caller) && block.caller.type !== "direct") lose(state, "caller");
  state.out.push({
    kind: "tool_start",
    id,
    name: state.encoded.renamed.get(sent) ?? sent,
    signature: "",
    flavour,
  });
}

function sayText(state: DecoderState, text: string): void {
  if (text !== "") state.out.push({ kind: "text", text });
}

const STARTERS: { readonly [Kind in BlockKind]: (state: DecoderState, block: JsonObject) => void } = {
  text: (state, block) => {
    state.out.push({ kind: "text_start" });
    sayText(state, asString(block.text));
    for (const citation of asArray(block.citations)) if (state.open !== null) cite(state.open, citation);
  },
  thinking: (state, block) => {
    state.out.push({ kind: "thinking_start", id: "", origin: MESSAGES });
    if (asString(block.thinking) !== "") state.out.push({ kind: "thinking", text: asString(block.thinking) });
  },
  redacted: (state, block) => {
    state.out.push({ kind: "thinking_start", id: "", origin: MESSAGES });
    state.out.push({ kind: "encrypted", data: asString(block.data) });
  },
  tool: (state, block) => startTool(state, block, "function"),
  free_text: (state, block) => startTool(state, block, "custom"),
  format: (state) => {
    state.calledFormat = true;
    state.out.push({ kind: "text_start" });
  },
  foreign: () => {},
};

/** Opens a block; one that is open stops first. */
export function startBlock(state: DecoderState, index: number, raw: JsonObject): void {
  stopBlock(state);
  state.blocks++;
  const kind = kindOf(state, raw);
  const signature = kind === "thinking" ? asString(raw.signature) : "";
  state.open = { index, kind, raw, signature, argued: false, fragments: [], grown: new Map(), citations: [] };
  STARTERS[kind](state, raw);
}

function cite(open: OpenBlock, citation: JsonValue | undefined): void {
  if (isObject(citation)) open.citations.push({ kind: "annotation", annotation: decodeCitation(citation) });
}

/** The input that a block started with, as JSON text; what arrives in fragments counts instead. */
function startInput(open: OpenBlock): string {
  return open.argued || !isObject(open.raw.input) ? "" : JSON.stringify(open.raw.input);
}

function joined(pieces: readonly JsonValue[]): JsonValue {
  return pieces.every((piece) => typeof piece === "string") ? pieces.join("") : (pieces.at(-1) ?? null);
}

function foreignOf(open: OpenBlock): AnswerEvent {
  const raw: JsonObject = { ...open.raw };
  if (open.fragments.length > 0) raw.input = parseObject(open.fragments.join("")) ?? {};
  for (const [name, pieces] of open.grown) raw[name] = joined(pieces);
  return { kind: "foreign", block: { kind: "foreign", wire: MESSAGES, type: asString(raw.type), raw } };
}

/** The text inside a free-text tool's one argument; whatever else the model wrote goes on as it is. */
function freeTextOf(open: OpenBlock): string {
  const text = open.fragments.length > 0 ? open.fragments.join("") : startInput(open);
  const input = parseObject(text)?.input;
  if (typeof input === "string") return input;
  return text === "{}" ? "" : text;
}

const STOPPERS: { readonly [Kind in BlockKind]: (state: DecoderState, open: OpenBlock) => void } = {
  text: (state, open) => {
    for (const citation of open.citations) state.out.push(citation);
  },
  redacted: () => {},
  thinking: (state, open) => {
    if (open.signature !== "") state.out.push({ kind: "signature", signature: open.signature });
  },
  tool: (state, open) => {
    const input = startInput(open);
    if (input !== "") state.out.push({ kind: "arguments", text: input });
  },
  format: (state, open) => sayText(state, startInput(open)),
  free_text: (state, open) => {
    const text = freeTextOf(open);
    if (text !== "") state.out.push({ kind: "arguments", text });
  },
  foreign: (state, open) => {
    state.out.push(foreignOf(open));
  },
};

/** Stops the open block. */
export function stopBlock(state: DecoderState): void {
  const { open } = state;
  if (open === null) return;
  state.open = null;
  STOPPERS[open.kind](state, open);
  if (open.kind !== "foreign") state.out.push({ kind: "block_stop" });
}

// ---- deltas ----------------------------------------------------------------------------------------

function takeFragment(state: DecoderState, open: OpenBlock, text: string): void {
  if (text === "") return;
  open.argued = true;
  if (open.kind === "tool") state.out.push({ kind: "arguments", text });
  else if (open.kind === "format") sayText(state, text);
  else open.fragments.push(text);
}

type DeltaReader = (state: DecoderState, open: OpenBlock, delta: JsonObject) => void;

const DELTAS: ReadonlyMap<string, DeltaReader> = new Map<string, DeltaReader>([
  ["text_delta", (state, _open, delta) => sayText(state, asString(delta.text))],
  [
    "thinking_delta",
    (state, _open, delta) => {
      const text = asString(delta.thinking);
      if (text !== "") state.out.push({ kind: "thinking", text });
    },
  ],
  [
    "signature_delta",
    (_state, open, delta) => {
      open.signature = asString(delta.signature);
    },
  ],
  ["citations_delta", (_state, open, delta) => cite(open, delta.citation)],
  ["input_json_delta", (state, open, delta) => takeFragment(state, open, asString(delta.partial_json))],
]);

/** Deltas that fit their block; anything else on a known block is a loss. */
const FITTING: Readonly<Record<string, readonly BlockKind[]>> = {
  text_delta: ["text"],
  thinking_delta: ["thinking"],
  signature_delta: ["thinking"],
  citations_delta: ["text"],
  input_json_delta: ["tool", "format", "free_text", "foreign"],
};

/** A foreign block's own deltas: fields of text grow, others are set. */
function growForeign(open: OpenBlock, delta: JsonObject): void {
  for (const [name, value] of Object.entries(delta)) {
    if (name === "type" || value === undefined) continue;
    const pieces = open.grown.get(name);
    if (pieces === undefined) {
      const before = open.raw[name];
      open.grown.set(name, typeof before === "string" && typeof value === "string" ? [before, value] : [value]);
    } else pieces.push(value);
  }
}

/** A delta of the open block. */
export function takeDelta(state: DecoderState, open: OpenBlock, delta: JsonObject): void {
  const type = asString(delta.type);
  const reader = DELTAS.get(type);
  if (reader !== undefined && FITTING[type]?.includes(open.kind)) reader(state, open, delta);
  else if (open.kind === "foreign") growForeign(open, delta);
  else lose(state, lossName(type, "delta"));
}
