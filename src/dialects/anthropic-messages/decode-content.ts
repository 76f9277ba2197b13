/** Content blocks of requests, as callers of the messages API write them. */
import { asArray, asObject, asString, isAbsent, isObject, stringOrNull } from "../json.js";
import { NO_SOURCE } from "../media.js";
import { demandText, refuse } from "../refuse-request.js";
import type {
  Annotation,
  Block,
  CacheMark,
  DocumentBlock,
  ImageBlock,
  JsonObject,
  JsonValue,
  MediaSource,
  TextBlock,
  ThinkingBlock,
  ToolResultBlock,
} from "../semantic.js";
import type { BlockFieldsWriter } from "./block-fields.js";
import { decodeCitation } from "./citations.js";
import { type CarriedSignature, readSignatureTag, TOOL_CALL_ORIGIN } from "./signature-tag.js";
import { MESSAGES } from "./wire-name.js";

/** Where a block stands: in the request, for messages to the caller; among the turns, for kept fields. */
export interface Place {
  readonly path: string;
  readonly key: string;
}

type Maybe = JsonValue | undefined;

const CACHE = "cache_control";
const TEXT_FIELDS: ReadonlySet<string> = new Set(["type", "text", CACHE, "citations"]);
const IMAGE_FIELDS: ReadonlySet<string> = new Set(["type", "source", CACHE]);
const DOCUMENT_FIELDS: ReadonlySet<string> = new Set(["type", "source", CACHE, "title", "context", "citations"]);
const THINKING_FIELDS: ReadonlySet<string> = new Set(["type", "thinking", "signature"]);
const REDACTED_FIELDS: ReadonlySet<string> = new Set(["type", "data"]);
const TOOL_USE_FIELDS: ReadonlySet<string> = new Set(["type", "id", "name", "input", CACHE, "caller"]);
const RESULT_FIELDS: ReadonlySet<string> = new Set(["type", "tool_use_id", "content", "is_error", CACHE]);

/** The breakpoint of a block; what its mark says beyond a lifetime is kept beside it. */
export function decodeCache(object: JsonObject, place: Place, fields: BlockFieldsWriter): CacheMark | null {
  const mark = object[CACHE];
  if (isAbsent(mark)) return null;
  if (!isObject(mark)) refuse(`${place.path}.${CACHE}`, "an object");
  for (const name in mark) {
    const known = (name === "type" && mark.type === "ephemeral") || (name === "ttl" && typeof mark.ttl === "string");
    if (!known) fields.keep(place.key, CACHE, object);
  }
  return { ttl: stringOrNull(mark.ttl) };
}

function decodeAnnotations(value: Maybe): readonly Annotation[] {
  if (!Array.isArray(value) || value.length === 0) return [];
  return value.filter(isObject).map(decodeCitation);
}

export function decodeText(block: JsonObject, place: Place, fields: BlockFieldsWriter): TextBlock {
  fields.keepOthers(place.key, block, TEXT_FIELDS);
  return {
    kind: "text",
    text: demandText(block, "text", place.path),
    cache: decodeCache(block, place, fields),
    annotations: decodeAnnotations(block.citations),
  };
}

/** A source by value, address or file; null for a kind that nobody knows. */
function decodeSource(source: JsonObject, path: string): MediaSource | null {
  switch (source.type) {
    case "base64":
      return {
        ...NO_SOURCE,
        data: demandText(source, "data", path),
        mediaType: demandText(source, "media_type", path),
      };
    case "url":
      return { ...NO_SOURCE, url: demandText(source, "url", path) };
    case "file":
      return { ...NO_SOURCE, fileId: demandText(source, "file_id", path) };
    default:
      return null;
  }
}

function sourceOf(block: JsonObject, path: string): JsonObject {
  const source = block.source;
  if (!isObject(source)) refuse(`${path}.source`, "an object");
  return source;
}

/** A block that only this wire understands. */
function foreignBlock(block: JsonObject): Block {
  return { kind: "foreign", wire: MESSAGES, type: asString(block.type), raw: block };
}

function decodeImage(block: JsonObject, place: Place, fields: BlockFieldsWriter): ImageBlock | null {
  const source = decodeSource(sourceOf(block, place.path), `${place.path}.source`);
  if (source === null) return null;
  fields.keepOthers(place.key, block, IMAGE_FIELDS);
  return { kind: "image", source, detail: null, cache: decodeCache(block, place, fields) };
}

