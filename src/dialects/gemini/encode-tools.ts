/** Tools → one list of function declarations beside the vendor's own tools; tool choice → function calling mode. */
import { asObject, isObject } from "../json.js";
import type { FunctionTool, HostedTool, JsonObject, LossList, SemanticRequest, ToolChoice } from "../semantic.js";
import { WIRE } from "./encode-contents.js";
import { lossName } from "../loss-name.js";
import type { ModelTraits } from "./models.js";
import { olderSchema } from "./schema.js";
import type { AcceptedNames } from "../accepted-names.js";

/** This wire's own tools, by every spelling that callers of other dialects use. */
const OWN_TOOLS: Readonly<Record<string, string>> = {
  googleSearch: "googleSearch",
  google_search: "googleSearch",
  googleSearchRetrieval: "googleSearchRetrieval",
  google_search_retrieval: "googleSearchRetrieval",
  codeExecution: "codeExecution",
  code_execution: "codeExecution",
  urlContext: "urlContext",
  url_context: "urlContext",
  googleMaps: "googleMaps",
  google_maps: "googleMaps",
  fileSearch: "fileSearch",
  computerUse: "computerUse",
  enterpriseWebSearch: "enterpriseWebSearch",
  retrieval: "retrieval",
};
/** Other vendors' tools that do the same; the type may go on with a version. */
const EQUIVALENTS: readonly (readonly [prefix: string, own: string])[] = [
  ["web_search", "googleSearch"],
  ["web_fetch", "urlContext"],
  ["code_execution", "codeExecution"],
  ["code_interpreter", "codeExecution"],
];
/** Fields of a hosted tool that say nothing of how it works. */
const IDENTITY = new Set(["type", "name", "cache_control"]);

export interface EncodedTools {
  readonly tools: JsonObject[];
  readonly toolConfig: JsonObject | null;
  readonly formatTool: string;
}

/** What tools are encoded for. */
export interface ToolTask {
  readonly request: SemanticRequest;
  readonly names: AcceptedNames;
  readonly traits: ModelTraits;
  readonly losses: LossList;
  /** The answer's form goes through a forced tool. */
  readonly byTool: boolean;
}

/** Every tool of the request, the forced format tool included. */
export function encodeTools(task: ToolTask): EncodedTools {
  const { request, losses } = task;
  const functions = wantedFunctions(request);
  const declarations = functions.filter((tool) => ownByName(tool) === null).map((tool) => declaration(tool, task));
  const formatTool = formatDeclaration(task, declarations);
  const own = ownTools(task, functions);
  const tools: JsonObject[] = declarations.length > 0 ? [{ functionDeclarations: declarations }] : [];
  const mixed = declarations.length > 0 && own.length > 0;
  if (mixed && !task.traits.mixesTools)
    for (const tool of own) losses.add(lossName(Object.keys(tool)[0] ?? "", "tool"));
  else tools.push(...own);
  if (request.parallelToolCalls === false) losses.add("parallel_tool_calls");
  const calling = declarations.length > 0 ? functionCalling(task, formatTool) : null;
  if (declarations.length === 0 && isForced(request.toolChoice)) losses.add("tool_choice");
  const toolConfig: JsonObject = {};
  if (calling !== null) toolConfig.functionCallingConfig = calling;
  if (mixed && task.traits.mixesTools) toolConfig.includeServerSideToolInvocations = true;
  return { tools, toolConfig: Object.keys(toolConfig).length === 0 ? null : toolConfig, formatTool };
}

/** The functions that may be called: "any of these, or none" has no mode, so the others are not shown. */
function wantedFunctions({ tools, toolChoice }: SemanticRequest): FunctionTool[] {
  const functions = tools.filter((tool) => tool.kind === "function");
  if (toolChoice?.kind !== "allowed" || toolChoice.required) return functions;
  const allowed = new Set(toolChoice.names);
  return functions.filter((tool) => allowed.has(tool.name));
}

function declaration(tool: FunctionTool, task: ToolTask): JsonObject {
  if (tool.cache !== null) task.losses.add("cache_control");
  if (tool.strict === true && !isForced(task.request.toolChoice)) task.losses.add("strict");
  return declared(task.names.name(tool.name), tool.description, tool.parameters, task);
}

