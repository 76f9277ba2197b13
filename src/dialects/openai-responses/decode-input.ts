/** The conversation of a responses request: `input` as text or as items, read into system text and turns. */
import { asArray, asObject, asObjects, asString, isAbsent, isObject } from "../json.js";
import { audioType, dataSource, fileSource, NO_SOURCE, sourceOfUrl, typeOfFileName } from "../media.js";
import { demandText, optionalText, refuse } from "../refuse-request.js";
import type {
  Block,
  CacheMark,
  DocumentBlock,
  ForeignBlock,
  ImageBlock,
  JsonObject,
  JsonValue,
  LossList,
  MediaSource,
  TextBlock,
  ThinkingBlock,
  ToolResultBlock,
  Turn,
} from "../semantic.js";
import { unwrap } from "./opaque.js";
import { decodeAnnotation, PARAGRAPH, WIRE } from "./shapes.js";

/** A conversation while it is read. */
interface Reading {
  readonly losses: LossList;
  readonly system: TextBlock[];
  readonly turns: { role: Turn["role"]; blocks: Block[]; name: null }[];
  /** What the last turn is made of: items of one kind join it, others open a new one. */
  last: "assistant" | "results" | "user" | "none";
  /** Signatures of tool calls that stand in reasoning items of their own, by call id. */
  readonly signatures: Map<string, string>;
}

function textBlock(text: string, part: JsonObject | null): TextBlock {
  const annotations = part === null ? [] : asObjects(part.annotations).map(decodeAnnotation);
  return { kind: "text", text, cache: part === null ? null : cacheMark(part), annotations };
}

function cacheMark(part: JsonObject): CacheMark | null {
  return isObject(part.prompt_cache_breakpoint) ? { ttl: null } : null;
}

function foreign(raw: JsonObject, type: string): ForeignBlock {
  return { kind: "foreign", wire: WIRE, type, raw };
}

// ---- parts of a message ------------------------------------------------------------------------------

function decodeImage(part: JsonObject, path: string): ImageBlock {
  // Chat's form {url, detail} is read as well: callers who switch dialects forget to flatten it.
  const nested = asObject(part.image_url);
  const url = nested === null ? optionalText(part, "image_url", path) : demandText(nested, "url", `${path}.image_url`);
  const fileId = optionalText(part, "file_id", path);
  const detail = optionalText(part, "detail", path) ?? (nested === null ? null : asString(nested.detail) || null);
  const source = url === null ? fileSource(fileId ?? demandText(part, "image_url", path)) : sourceOfUrl(url);
  return { kind: "image", source, detail, cache: cacheMark(part) };
}

/** Where a file's bytes are. A name that tells nothing counts as PDF, except for bytes held elsewhere. */
function fileBytes(part: JsonObject, path: string, title: string | null): MediaSource {
  const data = optionalText(part, "file_data", path);
  if (data?.startsWith("data:")) return sourceOfUrl(data);
  if (data !== null) return dataSource(data, typeOfFileName(title));
  const url = optionalText(part, "file_url", path);
  if (url !== null) return { ...NO_SOURCE, url, mediaType: typeOfFileName(title) };
  const fileId = optionalText(part, "file_id", path);
  return fileSource(fileId ?? demandText(part, "file_data", path));
}

function decodeFile(part: JsonObject, path: string): DocumentBlock {
  const title = optionalText(part, "filename", path);
  const bytes = fileBytes(part, path, title);
  const isText = bytes.data !== null && bytes.mediaType.startsWith("text/");
  return {
    kind: "document",
    source: isText ? NO_SOURCE : bytes,
    text: isText ? Buffer.from(bytes.data as string, "base64").toString("utf8") : null,
    title,
    context: null,
    citations: false,
    cache: cacheMark(part),
  };
}

function decodeAudio(part: JsonObject): Block {
  const audio = asObject(part.input_audio);
  const data = asString(audio?.data);
  if (data === "") return foreign(part, "input_audio");
  return { kind: "audio", source: dataSource(data, audioType(asString(audio?.format))) };
}

function decodePart(value: JsonValue, path: string): Block {
  if (!isObject(value)) return refuse(path, "an object");
  const type = demandText(value, "type", path);
  switch (type) {
    case "input_text":
    case "output_text":
    case "text":
      return textBlock(demandText(value, "text", path), value);
    case "input_image":
      return decodeImage(value, path);
    case "input_file":
      return decodeFile(value, path);
    case "refusal":
      return { kind: "refusal", text: demandText(value, "refusal", path) };
    case "input_audio":
      return decodeAudio(value);
    default:
      return foreign(value, type);
  }
}

/** A string, or parts. */
function decodeContent(value: JsonValue | undefined, path: string): Block[] {
  if (typeof value === "string") return [textBlock(value, null)];
  if (Array.isArray(value)) return value.map((part, index) => decodePart(part, `${path}[${index}]`));
  return refuse(path, "a string or an array");
}

// ---- items -------------------------------------------------------------------------------------------

function addAssistant(reading: Reading, blocks: readonly Block[]): void {
  const turn = reading.last === "assistant" ? reading.turns.at(-1) : undefined;
  if (turn === undefined) reading.turns.push({ role: "assistant", blocks: [...blocks], name: null });
  else turn.blocks.push(...blocks);
  reading.last = "assistant";
}

function addResult(reading: Reading, block: Block): void {
  const turn = reading.last === "results" ? reading.turns.at(-1) : undefined;
  if (turn === undefined) reading.turns.push({ role: "user", blocks: [block], name: null });
  else turn.blocks.push(block);
  reading.last = "results";
}