/** All text in a list of blocks, or the string itself. */
function textWithin(content: Maybe): string {
  if (typeof content === "string") return content;
  return asArray(content)
    .map((part) => (isObject(part) ? asString(part.text) : ""))
    .filter((text) => text !== "")
    .join("\n");
}

function decodeDocument(block: JsonObject, place: Place, fields: BlockFieldsWriter): DocumentBlock | null {
  const path = `${place.path}.source`;
  const raw = sourceOf(block, place.path);
  let text: string | null = null;
  let source: MediaSource | null = NO_SOURCE;
  if (raw.type === "text") text = demandText(raw, "data", path);
  else if (raw.type === "content") text = textWithin(raw.content);
  else source = decodeSource(raw, path);
  if (source === null) return null;
  // Text goes to any target; the shape of its source only back to this one.
  if (raw.type === "content" || (raw.type === "text" && raw.media_type !== "text/plain")) {
    fields.keep(place.key, "source", block);
  }
  fields.keepOthers(place.key, block, DOCUMENT_FIELDS);
  return {
    kind: "document",
    source,
    text,
    title: stringOrNull(block.title),
    context: stringOrNull(block.context),
    citations: asObject(block.citations)?.enabled === true,
    cache: decodeCache(block, place, fields),
  };
}

/** A search result is a document to every other wire, and itself to this one. */
function decodeSearchResult(block: JsonObject, place: Place, fields: BlockFieldsWriter): DocumentBlock {
  fields.keepWhole(place.key, block);
  return {
    kind: "document",
    source: NO_SOURCE,
    text: textWithin(block.content),
    title: stringOrNull(block.title),
    context: stringOrNull(block.source),
    citations: asObject(block.citations)?.enabled === true,
    cache: isObject(block.cache_control) ? { ttl: stringOrNull(block.cache_control.ttl) } : null,
  };
}

function thinkingBlock(text: string, carried: Omit<CarriedSignature, "origin">, origin: string): ThinkingBlock {
  const { signature, encrypted, id } = carried;
  return { kind: "thinking", text, signature, encrypted, id, origin };
}

function decodeThinking(block: JsonObject, place: Place, fields: BlockFieldsWriter): ThinkingBlock {
  const text = demandText(block, "thinking", place.path);
  const signature = asString(block.signature);
  const carried = readSignatureTag(signature);
  if (carried !== null) return thinkingBlock(text, carried, carried.origin);
  fields.keepOthers(place.key, block, THINKING_FIELDS);
  return thinkingBlock(text, { signature, encrypted: "", id: "" }, MESSAGES);
}

function decodeRedacted(block: JsonObject, place: Place, fields: BlockFieldsWriter): ThinkingBlock {
  const encrypted = demandText(block, "data", place.path);
  const carried = readSignatureTag(encrypted);
  if (carried !== null) return thinkingBlock("", carried, carried.origin);
  fields.keepOthers(place.key, block, REDACTED_FIELDS);
  return thinkingBlock("", { signature: "", encrypted, id: "" }, MESSAGES);
}

function decodeToolUse(block: JsonObject, place: Place, fields: BlockFieldsWriter): Block {
  fields.keepOthers(place.key, block, TOOL_USE_FIELDS);
  // Every answer says that the model itself was the caller; only other callers are worth keeping.
  if (isObject(block.caller) && block.caller.type !== "direct") fields.keep(place.key, "caller", block);
  return {
    kind: "tool_call",
    id: demandText(block, "id", place.path),
    name: demandText(block, "name", place.path),
    arguments: isAbsent(block.input) ? "{}" : JSON.stringify(block.input),
    signature: "",
    flavour: "function",
    cache: decodeCache(block, place, fields),
  };
}

type ResultContent = ToolResultBlock["content"][number];

function decodeResultPart(block: JsonObject, place: Place, fields: BlockFieldsWriter): ResultContent | null {
  switch (block.type) {
    case "text":
      return decodeText(block, place, fields);
    case "image":
      return decodeImage(block, place, fields);
    case "document":
      return decodeDocument(block, place, fields);
    case "search_result":
      return decodeSearchResult(block, place, fields);
    default:
      return null;
  }
}

