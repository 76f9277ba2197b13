/** A whole text completion from its events. */
import { type FoldedChoice, foldAnswer } from "../answer-fold.js";
import type { CodecContext } from "../codec.js";
import { answerHead } from "../openai-chat/answer-parts.js";
import { encodeError } from "../openai-chat/error.js";
import { isKnown, usageObject } from "../openai-chat/usage.js";
import type { AnswerEvent, JsonObject, StopReason } from "../semantic.js";
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

/** All text; a refusal is text as well. Thinking and calls have no place in a completion. */
function textOf(choice: FoldedChoice): string {
  return choice.blocks.map((block) => (block.kind === "text" || block.kind === "refusal" ? block.text : "")).join("");
}

/** The whole `text_completion`; an answer that failed inside is the error envelope. */
export function encodeAnswer(events: Iterable<AnswerEvent>, context: CodecContext): JsonObject {
  const answer = foldAnswer(events);
  if (answer.error !== null) return encodeError(answer.error, context.requestId);
  const echo = echoOf(context);
  return {
    ...completionHead(answer, context),
    choices: answer.choices.map((choice) => ({
      text: echo + textOf(choice),
      index: choice.index,
      logprobs: choice.logprobs === null ? null : legacyLogprobs(choice.logprobs, echo.length),
      finish_reason: completionFinish(choice.stop),
    })),
    ...(isKnown(answer.usage) ? { usage: usageObject(answer.usage) } : {}),
  };
}
