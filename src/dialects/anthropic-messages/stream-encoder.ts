/**
 * Streamed answers for callers of the messages API. One block is open at a time. `message_start` waits for
 * the first event after `start`, so that it can name the prompt's tokens when the upstream says them at
 * once; the closing events wait for `end`, since usage may come after the reason to stop.
 */
import { mergeUsage, NO_USAGE } from "../answer-fold.js";
import { reportForeign, reportLogprobs, reportStop } from "../answer-losses.js";
import type { CodecContext, StreamEncoder } from "../codec.js";
import type { AnswerEvent, ForeignBlock, JsonObject, LossList, SemanticUsage } from "../semantic.js";
import {
  callIdOf,
  callSignatureBlock,
  deltaUsage,
  mediaText,
  messageOf,
  redactedBlock,
  type Stop,
  stopFields,
  thinkingSignature,
  toolUse,
  WORDLESS,
} from "./answer-shape.js";
import { encodeCitation } from "./citations.js";
import { encodeMessagesError } from "./error.js";
import { MESSAGES } from "./wire-name.js";

type OpenKind = "none" | "text" | "thinking" | "tool";

interface EncoderState {
  readonly context: CodecContext;
  readonly losses: LossList;
  id: string;
  /** Has message_start been said? */
  started: boolean;
  /** Nothing more may be said. */
  ended: boolean;
  /** The event concerns another candidate than the first. */
  muted: boolean;
  usage: SemanticUsage;
  stop: Omit<Stop, "calledTools"> | null;
  /** Index of the next block, or of the open one once its start has been said. */
  index: number;
  open: OpenKind;
  /** Has the open block's start been said? Text and thinking wait for their first word. */
  said: boolean;
  /** UTF-16 units of the open text. */
  length: number;
  calls: number;
  /** Of the open thinking block. */
  origin: string;
  thinkingId: string;
  signature: string;
  encrypted: string;
  /** Of the open call: free text that is to become a JSON string; has anything of its arguments been said? */
  freeText: boolean;
  argued: boolean;
}

function frame(event: string, data: JsonObject): string {
  // JSON text holds no raw line end, so nothing in it can end the frame.
  return `event: ${event}\ndata: ${JSON.stringify({ type: event, ...data })}\n\n`;
}

/** A delta whose only variable part is a text: the frame of which a stream has thousands. */
function delta(state: EncoderState, type: string, field: string, text: string): string {
  const content = `{"type":"${type}","${field}":${JSON.stringify(text)}}`;
  return `event: content_block_delta\ndata: {"type":"content_block_delta","index":${state.index},"delta":${content}}\n\n`;
}

function startBlock(state: EncoderState, block: JsonObject): string {
  state.said = true;
  return frame("content_block_start", { index: state.index, content_block: block });
}

function stopBlock(state: EncoderState): string {
  const text = frame("content_block_stop", { index: state.index });
  state.index++;
  state.open = "none";
  state.said = false;
  return text;
}

function wholeBlock(state: EncoderState, block: JsonObject): string {
  return startBlock(state, block) + stopBlock(state);
}

/** Closes thinking: its signature goes last; thinking without a word becomes a block of its own kind. */
function closeThinking(state: EncoderState): string {
  const { origin, signature, encrypted, thinkingId: id } = state;
  const carried = { origin, signature, encrypted, id };
  if (!state.said) {
    if (signature === "" && encrypted === "") return "";
    const redacted = redactedBlock(carried);
    if (redacted !== null) return wholeBlock(state, redacted);
  }
  const start = state.said ? "" : startBlock(state, { type: "thinking", thinking: "", signature: "" });
  const proof = thinkingSignature(carried);
  return start + (proof === "" ? "" : delta(state, "signature_delta", "signature", proof)) + stopBlock(state);
}

/** Closes a call: free text ends its string, and a call without arguments says `{}`. */
function closeTool(state: EncoderState): string {
  let rest = "";
  if (state.freeText) rest = state.argued ? '"}' : '{"input":""}';
  else if (!state.argued) rest = "{}";
  return (rest === "" ? "" : delta(state, "input_json_delta", "partial_json", rest)) + stopBlock(state);
}

function close(state: EncoderState): string {
  let text = "";
  if (state.open === "thinking") text = closeThinking(state);
  else if (state.open === "tool") text = closeTool(state);
  else if (state.open === "text" && state.said) text = stopBlock(state);
  state.open = "none";
  state.said = false;
  return text;
}

function begin(state: EncoderState, kind: OpenKind): string {
  const text = close(state);
  state.open = kind;
  return text;
}

function openText(state: EncoderState): string {
  const closed = state.open === "text" ? "" : begin(state, "text");
  if (state.said) return closed;
  state.length = 0;
  return closed + startBlock(state, { type: "text", text: "" });
}

function sayText(state: EncoderState, text: string): string {
  if (text === "") return "";
  const opened = openText(state);
  state.length += text.length;
  return opened + delta(state, "text_delta", "text", text);
}

function beginThinking(state: EncoderState, id: string, origin: string): string {
  const text = begin(state, "thinking");
  state.thinkingId = id;
  state.origin = origin;
  state.signature = "";
  state.encrypted = "";
  return text;
}

function ensureThinking(state: EncoderState): string {
  return state.open === "thinking" ? "" : beginThinking(state, "", "");
}

function sayThinking(state: EncoderState, text: string): string {
  if (text === "") return "";
  const opened = ensureThinking(state);
  const start = state.said ? "" : startBlock(state, { type: "thinking", thinking: "", signature: "" });
  return opened + start + delta(state, "thinking_delta", "thinking", text);
}

type ToolStart = Extract<AnswerEvent, { readonly kind: "tool_start" }>;

