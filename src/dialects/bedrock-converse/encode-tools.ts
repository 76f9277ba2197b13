/** Tools and the choice among them, and the forced tool that stands in for structured output. */
import type { FunctionTool, JsonObject, SemanticRequest, Tool, ToolChoice } from "../semantic.js";
import { addCachePoint, type MessageState, WIRE } from "./encode-messages.js";
import { mayBeClaude } from "./model-family.js";
import { lossName } from "../loss-name.js";

/** The tool configuration; null = none. */
export interface EncodedTools {
  readonly config: JsonObject | null;
  /** The forced tool whose arguments are the structured answer, as it is called on the wire; "" = none. */
  readonly formatTool: string;
  /** Must the model call a tool? */
  readonly forced: boolean;
}

const NO_PARAMETERS: JsonObject = { type: "object", properties: {} };

function encodeFunction(tool: FunctionTool, state: MessageState): JsonObject {
  const parameters = tool.parameters ?? NO_PARAMETERS;
  const json = parameters.type === undefined ? { type: "object", ...parameters } : parameters;
  const toolSpec: JsonObject = { name: state.toolNames.name(tool.name), inputSchema: { json } };
  // An empty description is refused, an absent one is not.
  if (tool.description !== null && tool.description !== "") toolSpec.description = tool.description;
  if (tool.strict === true) toolSpec.strict = true;
  return { toolSpec };
}

function encodeTool(tool: Tool, tools: JsonObject[], state: MessageState): void {
  if (tool.kind === "hosted") {
    if (tool.wire === WIRE) tools.push(tool.raw);
    else state.losses.add(lossName(tool.type, "hosted_tool"));
    return;
  }
  tools.push(encodeFunction(tool, state));
  // Only Claude caches definitions of tools.
  if (tool.cache !== null && !mayBeClaude(state.family)) state.losses.add("cache_control");
  else addCachePoint(tools, tool.cache, state);
}

/** Names of the tools that the conversation has used. */
export function usedToolNames(request: SemanticRequest): Set<string> {
  const names = new Set<string>();
  for (const turn of request.turns) {
    for (const block of turn.blocks) {
      if (block.kind === "tool_call") names.add(block.name);
    }
  }
  return names;
}

function hasToolBlocks(request: SemanticRequest): boolean {
  return request.turns.some(({ blocks }) => blocks.some(({ kind }) => kind === "tool_call" || kind === "tool_result"));
}

/** Those of the caller's tools that the model may use. */
function offered(request: SemanticRequest): readonly Tool[] {
  const choice = request.toolChoice;
  // "none" has no word on this wire, so there is nothing to choose from. Which tools stay for the sake of
  // the history is another question.
  if (choice?.kind === "none" && !hasToolBlocks(request)) return [];
  if (choice?.kind !== "allowed") return request.tools;
  return request.tools.filter((tool) => choice.names.includes(tool.name));
}

/** A conversation that has used tools must define some; these have the used names and take anything. */
function recalledTools(request: SemanticRequest, state: MessageState): JsonObject[] {
  if (!hasToolBlocks(request)) return [];
  const names = usedToolNames(request);
  if (names.size === 0) names.add("tool");
  state.losses.add("tool_choice");
  return [...names].map((name) => ({
    toolSpec: { name: state.toolNames.name(name), inputSchema: { json: { type: "object" } } },
  }));
}

function encodeChoice(choice: ToolChoice | null, state: MessageState): JsonObject | null {
  switch (choice?.kind) {
    case undefined:
      return null;
    case "auto":
      return { auto: {} };
    case "any":
      return { any: {} };
    case "tool":
      return { tool: { name: state.toolNames.name(choice.name) } };
    case "allowed":
      return choice.required ? { any: {} } : { auto: {} };
    case "none":
      // Said by leaving the tools out where that is possible; here the history needs them.
      state.losses.add("tool_choice");
      return null;
  }
}

/** The tool configuration of a request; `asTool`: structured output must be asked for by way of a tool. */
export function encodeTools(request: SemanticRequest, asTool: boolean, state: MessageState): EncodedTools {
  const tools: JsonObject[] = [];
  for (const tool of offered(request)) encodeTool(tool, tools, state);
  const real = tools.length;
  const format = asTool ? formatTool(request, state) : null;
  if (format !== null) tools.push(format.tool);
  if (tools.length === 0) tools.push(...recalledTools(request, state));
  if (tools.length === 0) return { config: null, formatTool: "", forced: false };
  const chosen = real === 0 && format === null ? null : encodeChoice(request.toolChoice, state);
  const choice = format === null ? chosen : formatChoice(request.toolChoice, format.name, real > 0);
  const config: JsonObject = { tools };
  if (choice !== null) config.toolChoice = choice;
  const forced = choice !== null && choice.auto === undefined;
  if (request.parallelToolCalls === false) state.losses.add("parallel_tool_calls");
  return { config, formatTool: format?.name ?? "", forced };
}

function formatTool(request: SemanticRequest, state: MessageState): { name: string; tool: JsonObject } | null {
  const format = request.format;
  if (format?.kind !== "schema") return null;
  // A caller who insists on a tool of their own gets its call, which has a form already.
  if (request.toolChoice?.kind === "tool" || request.toolChoice?.kind === "any") {
    state.losses.add("response_format");
    return null;
  }
  const name = state.toolNames.fresh(format.name || "structured_answer");
  const json = format.schema.type === undefined ? { type: "object", ...format.schema } : format.schema;
  const toolSpec: JsonObject = { name, inputSchema: { json } };
  toolSpec.description = format.description || "Gives the final answer in the form that was asked for.";
  if (format.strict === true) toolSpec.strict = true;
  return { name, tool: { toolSpec } };
}

/** With tools of the caller's beside it, the model either calls one of them or answers. */
function formatChoice(choice: ToolChoice | null, name: string, others: boolean): JsonObject {
  return others && choice?.kind !== "none" ? { any: {} } : { tool: { name } };
}
