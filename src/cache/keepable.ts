/** Is an answer that came with a good status really one? */
import { answerFacts } from "../dialects/answer-facts.js";
import type { AnswerMode } from "./entry.js";

/** Errors inside a stream have been noticed by its relay; a whole answer is looked at here. */
export function isKeepable(body: Buffer, mode: AnswerMode): boolean {
  return mode === "stream" || answerFacts(body).keepable;
}
