/** Tools, and what is demanded of them, as this wire's upstreams want them. */
import { asObject, asString, otherFields } from "../json.js";
import type { FunctionTool, HostedTool, JsonObject, SemanticRequest, Tool, ToolChoice } from "../semantic.js";
import { withBlockFields } from "./block-fields.js";
import { cacheFields, type ContentState } from "./encode-content.js";
import type { ModelGeneration } from "./model-generation.js";
import { MESSAGES } from "./wire-name.js";
import { lossName } from "../loss-name.js";

/** Says, in what is sent, that a tool's argument is free text: the answer's decoder finds it there. */
const FREE_TEXT = "The tool's whole input, as plain text.";
const WEB_SEARCH_FIELDS: ReadonlySet<string> = new Set(["type", "filters", "user_location"]);
const LOCATION_TYPE: ReadonlySet<string> = new Set(["type"]);

function freeTextSchema(): JsonObject {
  return {
    type: "object",
    properties: { input: { type: "string", description: FREE_TEXT } },
    required: ["input"],
    additionalProperties: false,
  };
}

/** The tools of a sent body whose argument is free text. */
export function freeTextTools(body: JsonObject): ReadonlySet<string> {
  const names = new Set<string>();
  if (!Array.isArray(body.tools)) return names;
  for (const tool of body.tools) {
    const properties = asObject(asObject(asObject(tool)?.input_schema)?.properties);
    if (asObject(properties?.input)?.description === FREE_TEXT) names.add(asString(asObject(tool)?.name));
  }
  return names;
}

function schemaOf(parameters: JsonObject | null, state: ContentState): JsonObject {
  if (parameters === null) return { type: "object", properties: {} };
  return state.exact || parameters.type !== undefined ? parameters : { type: "object", ...parameters };
}

function encodeFunction(tool: FunctionTool, state: ContentState, generation: ModelGeneration): JsonObject {
  const encoded: JsonObject = { name: state.exact ? tool.name : state.toolNames.name(tool.name) };
  if (tool.description !== null) encoded.description = tool.description;
  encoded.input_schema = schemaOf(tool.parameters, state);
  if (tool.strict !== null && (state.exact || generation.structured)) encoded.strict = tool.strict;
  else if (tool.strict === true) state.losses.add("strict");
  return { ...encoded, ...cacheFields(tool.cache, state), ...(state.exact ? tool.hints : {}) };
}

/** Another vendor's web search becomes this vendor's; what it was told besides places and domains is a loss. */
function encodeWebSearch(raw: JsonObject, state: ContentState): JsonObject {
  const search: JsonObject = { type: "web_search_20250305", name: "web_search" };
  const domains = asObject(raw.filters)?.allowed_domains;
  if (Array.isArray(domains) && domains.length > 0) search.allowed_domains = domains;
  const location = asObject(raw.user_location);
  if (location !== null) {
    const place = asObject(location.approximate) ?? otherFields(location, LOCATION_TYPE);
    search.user_location = { ...place, type: "approximate" };
  }
  if (Object.keys(otherFields(raw, WEB_SEARCH_FIELDS)).length > 0) state.losses.add("web_search_options");
  return search;
}

/** A tool that takes free text, as a function with one argument. Chat nests its fields, responses does not. */
function encodeFreeText(tool: HostedTool, state: ContentState): JsonObject {
  const said = asObject(tool.raw.custom) ?? tool.raw;
  const description = asString(said.description);
  const format = asObject(said.format);
  if (format !== null && format.type !== "text") state.losses.add("tool_grammar");
  const encoded: JsonObject = { name: state.toolNames.name(tool.name || asString(said.name)) };
  if (description !== "") encoded.description = description;
  encoded.input_schema = freeTextSchema();
  return encoded;
}

function encodeHosted(tool: HostedTool, state: ContentState): JsonObject | null {
  if (tool.wire === MESSAGES) return tool.raw;
  if (tool.type === "custom") return encodeFreeText(tool, state);
  if (/^web_search(?:_preview)?(?:_\d|$)/.test(tool.type)) return encodeWebSearch(tool.raw, state);
  state.losses.add(lossName(`tool_${tool.type}`, "hosted_tool"));
  return null;
}

function callerName(tool: Tool): string {
  return tool.name;
}

/** Which tools the model may see: all of them, or those that the choice names. */
function allowedTools(request: SemanticRequest): readonly Tool[] {
  const choice = request.toolChoice;
  if (choice?.kind !== "allowed") return request.tools;
  const names = new Set(choice.names);
  return request.tools.filter((tool) => names.has(tool.name) || names.has(tool.kind === "hosted" ? tool.type : ""));
}

/** The tools of a request. */
export function encodeTools(request: SemanticRequest, state: ContentState, generation: ModelGeneration): JsonObject[] {
  const tools: JsonObject[] = [];
  state.toolNames.reserve(request.tools.map(callerName));
  for (const [index, tool] of allowedTools(request).entries()) {
    const encoded = tool.kind === "function" ? encodeFunction(tool, state, generation) : encodeHosted(tool, state);
    if (encoded !== null) tools.push(withBlockFields(state.fields, `t${index}`, encoded));
  }
  return tools;
}

function choiceOf(choice: ToolChoice, state: ContentState): JsonObject {
  switch (choice.kind) {
    case "tool":
      return { type: "tool", name: state.exact ? choice.name : state.toolNames.name(choice.name) };
    case "allowed":
      return { type: choice.required ? "any" : "auto" };
    default:
      return { type: choice.kind };
  }
}

/** The choice of tools with the bound on parallel calls; null = leave it to the wire. */
export function encodeToolChoice(
  request: SemanticRequest,
  state: ContentState,
  generation: ModelGeneration,
): JsonObject | null {
  const { toolChoice, parallelToolCalls } = request;
  if (toolChoice === null && parallelToolCalls !== false) return null;
  let choice = choiceOf(toolChoice ?? { kind: "auto" }, state);
  if (!state.exact && !generation.forcedTools && (choice.type === "any" || choice.type === "tool")) {
    state.losses.add("tool_choice");
    choice = { type: "auto" };
  }
  if (parallelToolCalls !== null && (state.exact || (!parallelToolCalls && choice.type !== "none"))) {
    choice.disable_parallel_tool_use = !parallelToolCalls;
  }
  return choice;
}
