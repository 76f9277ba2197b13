/** Requests as upstreams of this wire want them. */
import type { EncodedRequest, TargetTraits } from "../codec.js";
import { asObject, otherFields } from "../json.js";
import { lossName } from "../loss-name.js";
import type { JsonObject, LossList, OutputFormat, SemanticRequest } from "../semantic.js";
import { BLOCK_FIELDS, OWN_EXTRAS } from "./block-fields.js";
import type { ContentState } from "./encode-content.js";
import { encodeConversation } from "./encode-conversation.js";
import { encodeToolChoice, encodeTools } from "./encode-tools.js";
import { type ModelGeneration, modelGeneration } from "./model-generation.js";
import { adaptSchema } from "./output-schema.js";
import { type EncodedReasoning, encodeReasoning, exactReasoning, isThoughtlessLoop } from "./reasoning.js";
import { AcceptedNames } from "../accepted-names.js";
import { MESSAGES } from "./wire-name.js";

const LONGEST_TOOL_NAME = 128;
const LONGEST_CALL_ID = 256;
const JSON_ONLY = "Answer with one valid JSON object and nothing else: no prose, no code fence.";
const SCHEMA_ONLY = "Answer with JSON and nothing else: no prose, no code fence. It must match this JSON Schema:";
const FORMAT_TOOL = "Give the final answer by calling this tool, and in no other way.";

/** The service tiers of other dialects, where this wire has the like. */
const SERVICE_TIERS: ReadonlyMap<string, string> = new Map([
  ["auto", "auto"],
  ["default", "standard_only"],
  ["standard_only", "standard_only"],
]);

/** What the wire has no word for, and when it was asked for. */
function reportUnsayable(request: SemanticRequest, losses: LossList): void {
  const { sampling } = request;
  if (sampling.seed !== null) losses.add("seed");
  if (sampling.frequencyPenalty) losses.add("frequency_penalty");
  if (sampling.presencePenalty) losses.add("presence_penalty");
  if (sampling.logitBias !== null && Object.keys(sampling.logitBias).length > 0) losses.add("logit_bias");
  if (sampling.logprobs === true || sampling.topLogprobs) losses.add("logprobs");
  if (sampling.count !== null && sampling.count > 1) losses.add("n");
  if (request.verbosity !== null && request.verbosity !== "medium") losses.add("verbosity");
  if (request.promptCacheKey !== null) losses.add("prompt_cache_key");
  if (request.modalities.some((modality) => modality !== "text")) losses.add("modalities");
  if (request.metadata !== null && Object.keys(request.metadata).length > 0) losses.add("metadata");
  for (const name of Object.keys(request.extras)) losses.add(lossName(name, "unknown_field"));
}

function stopSequences(request: SemanticRequest, state: ContentState): readonly string[] {
  if (state.exact) return request.stop;
  // The wire refuses blank ones.
  const stop = request.stop.filter((sequence) => sequence.trim() !== "");
  if (stop.length < request.stop.length) state.losses.add("stop");
  return stop;
}

/** temperature, top_p and top_k within what the model takes; thinking allows the sampler's defaults only. */
function encodeSampling(
  request: SemanticRequest,
  generation: ModelGeneration,
  thinks: boolean,
  losses: LossList,
): JsonObject {
  const { temperature, topP, topK } = request.sampling;
  const sampling: JsonObject = {};
  const fixed = generation.sampling === "none";
  if (temperature !== null) {
    if ((fixed || thinks) && temperature !== 1) losses.add("temperature");
    else if (!fixed && !thinks) {
      sampling.temperature = Math.min(1, Math.max(0, temperature));
      if (sampling.temperature !== temperature) losses.add("temperature");
    }
  }
  if (topP !== null && topP !== 1) {
    const excluded = generation.sampling === "one" && sampling.temperature !== undefined;
    if (fixed || excluded || (thinks && topP < 0.95)) losses.add("top_p");
    else sampling.top_p = topP;
  }
  if (topK !== null) {
    if (fixed || thinks) losses.add("top_k");
    else sampling.top_k = topK;
  }
  return sampling;
}

