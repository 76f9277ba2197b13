/** Usage of the chat family ⇄ the hub's. */
import { asObject } from "../json.js";
import { setOpenAiUsage } from "../openai-usage.js";
import type { JsonObject, SemanticUsage } from "../semantic.js";
import { UsageTally } from "../usage-tally.js";

/** Is any count known? */
export function isKnown(usage: SemanticUsage): boolean {
  return usage.input >= 0 || usage.output >= 0;
}

/** The `usage` object; counts that nobody said are 0, as strict clients want numbers. */
export function usageObject(usage: SemanticUsage): JsonObject {
  const input = Math.max(0, usage.input);
  const output = Math.max(0, usage.output);
  return {
    prompt_tokens: input,
    completion_tokens: output,
    total_tokens: input + output,
    prompt_tokens_details: {
      cached_tokens: Math.max(0, usage.cacheRead),
      cache_write_tokens: Math.max(0, usage.cacheWrite),
      audio_tokens: 0,
    },
    completion_tokens_details: {
      reasoning_tokens: Math.max(0, usage.reasoning),
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
}

/** Reads a `usage` object of the vendor or a look-alike. */
export function readUsage(usage: JsonObject): SemanticUsage {
  const tally = new UsageTally();
  setOpenAiUsage(tally, usage);
  return {
    input: tally.inputTokens,
    output: tally.outputTokens,
    cacheRead: tally.cacheReadTokens,
    cacheWrite: tally.cacheWriteTokens,
    reasoning: tally.reasoningTokens,
  };
}

/** Where usage stands in an answer or chunk: at the top, in `x_groq`, or in the first choice. */
export function usageIn(body: JsonObject): SemanticUsage | null {
  const choices = body.choices;
  const first = Array.isArray(choices) ? asObject(choices[0]) : null;
  const found = asObject(body.usage) ?? asObject(asObject(body.x_groq)?.usage) ?? asObject(first?.usage);
  return found === null ? null : readUsage(found);
}
