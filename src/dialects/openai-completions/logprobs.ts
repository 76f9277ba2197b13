/** Log probabilities as completions have them: parallel lists, where chat has a list of objects. */
import { asObjects, asString, numberOrNull } from "../json.js";
import type { JsonObject } from "../semantic.js";

/** `{tokens, token_logprobs, top_logprobs, text_offset}`; offsets count from `start`. */
export function legacyLogprobs(logprobs: JsonObject, start: number): JsonObject {
  const tokens: string[] = [];
  const values: (number | null)[] = [];
  const tops: JsonObject[] = [];
  const offsets: number[] = [];
  let offset = start;
  for (const entry of asObjects(logprobs.content)) {
    const token = asString(entry.token);
    tokens.push(token);
    values.push(numberOrNull(entry.logprob));
    // A map without a prototype of its own names: tokens such as "__proto__" are data.
    tops.push(
      Object.fromEntries(asObjects(entry.top_logprobs).map((top) => [asString(top.token), numberOrNull(top.logprob)])),
    );
    offsets.push(offset);
    offset += token.length;
  }
  return { tokens, token_logprobs: values, top_logprobs: tops, text_offset: offsets };
}
