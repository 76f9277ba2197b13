/** The providers' own counters of tokens. Sources: the vendors' API references, and how their SDKs call them. */
import type { Counter } from "./counter.js";

/** `InputTokenCountParams` of the vendor's SDK. */
export const RESPONSES_COUNTER: Counter = {
  count: "input_tokens",
  reads: [
    "model",
    "instructions",
    "input",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "text",
    "reasoning",
    "truncation",
  ],
};

/** `MessageCountTokensParams` of the vendor's SDK, and the version that clouds want in the body. */
export const MESSAGES_COUNTER: Counter = {
  count: "input_tokens",
  reads: [
    "anthropic_version",
    "model",
    "system",
    "messages",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "cache_control",
  ],
};

/** Without the envelope this counter knows neither system instructions nor tools. */
export const GENERATE_CONTENT_COUNTER: Counter = {
  count: "totalTokens",
  envelope: { path: ["generateContentRequest"], model: "models/" },
};

/** The cloud's form of the same counter has no envelope. */
export const VERTEX_COUNTER: Counter = {
  count: "totalTokens",
  reads: ["contents", "systemInstruction", "tools", "generationConfig"],
};

/** Counts for models, not for the inference profiles that lead to them across regions. */
const PROFILE = /^(?:us|us-gov|eu|apac|au|jp|ca|global)\.(?=[a-z0-9-]+\.)/;

/** `ConverseTokensRequest` of the vendor's SDK. */
export const CONVERSE_COUNTER: Counter = {
  count: "inputTokens",
  reads: ["messages", "system", "toolConfig", "additionalModelRequestFields"],
  envelope: { path: ["input", "converse"] },
  notInName: PROFILE,
};

/** `InvokeModelTokensRequest`: a body as InvokeModel would take it, which is one with a cap. */
export const INVOKE_COUNTER: Counter = {
  count: "inputTokens",
  envelope: { path: ["input", "invokeModel", "body"], form: "base64" },
  cap: true,
  notInName: PROFILE,
};
