/** A request in the form of /v2/chat. */
import { type Failure, failure } from "../../errors.js";
import type { EncodedRequest, TargetTraits } from "../codec.js";
import { lossName } from "../loss-name.js";
import { AcceptedNames, type NameRule } from "../accepted-names.js";
import { asArray, isAbsent, withoutAbsent } from "../json.js";
import type { FunctionTool, JsonObject, LossList, Reasoning, SemanticRequest, ToolChoice } from "../semantic.js";
import { encodeMessages } from "./encode-messages.js";

const NAME_RULE: NameRule = {
  refused: /[^A-Za-z0-9_]/g,
  refusedStart: /^[^A-Za-z_]/,
};
const LONGEST_NAME = 64;
const MAX_STOPS = 5;
/** Fields of this wire that a caller may add to a request of another dialect. */
const OWN_FIELDS = new Set(["safety_mode", "citation_options", "strict_tools", "priority"]);

/** Encodes a request; refuses one that says nothing at all. */
export function encodeRequest(
  request: SemanticRequest,
  target: TargetTraits,
  losses: LossList,
): EncodedRequest | Failure {
  const functions = wantedFunctions(request, losses);
  const names = new AcceptedNames(LONGEST_NAME, NAME_RULE);
  names.reserve(functions.map((tool) => tool.name));
  const { messages, documents } = encodeMessages(request.system, request.turns, names, losses);
  if (messages.length === 0) return failure("invalid_request_error", "The conversation is empty.", "messages");
  const declared = functions.map((tool) => declaration(tool, names, losses));
  // The wire refuses JSON answers beside tools or documents, so a tool gives the answer there.
  const beside = declared.length + documents.length > 0;
  const byTool = request.format?.kind === "schema" && (target.structuredOutput === "tool" || beside);
  const formatTool = byTool ? declareFormat(request, names, declared) : "";
  const body: JsonObject = { model: target.model, messages, stream: request.stream };
  if (declared.length > 0) body.tools = declared;
  if (declared.length > 0)
    Object.assign(body, strictness(request, functions, byTool, losses), choice(request.toolChoice, formatTool));
  else if (isForced(request.toolChoice)) losses.add("tool_choice");
  if (documents.length > 0) body.documents = documents;
  if (formatTool === "") encodeFormat(request, beside, body, losses);
  Object.assign(body, sampling(request, losses));
  if (request.reasoning !== null) body.thinking = thinking(request.reasoning, losses);
  addExtras(request.extras, body, losses);
  reportRest(request, losses);
  return { body, renamed: names.changed, formatTool, headers: [] };
}

// ---- tools -----------------------------------------------------------------------------------------

/** The functions that may be called: no choice on this wire names one, so the others are not shown. */
function wantedFunctions({ tools, toolChoice }: SemanticRequest, losses: LossList): FunctionTool[] {
  for (const tool of tools) if (tool.kind === "hosted") losses.add(lossName(tool.type, "hosted_tool"));
  const functions = tools.filter((tool) => tool.kind === "function");
  if (toolChoice?.kind === "tool") return functions.filter((tool) => tool.name === toolChoice.name);
  if (toolChoice?.kind !== "allowed") return functions;
  const allowed = new Set(toolChoice.names);
  return functions.filter((tool) => allowed.has(tool.name));
}

function declaration(tool: FunctionTool, names: AcceptedNames, losses: LossList): JsonObject {
  if (tool.cache !== null) losses.add("cache_control");
  return declared(names.name(tool.name), tool.description, tool.parameters);
}

function declared(name: string, description: string | null, schema: JsonObject | null): JsonObject {
  const parameters = schema ?? { type: "object", properties: {} };
  return { type: "function", function: withoutAbsent({ name, description, parameters }) };
}

function declareFormat({ format, toolChoice }: SemanticRequest, names: AcceptedNames, tools: JsonObject[]): string {
  if (format?.kind !== "schema") return "";
  const name = names.fresh(format.name || "answer");
  // "none" forbids the caller's own tools only, and the wire cannot say so: they are not shown.
  if (toolChoice?.kind === "none") tools.length = 0;
  const description = format.description ?? "Gives the final answer. Call it once, with the whole answer.";
  tools.push(declared(name, description, format.schema));
  return name;
}

/**
 * One switch for all tools on this wire: it is set when every tool asks for it. The tool that stands for the
 * answer's form asks for it where the caller called the form strict, and never minds.
 */
