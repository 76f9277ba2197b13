/** What a request means → a chat request for the vendor or one of its look-alikes. */
import type { Failure } from "../../errors.js";
import type { EncodedRequest, TargetTraits } from "../codec.js";
import { isAbsent } from "../json.js";
import type { JsonObject, JsonValue, LossList, Reasoning, SemanticRequest } from "../semantic.js";
import { type Encoding, encodeMessages } from "./encode-messages.js";
import { encodeFormat, encodeTools, withFormatTool } from "./encode-tools.js";
import { lossName } from "../loss-name.js";
import { quirksOf } from "./quirks.js";
import { ToolNames } from "./wire-names.js";
import { WIRE } from "./wire-name.js";

/** The vendor takes at most this many. */
const MAX_STOPS = 4;

/** Budgets of thinking, in tokens, up to which an effort stands for them. */
const LOW_BUDGET = 2_048;
const MEDIUM_BUDGET = 8_192;

const SERVICE_TIERS: Readonly<Record<string, string>> = {
  auto: "auto",
  default: "default",
  standard_only: "default",
  flex: "flex",
  scale: "scale",
  priority: "priority",
};

/** Fields of the same vendor's other dialects that this wire has too. */
const SHARED_EXTRAS = new Set([
  "store",
  "safety_identifier",
  "prompt_cache_retention",
  "prompt_cache_options",
  "moderation",
]);

/** Writes the request; what the target cannot be told is a loss. */
export function encodeRequest(
  request: SemanticRequest,
  traits: TargetTraits,
  losses: LossList,
): EncodedRequest | Failure {
  const quirks = quirksOf(traits.provider);
  const encoding: Encoding = { quirks, names: new ToolNames(), losses, ownFiles: request.origin.startsWith("openai-") };
  const format = encodeFormat(request, traits, encoding);
  const body: JsonObject = {
    model: traits.model,
    messages: encodeMessages(request, encoding),
    ...(request.stream ? { stream: true, stream_options: { include_usage: true } } : {}),
    ...samplingFields(request, encoding),
    ...limitFields(request, traits, encoding),
    ...reasoningFields(request.reasoning, encoding),
    ...withFormatTool(encodeTools(request, encoding), format.fields, format.formatTool),
    ...vendorFields(request, encoding),
    ...extraFields(request, encoding),
  };
  return { body, renamed: encoding.names.renamed, formatTool: format.formatTool, headers: [] };
}

/** The fields that are said: null ones are left out. */
function said(fields: { readonly [name: string]: JsonValue }): JsonObject {
  const kept: JsonObject = {};
  for (const name in fields) if (!isAbsent(fields[name])) kept[name] = fields[name];
  return kept;
}

function samplingFields({ sampling }: SemanticRequest, { quirks, losses }: Encoding): JsonObject {
  if (sampling.topK !== null && !quirks.topK) losses.add("top_k");
  return said({
    temperature: sampling.temperature,
    top_p: sampling.topP,
    top_k: quirks.topK ? sampling.topK : null,
    seed: sampling.seed,
    frequency_penalty: sampling.frequencyPenalty,
    presence_penalty: sampling.presencePenalty,
    logit_bias: sampling.logitBias,
    logprobs: sampling.logprobs,
    top_logprobs: sampling.topLogprobs,
    n: sampling.count,
  });
}

function limitFields(request: SemanticRequest, traits: TargetTraits, { quirks, losses }: Encoding): JsonObject {
  const fields: JsonObject = {};
  if (request.maxOutputTokens !== null) fields[traits.maxTokensField] = request.maxOutputTokens;
  const { stop } = request;
  if (stop.length > MAX_STOPS && quirks.vendorLimits) losses.add("stop");
  if (stop.length > 0) fields.stop = quirks.vendorLimits ? stop.slice(0, MAX_STOPS) : [...stop];
  return fields;
}

function effortOfBudget(budget: number): string {
  if (budget <= LOW_BUDGET) return "low";
  return budget <= MEDIUM_BUDGET ? "medium" : "high";
}

/** An effort in words. A budget becomes the nearest one; an adaptive model is left to itself. */
function reasoningFields(reasoning: Reasoning | null, { quirks, losses }: Encoding): JsonObject {
  if (reasoning === null) return {};
  const { enabled, effort, budgetTokens, adaptive } = reasoning;
  if (reasoning.summary !== null && enabled) losses.add("reasoning_summary");
  if (quirks.reasoning === "object") {
    const fields = {
      effort,
      max_tokens: effort === null ? budgetTokens : null,
      enabled: effort === null ? enabled : null,
    };
    return { reasoning: enabled ? said(fields) : { enabled: false } };
  }
  // Switched off in other wires' way: models that do not think refuse even "none".
  if (!enabled) return effort === null ? {} : { reasoning_effort: effort };
  if (effort !== null) return { reasoning_effort: effort };
  if (budgetTokens !== null) {
    losses.add("reasoning_budget");
    return { reasoning_effort: effortOfBudget(budgetTokens) };
  }
  return adaptive ? {} : { reasoning_effort: "medium" };
}

function vendorFields(request: SemanticRequest, encoding: Encoding): JsonObject {
  const { quirks, losses } = encoding;
  const tier = request.serviceTier === null ? null : (SERVICE_TIERS[request.serviceTier] ?? null);
  if (request.serviceTier !== null && tier === null) losses.add("service_tier");
  const newer = { verbosity: request.verbosity, prompt_cache_key: request.promptCacheKey, service_tier: tier };
  const fields: JsonObject = said({ user: request.user, ...(quirks.vendorFields ? newer : {}) });
  if (!quirks.vendorFields) {
    for (const [name, value] of Object.entries(newer)) if (value !== null) losses.add(name);
  }
  if (request.modalities.length > 0) fields.modalities = [...request.modalities];
  if (request.metadata !== null) {
    // The vendor refuses metadata of answers that it is not told to keep.
    if (quirks.vendorLimits && request.extras.store !== true) losses.add("metadata");
    else fields.metadata = request.metadata;
  }
  return fields;
}

/** Fields without a place in the hub: this wire's own pass, the rest are losses. */
function extraFields({ origin, extras }: SemanticRequest, { quirks, losses }: Encoding): JsonObject {
  const fields: JsonObject = {};
  for (const [name, value] of Object.entries(extras)) {
    const isShared = quirks.vendorFields && origin.startsWith("openai-") && SHARED_EXTRAS.has(name);
    if (origin === WIRE || isShared) fields[name] = value;
    else losses.add(lossName(name, "extra_fields"));
  }
  return fields;
}
