/** Turns and their blocks as Converse's messages. */
import { parseArguments } from "../json.js";
import type {
  Block,
  CacheMark,
  JsonObject,
  LossList,
  TextBlock,
  ThinkingBlock,
  ToolCallBlock,
  ToolResultBlock,
  Turn,
} from "../semantic.js";
import { encodeAudio, encodeDocument, encodeImage } from "./encode-media.js";
import { type ModelFamily, mayBeClaude } from "./model-family.js";
import type { AcceptedNames } from "../accepted-names.js";
import { lossName } from "../loss-name.js";
import type { DocumentNames } from "./document-names.js";

/** What all blocks of one request share. */
export interface MessageState {
  readonly family: ModelFamily;
  readonly losses: LossList;
  readonly toolNames: AcceptedNames;
  readonly toolIds: AcceptedNames;
  readonly documentNames: DocumentNames;
}

export const WIRE = "bedrock-converse";

/** Lifetimes that cache points know. */
const CACHE_LIFETIMES = new Set(["5m", "1h"]);

/** Adds a cache point behind what was just added, where the model has a prompt cache. */
export function addCachePoint(content: JsonObject[], mark: CacheMark | null, state: MessageState): void {
  if (mark === null || content.length === 0) return;
  if (!mayBeClaude(state.family) && state.family !== "nova") {
    state.losses.add("cache_control");
    return;
  }
  if (content.at(-1)?.cachePoint !== undefined) return;
  const point: JsonObject = { type: "default" };
  if (mark.ttl !== null && CACHE_LIFETIMES.has(mark.ttl)) point.ttl = mark.ttl;
  else if (mark.ttl !== null) state.losses.add("cache_ttl");
  content.push({ cachePoint: point });
}

/** Adds text; Converse refuses text that is blank. */
export function addText(content: JsonObject[], block: TextBlock, state: MessageState): void {
  if (block.annotations.length > 0) state.losses.add("annotations");
  if (block.text.trim() !== "") content.push({ text: block.text });
  else if (block.text !== "") state.losses.add("blank_text");
  addCachePoint(content, block.cache, state);
}

/**
 * A signature is good where it comes from: on Converse itself, and between all places that serve Claude.
 * Thinking without proof goes back only to models that give none.
 */
export function isSendable(block: ThinkingBlock, family: ModelFamily): boolean {
  const proven = block.signature !== "" || block.encrypted !== "";
  if (block.origin === WIRE) return proven || family !== "claude";
  return proven && mayBeClaude(family) && (block.origin === "anthropic-messages" || block.origin === "");
}

function addThinking(content: JsonObject[], block: ThinkingBlock, state: MessageState): void {
  if (!isSendable(block, state.family)) {
    state.losses.add("thinking");
    return;
  }
  if (block.text !== "" || block.encrypted === "") {
    const reasoningText: JsonObject = { text: block.text };
    if (block.signature !== "") reasoningText.signature = block.signature;
    content.push({ reasoningContent: { reasoningText } });
  }
  if (block.encrypted !== "") content.push({ reasoningContent: { redactedContent: block.encrypted } });
}

function addToolCall(content: JsonObject[], block: ToolCallBlock, state: MessageState): void {
  let input = block.flavour === "custom" ? { input: block.arguments } : parseArguments(block.arguments);
  if (block.flavour === "custom") state.losses.add("custom_tool");
  if (input === null) {
    // The wire has room for an object only; what the model once wrote stays readable.
    state.losses.add("tool_arguments");
    input = { arguments: block.arguments };
  }
  if (block.signature !== "") state.losses.add("tool_call_signature");
  const toolUse = { toolUseId: state.toolIds.name(block.id), name: state.toolNames.name(block.name), input };
  content.push({ toolUse });
  addCachePoint(content, block.cache, state);
}