function addUser(reading: Reading, blocks: Block[]): void {
  reading.turns.push({ role: "user", blocks, name: null });
  reading.last = "user";
}

/** System text that comes after the first turn loses its place; parts that are no text are lost. */
function addSystem(reading: Reading, blocks: readonly Block[]): void {
  if (reading.turns.length > 0) reading.losses.add("system_position");
  for (const block of blocks) {
    if (block.kind === "text") reading.system.push(block);
    else reading.losses.add(block.kind === "foreign" ? "system_part" : `system_${block.kind}`);
  }
}

type ItemReader = (reading: Reading, item: JsonObject, path: string) => void;

function readMessage(reading: Reading, item: JsonObject, path: string): void {
  const role = demandText(item, "role", path);
  const blocks = decodeContent(item.content, `${path}.content`);
  if (!isAbsent(item.phase)) reading.losses.add("phase");
  if (role === "user") addUser(reading, blocks);
  else if (role === "assistant") addAssistant(reading, blocks);
  else if (role === "system" || role === "developer") addSystem(reading, blocks);
  else refuse(`${path}.role`, "user, assistant, system or developer");
}

function readCall(flavour: "function" | "custom"): ItemReader {
  return (reading, item, path) => {
    const id = demandText(item, "call_id", path);
    if (!isAbsent(item.namespace)) reading.losses.add("namespace");
    addAssistant(reading, [
      {
        kind: "tool_call",
        id,
        name: demandText(item, "name", path),
        arguments: demandText(item, flavour === "function" ? "arguments" : "input", path),
        signature: reading.signatures.get(id) ?? "",
        flavour,
        cache: null,
      },
    ]);
  };
}

function readOutput(reading: Reading, item: JsonObject, path: string): void {
  const callId = demandText(item, "call_id", path);
  const content: ToolResultBlock["content"][number][] = [];
  for (const block of decodeContent(item.output, `${path}.output`)) {
    if (block.kind === "text" || block.kind === "image" || block.kind === "document") content.push(block);
    else reading.losses.add("tool_result_part");
  }
  addResult(reading, { kind: "tool_result", callId, name: "", content, isError: false, cache: null });
}

/** Summary and raw reasoning as one text, in this order. */
export function reasoningText(item: JsonObject): string {
  const texts: string[] = [];
  for (const part of [...asArray(item.summary), ...asArray(item.content)]) {
    const text = asString(asObject(part)?.text);
    if (text !== "") texts.push(text);
  }
  return texts.join(PARAGRAPH);
}

function readReasoning(reading: Reading, item: JsonObject): void {
  const sealed = asString(item.encrypted_content);
  const seen = reasoningText(item);
  const found = unwrap(sealed);
  if (found.kind === "call") {
    reading.signatures.set(found.id, found.signature);
    if (seen === "") return;
  }
  if (found.kind === "broken") reading.losses.add("encrypted_content");
  let block: ThinkingBlock;
  if (found.kind === "thinking") {
    const { proof } = found;
    block = { kind: "thinking", ...proof, text: proof.text || seen };
  } else {
    const encrypted = found.kind === "own" ? sealed : "";
    const origin = encrypted === "" ? "" : WIRE;
    block = { kind: "thinking", text: seen, signature: "", encrypted, id: asString(item.id), origin };
  }
  addAssistant(reading, [block]);
}

const ITEMS: Readonly<Record<string, ItemReader>> = {
  message: readMessage,
  function_call: readCall("function"),
  custom_tool_call: readCall("custom"),
  function_call_output: readOutput,
  custom_tool_call_output: readOutput,
  reasoning: readReasoning,
};

/** Items that the caller's side makes, beside those that are read above. */
const FROM_CALLER: ReadonlySet<string> = new Set(["mcp_approval_response", "additional_tools", "compaction_trigger"]);

function readItem(reading: Reading, value: JsonValue, path: string): void {
  if (!isObject(value)) refuse(path, "an object");
  let type = optionalText(value, "type", path);
  if (type === null) {
    if (isAbsent(value.role) && typeof value.id === "string") type = "item_reference";
    else type = isAbsent(value.role) ? demandText(value, "type", path) : "message";
  }
  const reader = Object.hasOwn(ITEMS, type) ? ITEMS[type] : undefined;
  if (reader !== undefined) reader(reading, value, path);
  else if (type.endsWith("_output") || FROM_CALLER.has(type)) addResult(reading, foreign(value, type));
  else addAssistant(reading, [foreign(value, type)]);
}

/** Reads `instructions` and `input`. Refuses what is malformed, naming it ("input[2].content[0].type"). */
export function decodeInput(
  body: JsonObject,
  losses: LossList,
): { readonly system: readonly TextBlock[]; readonly turns: readonly Turn[] } {
  const reading: Reading = { losses, system: [], turns: [], last: "none", signatures: new Map() };
  const instructions = optionalText(body, "instructions");
  if (instructions !== null && instructions !== "") reading.system.push(textBlock(instructions, null));
  const { input } = body;
  if (typeof input === "string") addUser(reading, [textBlock(input, null)]);
  else if (Array.isArray(input)) {
    for (let index = 0; index < input.length; index++) readItem(reading, input[index] as JsonValue, `input[${index}]`);
  } else if (!isAbsent(input)) refuse("input", "a string or an array");
  return { system: reading.system, turns: reading.turns };
}
