/** Content blocks as this wire's upstreams want them. */
import { isAbsent, parseArguments, parseValue } from "../json.js";
import type {
  Block,
  CacheMark,
  DocumentBlock,
  ImageBlock,
  JsonObject,
  JsonValue,
  LossList,
  MediaSource,
  TextBlock,
  ThinkingBlock,
  ToolCallBlock,
  ToolResultBlock,
} from "../semantic.js";
import { withBlockFields } from "./block-fields.js";
import { ownCitation } from "./citations.js";
import type { AcceptedNames } from "../accepted-names.js";
import { lossName } from "../loss-name.js";
import { IMAGE_TYPES, MESSAGES } from "./wire-name.js";

/** What the encoding of blocks needs to know and to remember. */
export interface ContentState {
  /** The request was written in this dialect: it is given back as it came. */
  readonly exact: boolean;
  readonly losses: LossList;
  readonly toolNames: AcceptedNames;
  readonly callIds: AcceptedNames;
  /** Fields kept by place; null = none. */
  readonly fields: JsonObject | null;
}

const PDF = "application/pdf";

/** Types that are read as plain text whatever they are called. */
const TEXT_TYPES = /^(?:text\/|application\/(?:json|xml|yaml|x-yaml|javascript|x-ndjson|toml|sql)(?:$|;))/;

/** The breakpoint of a block, as a field to add. */
export function cacheFields(cache: CacheMark | null, state: ContentState): JsonObject {
  if (cache === null) return {};
  if (cache.ttl === null) return { cache_control: { type: "ephemeral" } };
  if (!state.exact && cache.ttl !== "5m" && cache.ttl !== "1h") {
    state.losses.add("cache_control");
    return { cache_control: { type: "ephemeral" } };
  }
  return { cache_control: { type: "ephemeral", ttl: cache.ttl } };
}

/** A text block; null for blank text, which the wire refuses. */
export function encodeText(block: TextBlock, state: ContentState): JsonObject | null {
  if (!state.exact && block.text.trim() === "") {
    if (block.text !== "") state.losses.add("blank_text");
    return null;
  }
  const citations: JsonValue[] = [];
  for (const annotation of block.annotations) {
    const own = ownCitation(annotation);
    if (own === null) state.losses.add("annotations");
    else citations.push(own);
  }
  const text: JsonObject = { type: "text", text: block.text, ...cacheFields(block.cache, state) };
  if (citations.length > 0) text.citations = citations;
  return text;
}

/** The source of an image or PDF; null when the wire has none for it. File ids mean something only to their vendor. */
function encodeSource(source: MediaSource, state: ContentState): JsonObject | null {
  if (source.data !== null) return { type: "base64", media_type: source.mediaType, data: source.data };
  if (source.url !== null) return { type: "url", url: source.url };
  return source.fileId !== null && state.exact ? { type: "file", file_id: source.fileId } : null;
}

function encodeImage(block: ImageBlock, state: ContentState): JsonObject | null {
  const { source } = block;
  if (!state.exact && source.mediaType === PDF) return encodeDocument(pdfOf(block), state);
  const taken = state.exact || source.data === null || IMAGE_TYPES.has(source.mediaType);
  const encoded = taken ? encodeSource(source, state) : null;
  if (encoded === null) {
    state.losses.add("image");
    return null;
  }
  if (block.detail !== null && block.detail !== "auto") state.losses.add("image_detail");
  return { type: "image", source: encoded, ...cacheFields(block.cache, state) };
}

function pdfOf(block: ImageBlock): DocumentBlock {
  const { source, cache } = block;
  return { kind: "document", source, text: null, title: null, context: null, citations: false, cache };
}

function documentSource(block: DocumentBlock, state: ContentState): JsonObject | null {
  const { source, text } = block;
  if (text !== null) return { type: "text", media_type: "text/plain", data: text };
  if (state.exact || source.data === null || source.mediaType === PDF) return encodeSource(source, state);
  if (!TEXT_TYPES.test(source.mediaType)) return null;
  return { type: "text", media_type: "text/plain", data: Buffer.from(source.data, "base64").toString("utf8") };
}

