/** Finish reasons, usage and log probabilities of answers, whole or streamed. */
import { asCount, asObject, asObjects, asString } from "../json.js";
import type { AnswerEvent, JsonObject, SemanticUsage, StopReason } from "../semantic.js";

const REASONS: Readonly<Record<string, StopReason>> = {
  COMPLETE: "stop",
  STOP_SEQUENCE: "stop_sequence",
  MAX_TOKENS: "length",
  TOOL_CALL: "tool_calls",
  ERROR: "error",
  TIMEOUT: "error",
  ERROR_TOXIC: "content_filter",
  ERROR_LIMIT: "length",
};

/** The stop event; an answer given through the format tool is a plain one. `calls`: real calls in the answer. */
export function stopEvent(native: string, calls: number): AnswerEvent {
  const reason = Object.hasOwn(REASONS, native) ? (REASONS[native] ?? "stop") : "stop";
  const told = reason === "tool_calls" && calls === 0 ? "stop" : reason;
  return { kind: "stop", reason: told, sequence: null, native };
}

/** The counts of tokens, else those that are billed; null when neither is said. */
export function readUsage(usage: JsonObject | null): SemanticUsage | null {
  const tokens = asObject(usage?.tokens);
  const billed = asObject(usage?.billed_units);
  if (usage === null || (tokens === null && billed === null)) return null;
  const count = (name: string) => {
    const said = asCount(tokens?.[name]);
    return said < 0 ? asCount(billed?.[name]) : said;
  };
  const cacheRead = asCount(usage.cached_tokens);
  return { input: count("input_tokens"), output: count("output_tokens"), cacheRead, cacheWrite: -1, reasoning: -1 };
}

/**
 * Items of text with the probabilities of their tokens, which have no text of their own: summed up, which is a
 * loss where there are several.
 */
export function logprobsEvents(items: readonly JsonObject[]): AnswerEvent[] {
  const logprobs = readLogprobs(items);
  if (logprobs === null) return [];
  const several = items.some((item) => Array.isArray(item.logprobs) && item.logprobs.length > 1);
  const events: AnswerEvent[] = [{ kind: "logprobs", logprobs }];
  if (several) events.push({ kind: "loss", name: "logprobs" });
  return events;
}

function readLogprobs(items: readonly JsonObject[]): JsonObject | null {
  const content = items.map((item) => {
    const all = Array.isArray(item.logprobs) ? item.logprobs : [];
    const logprob = all.reduce<number>((sum, value) => sum + (typeof value === "number" ? value : 0), 0);
    return { token: asString(item.text), logprob, bytes: null, top_logprobs: [] };
  });
  return content.length === 0 ? null : { content };
}

/** Objects of a list, or the one object that stands for it. */
export function listed(value: JsonObject[string]): readonly JsonObject[] {
  const one = asObject(value);
  return one === null ? asObjects(value) : [one];
}
