/**
 * A stream of ConverseStream as events. The wire numbers its blocks and could interleave them; the block that
 * came first is passed on as it comes, later ones wait until it has ended. `stop` waits for the usage, which
 * comes after the wire's own end of the message.
 */
import { DecodeError, type EncodedRequest, type StreamDecoder, type WireEvent } from "../codec.js";
import { asObject, asString, parseObject } from "../json.js";
import type { AnswerEvent, JsonObject } from "../semantic.js";
import {
  type AnswerTally,
  annotationOf,
  callId,
  callStart,
  foreignEvent,
  isFormatTool,
  mediaEvent,
  stopEvent,
  traceLoss,
  usageOf,
} from "./answer-parts.js";
import { decodeException } from "./error.js";
import { lossName } from "../loss-name.js";

type BlockKind = "text" | "thinking" | "call" | "image" | "foreign";

/** One block of the wire while it is under way. */
interface OpenBlock {
  readonly index: number;
  kind: BlockKind | null;
  /** Events that wait for their turn. */
  readonly waiting: AnswerEvent[];
  /** Fragments that came before what opens their block; signatures, redacted bytes. */
  readonly pieces: string[];
  readonly redacted: string[];
  id: string;
  name: string;
  format: string;
  /** Has the tool call been opened? */
  called: boolean;
  /** Did the call have arguments? */
  argued: boolean;
  raw: JsonObject[];
}

interface StreamState {
  readonly encoded: EncodedRequest;
  readonly tally: AnswerTally;
  /** In order of appearance; the first is the one whose events go out at once. */
  readonly blocks: Map<number, OpenBlock>;
  readonly ended: Set<number>;
  out: AnswerEvent[];
  started: boolean;
  stop: AnswerEvent | null;
  done: boolean;
}

/** Events of the protocol, not of the answer. */
const SILENT: ReadonlySet<string> = new Set(["", "initial-response"]);

type Reader = (payload: JsonObject, state: StreamState) => void;

/** The decoder of one answer's stream. */
export function streamDecoder(encoded: EncodedRequest): StreamDecoder {
  const state: StreamState = {
    encoded,
    tally: { calls: 0, formatCalls: 0 },
    blocks: new Map(),
    ended: new Set(),
    out: [],
    started: false,
    stop: null,
    done: false,
  };
  return { push: (event) => push(event, state), finish: () => finish(state) };
}

const NOTHING: readonly AnswerEvent[] = Object.freeze([]);

function push(event: WireEvent, state: StreamState): readonly AnswerEvent[] {
  if (state.done) return NOTHING;
  if (event.event === "error" || event.event.endsWith("Exception")) {
    state.done = true;
    return [{ kind: "error", error: decodeException(event.event, event.data) }];
  }
  const reader = Object.hasOwn(READERS, event.event) ? READERS[event.event] : undefined;
  // Events of a later version of the wire are none of ours, but their caller shall know of them.
  if (reader === undefined)
    return SILENT.has(event.event) ? NOTHING : [{ kind: "loss", name: lossName(event.event, "stream_event") }];
  const payload = parseObject(event.data);
  if (payload === null) throw new DecodeError("The payload of a stream event is not a JSON object.");
  start(state);
  reader(payload, state);
  return taken(state);
}

function taken(state: StreamState): readonly AnswerEvent[] {
  if (state.out.length === 0) return NOTHING;
  const { out } = state;
  state.out = [];
  return out;
}

function start(state: StreamState): void {
  if (state.started) return;
  state.started = true;
  state.out.push({ kind: "start", id: "", model: "", created: 0 });
}

function finish(state: StreamState): readonly AnswerEvent[] {
  if (state.done) return NOTHING;
  if (state.stop !== null) {
    end(state);
    return taken(state);
  }
  state.done = true;
  const message = "The upstream ended its stream before the answer was complete.";
  return [{ kind: "error", error: { status: 502, type: "ModelStreamErrorException", code: null, message } }];
}