function beginTool(state: EncoderState, event: ToolStart): string {
  const closed = begin(state, "tool");
  const id = callIdOf(event.id, state.calls++, state.context);
  const carrier = event.signature === "" ? "" : wholeBlock(state, callSignatureBlock(id, event.signature));
  state.open = "tool";
  state.freeText = event.flavour === "custom";
  state.argued = false;
  return closed + carrier + startBlock(state, toolUse(id, event.name, {}));
}

const NAMELESS: ToolStart = { kind: "tool_start", id: "", name: "", signature: "", flavour: "function" };

function sayArguments(state: EncoderState, text: string): string {
  if (text === "") return "";
  const opened = state.open === "tool" ? "" : beginTool(state, NAMELESS);
  if (state.freeText) {
    // Each fragment is escaped by itself: halves of a surrogate pair become two escapes, which join again.
    const escaped = JSON.stringify(text).slice(1, -1);
    const fragment = state.argued ? escaped : `{"input":"${escaped}`;
    state.argued = true;
    return opened + delta(state, "input_json_delta", "partial_json", fragment);
  }
  state.argued ||= text.trim() !== "";
  return opened + delta(state, "input_json_delta", "partial_json", text);
}

function sayForeign(state: EncoderState, block: ForeignBlock): string {
  const closed = close(state);
  const { raw } = block;
  if (block.wire !== MESSAGES) {
    reportForeign(block, state.losses);
    return closed;
  }
  if (raw.type !== "server_tool_use") return closed + wholeBlock(state, raw);
  const start = startBlock(state, { ...raw, input: {} });
  const input = delta(state, "input_json_delta", "partial_json", JSON.stringify(raw.input ?? {}));
  return closed + start + input + stopBlock(state);
}

type Encoder<Kind extends AnswerEvent["kind"]> = (
  state: EncoderState,
  event: Extract<AnswerEvent, { readonly kind: Kind }>,
) => string;

/** Events of the answer's content. */
type ContentKind = Exclude<AnswerEvent["kind"], "start" | "choice" | "usage" | "loss" | "error" | "end">;

const ENCODERS: { readonly [Kind in ContentKind]: Encoder<Kind> } = {
  text_start: (state) => begin(state, "text"),
  text: (state, event) => sayText(state, event.text),
  annotation: (state, event) => {
    const opened = openText(state);
    const citation = {
      type: "citations_delta",
      citation: encodeCitation(event.annotation, state.length, state.losses),
    };
    return opened + frame("content_block_delta", { index: state.index, delta: citation });
  },
  thinking_start: (state, event) => beginThinking(state, event.id, event.origin),
  thinking: (state, event) => sayThinking(state, event.text),
  signature: (state, event) => {
    const opened = ensureThinking(state);
    state.signature += event.signature;
    return opened;
  },
  encrypted: (state, event) => {
    const opened = ensureThinking(state);
    state.encrypted += event.data;
    return opened;
  },
  tool_start: beginTool,
  arguments: (state, event) => sayArguments(state, event.text),
  refusal_start: (state) => begin(state, "text"),
  refusal: (state, event) => {
    if (event.text !== "") state.losses.add("refusal");
    return sayText(state, event.text);
  },
  media: (state, event) => close(state) + sayText(state, mediaText(event.source, state.losses)) + close(state),
  foreign: (state, event) => sayForeign(state, event.block),
  block_stop: close,
  logprobs: (state, event) => {
    reportLogprobs(event.logprobs, state.losses);
    return "";
  },
  stop: (state, event) => {
    reportStop(event.reason, WORDLESS, state.losses);
    state.stop = { reason: event.reason, sequence: event.sequence, native: event.native };
    return close(state);
  },
};

function startMessage(state: EncoderState): string {
  if (state.started) return "";
  state.started = true;
  const message = messageOf({ id: state.id, content: [], stop: null, usage: state.usage }, state.context);
  return `${frame("message_start", { message })}event: ping\ndata: {"type":"ping"}\n\n`;
}

function endMessage(state: EncoderState): string {
  const text = startMessage(state) + close(state);
  state.ended = true;
  const stop = { reason: null, sequence: null, native: "", ...state.stop, calledTools: state.calls > 0 };
  const delta = { ...stopFields(stop), container: null };
  return text + frame("message_delta", { delta, usage: deltaUsage(state.usage) }) + frame("message_stop", {});
}

/** Encodes a stream for a caller of the messages API. */
export class MessagesStreamEncoder implements StreamEncoder {
  readonly #state: EncoderState;

  constructor(context: CodecContext, losses: LossList) {
    this.#state = {
      context,
      losses,
      id: "",
      started: false,
      ended: false,
      muted: false,
      usage: NO_USAGE,
      stop: null,
      index: 0,
      open: "none",
      said: false,
      length: 0,
      calls: 0,
      origin: "",
      thinkingId: "",
      signature: "",
      encrypted: "",
      freeText: false,
      argued: false,
    };
  }

  push(event: AnswerEvent): string {
    const state = this.#state;
    if (state.ended) return "";
    switch (event.kind) {
      case "start":
        state.id = event.id;
        return "";
      case "choice":
        state.muted = event.index > 0;
        if (state.muted) state.losses.add("n");
        return "";
      case "loss":
        state.losses.add(event.name);
        return "";
      case "usage":
        state.usage = mergeUsage(state.usage, event.usage);
        return "";
      case "error": {
        state.ended = true;
        const error = encodeMessagesError(event.error, state.context.requestId);
        return `event: error\ndata: ${JSON.stringify(error)}\n\n`;
      }
      case "end":
        return endMessage(state);
      default: {
        if (state.muted) return "";
        const encode = ENCODERS[event.kind] as Encoder<ContentKind>;
        return startMessage(state) + encode(state, event);
      }
    }
  }
}
