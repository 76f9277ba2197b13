/** Requests to upstreams of the responses dialect. Nothing is stored there: reasoning travels encrypted. */
import { createHash } from "node:crypto";
import type { Failure } from "../../errors.js";
import { AcceptedNames } from "../accepted-names.js";
import type { EncodedRequest, TargetTraits } from "../codec.js";
import { isAbsent } from "../json.js";
import { lossName } from "../loss-name.js";
import type { JsonObject, LossList, Reasoning, Sampling, SemanticRequest, TextBlock } from "../semantic.js";
import { encodeTurns } from "./encode-input.js";
import { encodeTools } from "./encode-tools.js";
import { encodeFormat, WIRE } from "./shapes.js";

const LONGEST_TOOL_NAME = 64;
const LONGEST_CALL_ID = 64;
const LONGEST_USER = 64;
const LONGEST_FORMAT_NAME = 64;
/** The wire refuses a smaller cap. */
const LEAST_OUTPUT_TOKENS = 16;

const EFFORTS: ReadonlySet<string> = new Set(["none", "minimal", "low", "medium", "high", "xhigh", "max"]);
const SUMMARIES: ReadonlySet<string> = new Set(["auto", "concise", "detailed"]);
/** Budgets up to these many tokens, and the effort that stands for them. */
const BUDGETS: readonly (readonly [tokens: number, effort: string])[] = [
  [4095, "low"],
  [16383, "medium"],
  [Number.POSITIVE_INFINITY, "high"],
];

const TIERS: Readonly<Record<string, string>> = {
  auto: "auto",
  default: "default",
  flex: "flex",
  scale: "scale",
  priority: "priority",
  standard_only: "default",
};

/** Extras of the vendor's other wires that mean the same here. */
const OWN_EXTRAS: ReadonlySet<string> = new Set([
  "prompt_cache_retention",
  "prompt_cache_options",
  "moderation",
  "truncation",
  "max_tool_calls",
]);

/** `instructions`: all system text, blocks apart. */
function encodeSystem(system: readonly TextBlock[], body: JsonObject, losses: LossList): void {
  if (system.some((block) => block.cache !== null)) losses.add("cache_control");
  const texts = system.map((block) => block.text).filter((text) => text !== "");
  if (texts.length > 0) body.instructions = texts.join("\n\n");
}

/** Sampling that the wire has; the rest are losses. */
function encodeSampling(sampling: Sampling, body: JsonObject, losses: LossList): void {
  if (sampling.temperature !== null) body.temperature = sampling.temperature;
  if (sampling.topP !== null) body.top_p = sampling.topP;
  if (sampling.topLogprobs !== null) body.top_logprobs = sampling.topLogprobs;
  if (sampling.topK !== null) losses.add("top_k");
  if (sampling.seed !== null) losses.add("seed");
  if (sampling.frequencyPenalty !== null) losses.add("frequency_penalty");
  if (sampling.presencePenalty !== null) losses.add("presence_penalty");
  if (sampling.logitBias !== null) losses.add("logit_bias");
  if ((sampling.count ?? 1) > 1) losses.add("n");
}

function effortOf(reasoning: Reasoning, losses: LossList): string | null {
  const { effort, budgetTokens } = reasoning;
  if (effort !== null) {
    if (EFFORTS.has(effort)) return effort;
    losses.add("reasoning_effort");
    return null;
  }
  if (!reasoning.enabled) {
    // Only some models can be told not to think, and the word for it is refused by the others.
    losses.add("reasoning");
    return null;
  }
  if (budgetTokens === null) return null;
  losses.add("reasoning_budget");
  return BUDGETS.find(([tokens]) => budgetTokens <= tokens)?.[1] ?? null;
}

function encodeReasoning(reasoning: Reasoning | null, body: JsonObject, losses: LossList): void {
  if (reasoning === null) return;
  const encoded: JsonObject = {};
  const effort = effortOf(reasoning, losses);
  if (effort !== null) encoded.effort = effort;
  // The messages API's word for a visible account of the thinking.
  const summary = reasoning.summary === "summarized" ? "auto" : reasoning.summary;
  if (summary !== null && SUMMARIES.has(summary)) encoded.summary = summary;
  if (Object.keys(encoded).length > 0) body.reasoning = encoded;
}

