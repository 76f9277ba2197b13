/** System text and turns → chat messages. */
import { urlOfSource, audioFormat } from "../media.js";
import type {
  AudioBlock,
  Block,
  CacheMark,
  DocumentBlock,
  ForeignBlock,
  ImageBlock,
  JsonObject,
  LossList,
  SemanticRequest,
  TextBlock,
  ThinkingBlock,
  ToolCallBlock,
  ToolResultBlock,
  Turn,
} from "../semantic.js";
import { callObject } from "./answer-parts.js";
import { lossName } from "../loss-name.js";
import type { Quirks } from "./quirks.js";
import { detailsOf } from "./reasoning.js";
import { callId, type ToolNames } from "./wire-names.js";
import { WIRE } from "./wire-name.js";

/** What the encoders of one request share. */
export interface Encoding {
  readonly quirks: Quirks;
  readonly names: ToolNames;
  readonly losses: LossList;
  /** Do ids of files mean anything to the target? Only where the caller speaks its vendor's dialects. */
  readonly ownFiles: boolean;
}

/** All messages: one system message, then the turns; results of calls before anything else of their turns. */
export function encodeMessages(request: SemanticRequest, encoding: Encoding): JsonObject[] {
  const messages: JsonObject[] = [];
  const system = systemMessage(request.system, encoding);
  if (system !== null) messages.push(system);
  for (const run of runsOf(request.turns)) {
    if (run[0]?.role === "assistant") messages.push(...assistantMessages(run, encoding));
    else messages.push(...userMessages(run, encoding));
  }
  return messages;
}

/** Neighbouring turns of one role. */
function runsOf(turns: readonly Turn[]): Turn[][] {
  const runs: Turn[][] = [];
  for (const turn of turns) {
    const last = runs.at(-1);
    if (last?.[0]?.role === turn.role) last.push(turn);
    else runs.push([turn]);
  }
  return runs;
}

/** The mark as a field, where the target takes it; else a loss. */
export function cacheField(cache: CacheMark | null, { quirks, losses }: Encoding): JsonObject {
  if (cache === null) return {};
  if (!quirks.cacheControl) {
    losses.add("cache_control");
    return {};
  }
  return { cache_control: { type: "ephemeral", ...(cache.ttl === null ? {} : { ttl: cache.ttl }) } };
}

function textPart(text: string, cache: CacheMark | null, encoding: Encoding): JsonObject {
  return { type: "text", text, ...cacheField(cache, encoding) };
}

function systemMessage(blocks: readonly TextBlock[], encoding: Encoding): JsonObject | null {
  const parts = blocks.map(({ text, cache }) => textPart(text, cache, encoding));
  if (parts.length === 0) return null;
  const isPlain = parts.every((part) => part.cache_control === undefined);
  const content = isPlain ? blocks.map(({ text }) => text).join("\n\n") : parts;
  return { role: "system", content };
}

// ---- user turns ------------------------------------------------------------------------------------

function imagePart(block: ImageBlock, encoding: Encoding): JsonObject[] {
  const url = urlOfSource(block.source, "image/png");
  if (url === null) return lost("image", encoding);
  const image = { url, ...(block.detail === null ? {} : { detail: block.detail }) };
  return [{ type: "image_url", image_url: image, ...cacheField(block.cache, encoding) }];
}

function lost(name: string, { losses }: Encoding): JsonObject[] {
  losses.add(name);
  return [];
}

function documentParts(block: DocumentBlock, encoding: Encoding): JsonObject[] {
  const { losses } = encoding;
  if (block.citations) losses.add("citations");
  const cache = cacheField(block.cache, encoding);
  const about = [block.title, block.context].filter((text) => text !== null && text !== "").join("\n");
  if (block.text !== null)
    return [{ type: "text", text: about === "" ? block.text : `${about}\n\n${block.text}`, ...cache }];
  const context: JsonObject[] = block.context === null ? [] : [{ type: "text", text: block.context }];
  const { data, fileId, mediaType } = block.source;
  const filename = block.title ?? "document.pdf";
  if (data !== null) {
    const file_data = `data:${mediaType || "application/pdf"};base64,${data}`;
    return [...context, { type: "file", file: { file_data, filename }, ...cache }];
  }
  if (fileId !== null && encoding.ownFiles) return [...context, { type: "file", file: { file_id: fileId }, ...cache }];
  // The wire takes no documents by address, and no other vendor's files.
  return lost("document", encoding);
}