function serviceTier(request: SemanticRequest, state: ContentState): string | null {
  if (state.exact || request.serviceTier === null) return request.serviceTier;
  const tier = SERVICE_TIERS.get(request.serviceTier);
  if (tier === undefined) state.losses.add("service_tier");
  return tier ?? null;
}

/** How the wanted form of the answer is asked for. */
interface EncodedFormat {
  readonly outputFormat: JsonObject | null;
  readonly tool: JsonObject | null;
  readonly instruction: string | null;
}

const NO_FORMAT: EncodedFormat = { outputFormat: null, tool: null, instruction: null };

function isNative(traits: TargetTraits, generation: ModelGeneration): boolean {
  return generation.structured && (traits.structuredOutput === "native" || !generation.forcedTools);
}

/**
 * How the form of the answer is asked for. The wire's own format always binds, so "strict" is kept without a
 * word; a tool or an instruction does not bind, and a caller who insisted loses that. A schema's name is a
 * handle and says nothing of the form: it is no loss.
 */
function encodeFormat(
  format: OutputFormat | null,
  traits: TargetTraits,
  generation: ModelGeneration,
  state: ContentState,
): EncodedFormat {
  if (format === null) return NO_FORMAT;
  if (format.kind === "json") {
    state.losses.add("response_format");
    return { ...NO_FORMAT, instruction: JSON_ONLY };
  }
  const { schema, description } = format;
  if (state.exact) return { ...NO_FORMAT, outputFormat: { type: "json_schema", schema } };
  if (isNative(traits, generation)) {
    // The wire has no place for the description but the schema's own.
    const described = description === null || schema.description !== undefined ? schema : { ...schema, description };
    return { ...NO_FORMAT, outputFormat: { type: "json_schema", schema: adaptSchema(described, state.losses) } };
  }
  if (schema.type !== undefined && schema.type !== "object") {
    // A tool's input is an object; any other form can only be asked for in words.
    state.losses.add("response_format");
    return { ...NO_FORMAT, instruction: `${SCHEMA_ONLY} ${JSON.stringify(schema)}` };
  }
  const said = description === null || description === "" ? FORMAT_TOOL : `${FORMAT_TOOL} ${description}`;
  if (format.strict === true) state.losses.add("strict");
  const name = state.toolNames.fresh(`answer ${format.name}`);
  const tool = { name, description: said, input_schema: { type: "object", ...schema } };
  return { ...NO_FORMAT, tool };
}

/** Everything of a body that is decided together: tools, choice, form of the answer, thinking. */
interface Demands {
  readonly tools: JsonObject[];
  readonly toolChoice: JsonObject | null;
  readonly format: EncodedFormat;
  readonly reasoning: EncodedReasoning;
}

function demandsOf(
  request: SemanticRequest,
  traits: TargetTraits,
  state: ContentState,
  generation: ModelGeneration,
): Omit<Demands, "reasoning"> {
  const tools = encodeTools(request, state, generation);
  const format = encodeFormat(request.format, traits, generation, state);
  if (format.tool === null) {
    const wanted = tools.length > 0 || state.exact;
    return { tools, format, toolChoice: wanted ? encodeToolChoice(request, state, generation) : null };
  }
  // Beside other tools the model must call one of them all; alone, or where tools are forbidden, this one.
  const others = tools.length > 0 && request.toolChoice?.kind !== "none";
  const toolChoice: JsonObject = others ? { type: "any" } : { type: "tool", name: format.tool.name };
  if (request.toolChoice?.kind === "tool") state.losses.add("tool_choice");
  if (request.parallelToolCalls === false) toolChoice.disable_parallel_tool_use = true;
  return { tools: [...tools, format.tool], format, toolChoice };
}

/** Thinking, unless the rest of the body rules it out. */
function reasoningOf(
  request: SemanticRequest,
  generation: ModelGeneration,
  body: JsonObject,
  losses: LossList,
): EncodedReasoning {
  const maxTokens = body.max_tokens as number;
  const encoded = encodeReasoning(request, generation, maxTokens, losses);
  if (encoded.thinking === null || encoded.thinking.type === "disabled") return encoded;
  const choice = asObject(body.tool_choice)?.type;
  const forced = choice === "any" || choice === "tool";
  const budgeted = encoded.thinking.type === "enabled";
  if (!forced && !(budgeted && isThoughtlessLoop(body.messages as JsonObject[]))) return encoded;
  losses.add("reasoning");
  return { thinking: null, effort: encoded.effort };
}

