/** A whole text completion from its events. */
import { type AnswerBlock, type FoldedChoice, foldAnswer } from "../answer-fold.js";
import { reportForeign, reportMedia, reportStop } from "../answer-losses.js";
import type { CodecContext } from "../codec.js";
import { answerHead } from "../openai-chat/answer-parts.js";
import { encodeError } from "../openai-chat/error.js";
import { isKnown, usageObject } from "../openai-chat/usage.js";
import type { AnswerEvent, JsonObject, LossList, StopReason } from "../semantic.js";
import { legacyLogprobs } from "./logprobs.js";

/** What every whole answer and chunk begins with; the dialect has no service tier. */
export function completionHead(answer: { id: string; created: number }, context: CodecContext): JsonObject {
  const { service_tier: _, ...head } = answerHead("text_completion", answer, context);
  const id = answer.id === "" ? `cmpl-${context.requestId}` : answer.id;
  return { ...head, id };
}

/** The prompt that the caller wants in front of the answer; "" = it does not. */
export function echoOf(context: CodecContext): string {
  const echo = context.request.answerHints?.echo;
  return typeof echo === "string" ? echo : "";
}

/** This dialect's `finish_reason`; it has three. */
export function completionFinish(reason: StopReason | null): string {
  return reason === "length" || reason === "content_filter" ? reason : "stop";
}

/** Reasons that are "stop" here though they are none; that of calls is lost with the calls. */
const WORDLESS: ReadonlySet<StopReason> = new Set<StopReason>(["pause", "error"]);

/** Reports what `finish_reason` leaves unsaid. */
export function reportFinish(reason: StopReason | null, sequence: string | null, losses: LossList): void {
  reportStop(reason, WORDLESS, losses);
  if (sequence !== null) losses.add("stop_sequence");
}

/** Text is all that a completion has: the words of a refusal are kept without the mark, other blocks are not. */
function textOf(block: AnswerBlock, losses: LossList): string {
  switch (block.kind) {
    case "text":
      if (block.annotations.length > 0) losses.add("annotations");
      return block.text;
    case "refusal":
      if (block.text !== "") losses.add("refusal");
      return block.text;
    case "thinking":
      if (block.text !== "" || block.signature !== "" || block.encrypted !== "") losses.add("thinking");
      return "";
    case "tool_call":
      losses.add("tool_calls");
      return "";
    case "image":
    case "audio":
      reportMedia(block.source, losses);
      return "";
    case "foreign":
      reportForeign(block, losses);
      return "";
  }
}

function choiceObject(choice: FoldedChoice, echo: string, losses: LossList): JsonObject {
  reportFinish(choice.stop, choice.sequence, losses);
  return {
    text: echo + choice.blocks.map((block) => textOf(block, losses)).join(""),
    index: choice.index,
    logprobs: choice.logprobs === null ? null : legacyLogprobs(choice.logprobs, echo.length),
    finish_reason: completionFinish(choice.stop),
  };
}

/** The whole `text_completion`; an answer that failed inside is the error envelope. */
export function encodeAnswer(events: Iterable<AnswerEvent>, context: CodecContext, losses: LossList): JsonObject {
  const answer = foldAnswer(events);
  for (const name of answer.losses ?? []) losses.add(name);
  if (answer.error !== null) return encodeError(answer.error, context.requestId);
  const echo = echoOf(context);
  return {
    ...completionHead(answer, context),
    choices: answer.choices.map((choice) => choiceObject(choice, echo, losses)),
    ...(isKnown(answer.usage) ? { usage: usageObject(answer.usage) } : {}),
  };
}
