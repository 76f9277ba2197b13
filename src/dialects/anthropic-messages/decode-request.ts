/** Requests as callers of the messages API write them. */
import type { Failure } from "../../errors.js";
import { isAbsent, isObject, numberOrNull, otherFields, stringOrNull } from "../json.js";
import { demandText, optionalNumber, optionalObject, optionalText, orFailure, refuse } from "../refuse-request.js";
import {
  type JsonObject,
  type JsonValue,
  NO_SAMPLING,
  type OutputFormat,
  type Reasoning,
  type Sampling,
  type SemanticRequest,
  type TextBlock,
  type Tool,
  type ToolChoice,
  type Turn,
} from "../semantic.js";
import { BLOCK_FIELDS, BlockFieldsWriter, LATER_SYSTEM, OWN_EXTRAS } from "./block-fields.js";
import { decodeCache, decodeContent, decodeSystem } from "./decode-content.js";
import { MESSAGES } from "./wire-name.js";

type Maybe = JsonValue | undefined;

const REQUEST_FIELDS: ReadonlySet<string> = new Set([
  "model",
  "messages",
  "system",
  "max_tokens",
  "stream",
  "tools",
  "tool_choice",
  "temperature",
  "top_p",
  "top_k",
  "stop_sequences",
  "thinking",
  "output_config",
  "output_format",
  "metadata",
  "service_tier",
  ...OWN_EXTRAS,
]);
const MESSAGE_FIELDS: ReadonlySet<string> = new Set(["role", "content"]);
const TOOL_FIELDS: ReadonlySet<string> = new Set([
  "type",
  "name",
  "description",
  "input_schema",
  "strict",
  "cache_control",
]);
/** Fields of tools that say how fast their calls are streamed; what comes is the same. */
const TOOL_HINTS: ReadonlySet<string> = new Set(["eager_input_streaming"]);
const KNOWN_TOOL_FIELDS: ReadonlySet<string> = new Set([...TOOL_FIELDS, ...TOOL_HINTS]);
const CHOICE_FIELDS: ReadonlySet<string> = new Set(["type", "name", "disable_parallel_tool_use"]);
const THINKING_FIELDS: ReadonlySet<string> = new Set(["type", "budget_tokens", "display"]);
const USER_FIELD: ReadonlySet<string> = new Set(["user_id"]);

/** Schemas of answers have no name on this wire; others need one. */
const FORMAT_NAME = "response";

interface Conversation {
  readonly system: readonly TextBlock[];
  readonly turns: readonly Turn[];
  /** Where system turns stood; empty when all system text came first. */
  readonly later: JsonValue[];
}

function decodeConversation(body: JsonObject, fields: BlockFieldsWriter): Conversation {
  const system: TextBlock[] = [];
  const turns: Turn[] = [];
  const later: JsonValue[] = [];
  decodeSystem(body.system, "system", system, fields);
  if (!Array.isArray(body.messages)) refuse("messages", "an array");
  for (const [index, message] of body.messages.entries()) {
    const path = `messages[${index}]`;
    if (!isObject(message)) refuse(path, "an object");
    const role = demandText(message, "role", path);
    if (role === "system") {
      const first = system.length;
      decodeSystem(message.content, `${path}.content`, system, fields);
      later.push([turns.length, first, system.length - first]);
      continue;
    }
    if (role !== "user" && role !== "assistant") refuse(`${path}.role`, "user, assistant or system");
    const key = `m${turns.length}`;
    fields.keepOthers(key, message, MESSAGE_FIELDS);
    turns.push({ role, blocks: decodeContent(message.content, { path, key }, fields), name: null });
  }
  return { system, turns, later };
}

function decodeTool(tool: JsonObject, index: number, fields: BlockFieldsWriter): Tool {
  const path = `tools[${index}]`;
  const type = stringOrNull(tool.type) ?? "custom";
  if (type !== "custom") {
    return { kind: "hosted", wire: MESSAGES, type, name: stringOrNull(tool.name) ?? "", raw: tool };
  }
  const key = `t${index}`;
  fields.keepOthers(key, tool, KNOWN_TOOL_FIELDS);
  const hints = Object.fromEntries(Object.entries(tool).filter(([name]) => TOOL_HINTS.has(name)));
  const schema = tool.input_schema;
  if (!isAbsent(schema) && !isObject(schema)) refuse(`${path}.input_schema`, "an object");
  return {
    kind: "function",
    name: demandText(tool, "name", path),
    description: stringOrNull(tool.description),
    parameters: schema ?? null,
    strict: typeof tool.strict === "boolean" ? tool.strict : null,
    cache: decodeCache(tool, { path, key }, fields),
    ...(Object.keys(hints).length === 0 ? {} : { hints }),
  };
}

function decodeTools(value: Maybe, fields: BlockFieldsWriter): readonly Tool[] {
  if (isAbsent(value)) return [];
  if (!Array.isArray(value)) refuse("tools", "an array");
  return value.map((tool, index) => {
    if (!isObject(tool)) refuse(`tools[${index}]`, "an object");
    return decodeTool(tool, index, fields);
  });
}

/** The choice of tools; what the hub cannot say of it goes to the extras whole. */
function decodeToolChoice(choice: JsonObject | null, extras: JsonObject): ToolChoice | null {
  if (choice === null) return null;
  for (const name in choice) if (!CHOICE_FIELDS.has(name)) extras.tool_choice = choice;
  switch (demandText(choice, "type", "tool_choice")) {
    case "auto":
      return { kind: "auto" };
    case "any":
      return { kind: "any" };
    case "none":
      return { kind: "none" };
    case "tool":
      return { kind: "tool", name: demandText(choice, "name", "tool_choice") };
    default:
      extras.tool_choice = choice;
      return null;
  }
}

