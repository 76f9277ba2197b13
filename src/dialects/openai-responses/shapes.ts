/** Shapes that both sides of the responses dialect read and write. */
import { reportCitation } from "../answer-losses.js";
import { asCount, asObject, asString } from "../json.js";
import type {
  Annotation,
  HostedTool,
  JsonObject,
  JsonValue,
  LossList,
  OutputFormat,
  SemanticUsage,
  Tool,
  ToolChoice,
} from "../semantic.js";

/** This wire's name, for what only it understands. */
export const WIRE = "openai-responses";

/** Between the parts of a reasoning item when they are read as one text. */
export const PARAGRAPH = "\n\n";

/** Annotations that this wire has; the rest are written as one of them. */
const OWN_ANNOTATIONS: ReadonlySet<string> = new Set([
  "url_citation",
  "file_citation",
  "container_file_citation",
  "file_path",
]);

/** Reads an annotation of an output text. */
export function decodeAnnotation(raw: JsonObject): Annotation {
  const type = asString(raw.type);
  return {
    kind: type === "url_citation" ? "url" : type === "file_citation" ? "document" : "foreign",
    url: asString(raw.url),
    title: asString(raw.title) || asString(raw.filename),
    citedText: "",
    start: asCount(raw.start_index),
    end: asCount(raw.end_index),
    raw,
  };
}

/**
 * Writes an annotation; `said` = UTF-16 units of the text so far, for those that do not say where they stand.
 * The words that were cited have no place among the vendor's fields; they stand beside them, as in chat.
 */
export function encodeAnnotation(annotation: Annotation, said: number, losses: LossList): JsonObject {
  const { raw, url, title, citedText } = annotation;
  if (raw !== null && OWN_ANNOTATIONS.has(asString(raw.type)) && isOwnShape(raw)) return raw;
  reportCitation(annotation, losses);
  const end = annotation.end >= 0 ? annotation.end : said;
  const cited = citedText === "" ? {} : { cited_text: citedText };
  if (annotation.kind === "document" && url === "") {
    return { type: "file_citation", file_id: "", filename: title, index: end, ...cited };
  }
  return { type: "url_citation", start_index: Math.max(annotation.start, 0), end_index: end, title, url, ...cited };
}

/** Chat has annotations of the same type, whose fields lie one level deeper. */
function isOwnShape(raw: JsonObject): boolean {
  return raw.type === "url_citation" ? typeof raw.url === "string" : typeof raw.file_id === "string";
}

export function decodeUsage(usage: JsonObject): SemanticUsage {
  const details = asObject(usage.input_tokens_details);
  return {
    input: asCount(usage.input_tokens),
    output: asCount(usage.output_tokens),
    cacheRead: asCount(details?.cached_tokens),
    cacheWrite: asCount(details?.cache_write_tokens),
    reasoning: asCount(asObject(usage.output_tokens_details)?.reasoning_tokens),
  };
}

/** Counts that nobody said are zero: the wire demands every one of them. */
export function encodeUsage(usage: SemanticUsage): JsonObject {
  const input = Math.max(usage.input, 0);
  const output = Math.max(usage.output, 0);
  return {
    input_tokens: input,
    input_tokens_details: {
      cached_tokens: Math.max(usage.cacheRead, 0),
      cache_write_tokens: Math.max(usage.cacheWrite, 0),
    },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: Math.max(usage.reasoning, 0) },
    total_tokens: input + output,
  };
}

/** `text.format`. */
export function encodeFormat(format: OutputFormat | null): JsonObject {
  if (format === null) return { type: "text" };
  if (format.kind === "json") return { type: "json_object" };
  const encoded: JsonObject = { type: "json_schema", name: format.name, schema: format.schema };
  if (format.description !== null) encoded.description = format.description;
  if (format.strict !== null) encoded.strict = format.strict;
  return encoded;
}

/** A free-text tool of either OpenAI wire, in this wire's flat form; null for any other tool. */
export function customToolOf(tool: HostedTool): JsonObject | null {
  if (tool.type !== "custom") return null;
  if (tool.wire === WIRE) return tool.raw;
  const nested = tool.wire === "openai-chat" ? asObject(tool.raw.custom) : null;
  if (nested === null) return null;
  const format = asObject(nested.format);
  const grammar = asObject(format?.grammar);
  const flat: JsonObject = { ...nested, type: "custom" };
  if (format !== null) flat.format = grammar === null ? format : { ...grammar, type: "grammar" };
  return flat;
}

/** Is this a tool that takes free text instead of JSON? */
export function isCustomTool(tool: Tool): tool is HostedTool {
  return tool.kind === "hosted" && tool.type === "custom";
}

/** Says how a tool of this (sent) name is chosen: by type and, unless it is hosted, by name. */
export function toolReference(name: string, tools: readonly Tool[]): JsonObject {
  for (const tool of tools) {
    if (tool.name !== name || tool.kind === "function") continue;
    if (tool.type === "custom") return { type: "custom", name };
    return tool.type === "mcp" ? { type: "mcp", server_label: name } : { type: tool.type };
  }
  return { type: "function", name };
}

/** `tool_choice`; `tools` are those the names belong to. */
export function encodeToolChoice(choice: ToolChoice | null, tools: readonly Tool[]): JsonValue {
  if (choice === null) return "auto";
  switch (choice.kind) {
    case "any":
      return "required";
    case "tool":
      return toolReference(choice.name, tools);
    case "allowed":
      return {
        type: "allowed_tools",
        mode: choice.required ? "required" : "auto",
        tools: choice.names.map((name) => toolReference(name, tools)),
      };
    default:
      return choice.kind;
  }
}
