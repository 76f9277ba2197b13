/** Reads answers of the completions wire, whole or streamed: for answers that are kept and told again. */
import { type FoldedChoice, answerEvents, NO_USAGE } from "../answer-fold.js";
import { DecodeError, type StreamDecoder } from "../codec.js";
import { asArray, asCount, asObject, asObjects, asString, numberOrNull, parseValue } from "../json.js";
import { usageIn } from "../openai-chat/usage.js";
import type { AnswerEvent, JsonObject, StopReason } from "../semantic.js";

const STOPS: Readonly<Record<string, StopReason>> = {
  stop: "stop",
  length: "length",
  content_filter: "content_filter",
};

/** The events of a whole answer. */
export function decodeAnswer(body: JsonObject): AnswerEvent[] {
  const choices = asObjects(body.choices);
  if (choices.length === 0) throw new DecodeError("The answer has no choices.");
  return answerEvents({ ...headOf(body), choices: choices.map(folded), usage: usageIn(body) ?? NO_USAGE, error: null });
}

function headOf(body: JsonObject): { id: string; model: string; created: number } {
  return { id: asString(body.id), model: asString(body.model), created: Math.max(0, asCount(body.created)) };
}

function folded(choice: JsonObject): FoldedChoice {
  const text = asString(choice.text);
  return {
    index: Math.max(0, asCount(choice.index)),
    blocks: text === "" ? [] : [{ kind: "text", text, cache: null, annotations: [] }],
    stop: stopOf(choice),
    sequence: null,
    native: asString(choice.finish_reason),
    logprobs: logprobsOf(choice),
  };
}

function stopOf({ finish_reason: reason }: JsonObject): StopReason | null {
  return typeof reason === "string" ? (STOPS[reason] ?? "stop") : null;
}

/** Parallel lists become one of objects, which is the hub's form. */
function logprobsOf({ logprobs }: JsonObject): JsonObject | null {
  const lists = asObject(logprobs);
  if (lists === null) return null;
  const values = asArray(lists.token_logprobs);
  const tops = asArray(lists.top_logprobs);
  const content = asArray(lists.tokens).map((token, index) => ({
    token: asString(token),
    logprob: numberOrNull(values[index]),
    top_logprobs: Object.entries(asObject(tops[index]) ?? {}).map(([name, logprob = null]) => ({
      token: name,
      logprob,
    })),
  }));
  return content.length === 0 ? null : { content };
}

/** Reads chunks; after `[DONE]` nothing more. */
export function streamDecoder(): StreamDecoder {
  let started = false;
  let ended = false;
  const end = (): AnswerEvent[] => {
    const events: AnswerEvent[] = ended ? [] : [{ kind: "end" }];
    ended = true;
    return events;
  };
  return {
    push({ data }) {
      if (ended) return [];
      if (data.trim() === "[DONE]") return end();
      const body = asObject(parseValue(data));
      if (body === null) throw new DecodeError("A chunk of the stream is not a JSON object.");
      const events: AnswerEvent[] = started ? [] : [{ kind: "start", ...headOf(body) }];
      started = true;
      for (const choice of asObjects(body.choices)) events.push(...deltaEvents(choice));
      const usage = usageIn(body);
      if (usage !== null) events.push({ kind: "usage", usage });
      return events;
    },
    finish: end,
  };
}

function deltaEvents(choice: JsonObject): AnswerEvent[] {
  const events: AnswerEvent[] = [{ kind: "choice", index: Math.max(0, asCount(choice.index)) }];
  const text = asString(choice.text);
  if (text !== "") events.push({ kind: "text", text });
  const logprobs = logprobsOf(choice);
  if (logprobs !== null) events.push({ kind: "logprobs", logprobs });
  const reason = stopOf(choice);
  if (reason !== null) {
    events.push({ kind: "stop", reason, sequence: null, native: asString(choice.finish_reason) });
  }
  return events;
}
