/**
 * A chat stream, event by event. A chunk is pasted together from text that was made once, so that a delta
 * costs no more than the escaping of its text.
 */
import { mergeUsage, NO_USAGE } from "../answer-fold.js";
import type { CodecContext, StreamEncoder } from "../codec.js";
import type {
  Annotation,
  AnswerEvent,
  JsonObject,
  JsonValue,
  LossList,
  SemanticUsage,
  StopReason,
} from "../semantic.js";
import {
  annotationObject,
  answerHead,
  audioObject,
  callObject,
  imageObject,
  isLegacy,
  newPlaces,
  type Places,
  reportFinish,
  reportLegacyCall,
  takePlace,
} from "./answer-parts.js";
import { logprobsObject } from "./encode-answer.js";
import { encodeError } from "./error.js";
import { finishReason } from "./finish.js";
import { detailsOf } from "./reasoning.js";
import { isKnown, usageObject } from "./usage.js";

interface OpenThinking {
  text: string;
  signature: string;
  encrypted: string;
  readonly id: string;
  readonly origin: string;
  readonly place: number;
}

/** What is said once, before the reason: clients that fold a stream keep only the last of such fields. */
interface Tail {
  readonly annotations: JsonObject[];
  readonly images: JsonObject[];
  readonly foreign: { [wire: string]: JsonValue[] };
  audio: JsonObject | null;
}

interface Choice {
  readonly index: number;
  hasRole: boolean;
  finished: boolean;
  textLength: number;
  /** Where the open text block began. */
  textStart: number;
  pending: Annotation[];
  thinking: OpenThinking | null;
  calls: number;
  /** The open call: its flavour, and whether any of its arguments were said. */
  call: { readonly isCustom: boolean; said: boolean } | null;
  readonly places: Places;
  readonly tail: Tail;
}

interface State {
  readonly context: CodecContext;
  readonly losses: LossList;
  readonly legacy: boolean;
  /** `data: {…,"choices":[{"index":` */
  head: string;
  /** What follows the last choice. */
  readonly foot: string;
  readonly choices: Map<number, Choice>;
  current: Choice;
  usage: SemanticUsage;
  ended: boolean;
}

function newChoice(index: number): Choice {
  return {
    index,
    hasRole: false,
    finished: false,
    textLength: 0,
    textStart: 0,
    pending: [],
    thinking: null,
    calls: 0,
    call: null,
    places: newPlaces(),
    tail: { annotations: [], images: [], foreign: {}, audio: null },
  };
}

function headOf(context: CodecContext, answer: { id: string; created: number }): string {
  return `data: ${JSON.stringify(answerHead("chat.completion.chunk", answer, context)).slice(0, -1)}`;
}

function newState(context: CodecContext, losses: LossList): State {
  const first = newChoice(0);
  return {
    context,
    losses,
    legacy: isLegacy(context),
    head: headOf(context, { id: "", created: 0 }),
    foot: context.usageAsked ? `}],"usage":null}\n\n` : "}]}\n\n",
    choices: new Map([[0, first]]),
    current: first,
    usage: NO_USAGE,
    ended: false,
  };
}

/** One chunk of one choice; `delta` and `logprobs` are JSON. */
function chunk(state: State, delta: string, finish: string | null = null, logprobs = "null"): string {
  const { head, foot, current } = state;
  const reason = finish === null ? "null" : JSON.stringify(finish);
  return `${head},"choices":[{"index":${current.index},"delta":${delta},"logprobs":${logprobs},"finish_reason":${reason}${foot}`;
}

/** The chunk that names the role stands before anything else of a choice. */
function roleFirst(state: State, isCall = false): string {
  const { current } = state;
  if (current.hasRole) return "";
  current.hasRole = true;
  return chunk(state, `{"role":"assistant","content":${isCall ? "null" : '""'},"refusal":null}`);
}

type Writer<Kind extends AnswerEvent["kind"]> = (
  state: State,
  event: Extract<AnswerEvent, { readonly kind: Kind }>,
) => string;

const WRITERS: { readonly [Kind in AnswerEvent["kind"]]: Writer<Kind> } = {
  start: (state, event) => {
    state.head = headOf(state.context, event);
    return "";
  },
  choice: (state, { index }) => {
    let choice = state.choices.get(index);
    if (choice === undefined) {
      choice = newChoice(index);
      state.choices.set(index, choice);
    }
    state.current = choice;
    return "";
  },
  text_start: ({ current }) => {
    current.textStart = current.textLength;
    return "";
  },
  text: writeText,
  annotation: ({ current }, { annotation }) => {
    current.pending.push(annotation);
    return "";
  },
  thinking_start: ({ current }, { id, origin }) => {
    const place = takePlace(current.places, "thinking");
    current.thinking = { text: "", signature: "", encrypted: "", id, origin, place };
    return "";
  },
  thinking: (state, { text }) => {
    if (text === "") return "";
    if (state.current.thinking !== null) state.current.thinking.text += text;
    return roleFirst(state) + chunk(state, `{"reasoning_content":${JSON.stringify(text)}}`);
  },
  signature: ({ current }, { signature }) => {
    if (current.thinking !== null) current.thinking.signature += signature;
    return "";
  },
  encrypted: ({ current }, { data }) => {
    if (current.thinking !== null) current.thinking.encrypted += data;
    return "";
  },
  tool_start: startCall,
  arguments: (state, { text }) => (text === "" ? "" : writeArguments(state, text)),
  refusal_start: () => "",
  refusal: (state, { text }) => {
    if (text === "") return "";
    takePlace(state.current.places, "refusal");
    return roleFirst(state) + chunk(state, `{"refusal":${JSON.stringify(text)}}`);
  },
  media: ({ current, context, losses }, { source }) => {
    const isAudio = source.mediaType.startsWith("audio/");
    takePlace(current.places, isAudio ? "audio" : "image");
    const image = isAudio ? null : imageObject(source, current.tail.images.length, losses);
    if (isAudio) current.tail.audio = audioObject(source, current.tail.audio, context, losses);
    else if (image !== null) current.tail.images.push(image);
    return "";
  },
  foreign: ({ current }, { block }) => {
    takePlace(current.places, "foreign");
    current.tail.foreign[block.wire] ??= [];
    (current.tail.foreign[block.wire] as JsonValue[]).push(block.raw);
    return "";
  },
  block_stop: stopBlock,
  logprobs: (state, { logprobs }) =>
    roleFirst(state) + chunk(state, "{}", null, JSON.stringify(logprobsObject(logprobs))),
  usage: (state, { usage }) => {
    state.usage = mergeUsage(state.usage, usage);
    return "";
  },
  loss: ({ losses }, { name }) => {
    losses.add(name);
    return "";
  },
  stop: (state, { reason, sequence }) => {
    reportFinish(reason, sequence, state.losses);
    return finishChoice(state, reason);
  },
  error: (state, { error }) => {
    state.ended = true;
    return `data: ${JSON.stringify(encodeError(error, state.context.requestId))}\n\n`;
  },
  end: endAnswer,
};

