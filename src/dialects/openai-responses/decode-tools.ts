/** Tools and the choice among them, as callers of the responses dialect write them. */
import { asObjects, asString, isAbsent, isObject } from "../json.js";
import { demandText, optionalArray, optionalFlag, optionalObject, optionalText, refuse } from "../refuse-request.js";
import type { FunctionTool, JsonObject, JsonValue, LossList, Tool, ToolChoice } from "../semantic.js";
import { WIRE } from "./shapes.js";

const FUNCTION_FIELDS: ReadonlySet<string> = new Set(["type", "name", "description", "parameters", "strict"]);

function decodeFunction(raw: JsonObject, path: string, losses: LossList): FunctionTool {
  for (const [name, value] of Object.entries(raw)) {
    if (!FUNCTION_FIELDS.has(name) && !isAbsent(value) && value !== false) losses.add("tool_options");
  }
  return {
    kind: "function",
    name: demandText(raw, "name", path),
    description: optionalText(raw, "description", path),
    parameters: optionalObject(raw, "parameters", path),
    strict: optionalFlag(raw, "strict", path),
    cache: null,
  };
}

function decodeTool(value: JsonValue, path: string, losses: LossList): Tool {
  if (!isObject(value)) return refuse(path, "an object");
  const type = demandText(value, "type", path);
  if (type === "function") {
    // The nested form of chat completions; callers who switch dialects forget to flatten it.
    if (value.name === undefined && isObject(value.function)) {
      return decodeFunction(value.function, `${path}.function`, losses);
    }
    return decodeFunction(value, path, losses);
  }
  const name = type === "custom" ? demandText(value, "name", path) : asString(value.name);
  return { kind: "hosted", wire: WIRE, type, name: name || asString(value.server_label) || type, raw: value };
}

/** Reads `tools`. Refuses what is malformed. */
export function decodeTools(body: JsonObject, losses: LossList): readonly Tool[] {
  return optionalArray(body, "tools").map((tool, index) => decodeTool(tool, `tools[${index}]`, losses));
}

/** The name by which a choice means its tool; hosted tools go by their type. */
function chosenName(choice: JsonObject): string {
  return asString(choice.name) || asString(choice.server_label) || asString(choice.type);
}

/** Reads `tool_choice`. Refuses what is malformed. */
export function decodeToolChoice(value: JsonValue | undefined): ToolChoice | null {
  if (isAbsent(value)) return null;
  if (value === "auto" || value === "none") return { kind: value };
  if (value === "required" || value === "any") return { kind: "any" };
  if (typeof value === "string") return refuse("tool_choice", '"auto", "none", "required" or an object');
  if (!isObject(value)) return refuse("tool_choice", "a string or an object");
  const type = demandText(value, "type", "tool_choice");
  if (type === "allowed_tools") {
    const names = asObjects(value.tools).map(chosenName);
    return { kind: "allowed", names, required: value.mode === "required" };
  }
  if (type === "function" && value.name === undefined && isObject(value.function)) {
    return { kind: "tool", name: demandText(value.function, "name", "tool_choice.function") };
  }
  if (type === "function" || type === "custom") demandText(value, "name", "tool_choice");
  return { kind: "tool", name: chosenName(value) };
}