/** `effort` without `thinking` stays what it is: reasoning with neither a budget nor a mode. */
function decodeReasoning(thinking: JsonObject | null, effort: string | null, extras: JsonObject): Reasoning | null {
  if (thinking === null) {
    return effort === null ? null : { enabled: true, effort, budgetTokens: null, adaptive: false, summary: null };
  }
  const type = demandText(thinking, "type", "thinking");
  const budgetTokens = type === "enabled" ? numberOrNull(thinking.budget_tokens) : null;
  const understood = type === "adaptive" || type === "disabled" || (type === "enabled" && budgetTokens !== null);
  if (!understood) extras.thinking = thinking;
  for (const name in thinking) if (!THINKING_FIELDS.has(name)) extras.thinking = thinking;
  return {
    enabled: type !== "disabled",
    effort,
    budgetTokens,
    adaptive: type === "adaptive",
    summary: type === "disabled" ? null : stringOrNull(thinking.display),
  };
}

function decodeFormat(value: Maybe): OutputFormat | null {
  if (!isObject(value) || value.type !== "json_schema" || !isObject(value.schema)) return null;
  return { kind: "schema", name: FORMAT_NAME, description: null, schema: value.schema, strict: null };
}

interface Output {
  readonly effort: string | null;
  readonly format: OutputFormat | null;
}

function decodeOutput(body: JsonObject, extras: JsonObject): Output {
  const config = optionalObject(body, "output_config");
  const rest: JsonObject = {};
  let format: OutputFormat | null = null;
  for (const name in config) {
    const value = config[name];
    if (isAbsent(value)) continue;
    if (name === "format") format = decodeFormat(value);
    const understood = (name === "effort" && typeof value === "string") || (name === "format" && format !== null);
    if (!understood) rest[name] = value;
  }
  if (Object.keys(rest).length > 0) extras.output_config = rest;
  // The field's older place; where both are there, the newer one counts.
  if (!isAbsent(body.output_format)) {
    const legacy = decodeFormat(body.output_format);
    if (legacy === null) extras.output_format = body.output_format;
    format ??= legacy;
  }
  return { effort: stringOrNull(config?.effort), format };
}

function decodeStop(value: Maybe): readonly string[] {
  if (isAbsent(value)) return [];
  if (!Array.isArray(value)) refuse("stop_sequences", "an array");
  return value.map((sequence, index) => {
    if (typeof sequence !== "string") refuse(`stop_sequences[${index}]`, "a string");
    return sequence;
  });
}

function decodeSampling(body: JsonObject): Sampling {
  const temperature = optionalNumber(body, "temperature");
  const topP = optionalNumber(body, "top_p");
  const topK = optionalNumber(body, "top_k");
  if (temperature === null && topP === null && topK === null) return NO_SAMPLING;
  return { ...NO_SAMPLING, temperature, topP, topK };
}

interface User {
  readonly user: string | null;
  readonly metadata: JsonObject | null;
}

function decodeMetadata(body: JsonObject): User {
  const metadata = optionalObject(body, "metadata");
  if (metadata === null) return { user: null, metadata: null };
  const rest = otherFields(metadata, USER_FIELD);
  return { user: stringOrNull(metadata.user_id), metadata: Object.keys(rest).length === 0 ? null : rest };
}

function decode(body: JsonObject): SemanticRequest {
  const fields = new BlockFieldsWriter();
  const extras = otherFields(body, REQUEST_FIELDS);
  const conversation = decodeConversation(body, fields);
  const tools = decodeTools(body.tools, fields);
  const choice = optionalObject(body, "tool_choice");
  const toolChoice = decodeToolChoice(choice, extras);
  const { effort, format } = decodeOutput(body, extras);
  const reasoning = decodeReasoning(optionalObject(body, "thinking"), effort, extras);
  const oneAtATime = choice?.disable_parallel_tool_use;
  if (fields.fields !== null) extras[BLOCK_FIELDS] = fields.fields;
  if (conversation.later.length > 0) extras[LATER_SYSTEM] = conversation.later;
  return {
    origin: MESSAGES,
    model: optionalText(body, "model") ?? "",
    stream: body.stream === true,
    system: conversation.system,
    turns: conversation.turns,
    tools,
    toolChoice,
    parallelToolCalls: typeof oneAtATime === "boolean" ? !oneAtATime : null,
    sampling: decodeSampling(body),
    maxOutputTokens: optionalNumber(body, "max_tokens"),
    stop: decodeStop(body.stop_sequences),
    reasoning,
    format,
    verbosity: null,
    ...decodeMetadata(body),
    serviceTier: optionalText(body, "service_tier"),
    promptCacheKey: null,
    modalities: [],
    extras,
  };
}

/**
 * Reads a request of the messages API. Only what is plainly malformed is refused, by its path; fields that
 * nobody knows go to `extras`, those of blocks and tools under `block_fields`. Nothing is lost here: system
 * turns among the messages are noted in `extras` too, and so become a loss only where the target is another.
 */
export function decodeMessagesRequest(body: JsonObject): SemanticRequest | Failure {
  return orFailure(() => decode(body));
}
