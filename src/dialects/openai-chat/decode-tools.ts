/** Tools, the choice among them, and the answer's format, of a chat request. */
import { asObjects, asString, booleanOrNull, isAbsent, isObject, stringOrNull } from "../json.js";
import type { FunctionTool, JsonObject, JsonValue, LossList, OutputFormat, Tool, ToolChoice } from "../semantic.js";
import { cacheOf } from "./decode-parts.js";
import { objectAt, optionalArray, optionalObject, refuse, textAt } from "../refuse-request.js";
import { WIRE } from "./wire-name.js";

function functionTool(definition: JsonObject, path: string, cache: FunctionTool["cache"]): FunctionTool {
  return {
    kind: "function",
    name: textAt(definition.name, `${path}.name`),
    description: stringOrNull(definition.description),
    parameters: optionalObject(definition, "parameters", path),
    strict: booleanOrNull(definition.strict),
    cache,
  };
}

function toolOf(value: JsonValue, path: string): Tool {
  const tool = objectAt(value, path);
  if (tool.type === "function" || (isAbsent(tool.type) && isObject(tool.function))) {
    const definition = objectAt(tool.function, `${path}.function`);
    return functionTool(definition, `${path}.function`, cacheOf(tool) ?? cacheOf(definition));
  }
  const type = textAt(tool.type, `${path}.type`);
  const own = isObject(tool[type]) ? tool[type] : null;
  return { kind: "hosted", wire: WIRE, type, name: asString(own?.name) || asString(tool.name), raw: tool };
}

/** `tools`, and the legacy `functions` after them. */
export function decodeTools(body: JsonObject): Tool[] {
  const tools = optionalArray(body, "tools").map((tool, index) => toolOf(tool, `tools[${index}]`));
  const functions = optionalArray(body, "functions").map((value, index) =>
    functionTool(objectAt(value, `functions[${index}]`), `functions[${index}]`, null),
  );
  return [...tools, ...functions];
}

const WORDS: Readonly<Record<string, ToolChoice>> = {
  auto: { kind: "auto" },
  none: { kind: "none" },
  required: { kind: "any" },
  // Some look-alikes' word for required.
  any: { kind: "any" },
};

function choiceOfWord(word: string, path: string): ToolChoice {
  const choice = Object.hasOwn(WORDS, word) ? WORDS[word] : undefined;
  return choice ?? refuse(path, "'none', 'auto', 'required' or an object");
}

function nameOf(value: JsonObject): string {
  const named = isObject(value.function) ? value.function : isObject(value.custom) ? value.custom : value;
  return asString(named.name);
}

function choiceOfObject(choice: JsonObject, losses: LossList): ToolChoice | null {
  if (choice.type === "allowed_tools") {
    // The vendor nests the list; clients that also speak its newer API write it flat.
    const allowed = isObject(choice.allowed_tools) ? choice.allowed_tools : choice;
    const names = asObjects(allowed.tools)
      .map(nameOf)
      .filter((name) => name !== "");
    return { kind: "allowed", names, required: allowed.mode === "required" };
  }
  const name = nameOf(choice);
  if (name !== "") return { kind: "tool", name };
  losses.add("tool_choice");
  return null;
}

/** `tool_choice`, else the legacy `function_call`; null = not said. */
export function decodeToolChoice(body: JsonObject, losses: LossList): ToolChoice | null {
  const field = isAbsent(body.tool_choice) ? "function_call" : "tool_choice";
  const value = body[field];
  if (isAbsent(value)) return null;
  if (typeof value === "string") return choiceOfWord(value, field);
  return choiceOfObject(objectAt(value, field), losses);
}

/** `response_format`; null = text. */
export function decodeFormat(body: JsonObject, losses: LossList): OutputFormat | null {
  const format = optionalObject(body, "response_format");
  if (format === null) return null;
  const type = textAt(format.type, "response_format.type");
  if (type === "text") return null;
  if (type === "json_object") return { kind: "json" };
  if (type !== "json_schema") {
    losses.add("response_format");
    return null;
  }
  const path = "response_format.json_schema";
  const wanted = objectAt(format.json_schema, path);
  return {
    kind: "schema",
    name: textAt(wanted.name, `${path}.name`),
    description: stringOrNull(wanted.description),
    schema: optionalObject(wanted, "schema", path) ?? {},
    strict: booleanOrNull(wanted.strict),
  };
}
