/** How much a model is to think, said as its generation takes it. */
import { asArray, asObject } from "../json.js";
import type { JsonObject, LossList, Reasoning, SemanticRequest } from "../semantic.js";
import type { ModelGeneration } from "./model-generation.js";

/** Tokens of thinking for an effort, where the wire wants a number. */
const BUDGETS: Readonly<Record<string, number>> = {
  minimal: 1024,
  low: 2048,
  medium: 8192,
  high: 16384,
  xhigh: 24576,
  max: 32768,
};
const DEFAULT_BUDGET = 8192;
/** The wire's least. */
const LEAST_BUDGET = 1024;
/** Budgets up to here are a low effort, up to there a medium one. */
const LOW_BUDGET = 4096;
const MEDIUM_BUDGET = 12288;

/** What thinking adds to a body. */
export interface EncodedReasoning {
  readonly thinking: JsonObject | null;
  /** For output_config; null = not said. */
  readonly effort: string | null;
}

const NOTHING: EncodedReasoning = { thinking: null, effort: null };

/** A request of this dialect: what it said, as it said it. */
export function exactReasoning(reasoning: Reasoning | null): EncodedReasoning {
  if (reasoning === null) return NOTHING;
  const { effort, summary, budgetTokens } = reasoning;
  const display = summary === null ? {} : { display: summary };
  if (!reasoning.enabled) return { thinking: { type: "disabled" }, effort };
  if (reasoning.adaptive) return { thinking: { type: "adaptive", ...display }, effort };
  if (budgetTokens === null) return { thinking: null, effort };
  return { thinking: { type: "enabled", budget_tokens: budgetTokens, ...display }, effort };
}

/** The nearest level that the model has; "none" and unknown words have none. */
function nearestEffort(effort: string, generation: ModelGeneration, losses: LossList): string | null {
  if (generation.efforts.includes(effort)) return effort;
  losses.add("reasoning_effort");
  if (effort === "minimal") return "low";
  return effort === "xhigh" ? "high" : null;
}

function effortOf(reasoning: Reasoning, generation: ModelGeneration, losses: LossList): string | null {
  if (reasoning.effort !== null) return nearestEffort(reasoning.effort, generation, losses);
  const budget = reasoning.budgetTokens;
  if (budget === null) return null;
  losses.add("reasoning_budget");
  if (budget <= LOW_BUDGET) return "low";
  return budget <= MEDIUM_BUDGET ? "medium" : "high";
}

function switchedOff(generation: ModelGeneration, losses: LossList): EncodedReasoning {
  if (generation.thinking !== "adaptive") return NOTHING;
  if (generation.canDisableThinking) return { thinking: { type: "disabled" }, effort: null };
  losses.add("reasoning");
  return { thinking: null, effort: "low" };
}

/** The budget, with a quarter of the cap left for the answer; null when the cap leaves no room. */
function budgetWithin(reasoning: Reasoning, maxTokens: number, losses: LossList): number | null {
  const wanted = reasoning.budgetTokens ?? BUDGETS[reasoning.effort ?? ""] ?? DEFAULT_BUDGET;
  if (maxTokens <= LEAST_BUDGET) return null;
  const budget = Math.max(LEAST_BUDGET, Math.min(wanted, Math.floor(maxTokens * 0.75)));
  if (reasoning.budgetTokens !== null && budget !== reasoning.budgetTokens) losses.add("reasoning_budget");
  return budget;
}

/** Thinking of another dialect's request, for this generation of models. */
export function encodeReasoning(
  request: SemanticRequest,
  generation: ModelGeneration,
  maxTokens: number,
  losses: LossList,
): EncodedReasoning {
  const { reasoning } = request;
  if (reasoning === null) return NOTHING;
  if (!reasoning.enabled || reasoning.effort === "none") return switchedOff(generation, losses);
  if (generation.thinking === "none") {
    losses.add("reasoning");
    return NOTHING;
  }
  if (generation.thinking === "adaptive") {
    const thinking: JsonObject = { type: "adaptive" };
    if (reasoning.summary === "omitted") thinking.display = "omitted";
    else if (generation.hidesThinking) thinking.display = "summarized";
    return { thinking, effort: effortOf(reasoning, generation, losses) };
  }
  const budget = budgetWithin(reasoning, maxTokens, losses);
  if (budget === null) {
    losses.add("reasoning");
    return NOTHING;
  }
  return { thinking: { type: "enabled", budget_tokens: budget }, effort: null };
}

const THINKING_TYPES: ReadonlySet<unknown> = new Set(["thinking", "redacted_thinking"]);

/**
 * Is the conversation inside a loop of tools whose last call came without thinking? With a budget the wire
 * refuses such a request: a turn that calls tools must begin with the thinking that led to them.
 */
export function isThoughtlessLoop(messages: readonly JsonObject[]): boolean {
  const last = messages.at(-1);
  const calls = messages.at(-2);
  if (last?.role !== "user" || calls?.role !== "assistant") return false;
  const answered = asArray(last.content).some((block) => asObject(block)?.type === "tool_result");
  return answered && !THINKING_TYPES.has(asObject(asArray(calls.content)[0])?.type);
}