function addToolResult(content: JsonObject[], block: ToolResultBlock, state: MessageState): void {
  const parts: JsonObject[] = [];
  let mark = block.cache;
  for (const part of block.content) {
    // Cache points have no place inside a result; the next one is right behind it.
    mark ??= part.cache;
    addBlock(parts, { ...part, cache: null }, state);
  }
  const toolResult: JsonObject = { toolUseId: state.toolIds.name(block.callId), content: parts };
  // Success is what an absent status means, and some models know no status at all.
  if (block.isError) toolResult.status = "error";
  content.push({ toolResult });
  addCachePoint(content, mark, state);
}

function addMedia(content: JsonObject[], encoded: JsonObject | null, lost: string, state: MessageState): void {
  if (encoded === null) state.losses.add(lost);
  else content.push(encoded);
}

type Adder<Kind extends Block["kind"]> = (
  content: JsonObject[],
  block: Extract<Block, { readonly kind: Kind }>,
  state: MessageState,
) => void;

const ADDERS: { readonly [Kind in Block["kind"]]: Adder<Kind> } = {
  text: addText,
  image: (content, block, state) => {
    if (block.detail !== null && block.detail !== "auto") state.losses.add("image_detail");
    addMedia(content, encodeImage(block.source), "image", state);
    addCachePoint(content, block.cache, state);
  },
  document: (content, block, state) => {
    addMedia(content, encodeDocument(block, state.documentNames.next(block.title)), "document", state);
    addCachePoint(content, block.cache, state);
  },
  audio: (content, block, state) => addMedia(content, encodeAudio(block.source), "audio", state),
  thinking: addThinking,
  tool_call: addToolCall,
  tool_result: addToolResult,
  refusal: (content, block, state) => {
    state.losses.add("refusal");
    if (block.text.trim() !== "") content.push({ text: block.text });
  },
  foreign: (content, block, state) => {
    // What a stream said of a block of this wire is no block that could be sent.
    if (block.wire === WIRE && block.raw.events === undefined) content.push(block.raw);
    else state.losses.add(lossName(block.type, "foreign_block"));
  },
};

function addBlock(content: JsonObject[], block: Block, state: MessageState): void {
  (ADDERS[block.kind] as Adder<Block["kind"]>)(content, block, state);
}

/** Results answer the calls of the turn before, and so stand before anything else the user says. */
function inOrder(turn: Turn): readonly Block[] {
  if (turn.role === "assistant" || !turn.blocks.some(({ kind }) => kind === "tool_result")) return turn.blocks;
  const results = turn.blocks.filter(({ kind }) => kind === "tool_result");
  return [...results, ...turn.blocks.filter(({ kind }) => kind !== "tool_result")];
}

/** Turns of one role that stand side by side are one message on this wire. */
function merged(turns: readonly Turn[], losses: LossList): Turn[] {
  const joined: { role: Turn["role"]; blocks: Block[]; name: null }[] = [];
  for (const { role, blocks, name } of turns) {
    if (name !== null) losses.add("name");
    const last = joined.at(-1);
    if (last?.role !== role) joined.push({ role, blocks: [...blocks], name: null });
    else for (const block of blocks) last.blocks.push(block);
  }
  return joined;
}

function encodeTurn(turn: Turn, state: MessageState): JsonObject[] {
  const content: JsonObject[] = [];
  for (const block of inOrder(turn)) addBlock(content, block, state);
  const document = content.find((part) => part.document !== undefined)?.document as JsonObject | undefined;
  // A message with a document must hold text as well; its name says the least that can be said.
  if (document !== undefined && !content.some((part) => part.text !== undefined)) {
    content.push({ text: String(document.name) });
  }
  return content;
}

/** The conversation; a turn of which nothing can be said is left out, and its neighbours become one. */
export function encodeMessages(turns: readonly Turn[], state: MessageState): JsonObject[] {
  const messages: { role: string; content: JsonObject[] }[] = [];
  for (const turn of merged(turns, state.losses)) {
    const content = encodeTurn(turn, state);
    const last = messages.at(-1);
    if (last?.role === turn.role) last.content.push(...content);
    else if (content.length > 0) messages.push({ role: turn.role, content });
  }
  return messages;
}