function audioPart({ source }: AudioBlock, encoding: Encoding): JsonObject[] {
  if (source.data === null) return lost("audio", encoding);
  return [{ type: "input_audio", input_audio: { data: source.data, format: audioFormat(source.mediaType) } }];
}

function foreignPart(block: ForeignBlock, encoding: Encoding): JsonObject[] {
  return block.wire === WIRE ? [block.raw] : lost(lossName(block.type, "content_part"), encoding);
}

function userParts(block: Block, encoding: Encoding): JsonObject[] {
  switch (block.kind) {
    case "text":
      return [textPart(block.text, block.cache, encoding)];
    case "image":
      return imagePart(block, encoding);
    case "document":
      return documentParts(block, encoding);
    case "audio":
      return audioPart(block, encoding);
    case "foreign":
      return foreignPart(block, encoding);
    case "refusal":
      return [{ type: "text", text: block.text }];
    default:
      return lost(block.kind, encoding);
  }
}

/** A lone plain text stands as a string: every look-alike takes that. */
function contentOf(parts: readonly JsonObject[]): string | JsonObject[] {
  const [first] = parts;
  const isLone = parts.length === 1 && first?.type === "text" && first.cache_control === undefined;
  return isLone ? (first.text as string) : [...parts];
}

/** One text for all parts of a result, unless marks need parts. The wire has no mark for failed calls: the text says it. */
function resultContent(texts: readonly JsonObject[], isError: boolean, hasMore: boolean): string | JsonObject[] {
  const failed = isError ? "Error: " : "";
  if (texts.some((part) => part.cache_control !== undefined)) {
    return failed === "" ? [...texts] : [{ type: "text", text: failed }, ...texts];
  }
  const text = failed + texts.map((part) => part.text).join("\n");
  return text === "" && hasMore ? "The result is in the next message." : text;
}

/** The message of one result, and the parts that a tool message cannot hold. */
function resultMessage(block: ToolResultBlock, encoding: Encoding): { message: JsonObject; beside: JsonObject[] } {
  const texts: JsonObject[] = [];
  const beside: JsonObject[] = [];
  for (const part of block.content) {
    if (part.kind === "text") texts.push(textPart(part.text, part.cache, encoding));
    else beside.push(...userParts(part, encoding));
  }
  const id = callId(block.callId, encoding.quirks.callIds);
  const content = resultContent(texts, block.isError, beside.length > 0);
  const message = { role: "tool", tool_call_id: id, content, ...cacheField(block.cache, encoding) };
  if (beside.length === 0) return { message, beside };
  return { message, beside: [{ type: "text", text: `Result of the call ${id}:` }, ...beside] };
}

/** Results of calls must follow the calls at once; the rest of the turns comes after them. */
function userMessages(run: readonly Turn[], encoding: Encoding): JsonObject[] {
  const messages: JsonObject[] = [];
  let beside: JsonObject[] = [];
  for (const { blocks } of run) {
    for (const block of blocks) {
      if (block.kind !== "tool_result") continue;
      const result = resultMessage(block, encoding);
      messages.push(result.message);
      beside.push(...result.beside);
    }
  }
  for (const { blocks, name } of run) {
    const rest = blocks.filter((block) => block.kind !== "tool_result");
    if (rest.length === 0 && blocks.length > 0) continue;
    const parts = [...beside, ...rest.flatMap((block) => userParts(block, encoding))];
    beside = [];
    messages.push({
      role: "user",
      content: parts.length === 0 ? "" : contentOf(parts),
      ...(name === null ? {} : { name }),
    });
  }
  if (beside.length > 0) messages.push({ role: "user", content: beside });
  return messages;
}

