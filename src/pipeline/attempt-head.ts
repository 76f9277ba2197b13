/** The head of an attempt's answer, and what is done to the answer's bytes before its relay sees them. */
import type { AnswerFilter } from "../providers/answer-filter.js";
import { type AnswerHead, readAnswerHead } from "./answer-head.js";
import type { Attempt } from "./attempt.js";
import { createdFilter } from "./carry-ids.js";

export interface ReadHead {
  /** As the relay sees it: what a filter turns the answer into counts, not what came. */
  readonly head: AnswerHead;
  /** null = the answer is read as it comes. */
  readonly filter: AnswerFilter | null;
}

export function readHead(attempt: Attempt, status: number, headers: readonly string[]): ReadHead {
  const { exchange, node, target, translation } = attempt;
  const head = readAnswerHead(status, headers, node.headerNames.prefix);
  const facts = { status, contentType: head.contentType, requestId: exchange.id };
  const { outgoing } = exchange;
  const created = translation === null ? createdFilter(exchange, node, target) : null;
  const carrying = outgoing === null ? created : outgoing.answerFilter;
  const filter = carrying?.(facts) ?? target.answerFilter(facts);
  if (outgoing?.method === "HEAD" && head.length >= 0) head.passed.push("content-length", String(head.length));
  return { head: filter === null ? head : { ...head, contentType: filter.contentType }, filter };
}
