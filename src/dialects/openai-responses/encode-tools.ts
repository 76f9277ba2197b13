/** Tools and the choice among them, for upstreams of the responses dialect. */
import type { AcceptedNames } from "../accepted-names.js";
import { asObject, isAbsent } from "../json.js";
import { lossName } from "../loss-name.js";
import type { FunctionTool, HostedTool, JsonObject, JsonValue, LossList, SemanticRequest, Tool } from "../semantic.js";
import { customToolOf, encodeToolChoice, WIRE } from "./shapes.js";

interface ToolEncoding {
  readonly names: AcceptedNames;
  readonly losses: LossList;
}

/** A function that takes nothing; the wire wants a schema. */
const NO_PARAMETERS: JsonObject = { type: "object", properties: {} };

function encodeFunction(tool: FunctionTool, { names, losses }: ToolEncoding): JsonObject {
  if (tool.cache !== null) losses.add("cache_control");
  const encoded: JsonObject = {
    type: "function",
    name: names.name(tool.name),
    parameters: tool.parameters ?? NO_PARAMETERS,
    // This wire takes silence for true, and then refuses most schemas.
    strict: tool.strict ?? false,
  };
  if (tool.description !== null) encoded.description = tool.description;
  return encoded;
}

/** Where the searcher is; chat nests it once more. */
function location(value: JsonValue | undefined): JsonObject | null {
  const given = asObject(value);
  return given === null ? null : { ...(asObject(given.approximate) ?? given), type: "approximate" };
}

/** The messages API's web search. */
function encodeWebSearch(raw: JsonObject, losses: LossList): JsonObject {
  const tool: JsonObject = { type: "web_search" };
  if (Array.isArray(raw.allowed_domains)) tool.filters = { allowed_domains: raw.allowed_domains };
  const where = location(raw.user_location);
  if (where !== null) tool.user_location = where;
  if (!isAbsent(raw.blocked_domains) || !isAbsent(raw.max_uses)) losses.add("web_search_options");
  return tool;
}

/** Chat asks for a web search by a field of the request. */
function encodeSearchOptions(options: JsonObject): JsonObject {
  const tool: JsonObject = { type: "web_search" };
  if (!isAbsent(options.search_context_size)) tool.search_context_size = options.search_context_size;
  const where = location(options.user_location);
  if (where !== null) tool.user_location = where;
  return tool;
}

function encodeHosted(tool: HostedTool, { names, losses }: ToolEncoding): JsonObject | null {
  const custom = customToolOf(tool);
  if (custom !== null) return { ...custom, name: names.name(tool.name) };
  if (tool.wire === WIRE) return tool.raw;
  if (tool.type.startsWith("web_search")) return encodeWebSearch(tool.raw, losses);
  if (tool.type.startsWith("code_execution")) return { type: "code_interpreter", container: { type: "auto" } };
  losses.add(lossName(`tool_${tool.type}`, "hosted_tool"));
  return null;
}

function encodeTool(tool: Tool, encoding: ToolEncoding): JsonObject | null {
  return tool.kind === "function" ? encodeFunction(tool, encoding) : encodeHosted(tool, encoding);
}

/** What a hosted tool of another wire is called here, so that a choice of it still finds it. */
function sentTool(tool: Tool, sent: JsonObject, names: AcceptedNames): Tool {
  if (tool.kind === "function" || tool.type === "custom") return { ...tool, name: names.name(tool.name) };
  return { ...tool, type: String(sent.type) };
}

/** Writes `tools`, `tool_choice` and `parallel_tool_calls` into the body. */
export function encodeTools(request: SemanticRequest, body: JsonObject, encoding: ToolEncoding): void {
  const tools: JsonObject[] = [];
  const sent: Tool[] = [];
  for (const tool of request.tools) {
    const encoded = encodeTool(tool, encoding);
    if (encoded === null) continue;
    tools.push(encoded);
    sent.push(sentTool(tool, encoded, encoding.names));
  }
  const search = asObject(request.extras.web_search_options);
  if (search !== null) tools.push(encodeSearchOptions(search));
  if (tools.length > 0) body.tools = tools;
  encodeChoice(request, body, { ...encoding, sent });
  if (request.parallelToolCalls !== null && tools.length > 0) body.parallel_tool_calls = request.parallelToolCalls;
}

/** A choice of a tool that could not be sent would be refused. */
function encodeChoice(
  request: SemanticRequest,
  body: JsonObject,
  { names, losses, sent }: ToolEncoding & { readonly sent: readonly Tool[] },
): void {
  const choice = request.toolChoice;
  if (choice === null) return;
  const known = (name: string): boolean => sent.some((tool) => tool.name === name);
  if (choice.kind === "tool") {
    const name = sentName(choice.name, request, names);
    if (known(name)) body.tool_choice = encodeToolChoice({ kind: "tool", name }, sent);
    else losses.add("tool_choice");
  } else if (choice.kind === "allowed") {
    const wanted = choice.names.map((name) => sentName(name, request, names)).filter(known);
    if (wanted.length < choice.names.length) losses.add("tool_choice");
    if (wanted.length > 0) body.tool_choice = encodeToolChoice({ ...choice, names: wanted }, sent);
  } else if (sent.length > 0) body.tool_choice = encodeToolChoice(choice, sent);
  else if (choice.kind === "any") losses.add("tool_choice");
}

/** The name that was sent for the caller's; hosted tools keep theirs. */
function sentName(name: string, request: SemanticRequest, names: AcceptedNames): string {
  const tool = request.tools.find((candidate) => candidate.name === name);
  return tool === undefined || (tool.kind === "hosted" && tool.type !== "custom") ? name : names.name(name);
}