function writeText(state: State, { text }: { readonly text: string }): string {
  if (text === "") return "";
  const { current } = state;
  if (current.textLength === 0) takePlace(current.places, "text");
  current.textLength += text.length;
  const delta = `{"content":${JSON.stringify(text)}}`;
  return current.hasRole ? chunk(state, delta) : roleFirst(state) + chunk(state, delta);
}

function startCall(state: State, event: Extract<AnswerEvent, { readonly kind: "tool_start" }>): string {
  const { current } = state;
  takePlace(current.places, "tool_call");
  const index = current.calls++;
  const isCustom = event.flavour === "custom";
  current.call = { isCustom, said: false };
  const role = roleFirst(state, true);
  if (state.legacy) {
    reportLegacyCall(event.signature, index, state.losses);
    // The legacy form knows one call; further ones have no place in it.
    if (index > 0) return role;
    return role + chunk(state, JSON.stringify({ function_call: { name: event.name, arguments: "" } }));
  }
  return role + chunk(state, JSON.stringify({ tool_calls: [{ index, ...callObject({ ...event, arguments: "" }) }] }));
}

function writeArguments(state: State, text: string): string {
  const { current, legacy } = state;
  const { call } = current;
  if (call === null) return "";
  call.said = true;
  const said = JSON.stringify(text);
  if (legacy) return current.calls > 1 ? "" : chunk(state, `{"function_call":{"arguments":${said}}}`);
  const piece = call.isCustom ? `"custom":{"input":${said}}` : `"function":{"arguments":${said}}`;
  return chunk(state, `{"tool_calls":[{"index":${current.calls - 1},${piece}}]}`);
}

function stopBlock(state: State): string {
  const { current } = state;
  const { call, thinking } = current;
  let text = "";
  if (call !== null && !call.said && !call.isCustom) text = writeArguments(state, "{}");
  if (thinking !== null) {
    const { place, ...block } = thinking;
    const details = detailsOf({ kind: "thinking", ...block }, place);
    if (details.length > 0) text = roleFirst(state) + chunk(state, JSON.stringify({ reasoning_details: details }));
  }
  for (const annotation of current.pending) {
    const object = annotationObject(annotation, [current.textStart, current.textLength], state.losses);
    if (object !== null) current.tail.annotations.push(object);
  }
  current.call = null;
  current.thinking = null;
  if (current.pending.length > 0) current.pending = [];
  return text;
}

function tailDelta({ annotations, images, foreign, audio }: Tail): JsonObject {
  return {
    ...(annotations.length === 0 ? {} : { annotations }),
    ...(images.length === 0 ? {} : { images }),
    ...(audio === null ? {} : { audio }),
    ...(Object.keys(foreign).length === 0 ? {} : { extra_content: foreign }),
  };
}

function finishChoice(state: State, reason: StopReason | null): string {
  const { current } = state;
  if (current.finished) return "";
  const open = stopBlock(state);
  current.finished = true;
  const tail = tailDelta(current.tail);
  const said = Object.keys(tail).length === 0 ? "" : chunk(state, JSON.stringify(tail));
  const finish = finishReason(reason, current.calls > 0, state.legacy);
  return roleFirst(state) + open + said + chunk(state, "{}", finish);
}

function endAnswer(state: State): string {
  let text = "";
  for (const choice of state.choices.values()) {
    state.current = choice;
    // A candidate that never was mentioned is no candidate, unless it is the only one.
    if (choice.hasRole || state.choices.size === 1) text += finishChoice(state, null);
  }
  if (state.context.usageAsked && isKnown(state.usage)) {
    text += `${state.head},"choices":[],"usage":${JSON.stringify(usageObject(state.usage))}}\n\n`;
  }
  state.ended = true;
  return `${text}data: [DONE]\n\n`;
}

/** Writes chat chunks; after `end` or `error` nothing more. */
export function streamEncoder(context: CodecContext, losses: LossList): StreamEncoder {
  const state = newState(context, losses);
  return {
    push: (event) => (state.ended ? "" : (WRITERS[event.kind] as Writer<AnswerEvent["kind"]>)(state, event)),
  };
}
