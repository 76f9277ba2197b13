/** The usage objects of the OpenAI shapes. */
import type { SimulatedUsage } from "./turn.js";

/** Of chat and completions. */
export function completionUsage(usage: SimulatedUsage, outputTokens = usage.outputTokens): object {
  return {
    prompt_tokens: usage.inputTokens,
    completion_tokens: outputTokens,
    total_tokens: usage.inputTokens + outputTokens,
    prompt_tokens_details: { cached_tokens: usage.cacheReadTokens, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: usage.reasoningTokens,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
}

/** Of responses. */
export function responseUsage(usage: SimulatedUsage): object {
  return {
    input_tokens: usage.inputTokens,
    input_tokens_details: { cache_write_tokens: usage.cacheWriteTokens, cached_tokens: usage.cacheReadTokens },
    output_tokens: usage.outputTokens,
    output_tokens_details: { reasoning_tokens: usage.reasoningTokens },
    total_tokens: usage.inputTokens + usage.outputTokens,
  };
}