function encodeDocument(block: DocumentBlock, state: ContentState): JsonObject | null {
  const source = documentSource(block, state);
  if (source === null) {
    state.losses.add("document");
    return null;
  }
  const document: JsonObject = { type: "document", source, ...cacheFields(block.cache, state) };
  if (block.title !== null) document.title = block.title;
  if (block.context !== null) document.context = block.context;
  if (block.citations) document.citations = { enabled: true };
  return document;
}

/** Thinking goes back only to the wire that signed it, and only with its signature. */
function encodeThinking(block: ThinkingBlock, state: ContentState): JsonObject | null {
  const own = block.origin === MESSAGES;
  if (own && block.encrypted !== "") return { type: "redacted_thinking", data: block.encrypted };
  if (own && (block.signature !== "" || state.exact)) {
    return { type: "thinking", thinking: block.text, signature: block.signature };
  }
  state.losses.add("thinking");
  return null;
}

/** Arguments as the object that the wire demands; free text and broken JSON go in under a name. */
function inputOf(block: ToolCallBlock, state: ContentState): JsonValue {
  if (block.flavour === "custom") return { input: block.arguments };
  if (state.exact) return parseValue(block.arguments) ?? {};
  const input = parseArguments(block.arguments);
  if (input !== null) return input;
  if (isAbsent(parseValue(block.arguments)) && block.arguments.trim() === "null") return {};
  state.losses.add("tool_arguments");
  return { raw_arguments: block.arguments };
}

function encodeToolCall(block: ToolCallBlock, state: ContentState): JsonObject {
  return {
    type: "tool_use",
    id: state.exact ? block.id : state.callIds.name(block.id),
    name: state.exact ? block.name : state.toolNames.name(block.name),
    input: inputOf(block, state),
    ...cacheFields(block.cache, state),
  };
}

function encodeResultPart(part: ToolResultBlock["content"][number], state: ContentState): JsonObject | null {
  if (part.kind === "text") return encodeText(part, state);
  return part.kind === "image" ? encodeImage(part, state) : encodeDocument(part, state);
}

function encodeToolResult(block: ToolResultBlock, state: ContentState, place: string): JsonObject {
  const content: JsonValue[] = [];
  for (const [index, part] of block.content.entries()) {
    const encoded = encodeResultPart(part, state);
    if (encoded !== null) content.push(withBlockFields(state.fields, `${place}.${index}`, encoded));
  }
  const result: JsonObject = {
    type: "tool_result",
    tool_use_id: state.exact ? block.callId : state.callIds.name(block.callId),
  };
  if (content.length > 0) result.content = content;
  if (block.isError) result.is_error = true;
  return { ...result, ...cacheFields(block.cache, state) };
}

function lost(name: string, state: ContentState): null {
  state.losses.add(name);
  return null;
}

/** One block of a turn; null when it has no place on this wire, which is then a loss. */
function encodeBlock(block: Block, state: ContentState, place: string): JsonObject | null {
  switch (block.kind) {
    case "text":
      return encodeText(block, state);
    case "image":
      return encodeImage(block, state);
    case "document":
      return encodeDocument(block, state);
    case "thinking":
      return encodeThinking(block, state);
    case "tool_call":
      return encodeToolCall(block, state);
    case "tool_result":
      return encodeToolResult(block, state, place);
    case "refusal":
      return encodeText({ kind: "text", text: block.text, cache: null, annotations: [] }, state);
    case "audio":
      return lost("audio", state);
    case "foreign":
      return block.wire === MESSAGES ? block.raw : lost(lossName(block.type, "foreign_block"), state);
  }
}

/** The blocks of a turn, with the fields kept for each. */
export function encodeBlocks(blocks: readonly Block[], place: string, state: ContentState): JsonObject[] {
  const encoded: JsonObject[] = [];
  for (const [index, block] of blocks.entries()) {
    const key = `${place}.${index}`;
    const wire = encodeBlock(block, state, key);
    if (wire !== null) encoded.push(withBlockFields(state.fields, key, wire));
  }
  return encoded;
}
