/** A request as the body of Converse and ConverseStream; the model's name stands in the path, not here. */
import type { Failure } from "../../errors.js";
import type { EncodedRequest, TargetTraits } from "../codec.js";
import { isObject } from "../json.js";
import type { JsonObject, LossList, Sampling, SemanticRequest } from "../semantic.js";
import { unreachableMedia } from "./encode-media.js";
import { addText, encodeMessages, type MessageState } from "./encode-messages.js";
import { type EncodedReasoning, encodeReasoning } from "./encode-reasoning.js";
import { encodeTools, usedToolNames } from "./encode-tools.js";
import { familyOf, type ModelFamily } from "./model-family.js";
import { AcceptedNames } from "../accepted-names.js";
import { lossName } from "../loss-name.js";
import { DocumentNames } from "./document-names.js";

/** Of tools and calls alike. */
const LONGEST_NAME = 64;

/** Encodes the request; refuses media that stand at addresses Converse cannot read. */
export function encodeRequest(
  request: SemanticRequest,
  traits: TargetTraits,
  losses: LossList,
): EncodedRequest | Failure {
  const refusal = unreachableMedia(request);
  if (refusal !== null) return refusal;
  const state = stateOf(request, traits.model, losses);
  const schema = request.format?.kind === "schema" ? request.format : null;
  const tools = encodeTools(request, schema !== null && traits.structuredOutput === "tool", state);
  const reasoning = encodeReasoning(request, traits.model, {
    family: state.family,
    losses,
    maxTokens: request.maxOutputTokens,
    forcedTool: tools.forced,
  });
  const body: JsonObject = { messages: encodeMessages(request.turns, state) };
  const system = encodeSystem(request, state);
  if (system.length > 0) body.system = system;
  const inference = inferenceConfig(request, traits, reasoning, state);
  if (Object.keys(inference).length > 0) body.inferenceConfig = inference;
  if (tools.config !== null) body.toolConfig = tools.config;
  addOutputConfig(body, request, traits, reasoning);
  addServiceFields(body, request, losses);
  addFamilyFields(body, request, reasoning, state);
  addExtras(body, request.extras, losses);
  reportUnsaid(request, losses);
  return { body, renamed: state.toolNames.changed, formatTool: tools.formatTool, headers: [] };
}

function stateOf(request: SemanticRequest, model: string, losses: LossList): MessageState {
  const names = [...request.tools.map(({ name }) => name), ...usedToolNames(request)];
  const ids: string[] = [];
  for (const turn of request.turns) {
    for (const block of turn.blocks) if (block.kind === "tool_call") ids.push(block.id);
  }
  const toolNames = new AcceptedNames(LONGEST_NAME);
  const toolIds = new AcceptedNames(LONGEST_NAME);
  toolNames.reserve(names);
  toolIds.reserve(ids);
  return {
    family: familyOf(model),
    losses,
    toolNames,
    toolIds,
    documentNames: new DocumentNames(),
  };
}

const JSON_INSTRUCTION = "Answer with one JSON object and nothing else.";

function encodeSystem(request: SemanticRequest, state: MessageState): JsonObject[] {
  const system: JsonObject[] = [];
  for (const block of request.system) addText(system, block, state);
  if (request.format?.kind === "json") {
    // There is no JSON mode; asking for it is the best that can be done.
    state.losses.add("response_format");
    system.push({ text: JSON_INSTRUCTION });
  }
  return system;
}

function inferenceConfig(
  request: SemanticRequest,
  traits: TargetTraits,
  reasoning: EncodedReasoning,
  { losses }: MessageState,
): JsonObject {
  const { temperature, topP } = request.sampling;
  const config: JsonObject = {};
  // Thinking counts as output: without a cap of the caller's there is room for both.
  const maxTokens = request.maxOutputTokens ?? traits.defaultMaxTokens + reasoning.budgetTokens;
  if (maxTokens > 0) config.maxTokens = maxTokens;
  if (temperature !== null) {
    const sent = Math.min(Math.max(temperature, 0), 1);
    if (sent !== temperature || (reasoning.thinking && sent !== 1)) losses.add("temperature");
    if (!reasoning.thinking) config.temperature = sent;
  }
  if (topP !== null) {
    if (reasoning.thinking && topP < MIN_THINKING_TOP_P) losses.add("top_p");
    else config.topP = topP;
  }
  if (request.stop.length > 0) config.stopSequences = [...request.stop];
  return config;
}

/** A thinking Claude takes no smaller one. */
const MIN_THINKING_TOP_P = 0.95;