function strictness(
  { format }: SemanticRequest,
  functions: readonly FunctionTool[],
  byTool: boolean,
  losses: LossList,
): JsonObject {
  const asked = functions.map((tool) => tool.strict === true);
  if (byTool && format?.kind === "schema" && format.strict === true) asked.push(true);
  if (!asked.includes(true)) return {};
  if (!asked.includes(false)) return { strict_tools: true };
  losses.add("strict");
  return {};
}

function choice(wanted: ToolChoice | null, formatTool: string): JsonObject {
  if (formatTool !== "" || isForced(wanted)) return { tool_choice: "REQUIRED" };
  return wanted?.kind === "none" ? { tool_choice: "NONE" } : {};
}

function isForced(wanted: ToolChoice | null): boolean {
  return wanted?.kind === "any" || wanted?.kind === "tool" || (wanted?.kind === "allowed" && wanted.required);
}

// ---- the rest --------------------------------------------------------------------------------------

/** A schema always binds on this wire, whether the caller called it strict or not; its name says nothing of the form. */
function encodeFormat({ format }: SemanticRequest, beside: boolean, body: JsonObject, losses: LossList): void {
  if (format === null) return;
  if (beside) losses.add("response_format");
  else if (format.kind === "json") body.response_format = { type: "json_object" };
  else {
    const { schema, description } = format;
    // The wire has no place for the description but the schema's own.
    const described = description === null || schema.description !== undefined ? schema : { ...schema, description };
    body.response_format = { type: "json_object", json_schema: described };
  }
}

/** The sampler's fields, held inside this wire's ranges. */
function sampling(request: SemanticRequest, losses: LossList): JsonObject {
  const { sampling: asked } = request;
  const within = (value: number | null, least: number, most: number, loss: string) => {
    const held = value === null ? null : Math.min(Math.max(value, least), most);
    if (held !== value) losses.add(loss);
    return held;
  };
  if (asked.logitBias !== null) losses.add("logit_bias");
  if ((asked.topLogprobs ?? 0) > 0) losses.add("top_logprobs");
  if ((asked.count ?? 1) > 1) losses.add("n");
  if (request.stop.length > MAX_STOPS) losses.add("stop");
  return withoutAbsent({
    max_tokens: request.maxOutputTokens,
    stop_sequences: request.stop.length === 0 ? null : request.stop.slice(0, MAX_STOPS),
    temperature: asked.temperature,
    p: within(asked.topP, 0.01, 0.99, "top_p"),
    k: within(asked.topK, 0, 500, "top_k"),
    seed: asked.seed,
    frequency_penalty: within(asked.frequencyPenalty, 0, 1, "frequency_penalty"),
    presence_penalty: within(asked.presencePenalty, 0, 1, "presence_penalty"),
    logprobs: asked.logprobs === true ? true : null,
  });
}

function thinking(reasoning: Reasoning, losses: LossList): JsonObject {
  if (!reasoning.enabled || reasoning.effort === "none") return { type: "disabled" };
  if (reasoning.effort !== null) losses.add("reasoning_effort");
  const tokens = reasoning.budgetTokens;
  return tokens === null || tokens <= 0 ? { type: "enabled" } : { type: "enabled", token_budget: tokens };
}

function addExtras(extras: JsonObject, body: JsonObject, losses: LossList): void {
  for (const [name, value] of Object.entries(extras)) {
    if (isAbsent(value)) continue;
    if (OWN_FIELDS.has(name)) body[name] = value;
    else if (name === "documents" && Array.isArray(value)) body.documents = [...value, ...asArray(body.documents)];
    else if (!(name === "store" && value === false)) losses.add(lossName(name, "extra_field"));
  }
}

/** Tiers that mean the usual service. */
const USUAL_TIERS = new Set(["auto", "default", "standard", "standard_only"]);

function reportRest(request: SemanticRequest, losses: LossList): void {
  if (request.parallelToolCalls === false) losses.add("parallel_tool_calls");
  if (request.user !== null) losses.add("user");
  if (request.metadata !== null) losses.add("metadata");
  if (request.serviceTier !== null && !USUAL_TIERS.has(request.serviceTier)) losses.add("service_tier");
  if (request.promptCacheKey !== null) losses.add("prompt_cache_key");
  if (request.verbosity !== null) losses.add("verbosity");
  if (request.modalities.some((modality) => modality !== "text")) losses.add("modalities");
}