function end(state: StreamState): void {
  if (state.stop !== null) state.out.push(state.stop);
  state.out.push({ kind: "end" });
  state.done = true;
}

const READERS: Readonly<Record<string, Reader>> = {
  messageStart: () => {},
  contentBlockStart: readStart,
  contentBlockDelta: readDelta,
  contentBlockStop: (payload, state) => closeBlock(blockOf(payload, state), state),
  messageStop: (payload, state) => {
    for (const block of [...state.blocks.values()]) closeBlock(block, state);
    state.stop = stopEvent(asString(payload.stopReason), payload.additionalModelResponseFields, state.tally);
  },
  metadata: (payload, state) => {
    for (const loss of traceLoss(payload.trace)) state.out.push(loss);
    state.out.push({ kind: "usage", usage: usageOf(payload.usage) });
    if (state.stop !== null) end(state);
  },
};

function blockOf(payload: JsonObject, state: StreamState): OpenBlock {
  const index = typeof payload.contentBlockIndex === "number" ? payload.contentBlockIndex : 0;
  let block = state.blocks.get(index);
  if (block === undefined) {
    block = {
      index,
      kind: null,
      waiting: [],
      pieces: [],
      redacted: [],
      id: "",
      name: "",
      format: "",
      called: false,
      argued: false,
      raw: [],
    };
    state.blocks.set(index, block);
  }
  return block;
}

/** Is it this block's turn to be passed on? */
function isFirst(block: OpenBlock, state: StreamState): boolean {
  const first = state.blocks.values().next();
  return first.done !== true && first.value === block;
}

function emit(block: OpenBlock, event: AnswerEvent, state: StreamState): void {
  if (isFirst(block, state)) state.out.push(event);
  else block.waiting.push(event);
}

/** Turns the block into one of this kind; what it was before is ended. */
function become(block: OpenBlock, kind: BlockKind, state: StreamState): void {
  if (block.kind === kind) return;
  if (block.kind !== null) endBlock(block, state);
  block.kind = kind;
  if (kind === "text") emit(block, { kind: "text_start" }, state);
  if (kind === "thinking") emit(block, { kind: "thinking_start", id: "", origin: "bedrock-converse" }, state);
}

function readStart(payload: JsonObject, state: StreamState): void {
  const begun = asObject(payload.start) ?? {};
  const block = blockOf(payload, state);
  const call = asObject(begun.toolUse);
  const image = asObject(begun.image);
  if (call !== null && (call.type === undefined || call.type === null)) {
    become(block, "call", state);
    block.id = asString(call.toolUseId);
    block.name = asString(call.name);
    openCall(block, state);
  } else if (image !== null) {
    become(block, "image", state);
    block.format = asString(image.format);
  } else if (Object.keys(begun).length > 0) {
    become(block, "foreign", state);
    block.raw.push(payload);
  }
}

function openCall(block: OpenBlock, state: StreamState): void {
  if (block.called) return;
  block.called = true;
  emit(block, callStart(callId(block.id, block.index), block.name, state.encoded), state);
  if (isFormatTool(block.name, state.encoded)) state.tally.formatCalls++;
  else state.tally.calls++;
  for (const piece of block.pieces.splice(0)) emitArguments(block, piece, state);
}

function emitArguments(block: OpenBlock, text: string, state: StreamState): void {
  block.argued = true;
  emit(block, isFormatTool(block.name, state.encoded) ? { kind: "text", text } : { kind: "arguments", text }, state);
}

type DeltaReader = (value: JsonObject | string, block: OpenBlock, state: StreamState) => void;

