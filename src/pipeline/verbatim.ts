/** Answers that pass as they come: how they are held, and how they are read on the side. */
import type { AnswerForm, AnswerObserver } from "../dialects/dialect.js";
import { StreamTap } from "../dialects/stream-tap.js";
import { type AnswerHead, isEventStream } from "./answer-head.js";
import type { Attempt } from "./attempt.js";

/** One that was announced whole may be held for a moment; of any other every byte leaves at once. */
export function verbatimForm({ exchange }: Attempt, { length }: AnswerHead, form: AnswerForm): AnswerForm | "raw" {
  if (exchange.outgoing?.verbatim !== true) return form;
  return length >= 0 ? "any" : "raw";
}

/** What reads an answer that no relay of streams reads. */
export function observerOf({ exchange, node, tally }: Attempt, head: AnswerHead): AnswerObserver {
  const { speech, view, outgoing } = exchange;
  const { dialect, operation } = speech;
  if (outgoing?.verbatim !== true || view === null || !isEventStream(head.contentType)) {
    return dialect.answerObserver(operation, tally);
  }
  const tap = new StreamTap(dialect.streamObserver(view, tally), node.config.limits.event_bytes);
  return { feed: (chunk) => void tap.push(chunk), finish: () => void tap.end() };
}
