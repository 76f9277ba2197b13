/** What a target is like, as far as the shape of its requests depends on it. */
import type { TargetTraits } from "../dialects/codec.js";
import type { WireId } from "../dialects/dialect.js";
import type { Target } from "./target.js";

/** Where the caller names no cap and the wire demands one. */
const DEFAULT_MAX_TOKENS = 4_096;

/** Providers that want the newer name of the output cap; look-alikes know only the older one. */
const NEW_CAP: ReadonlySet<string> = new Set(["openai", "azure-openai"]);

/** Models of this wire that have structured output of their own; others get a forced tool. */
const NATIVE_FORMAT = /claude-(?:[a-z]+-)?(?:4-[5-9]|[5-9])|claude-(?:opus|sonnet|haiku)-(?:4-[1-9]|[5-9])/;

/** Wires that have structured output for some of their models only. */
const PARTLY_NATIVE: ReadonlySet<WireId> = new Set<WireId>(["anthropic-messages", "bedrock-converse"]);

export function traitsOf(target: Target, model: string): TargetTraits {
  const own = !PARTLY_NATIVE.has(target.dialect) || NATIVE_FORMAT.test(model);
  return {
    provider: target.likeness,
    model,
    defaultMaxTokens: DEFAULT_MAX_TOKENS,
    maxTokensField: NEW_CAP.has(target.likeness) ? "max_completion_tokens" : "max_tokens",
    structuredOutput: own ? "native" : "tool",
  };
}
