/** Tools, the choice among them, and the answer's format, for a chat request. */
import type { TargetTraits } from "../codec.js";
import { asObject, asString, isObject } from "../json.js";
import type {
  FunctionTool,
  HostedTool,
  JsonObject,
  JsonValue,
  OutputFormat,
  SemanticRequest,
  Tool,
  ToolChoice,
} from "../semantic.js";
import { cacheField, type Encoding } from "./encode-messages.js";
import { lossName } from "../loss-name.js";
import { WIRE } from "./wire-name.js";

/** A schema for tools that take nothing; look-alikes refuse functions without one. */
const NO_PARAMETERS: JsonObject = { type: "object", properties: {} };

function functionObject(tool: FunctionTool, encoding: Encoding): JsonObject {
  const definition: JsonObject = { name: encoding.names.sent(tool.name) };
  if (tool.description !== null) definition.description = tool.description;
  definition.parameters = tool.parameters ?? NO_PARAMETERS;
  if (tool.strict !== null) definition.strict = tool.strict;
  return { type: "function", function: definition, ...cacheField(tool.cache, encoding) };
}

/** The newer API's custom tool is flat; this wire nests it, and the grammar in it. */
function nestedCustom(raw: JsonObject): JsonObject {
  const format = asObject(raw.format);
  const { syntax, definition } = format ?? {};
  const nested =
    format?.type === "grammar" && format.grammar === undefined
      ? { type: "grammar", grammar: { syntax, definition } }
      : format;
  const custom: JsonObject = { name: asString(raw.name) };
  if (typeof raw.description === "string") custom.description = raw.description;
  if (nested !== null) custom.format = nested;
  return { type: "custom", custom };
}

function hostedObject(tool: HostedTool, { quirks, losses }: Encoding): JsonObject | null {
  const isCustom = tool.type === "custom";
  if (tool.wire === WIRE && (quirks.vendorFields || !isCustom)) return tool.raw;
  if (isCustom && quirks.vendorFields && tool.wire === "openai-responses") return nestedCustom(tool.raw);
  losses.add(lossName(tool.type, "hosted_tool"));
  return null;
}

function toolObject(tool: Tool, encoding: Encoding): JsonObject | null {
  return tool.kind === "function" ? functionObject(tool, encoding) : hostedObject(tool, encoding);
}

function choiceObject(name: string, request: SemanticRequest, { names }: Encoding): JsonObject {
  const isCustom = request.tools.some((tool) => tool.kind === "hosted" && tool.type === "custom" && tool.name === name);
  return isCustom ? { type: "custom", custom: { name } } : { type: "function", function: { name: names.sent(name) } };
}

function allowedObject(
  choice: Extract<ToolChoice, { kind: "allowed" }>,
  request: SemanticRequest,
  encoding: Encoding,
): JsonObject {
  const tools = choice.names.map((name) => choiceObject(name, request, encoding));
  return { type: "allowed_tools", allowed_tools: { mode: choice.required ? "required" : "auto", tools } };
}

const WORDS = { auto: "auto", none: "none", any: "required" } as const;

function encodeChoice(choice: ToolChoice, request: SemanticRequest, encoding: Encoding): JsonValue {
  switch (choice.kind) {
    case "tool":
      return choiceObject(choice.name, request, encoding);
    case "allowed":
      if (encoding.quirks.vendorFields) return allowedObject(choice, request, encoding);
      // The other tools are not sent at all (see below), so a word says the rest.
      return choice.required ? "required" : "auto";
    default:
      return WORDS[choice.kind];
  }
}

/** Tools that are sent: all of them, or the allowed ones where the target cannot be told. */
function sentTools(request: SemanticRequest, encoding: Encoding): JsonObject[] {
  const { toolChoice, tools } = request;
  const allowed = toolChoice?.kind === "allowed" && !encoding.quirks.vendorFields ? new Set(toolChoice.names) : null;
  return tools
    .filter((tool) => allowed === null || allowed.has(tool.name))
    .map((tool) => toolObject(tool, encoding))
    .filter((tool) => tool !== null);
}

/** `tools`, `tool_choice` and `parallel_tool_calls`; the wire refuses the latter two without the first. */
export function encodeTools(request: SemanticRequest, encoding: Encoding): JsonObject {
  const tools = sentTools(request, encoding);
  if (tools.length === 0) return {};
  const fields: JsonObject = { tools };
  if (request.toolChoice !== null) fields.tool_choice = encodeChoice(request.toolChoice, request, encoding);
  if (request.parallelToolCalls !== null) fields.parallel_tool_calls = request.parallelToolCalls;
  return fields;
}

function schemaObject(format: Extract<OutputFormat, { kind: "schema" }>): JsonObject {
  const wanted: JsonObject = { name: format.name || "answer", schema: format.schema };
  if (format.description !== null) wanted.description = format.description;
  if (format.strict !== null) wanted.strict = format.strict;
  return { type: "json_schema", json_schema: wanted };
}

/** `response_format`, or the forced tool that stands in: its name, and the fields that change. */
export function encodeFormat(
  request: SemanticRequest,
  traits: TargetTraits,
  encoding: Encoding,
): { readonly fields: JsonObject; readonly formatTool: string } {
  const { format } = request;
  if (format === null) return { fields: {}, formatTool: "" };
  if (format.kind === "json") return { fields: { response_format: { type: "json_object" } }, formatTool: "" };
  if (traits.structuredOutput === "native")
    return { fields: { response_format: schemaObject(format) }, formatTool: "" };
  const name = encoding.names.sent(format.name || "answer");
  const parameters = isObject(format.schema) ? format.schema : NO_PARAMETERS;
  const description = format.description ?? "Give the answer by calling this function.";
  // Whether the form is binding is the tool's matter then.
  const strict = format.strict === null ? {} : { strict: format.strict };
  return {
    fields: { tools: [{ type: "function", function: { name, description, parameters, ...strict } }] },
    formatTool: name,
  };
}

/** A forced tool beside the caller's own would forbid those: with tools, the model may choose. */
export function withFormatTool(tools: JsonObject, format: JsonObject, formatTool: string): JsonObject {
  if (formatTool === "") return { ...tools, ...format };
  const own = Array.isArray(tools.tools) ? tools.tools : [];
  const added = Array.isArray(format.tools) ? format.tools : [];
  const tool_choice = own.length > 0 ? "required" : { type: "function", function: { name: formatTool } };
  return { ...tools, tools: [...own, ...added], tool_choice };
}