function decodeResultContent(block: JsonObject, place: Place, fields: BlockFieldsWriter): ResultContent[] {
  const content = block.content;
  if (isAbsent(content)) return [];
  if (typeof content === "string") return [{ kind: "text", text: content, cache: null, annotations: [] }];
  if (!Array.isArray(content)) refuse(`${place.path}.content`, "a string or an array");
  const parts: ResultContent[] = [];
  for (const [index, part] of content.entries()) {
    const path = `${place.path}.content[${index}]`;
    if (!isObject(part)) refuse(path, "an object");
    demandText(part, "type", path);
    const decoded = decodeResultPart(part, { path, key: `${place.key}.${parts.length}` }, fields);
    // Parts of other types (references to tools, state of a browser…) go only back to this wire, in their place.
    if (decoded === null) fields.keep(place.key, "content", block);
    else parts.push(decoded);
  }
  return parts;
}

function decodeToolResult(block: JsonObject, place: Place, fields: BlockFieldsWriter): ToolResultBlock {
  fields.keepOthers(place.key, block, RESULT_FIELDS);
  return {
    kind: "tool_result",
    callId: demandText(block, "tool_use_id", place.path),
    name: "",
    content: decodeResultContent(block, place, fields),
    isError: block.is_error === true,
    cache: decodeCache(block, place, fields),
  };
}

type BlockDecoder = (block: JsonObject, place: Place, fields: BlockFieldsWriter) => Block | null;

const DECODERS: ReadonlyMap<string, BlockDecoder> = new Map<string, BlockDecoder>([
  ["text", decodeText],
  ["image", decodeImage],
  ["document", decodeDocument],
  ["search_result", decodeSearchResult],
  ["thinking", decodeThinking],
  ["redacted_thinking", decodeRedacted],
  ["tool_use", decodeToolUse],
  ["tool_result", decodeToolResult],
]);

/** Gives tool calls the signatures that travelled in blocks of their own before them. */
function withCallSignatures(blocks: Block[], signatures: ReadonlyMap<string, string>): Block[] {
  if (signatures.size === 0) return blocks;
  return blocks.map((block) => {
    const signature = block.kind === "tool_call" ? signatures.get(block.id) : undefined;
    return signature === undefined ? block : ({ ...block, signature } as Block);
  });
}

/** The content of a message: a string or a list of blocks. */
export function decodeContent(content: Maybe, place: Place, fields: BlockFieldsWriter): readonly Block[] {
  if (typeof content === "string") {
    return content === "" ? [] : [{ kind: "text", text: content, cache: null, annotations: [] }];
  }
  if (!Array.isArray(content)) refuse(`${place.path}.content`, "a string or an array");
  const blocks: Block[] = [];
  const signatures = new Map<string, string>();
  for (const [index, block] of content.entries()) {
    const path = `${place.path}.content[${index}]`;
    if (!isObject(block)) refuse(path, "an object");
    const type = demandText(block, "type", path);
    const decoder = DECODERS.get(type);
    const decoded = decoder?.(block, { path, key: `${place.key}.${blocks.length}` }, fields) ?? foreignBlock(block);
    if (decoded.kind === "thinking" && decoded.origin === TOOL_CALL_ORIGIN)
      signatures.set(decoded.id, decoded.signature);
    else blocks.push(decoded);
  }
  return withCallSignatures(blocks, signatures);
}

/** System text: a string or a list of text blocks, appended to `system`. */
export function decodeSystem(value: Maybe, path: string, system: TextBlock[], fields: BlockFieldsWriter): void {
  if (isAbsent(value)) return;
  if (typeof value === "string") {
    if (value !== "") system.push({ kind: "text", text: value, cache: null, annotations: [] });
    return;
  }
  if (!Array.isArray(value)) refuse(path, "a string or an array");
  for (const [index, block] of value.entries()) {
    const blockPath = `${path}[${index}]`;
    if (!isObject(block)) refuse(blockPath, "an object");
    if (block.type !== "text") refuse(`${blockPath}.type`, "text: system content is text");
    system.push(decodeText(block, { path: blockPath, key: `s${system.length}` }, fields));
  }
}