function outputConfig(
  request: SemanticRequest,
  format: EncodedFormat,
  effort: string | null,
  exact: boolean,
): JsonObject | null {
  const config: JsonObject = {};
  if (effort !== null) config.effort = effort;
  if (format.outputFormat !== null) config.format = format.outputFormat;
  if (exact) Object.assign(config, asObject(request.extras.output_config));
  return Object.keys(config).length === 0 ? null : config;
}

const NOT_EXTRA: ReadonlySet<string> = new Set([...OWN_EXTRAS, "output_config"]);

/** What the caller's own dialect says beyond the hub, and its user. */
function encodeRest(request: SemanticRequest, state: ContentState): JsonObject {
  const rest: JsonObject = {};
  const metadata = state.exact ? { ...request.metadata } : {};
  if (request.user !== null) metadata.user_id = request.user;
  if (Object.keys(metadata).length > 0) rest.metadata = metadata;
  const tier = serviceTier(request, state);
  if (tier !== null) rest.service_tier = tier;
  return state.exact ? { ...rest, ...otherFields(request.extras, NOT_EXTRA) } : rest;
}

function newState(request: SemanticRequest, losses: LossList): ContentState {
  const exact = request.origin === MESSAGES;
  return {
    exact,
    losses,
    toolNames: new AcceptedNames(LONGEST_TOOL_NAME),
    callIds: new AcceptedNames(LONGEST_CALL_ID),
    fields: exact ? asObject(request.extras[BLOCK_FIELDS]) : null,
  };
}

/**
 * The body for an upstream of this wire. A request of this dialect comes out as it went in, up to: strings
 * of content become text blocks; null and empty optional fields, `stream: false`, `is_error: false`,
 * `type: "custom"`, `caller: direct` and citations switched off fall away; `output_format` moves into
 * `output_config`; a tool without a schema gets an empty one; thinking of other vendors is left out.
 */
export function encodeMessagesRequest(
  request: SemanticRequest,
  traits: TargetTraits,
  losses: LossList,
): EncodedRequest {
  const state = newState(request, losses);
  const generation = modelGeneration(traits.model);
  if (!state.exact) reportUnsayable(request, losses);
  const demands = demandsOf(request, traits, state, generation);
  const { system, messages } = encodeConversation(request, state);
  if (demands.format.instruction !== null) system.push({ type: "text", text: demands.format.instruction });
  const body: JsonObject = { model: traits.model, max_tokens: request.maxOutputTokens ?? traits.defaultMaxTokens };
  if (system.length > 0) body.system = system;
  body.messages = messages;
  if (demands.tools.length > 0) body.tools = demands.tools;
  if (demands.toolChoice !== null) body.tool_choice = demands.toolChoice;
  const reasoning = state.exact ? exactReasoning(request.reasoning) : reasoningOf(request, generation, body, losses);
  if (reasoning.thinking !== null) body.thinking = reasoning.thinking;
  const config = outputConfig(request, demands.format, reasoning.effort, state.exact);
  if (config !== null) body.output_config = config;
  Object.assign(body, samplingOf(request, generation, reasoning, state));
  const stop = stopSequences(request, state);
  if (stop.length > 0) body.stop_sequences = [...stop];
  if (request.stream) body.stream = true;
  Object.assign(body, encodeRest(request, state));
  const formatTool = demands.format.tool === null ? "" : String(demands.format.tool.name);
  return { body, renamed: state.toolNames.changed, formatTool, headers: [] };
}

function samplingOf(
  request: SemanticRequest,
  generation: ModelGeneration,
  reasoning: EncodedReasoning,
  state: ContentState,
): JsonObject {
  if (state.exact) {
    const { temperature, topP, topK } = request.sampling;
    const sampling: JsonObject = {};
    if (temperature !== null) sampling.temperature = temperature;
    if (topP !== null) sampling.top_p = topP;
    if (topK !== null) sampling.top_k = topK;
    return sampling;
  }
  const thinks = reasoning.thinking !== null && reasoning.thinking.type !== "disabled";
  return encodeSampling(request, generation, thinks, state.losses);
}
