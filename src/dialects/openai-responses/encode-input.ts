/** A conversation as the items of a responses request. */
import type { AcceptedNames } from "../accepted-names.js";
import { lossName } from "../loss-name.js";
import { urlOfSource } from "../media.js";
import type {
  Block,
  DocumentBlock,
  ImageBlock,
  JsonObject,
  JsonValue,
  LossList,
  TextBlock,
  ThinkingBlock,
  ToolCallBlock,
  ToolResultBlock,
  Turn,
} from "../semantic.js";
import { WIRE } from "./shapes.js";

/** A conversation while it is written. */
export interface InputState {
  readonly items: JsonObject[];
  readonly losses: LossList;
  readonly toolNames: AcceptedNames;
  readonly callIds: AcceptedNames;
  /** Calls of free-text tools: their results are items of another type. */
  readonly customCalls: Set<string>;
  /** Do file ids of the caller mean anything to this upstream? */
  readonly ownFiles: boolean;
}

/** Parts that wait for the end of their message. */
interface OpenMessage {
  readonly role: Turn["role"];
  parts: JsonObject[];
}

type Encoder<Kind extends Block["kind"]> = (
  block: Extract<Block, { readonly kind: Kind }>,
  open: OpenMessage,
  state: InputState,
) => void;

/** Puts the waiting parts into an item, so that what follows keeps its place. */
function flush(open: OpenMessage, state: InputState): void {
  if (open.parts.length === 0) return;
  state.items.push({ type: "message", role: open.role, content: open.parts });
  open.parts = [];
}

function noteCache(block: { readonly cache: unknown }, state: InputState): void {
  if (block.cache !== null) state.losses.add("cache_control");
}

function textPart(block: TextBlock, role: Turn["role"], state: InputState): JsonObject {
  noteCache(block, state);
  if (block.annotations.length > 0) state.losses.add("annotations");
  return role === "assistant"
    ? { type: "output_text", text: block.text, annotations: [] }
    : { type: "input_text", text: block.text };
}

function imagePart(block: ImageBlock, state: InputState): JsonObject | null {
  noteCache(block, state);
  const detail = block.detail ?? "auto";
  const url = urlOfSource(block.source, "image/png");
  if (url !== null) return { type: "input_image", image_url: url, detail };
  if (block.source.fileId !== null && state.ownFiles) {
    return { type: "input_image", file_id: block.source.fileId, detail };
  }
  state.losses.add("image");
  return null;
}

/** A document that is text stands as text, with its title and context above it. */
function documentText(block: DocumentBlock, text: string): JsonObject {
  const lines = [block.title, block.context, text].filter((line) => line !== null && line !== "");
  return { type: "input_text", text: lines.join("\n\n") };
}

function documentPart(block: DocumentBlock, state: InputState): JsonObject | null {
  noteCache(block, state);
  if (block.citations) state.losses.add("citations");
  if (block.text !== null) return documentText(block, block.text);
  if (block.context !== null) state.losses.add("document_context");
  const { data, url, fileId } = block.source;
  if (data !== null) {
    const file_data = urlOfSource(block.source, "application/pdf");
    return { type: "input_file", filename: block.title ?? "document.pdf", file_data };
  }
  if (url !== null) return { type: "input_file", file_url: url };
  if (fileId !== null && state.ownFiles) return { type: "input_file", file_id: fileId };
  state.losses.add("document");
  return null;
}

function addPart(part: JsonObject | null, open: OpenMessage): void {
  if (part !== null) open.parts.push(part);
}

/** Only the vendor's own reasoning can go back, and only as what it encrypted: nothing is stored there. */
function encodeThinking(block: ThinkingBlock, open: OpenMessage, state: InputState): void {
  if (block.origin !== WIRE || block.encrypted === "") {
    state.losses.add("thinking");
    return;
  }
  flush(open, state);
  const summary = block.text === "" ? [] : [{ type: "summary_text", text: block.text }];
  const item: JsonObject = { type: "reasoning", summary, encrypted_content: block.encrypted };
  if (block.id !== "") item.id = block.id;
  state.items.push(item);
}

function encodeCall(block: ToolCallBlock, open: OpenMessage, state: InputState): void {
  noteCache(block, state);
  if (block.signature !== "") state.losses.add("tool_call_signature");
  flush(open, state);
  const call_id = state.callIds.name(block.id);
  const name = state.toolNames.name(block.name);
  if (block.flavour === "custom") {
    state.customCalls.add(block.id);
    state.items.push({ type: "custom_tool_call", call_id, name, input: block.arguments });
  } else {
    state.items.push({ type: "function_call", call_id, name, arguments: block.arguments || "{}" });
  }
}

/** One text stands as a string, which every look-alike takes; anything else as parts. */
function resultOutput(block: ToolResultBlock, state: InputState): JsonValue {
  const parts: JsonObject[] = [];
  for (const part of block.content) {
    let encoded: JsonObject | null;
    if (part.kind === "text") encoded = textPart(part, "user", state);
    else encoded = part.kind === "image" ? imagePart(part, state) : documentPart(part, state);
    if (encoded !== null) parts.push(encoded);
  }
  const [only] = parts;
  if (only === undefined) return "";
  return parts.length === 1 && typeof only.text === "string" ? only.text : parts;
}

function encodeResult(block: ToolResultBlock, open: OpenMessage, state: InputState): void {
  noteCache(block, state);
  if (block.isError) state.losses.add("tool_result_error");
  flush(open, state);
  const type = state.customCalls.has(block.callId) ? "custom_tool_call_output" : "function_call_output";
  const call_id = state.callIds.name(block.callId);
  state.items.push({ type, call_id, output: resultOutput(block, state) });
}

const ENCODERS: { readonly [Kind in Block["kind"]]: Encoder<Kind> } = {
  text: (block, open, state) => {
    if (block.text !== "") open.parts.push(textPart(block, open.role, state));
  },
  refusal: (block, open) => {
    const { text } = block;
    open.parts.push(open.role === "assistant" ? { type: "refusal", refusal: text } : { type: "input_text", text });
  },
  image: (block, open, state) => {
    if (open.role === "user") addPart(imagePart(block, state), open);
    else state.losses.add("image");
  },
  document: (block, open, state) => {
    if (open.role === "user") addPart(documentPart(block, state), open);
    else state.losses.add("document");
  },
  audio: (_block, _open, state) => state.losses.add("audio"),
  thinking: encodeThinking,
  tool_call: encodeCall,
  tool_result: encodeResult,
  foreign: (block, open, state) => {
    if (block.wire !== WIRE) {
      state.losses.add(lossName(block.type, "foreign_block"));
      return;
    }
    flush(open, state);
    state.items.push(block.raw);
  },
};

/** Writes the turns in order: items where items are wanted, and messages of what stands between them. */
export function encodeTurns(turns: readonly Turn[], state: InputState): void {
  for (const turn of turns) {
    if (turn.name !== null) state.losses.add("name");
    const open: OpenMessage = { role: turn.role, parts: [] };
    for (const block of turn.blocks) {
      const encoder = ENCODERS[block.kind] as Encoder<Block["kind"]>;
      encoder(block, open, state);
    }
    flush(open, state);
  }
}