/** What the answer shall hold beside the usual; reasoning models alone can encrypt what they thought. */
function encodeInclude(request: SemanticRequest, body: JsonObject): void {
  const include: string[] = [];
  if (request.reasoning?.enabled === true || hasOwnThinking(request)) include.push("reasoning.encrypted_content");
  if (request.sampling.logprobs === true) include.push("message.output_text.logprobs");
  if (include.length > 0) body.include = include;
}

function hasOwnThinking(request: SemanticRequest): boolean {
  return request.turns.some((turn) =>
    turn.blocks.some((block) => block.kind === "thinking" && block.origin === WIRE && block.encrypted !== ""),
  );
}

function encodeText(request: SemanticRequest, body: JsonObject): void {
  const text: JsonObject = {};
  const { format } = request;
  if (format?.kind === "schema") {
    const name = new AcceptedNames(LONGEST_FORMAT_NAME).name(format.name);
    text.format = encodeFormat({ ...format, name });
  } else if (format !== null) text.format = encodeFormat(format);
  if (request.verbosity !== null) text.verbosity = request.verbosity;
  if (Object.keys(text).length > 0) body.text = text;
}

/** An id that is too long for the wire is hashed: it still names one user, and always the same. */
function userId(user: string): string {
  return user.length <= LONGEST_USER ? user : createHash("sha256").update(user).digest("hex");
}

function encodeIdentity(request: SemanticRequest, body: JsonObject, losses: LossList): void {
  if (request.user !== null) body.safety_identifier = userId(request.user);
  if (request.metadata !== null) body.metadata = request.metadata;
  if (request.promptCacheKey !== null) body.prompt_cache_key = request.promptCacheKey;
  if (request.serviceTier === null) return;
  const tier = Object.hasOwn(TIERS, request.serviceTier) ? TIERS[request.serviceTier] : undefined;
  if (tier === undefined) losses.add("service_tier");
  else body.service_tier = tier;
}

function encodeLimits(request: SemanticRequest, body: JsonObject, losses: LossList): void {
  const limit = request.maxOutputTokens;
  if (limit !== null) body.max_output_tokens = Math.max(limit, LEAST_OUTPUT_TOKENS);
  if (limit !== null && limit < LEAST_OUTPUT_TOKENS) losses.add("max_output_tokens");
  if (request.stop.length > 0) losses.add("stop");
  if (request.modalities.some((modality) => modality !== "text")) losses.add("modalities");
}

function encodeExtras(request: SemanticRequest, body: JsonObject, losses: LossList): void {
  const ownVendor = request.origin.startsWith("openai-");
  for (const [name, value] of Object.entries(request.extras)) {
    if (isAbsent(value) || name === "web_search_options" || (name === "store" && value === false)) continue;
    if (ownVendor && OWN_EXTRAS.has(name)) body[name] = value;
    else losses.add(lossName(name, "extra_field"));
  }
}

/** The request for an upstream; what it cannot say is a loss. */
export function encodeRequest(
  request: SemanticRequest,
  traits: TargetTraits,
  losses: LossList,
): EncodedRequest | Failure {
  const toolNames = new AcceptedNames(LONGEST_TOOL_NAME);
  toolNames.reserve(request.tools.map((tool) => tool.name));
  const body: JsonObject = { model: traits.model, store: false };
  if (request.stream) body.stream = true;
  encodeSystem(request.system, body, losses);
  const items: JsonObject[] = [];
  encodeTurns(request.turns, {
    items,
    losses,
    toolNames,
    callIds: new AcceptedNames(LONGEST_CALL_ID),
    customCalls: new Set(),
    ownFiles: request.origin.startsWith("openai-"),
  });
  body.input = items;
  encodeTools(request, body, { names: toolNames, losses });
  encodeSampling(request.sampling, body, losses);
  encodeReasoning(request.reasoning, body, losses);
  encodeInclude(request, body);
  encodeText(request, body);
  encodeLimits(request, body, losses);
  encodeIdentity(request, body, losses);
  encodeExtras(request, body, losses);
  return { body, renamed: toolNames.changed, formatTool: "", headers: [] };
}
