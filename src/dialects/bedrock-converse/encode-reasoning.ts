/** Reasoning for the models of Converse: no two families take it in the same form. */
import type { JsonObject, LossList, Reasoning, SemanticRequest } from "../semantic.js";
import { isSendable } from "./encode-messages.js";
import { type ModelFamily, mayBeClaude, thinkingStyle } from "./model-family.js";

/** What reasoning adds to a request. */
export interface EncodedReasoning {
  /** Members of additionalModelRequestFields. */
  readonly fields: JsonObject;
  /** outputConfig.effort; null = none. */
  readonly effort: string | null;
  /** Tokens that thinking may take; 0 = no budget was set. */
  readonly budgetTokens: number;
  /** Claude with thinking on: it takes no sampling of the caller's and no forced tool. */
  readonly thinking: boolean;
}

export interface ReasoningState {
  readonly family: ModelFamily;
  readonly losses: LossList;
  /** The caller's output cap; null = none. */
  readonly maxTokens: number | null;
  /** Must the model call a tool? */
  readonly forcedTool: boolean;
}

const OFF: EncodedReasoning = Object.freeze({ fields: {}, effort: null, budgetTokens: 0, thinking: false });

const MIN_BUDGET = 1024;

/** Thinking tokens for models that know a budget but no effort. */
const BUDGETS: Readonly<Record<string, number>> = {
  minimal: 1024,
  low: 2048,
  medium: 8192,
  high: 16384,
  xhigh: 24576,
  max: 32000,
};

/** Effort by budget, for models that know no budget. */
function effortOf(reasoning: Reasoning): string {
  if (reasoning.effort !== null) return reasoning.effort;
  const budget = reasoning.budgetTokens ?? BUDGETS.medium ?? 0;
  if (budget <= 2048) return "low";
  return budget <= 8192 ? "medium" : "high";
}

function lowMediumHigh(effort: string, losses: LossList): string {
  if (effort === "low" || effort === "medium" || effort === "high") return effort;
  losses.add("reasoning_effort");
  return effort === "minimal" || effort === "none" ? "low" : "high";
}

/** Encodes `request.reasoning`; what the model cannot be told is a loss. */
export function encodeReasoning(request: SemanticRequest, model: string, state: ReasoningState): EncodedReasoning {
  const { reasoning } = request;
  const { family, losses } = state;
  if (reasoning === null) return OFF;
  if (mayBeClaude(family)) return reasoning.enabled ? claudeThinking(request, reasoning, model, state) : OFF;
  if (family === "gpt") {
    if (!reasoning.enabled) losses.add("reasoning");
    return {
      ...OFF,
      fields: { reasoning_effort: lowMediumHigh(reasoning.enabled ? effortOf(reasoning) : "low", losses) },
    };
  }
  if (!reasoning.enabled) return OFF;
  if (family === "nova") {
    const maxReasoningEffort = lowMediumHigh(effortOf(reasoning), losses);
    return { ...OFF, fields: { reasoningConfig: { type: "enabled", maxReasoningEffort } } };
  }
  losses.add("reasoning");
  return OFF;
}

function claudeThinking(
  request: SemanticRequest,
  reasoning: Reasoning,
  model: string,
  state: ReasoningState,
): EncodedReasoning {
  const style = thinkingStyle(model);
  // A forced tool and thinking exclude each other; the tool is what the caller can see.
  if (style === "none" || state.forcedTool) {
    state.losses.add("reasoning");
    return OFF;
  }
  const adaptive = style === "adaptive" || (style === "both" && reasoning.budgetTokens === null);
  if (adaptive) return adaptiveThinking(reasoning, style === "adaptive", state.losses);
  return budgetThinking(request, reasoning, state);
}

function adaptiveThinking(reasoning: Reasoning, newest: boolean, losses: LossList): EncodedReasoning {
  if (reasoning.budgetTokens !== null) losses.add("reasoning_budget");
  const thinking: JsonObject = { type: "adaptive" };
  if (reasoning.summary !== null) thinking.display = reasoning.summary === "omitted" ? "omitted" : "summarized";
  const said = reasoning.effort !== null || reasoning.budgetTokens !== null ? effortOf(reasoning) : null;
  const known = said === null || ["low", "medium", "high", "max"].includes(said) || (newest && said === "xhigh");
  const effort = known ? said : lowMediumHigh(said, losses);
  return { fields: { thinking }, effort, budgetTokens: 0, thinking: true };
}

function budgetThinking(request: SemanticRequest, reasoning: Reasoning, state: ReasoningState): EncodedReasoning {
  const wanted = Math.max(MIN_BUDGET, reasoning.budgetTokens ?? BUDGETS[effortOf(reasoning)] ?? 8192);
  const cap = state.maxTokens ?? Number.MAX_SAFE_INTEGER;
  if (cap <= MIN_BUDGET || endsInUnprovenCalls(request, state.family)) {
    state.losses.add("reasoning");
    return OFF;
  }
  // Thinking counts as output: where the caller named no budget, a quarter of the cap is left for the answer.
  const room = reasoning.budgetTokens === null ? Math.max(MIN_BUDGET, Math.floor(cap * 0.75)) : cap - 1;
  const budget = Math.min(wanted, room);
  if (budget < (reasoning.budgetTokens ?? 0)) state.losses.add("reasoning_budget");
  return {
    fields: { thinking: { type: "enabled", budget_tokens: budget } },
    effort: null,
    budgetTokens: budget,
    thinking: true,
  };
}

/**
 * Does the conversation stand in the middle of a tool loop whose calls came without thinking (another model's,
 * or lost by the caller)? Claude refuses to think on from there.
 */
function endsInUnprovenCalls(request: SemanticRequest, family: ModelFamily): boolean {
  const last = request.turns.at(-1);
  if (last?.role !== "user" || !last.blocks.some(({ kind }) => kind === "tool_result")) return false;
  const assistant = request.turns.findLast(({ role }) => role === "assistant");
  if (assistant === undefined || !assistant.blocks.some(({ kind }) => kind === "tool_call")) return false;
  return !assistant.blocks.some((block) => block.kind === "thinking" && isSendable(block, family));
}