function declared(name: string, description: string | null, schema: JsonObject | null, task: ToolTask): JsonObject {
  const result: JsonObject = { name };
  if (description !== null && description !== "") result.description = description;
  if (schema === null) return result;
  if (task.traits.jsonSchema) {
    result.parametersJsonSchema = schema;
  } else {
    const older = olderSchema(schema, task.losses);
    if (older !== null) result.parameters = older;
  }
  return result;
}

/** Declares the tool whose arguments are the answer; its name, or "". */
function formatDeclaration(task: ToolTask, declarations: JsonObject[]): string {
  const { format } = task.request;
  if (!task.byTool || format?.kind !== "schema") return "";
  const name = task.names.fresh(format.name || "answer");
  const description = format.description ?? "Gives the final answer. Call it once, with the whole answer.";
  declarations.push(declared(name, description, format.schema, task));
  return name;
}

function functionCalling({ request, names }: ToolTask, formatTool: string): JsonObject {
  const choice = request.toolChoice;
  if (choice?.kind === "tool") return { mode: "ANY", allowedFunctionNames: [names.name(choice.name)] };
  if (choice?.kind === "allowed" && choice.required) {
    const allowed = choice.names.map((name) => names.name(name));
    return { mode: "ANY", allowedFunctionNames: formatTool === "" ? allowed : [...allowed, formatTool] };
  }
  if (formatTool !== "" && choice?.kind === "none") return { mode: "ANY", allowedFunctionNames: [formatTool] };
  if (formatTool !== "" || choice?.kind === "any") return { mode: "ANY" };
  return { mode: choice?.kind === "none" ? "NONE" : "AUTO" };
}

function isForced(choice: ToolChoice | null): boolean {
  return (
    choice !== null &&
    (choice.kind === "any" || choice.kind === "tool" || (choice.kind === "allowed" && choice.required))
  );
}

/** The vendor's own tools that were asked for, each once. */
function ownTools(task: ToolTask, functions: readonly FunctionTool[]): JsonObject[] {
  const found = new Map<string, JsonObject>();
  for (const tool of functions) {
    const own = ownByName(tool);
    if (own !== null) found.set(own, { [own]: {} });
  }
  for (const tool of task.request.tools) {
    if (tool.kind !== "hosted") continue;
    const own = ownTool(tool, task.losses);
    if (own !== null) found.set(Object.keys(own)[0] ?? "", own);
    else task.losses.add(lossName(tool.type, "hosted_tool"));
  }
  const search = asObject(task.request.extras.web_search_options);
  if (search !== null && !found.has("googleSearch")) found.set("googleSearch", { googleSearch: {} });
  if (search !== null && Object.keys(search).length > 0) task.losses.add("web_search_options");
  return [...found.values()];
}

/** A function without parameters that bears the name of one of the vendor's tools stands for it. */
function ownByName(tool: FunctionTool): string | null {
  const empty = tool.parameters === null || Object.keys(asObject(tool.parameters.properties) ?? {}).length === 0;
  return empty && Object.hasOwn(OWN_TOOLS, tool.name) ? (OWN_TOOLS[tool.name] ?? null) : null;
}

function ownTool(tool: HostedTool, losses: LossList): JsonObject | null {
  for (const [key, value] of Object.entries(tool.raw)) {
    if (Object.hasOwn(OWN_TOOLS, key) && isObject(value)) return { [OWN_TOOLS[key] ?? key]: value };
  }
  if (tool.wire === WIRE && Object.keys(tool.raw).length > 0 && tool.raw.type === undefined) return tool.raw;
  const same = EQUIVALENTS.find(([prefix]) => tool.type.startsWith(prefix))?.[1];
  const own = Object.hasOwn(OWN_TOOLS, tool.type) ? OWN_TOOLS[tool.type] : same;
  if (own === undefined) return null;
  if (Object.keys(tool.raw).some((key) => !IDENTITY.has(key)))
    losses.add(`${lossName(tool.type, "hosted_tool")}_options`);
  return { [own]: {} };
}
