/** Sampling, output form and thinking → generationConfig. */
import { withoutAbsent } from "../json.js";
import type { JsonObject, LossList, OutputFormat, Reasoning, SemanticRequest } from "../semantic.js";
import type { ModelTraits } from "./models.js";
import { olderSchema } from "./schema.js";

const MAX_STOPS = 5;

/** What the configuration is made for. */
export interface ConfigTask {
  readonly request: SemanticRequest;
  readonly traits: ModelTraits;
  readonly losses: LossList;
  /** The answer's form goes through a forced tool instead. */
  readonly byTool: boolean;
  /** Are functions declared? Older models cannot also be held to JSON. */
  readonly functions: boolean;
}

/** The configuration's fields; {} when nothing is asked. */
export function encodeConfig(task: ConfigTask): JsonObject {
  const { request, losses } = task;
  const { sampling } = request;
  if (sampling.logitBias !== null) losses.add("logit_bias");
  if (request.stop.length > MAX_STOPS) losses.add("stop");
  const modalities = request.modalities.filter((modality) => modality !== "text");
  return withoutAbsent({
    temperature: sampling.temperature,
    topP: sampling.topP,
    topK: sampling.topK,
    seed: sampling.seed,
    candidateCount: sampling.count === 1 ? null : sampling.count,
    maxOutputTokens: request.maxOutputTokens,
    presencePenalty: sampling.presencePenalty,
    frequencyPenalty: sampling.frequencyPenalty,
    stopSequences: request.stop.length === 0 ? null : request.stop.slice(0, MAX_STOPS),
    responseLogprobs: sampling.logprobs === true ? true : null,
    logprobs: sampling.logprobs === true && (sampling.topLogprobs ?? 0) > 0 ? sampling.topLogprobs : null,
    responseModalities: modalities.length === 0 ? null : request.modalities.map((modality) => modality.toUpperCase()),
    ...encodeFormat(task),
    thinkingConfig: request.reasoning === null ? null : encodeThinking(request.reasoning, task),
  });
}

/**
 * The form of the answer. A schema always binds here, whether the caller called it strict or not, and so does
 * the tool that stands for it, which the model must call; the schema's name says nothing of the form.
 */
function encodeFormat({ request, traits, losses, byTool, functions }: ConfigTask): JsonObject {
  const { format } = request;
  if (format === null || byTool) return {};
  if (functions && !traits.mixesTools) {
    losses.add("response_format");
    return {};
  }
  const form: JsonObject = { responseMimeType: "application/json" };
  if (format.kind === "json") return form;
  const schema = described(format);
  if (traits.jsonSchema) form.responseJsonSchema = schema;
  else form.responseSchema = olderSchema(schema, losses);
  return form;
}

function described(format: Extract<OutputFormat, { readonly kind: "schema" }>): JsonObject {
  const { schema, description } = format;
  return description === null || schema.description !== undefined ? schema : { ...schema, description };
}

// ---- thinking --------------------------------------------------------------------------------------

/** Tokens for a word, as the vendor's own bridge from other dialects has them. */
const BUDGETS: Readonly<Record<string, number>> = { minimal: 1_024, low: 1_024, medium: 8_192, high: 24_576 };
const LEVELS: Readonly<Record<string, string>> = { minimal: "MINIMAL", low: "LOW", medium: "MEDIUM", high: "HIGH" };
/** Words above "high" that other vendors have. */
const BEYOND_HIGH = new Set(["xhigh", "max"]);
/** Largest and smallest budgets: [pro, others]. The large ones cannot stop thinking. */
const MOST_TOKENS = [32_768, 24_576] as const;
const LEAST_TOKENS = [128, 0] as const;

function encodeThinking(reasoning: Reasoning, task: ConfigTask): JsonObject | null {
  const off = !reasoning.enabled || reasoning.effort === "none";
  if (task.traits.thinking === "none") {
    if (!off) task.losses.add("reasoning");
    return null;
  }
  const amount = task.traits.thinking === "level" ? level(reasoning, off, task) : budget(reasoning, off, task);
  if (off) return amount;
  return { includeThoughts: reasoning.summary !== "omitted", ...amount };
}

function budget(reasoning: Reasoning, off: boolean, { traits, losses }: ConfigTask): JsonObject {
  const size = traits.pro ? 0 : 1;
  if (off) {
    if (LEAST_TOKENS[size] > 0) losses.add("reasoning");
    return { thinkingBudget: LEAST_TOKENS[size] };
  }
  const asked = reasoning.budgetTokens;
  if (asked !== null) {
    const given = Math.min(Math.max(asked, LEAST_TOKENS[size]), MOST_TOKENS[size]);
    if (given !== asked) losses.add("reasoning_budget");
    return { thinkingBudget: given };
  }
  if (reasoning.effort === null) return reasoning.adaptive ? { thinkingBudget: -1 } : {};
  if (BEYOND_HIGH.has(reasoning.effort)) return { thinkingBudget: MOST_TOKENS[size] };
  const tokens = Object.hasOwn(BUDGETS, reasoning.effort) ? BUDGETS[reasoning.effort] : undefined;
  if (tokens === undefined) losses.add("reasoning_effort");
  return tokens === undefined ? {} : { thinkingBudget: tokens };
}

function level(reasoning: Reasoning, off: boolean, task: ConfigTask): JsonObject {
  const { traits, losses } = task;
  if (off) {
    // Thinking cannot be switched off any more; this is the least of it.
    losses.add("reasoning");
    return { thinkingLevel: traits.pro ? "LOW" : "MINIMAL" };
  }
  if (reasoning.effort === null && reasoning.budgetTokens !== null) {
    losses.add("reasoning_budget");
    return { thinkingLevel: leveled(effortOf(reasoning.budgetTokens), traits) };
  }
  if (reasoning.effort === null) return {};
  if (BEYOND_HIGH.has(reasoning.effort)) {
    losses.add("reasoning_effort");
    return { thinkingLevel: "HIGH" };
  }
  if (!Object.hasOwn(LEVELS, reasoning.effort)) {
    losses.add("reasoning_effort");
    return {};
  }
  return { thinkingLevel: leveled(reasoning.effort, traits) };
}

function effortOf(tokens: number): string {
  return tokens <= 1_024 ? "low" : tokens <= 8_192 ? "medium" : "high";
}

/** The large models lack the least level, and the first of them the middle one. */
function leveled(effort: string, traits: ModelTraits): string {
  if (traits.pro && effort === "minimal") return "LOW";
  if (traits.pro && effort === "medium" && traits.generation === 3) return "HIGH";
  return LEVELS[effort] ?? "HIGH";
}