function addOutputConfig(
  body: JsonObject,
  request: SemanticRequest,
  traits: TargetTraits,
  reasoning: EncodedReasoning,
): void {
  const output: JsonObject = {};
  if (reasoning.effort !== null) output.effort = reasoning.effort;
  if (request.format?.kind === "schema" && traits.structuredOutput === "native") {
    const { schema, name, description } = request.format;
    const jsonSchema: JsonObject = { schema: JSON.stringify(schema) };
    if (name !== "") jsonSchema.name = name;
    if (description !== null && description !== "") jsonSchema.description = description;
    output.textFormat = { type: "json_schema", structure: { jsonSchema } };
  }
  if (Object.keys(output).length > 0) body.outputConfig = output;
}

const SERVICE_TIERS = new Set(["default", "flex", "priority", "reserved"]);
const MAX_METADATA = 16;
const METADATA_TEXT = /^[a-zA-Z0-9\s:_@$#=/+,.-]{0,256}$/;

function addServiceFields(body: JsonObject, request: SemanticRequest, losses: LossList): void {
  const { serviceTier, metadata } = request;
  if (serviceTier !== null && SERVICE_TIERS.has(serviceTier)) body.serviceTier = { type: serviceTier };
  else if (serviceTier !== null && serviceTier !== "auto") losses.add("service_tier");
  if (metadata === null) return;
  const entries = Object.entries(metadata);
  const fits = ([name, value]: readonly [string, unknown]): boolean =>
    name !== "" && METADATA_TEXT.test(name) && typeof value === "string" && METADATA_TEXT.test(value);
  if (entries.length > MAX_METADATA || !entries.every(fits)) losses.add("metadata");
  else if (entries.length > 0) body.requestMetadata = { ...metadata };
}

/** Where a family wants top_k; null = it knows none. */
function topKFields(family: ModelFamily, topK: number): JsonObject | null {
  if (family === "nova") return { inferenceConfig: { topK } };
  if (family === "cohere") return { k: topK };
  return family === "other" || family === "gpt" ? null : { top_k: topK };
}

function addFamilyFields(
  body: JsonObject,
  request: SemanticRequest,
  reasoning: EncodedReasoning,
  state: MessageState,
): void {
  const fields: JsonObject = { ...reasoning.fields };
  const { topK } = request.sampling;
  if (topK !== null) {
    const encoded = reasoning.thinking ? null : topKFields(state.family, topK);
    if (encoded === null) state.losses.add("top_k");
    else Object.assign(fields, encoded);
  }
  if (Object.keys(fields).length > 0) body.additionalModelRequestFields = fields;
  // Claude says which sequence ended the answer, but only to those who ask; whole answers and streams by another path.
  if (state.family === "claude" && request.stop.length > 0) {
    body.additionalModelResponseFieldPaths = ["/stop_sequence", "/delta/stop_sequence"];
  }
}

/** Converse's own fields, which callers may send along with their dialect's. */
const OWN_FIELDS = new Set([
  "guardrailConfig",
  "performanceConfig",
  "promptVariables",
  "requestMetadata",
  "additionalModelRequestFields",
]);

function addExtras(body: JsonObject, extras: JsonObject, losses: LossList): void {
  for (const [name, value] of Object.entries(extras)) {
    if (value === undefined) continue;
    if (OWN_FIELDS.has(name) && isObject(value)) {
      const before = body[name];
      body[name] = isObject(before) ? { ...before, ...value } : value;
    } else if (name === "additionalModelResponseFieldPaths" && Array.isArray(value)) {
      const before = body[name];
      body[name] = Array.isArray(before) ? [...new Set([...before, ...value])] : value;
    } else if (!(name === "store" && value === false)) {
      // Nothing is stored on this wire, so asking for just that is granted.
      losses.add(lossName(name, "extra_field"));
    }
  }
}

/** Settings of the sampler for which Converse has no field, and what to call them. */
const UNSAID: readonly (readonly [keyof Sampling, string])[] = [
  ["seed", "seed"],
  ["frequencyPenalty", "frequency_penalty"],
  ["presencePenalty", "presence_penalty"],
  ["logitBias", "logit_bias"],
  ["topLogprobs", "top_logprobs"],
];

function reportUnsaid(request: SemanticRequest, losses: LossList): void {
  const { sampling } = request;
  for (const [field, name] of UNSAID) {
    if (sampling[field] !== null) losses.add(name);
  }
  if (sampling.logprobs === true) losses.add("logprobs");
  if ((sampling.count ?? 1) > 1) losses.add("n");
  if (request.verbosity !== null) losses.add("verbosity");
  if (request.user !== null) losses.add("user");
  if (request.promptCacheKey !== null) losses.add("prompt_cache_key");
  if (request.modalities.some((modality) => modality !== "text")) losses.add("modalities");
}