// ---- assistant turns -------------------------------------------------------------------------------

interface AssistantDraft {
  readonly parts: JsonObject[];
  refusal: string;
  reasoning: string;
  readonly details: JsonObject[];
  readonly calls: JsonObject[];
  audio: JsonObject | null;
  place: number;
}

function addThinking(draft: AssistantDraft, block: ThinkingBlock, { quirks, losses }: Encoding): void {
  if (quirks.thinking === "details") {
    draft.reasoning += block.text;
    draft.details.push(...detailsOf(block, draft.place));
  } else if (quirks.thinking === "own" && block.origin === WIRE && block.encrypted === "") {
    draft.reasoning += block.text;
  } else {
    losses.add("thinking");
  }
}

function addCall(draft: AssistantDraft, block: ToolCallBlock, encoding: Encoding): void {
  const { quirks, names, losses } = encoding;
  if (block.cache !== null) losses.add("cache_control");
  if (block.signature !== "" && !quirks.thoughtSignatures) losses.add("thought_signature");
  const signature = quirks.thoughtSignatures ? block.signature : "";
  const call = { ...block, signature, id: callId(block.id, quirks.callIds), name: names.sent(block.name) };
  if (block.flavour === "custom" && !quirks.vendorFields) {
    // Free text is no JSON: as the one argument of a function it stays readable.
    const argumentsText = JSON.stringify({ input: block.arguments });
    draft.calls.push(callObject({ ...call, flavour: "function", arguments: argumentsText }));
    return;
  }
  draft.calls.push(callObject({ ...call, arguments: block.arguments === "" ? "{}" : block.arguments }));
}

function addAssistantBlock(draft: AssistantDraft, block: Block, encoding: Encoding): void {
  switch (block.kind) {
    case "text":
      if (block.annotations.length > 0) encoding.losses.add("annotations");
      draft.parts.push(textPart(block.text, block.cache, encoding));
      return;
    case "refusal":
      draft.refusal += block.text;
      return;
    case "thinking":
      addThinking(draft, block, encoding);
      return;
    case "tool_call":
      addCall(draft, block, encoding);
      return;
    case "foreign":
      if (block.wire === WIRE && block.type === "audio") draft.audio = block.raw;
      else draft.parts.push(...foreignPart(block, encoding));
      return;
    default:
      encoding.losses.add(block.kind);
  }
}

/** The pieces of one answer follow each other without a gap; parts only where a mark needs one. */
function assistantContent(parts: readonly JsonObject[]): string | JsonObject[] | null {
  if (parts.length === 0) return null;
  const isPlain = parts.every((part) => part.type === "text" && part.cache_control === undefined);
  return isPlain ? parts.map((part) => part.text).join("") : [...parts];
}

/** One message for all turns of a run: the calls of one step must stand together. */
function assistantMessages(run: readonly Turn[], encoding: Encoding): JsonObject[] {
  const draft: AssistantDraft = {
    parts: [],
    refusal: "",
    reasoning: "",
    details: [],
    calls: [],
    audio: null,
    place: 0,
  };
  for (const { blocks } of run) {
    for (const block of blocks) {
      addAssistantBlock(draft, block, encoding);
      draft.place++;
    }
  }
  const content = assistantContent(draft.parts);
  const name = run.find((turn) => turn.name !== null)?.name ?? null;
  const message: JsonObject = { role: "assistant", content };
  if (name !== null) message.name = name;
  if (draft.refusal !== "") message.refusal = draft.refusal;
  if (draft.reasoning !== "") message.reasoning_content = draft.reasoning;
  if (draft.details.length > 0) message.reasoning_details = draft.details;
  if (draft.audio !== null) message.audio = draft.audio;
  if (draft.calls.length > 0) message.tool_calls = draft.calls;
  const isMute = content === null && draft.refusal === "" && draft.calls.length === 0 && draft.audio === null;
  if (!isMute) return [message];
  // A turn of thinking alone is kept where thinking is; the wire wants some content.
  return draft.reasoning !== "" || draft.details.length > 0 ? [{ ...message, content: "" }] : [];
}