const DELTAS: Readonly<Record<string, DeltaReader>> = {
  text: (value, block, state) => {
    become(block, "text", state);
    if (typeof value === "string" && value !== "") emit(block, { kind: "text", text: value }, state);
  },
  reasoningContent: readReasoning,
  toolUse: (value, block, state) => {
    if (block.kind === "foreign") return;
    become(block, "call", state);
    const text = typeof value === "string" ? "" : asString(value.input);
    if (text === "") return;
    if (block.called) emitArguments(block, text, state);
    else block.pieces.push(text);
  },
  citation: (value, block, state) => {
    become(block, "text", state);
    if (typeof value !== "string") emit(block, { kind: "annotation", annotation: annotationOf(value) }, state);
  },
  image: (value, block, state) => {
    become(block, "image", state);
    if (typeof value !== "string") block.raw.push(value);
  },
};

function readDelta(payload: JsonObject, state: StreamState): void {
  const block = blockOf(payload, state);
  const delta = asObject(payload.delta) ?? {};
  for (const [name, value] of Object.entries(delta)) {
    const said = typeof value === "string" ? value : asObject(value);
    if (said === null) continue;
    const reader = Object.hasOwn(DELTAS, name) && block.kind !== "foreign" ? DELTAS[name] : undefined;
    if (reader !== undefined) reader(said, block, state);
    else {
      become(block, "foreign", state);
      block.raw.push(payload);
    }
  }
}

function readReasoning(value: JsonObject | string, block: OpenBlock, state: StreamState): void {
  become(block, "thinking", state);
  if (typeof value === "string") return;
  const text = asString(value.text);
  const signature = asString(value.signature);
  const redacted = asString(value.redactedContent);
  if (text !== "") emit(block, { kind: "thinking", text }, state);
  if (signature !== "") emit(block, { kind: "signature", signature }, state);
  if (redacted !== "") block.redacted.push(redacted);
}

/** Ends what the block is: says what had to wait for its end. */
function endBlock(block: OpenBlock, state: StreamState): void {
  if (block.kind === "call") {
    openCall(block, state);
    if (!block.argued) emitArguments(block, "{}", state);
  }
  if (block.redacted.length > 0) emit(block, { kind: "encrypted", data: joinedBytes(block.redacted.splice(0)) }, state);
  if (block.kind === "image") {
    const source = imageSource(block.raw);
    emit(block, mediaEvent("image", { format: block.format, source }) ?? { kind: "loss", name: "image" }, state);
  } else if (block.kind === "foreign") {
    emit(block, foreignEvent(foreignType(block.raw), { events: block.raw }), state);
  } else {
    emit(block, { kind: "block_stop" }, state);
  }
  block.raw = [];
  block.called = false;
  block.argued = false;
}

/** Ends the block; when it was the first, the next ones say what they have, as far as they have come. */
function closeBlock(block: OpenBlock, state: StreamState): void {
  if (block.kind !== null) endBlock(block, state);
  if (!isFirst(block, state)) {
    state.ended.add(block.index);
    return;
  }
  state.blocks.delete(block.index);
  for (const next of state.blocks.values()) {
    for (const event of next.waiting.splice(0)) state.out.push(event);
    if (!state.ended.delete(next.index)) return;
    state.blocks.delete(next.index);
  }
}

/** Pieces of base64, each complete in itself, as one. */
function joinedBytes(pieces: readonly string[]): string {
  if (pieces.length === 1) return pieces[0] as string;
  return Buffer.concat(pieces.map((piece) => Buffer.from(piece, "base64"))).toString("base64");
}

function imageSource(deltas: readonly JsonObject[]): JsonObject {
  const pieces = deltas.map((delta) => asString(asObject(delta.source)?.bytes)).filter((piece) => piece !== "");
  return pieces.length > 0 ? { bytes: joinedBytes(pieces) } : (asObject(deltas[0]?.source) ?? {});
}

function foreignType(payloads: readonly JsonObject[]): string {
  const first = payloads[0];
  const said = asObject(first?.start) ?? asObject(first?.delta) ?? {};
  const name = Object.keys(said)[0] ?? "";
  return asString(asObject(said[name])?.type) || name;
}
