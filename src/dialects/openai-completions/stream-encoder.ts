/** A completions stream, event by event. */
import { mergeUsage, NO_USAGE } from "../answer-fold.js";
import { reportForeign, reportMedia } from "../answer-losses.js";
import type { CodecContext, StreamEncoder } from "../codec.js";
import { encodeError } from "../openai-chat/error.js";
import { isKnown, usageObject } from "../openai-chat/usage.js";
import { asArray, asObject, asString } from "../json.js";
import type { AnswerEvent, JsonObject, LossList, SemanticUsage, StopReason } from "../semantic.js";
import { completionFinish, completionHead, echoOf, reportFinish } from "./encode-answer.js";
import { legacyLogprobs } from "./logprobs.js";

interface Choice {
  readonly index: number;
  begun: boolean;
  finished: boolean;
  /** Where the next token with a probability stands in the text. */
  offset: number;
}

interface State {
  readonly context: CodecContext;
  readonly losses: LossList;
  readonly echo: string;
  /** `data: {…` */
  head: string;
  readonly foot: string;
  readonly choices: Map<number, Choice>;
  current: Choice;
  usage: SemanticUsage;
  ended: boolean;
}

function headOf(context: CodecContext, answer: { id: string; created: number }): string {
  return `data: ${JSON.stringify(completionHead(answer, context)).slice(0, -1)}`;
}

function chunk(state: State, text: string, finish: string | null = null, logprobs: JsonObject | null = null): string {
  const choice = { text, index: state.current.index, logprobs, finish_reason: finish };
  return `${state.head},"choices":[${JSON.stringify(choice)}]${state.foot}`;
}

/** The echo stands before anything else of a choice. */
function begin(state: State): string {
  if (state.current.begun) return "";
  state.current.begun = true;
  return state.echo === "" ? "" : chunk(state, state.echo);
}

function say(state: State, text: string): string {
  return text === "" ? "" : begin(state) + chunk(state, text);
}

function choose(state: State, index: number): string {
  let choice = state.choices.get(index);
  if (choice === undefined) {
    choice = { index, begun: false, finished: false, offset: state.echo.length };
    state.choices.set(index, choice);
  }
  state.current = choice;
  return "";
}

function writeLogprobs(state: State, logprobs: JsonObject): string {
  const { current } = state;
  const first = begin(state);
  const said = chunk(state, "", null, legacyLogprobs(logprobs, current.offset));
  for (const token of asArray(logprobs.content)) current.offset += asString(asObject(token)?.token).length;
  return first + said;
}

function finish(state: State, reason: StopReason | null): string {
  if (state.current.finished) return "";
  state.current.finished = true;
  return begin(state) + chunk(state, "", completionFinish(reason));
}

function end(state: State): string {
  let text = "";
  for (const choice of state.choices.values()) {
    state.current = choice;
    if (choice.begun || state.choices.size === 1) text += finish(state, null);
  }
  if (state.context.usageAsked && isKnown(state.usage)) {
    text += `${state.head},"choices":[],"usage":${JSON.stringify(usageObject(state.usage))}}\n\n`;
  }
  state.ended = true;
  return `${text}data: [DONE]\n\n`;
}

function write(state: State, event: AnswerEvent): string {
  switch (event.kind) {
    case "start":
      state.head = headOf(state.context, event);
      return "";
    case "choice":
      return choose(state, event.index);
    case "text":
      return say(state, event.text);
    case "refusal":
      if (event.text !== "") state.losses.add("refusal");
      return say(state, event.text);
    case "logprobs":
      return writeLogprobs(state, event.logprobs);
    case "usage":
      state.usage = mergeUsage(state.usage, event.usage);
      return "";
    case "stop":
      reportFinish(event.reason, event.sequence, state.losses);
      return finish(state, event.reason);
    case "error":
      state.ended = true;
      return `data: ${JSON.stringify(encodeError(event.error, state.context.requestId))}\n\n`;
    case "end":
      return end(state);
    default:
      reportDropped(event, state.losses);
      return "";
  }
}

/** Events of what a completion has no place for; blocks are reported by what fills them. */
function reportDropped(event: AnswerEvent, losses: LossList): void {
  switch (event.kind) {
    case "annotation":
      losses.add("annotations");
      return;
    case "thinking":
    case "signature":
    case "encrypted":
      losses.add("thinking");
      return;
    case "tool_start":
      losses.add("tool_calls");
      return;
    case "media":
      reportMedia(event.source, losses);
      return;
    case "foreign":
      reportForeign(event.block, losses);
      return;
    case "loss":
      losses.add(event.name);
  }
}

/** Writes completion chunks; after `end` or `error` nothing more. */
export function streamEncoder(context: CodecContext, losses: LossList): StreamEncoder {
  const echo = echoOf(context);
  const current: Choice = { index: 0, begun: false, finished: false, offset: echo.length };
  const state: State = {
    context,
    losses,
    echo,
    head: headOf(context, { id: "", created: 0 }),
    foot: context.usageAsked ? `,"usage":null}\n\n` : "}\n\n",
    choices: new Map([[0, current]]),
    current,
    usage: NO_USAGE,
    ended: false,
  };
  return { push: (event) => (state.ended ? "" : write(state, event)) };
}
