/** Chat messages → system text and turns. */
import { asObjects, asString, isAbsent, isObject } from "../json.js";
import type {
  Block,
  DocumentBlock,
  ImageBlock,
  JsonObject,
  JsonValue,
  LossList,
  TextBlock,
  ToolCallBlock,
  ToolResultBlock,
  Turn,
} from "../semantic.js";
import { annotationOf, cacheOf, contentBlocks, foreignBlock } from "./decode-parts.js";
import { lossName } from "../loss-name.js";
import { sourceOfUrl } from "../media.js";
import { readThinking, withThinking } from "./reasoning.js";
import { objectAt, optionalArray, optionalObject, optionalText, refuse, textAt } from "../refuse-request.js";
import { WIRE } from "./wire-name.js";

/** A conversation while it is read. */
interface Conversation {
  readonly system: TextBlock[];
  readonly turns: Turn[];
  /** Results of the calls just made: consecutive tool messages are one user turn. */
  results: ToolResultBlock[];
  /** Ids made up for calls of the legacy form, by function name: the last one counts. */
  readonly legacyIds: Map<string, string>;
  readonly losses: LossList;
}

interface Message {
  readonly fields: JsonObject;
  /** "messages[3]" */
  readonly path: string;
  readonly index: number;
}

type RoleReader = (conversation: Conversation, message: Message) => void;

const ROLES: Readonly<Record<string, RoleReader>> = {
  system: readSystem,
  developer: readSystem,
  user: readUser,
  assistant: readAssistant,
  tool: readToolResult,
  function: readFunctionResult,
};

/** Fields that some message may have, and what answers carry that are sent back as history. */
const KNOWN = new Set(
  (
    "role content name tool_calls tool_call_id function_call refusal audio annotations cache_control is_error " +
    "reasoning_content reasoning reasoning_details thinking_blocks images extra_content parsed"
  ).split(" "),
);

/** Reads `messages`; refuses what is malformed, naming the field. */
export function decodeMessages(
  messages: JsonValue | undefined,
  losses: LossList,
): { system: readonly TextBlock[]; turns: readonly Turn[] } {
  if (!Array.isArray(messages)) return refuse("messages", "an array");
  const conversation: Conversation = { system: [], turns: [], results: [], legacyIds: new Map(), losses };
  for (const [index, value] of messages.entries()) {
    const path = `messages[${index}]`;
    const fields = objectAt(value, path);
    const role = textAt(fields.role, `${path}.role`);
    const read = Object.hasOwn(ROLES, role) ? ROLES[role] : undefined;
    if (read === undefined) return refuse(`${path}.role`, "one of system, developer, user, assistant, tool, function");
    if (role !== "tool" && role !== "function") flushResults(conversation);
    for (const name in fields) if (!KNOWN.has(name) && !isAbsent(fields[name])) losses.add("message_fields");
    read(conversation, { fields, path, index });
  }
  flushResults(conversation);
  return { system: conversation.system, turns: conversation.turns };
}

function flushResults(conversation: Conversation): void {
  if (conversation.results.length === 0) return;
  conversation.turns.push({ role: "user", blocks: conversation.results, name: null });
  conversation.results = [];
}

/** A mark on the whole message means its last block that can bear one. */
function withMessageCache(fields: JsonObject, blocks: Block[]): Block[] {
  const cache = cacheOf(fields);
  if (cache === null) return blocks;
  const at = blocks.findLastIndex((block) => "cache" in block);
  const block = blocks[at];
  if (block !== undefined && "cache" in block && block.cache === null) blocks[at] = { ...block, cache };
  return blocks;
}

function messageBlocks({ fields, path }: Message): Block[] {
  return withMessageCache(fields, contentBlocks(fields.content, `${path}.content`));
}

function readSystem(conversation: Conversation, message: Message): void {
  const { losses, system, turns } = conversation;
  if (turns.length > 0) losses.add("system_position");
  if (!isAbsent(message.fields.name)) losses.add("name");
  for (const block of messageBlocks(message)) {
    if (block.kind === "text") system.push(block);
    else losses.add(nameOfBlock(block));
  }
}

/** What a block is called in the list of losses. */
function nameOfBlock(block: Block): string {
  return block.kind === "foreign" ? lossName(block.type, "content_part") : block.kind;
}

function readUser(conversation: Conversation, message: Message): void {
  const { fields, path } = message;
  if (isAbsent(fields.content)) refuse(`${path}.content`, "a string or an array of content parts");
  conversation.turns.push({
    role: "user",
    blocks: messageBlocks(message),
    name: optionalText(fields, "name", path),
  });
}

function readAssistant(conversation: Conversation, message: Message): void {
  const { fields, path } = message;
  const content = messageBlocks(message).filter((block) => block.kind !== "text" || block.text !== "");
  const said = withAnnotations(content, fields);
  const refusal = optionalText(fields, "refusal", path);
  if (refusal !== null && refusal !== "") said.push({ kind: "refusal", text: refusal });
  const audio = optionalObject(fields, "audio", path);
  if (audio !== null) said.push(foreignBlock("audio", audio));
  const others = [...foreignBlocks(fields), ...said, ...imagesOf(fields), ...callsOf(conversation, message)];
  const blocks = withThinking(readThinking(fields, WIRE), others);
  conversation.turns.push({ role: "assistant", blocks, name: optionalText(fields, "name", path) });
}

function withAnnotations(blocks: Block[], fields: JsonObject): Block[] {
  const annotations = asObjects(fields.annotations).map(annotationOf);
  const at = blocks.findIndex((block) => block.kind === "text");
  const block = blocks[at];
  if (annotations.length > 0 && block?.kind === "text") blocks[at] = { ...block, annotations };
  return blocks;
}

/** Blocks of other wires that an answer carried in `extra_content`, by wire. */
export function foreignBlocks(fields: JsonObject): Block[] {
  if (!isObject(fields.extra_content)) return [];
  return Object.entries(fields.extra_content).flatMap(([wire, raws]) =>
    asObjects(raws).map((raw) => ({ kind: "foreign", wire, type: typeOfRaw(raw), raw }) as const),
  );
}

/** A block's `type`; wires without such a member name the block by its first one. */
function typeOfRaw(raw: JsonObject): string {
  return asString(raw.type) || (Object.keys(raw)[0] ?? "");
}

/** Images of an answer: `images: [{type: "image_url", image_url: {url}}]`. */
export function imagesOf(fields: JsonObject): ImageBlock[] {
  return asObjects(fields.images).flatMap((image) => {
    const url = isObject(image.image_url) ? asString(image.image_url.url) : asString(image.image_url);
    return url === "" ? [] : [{ kind: "image", source: sourceOfUrl(url), detail: null, cache: null } as const];
  });
}

/** Google's place for the signature that a model's call carries. */
export function signatureOf(call: JsonObject): string {
  const google = isObject(call.extra_content) ? call.extra_content.google : null;
  return isObject(google) ? asString(google.thought_signature) : "";
}

function callOf(value: JsonValue, path: string): ToolCallBlock {
  const call = objectAt(value, path);
  const shared = {
    kind: "tool_call",
    id: textAt(call.id, `${path}.id`),
    signature: signatureOf(call),
    cache: cacheOf(call),
  } as const;
  if (call.type === "custom") {
    const custom = objectAt(call.custom, `${path}.custom`);
    const name = textAt(custom.name, `${path}.custom.name`);
    return { ...shared, name, arguments: textAt(custom.input, `${path}.custom.input`), flavour: "custom" };
  }
  const called = objectAt(call.function, `${path}.function`);
  const name = textAt(called.name, `${path}.function.name`);
  return {
    ...shared,
    name,
    arguments: argumentsText(called.arguments, `${path}.function.arguments`),
    flavour: "function",
  };
}

/** Arguments as JSON text; look-alikes also write the object itself, or nothing. */
export function argumentsText(value: JsonValue | undefined, path: string): string {
  if (typeof value === "string") return value.trim() === "" ? "{}" : value;
  if (isAbsent(value)) return "{}";
  return isObject(value) ? JSON.stringify(value) : refuse(path, "a string");
}

function callsOf(conversation: Conversation, { fields, path, index }: Message): ToolCallBlock[] {
  const calls = optionalArray(fields, "tool_calls", path);
  const blocks = calls.map((call, at) => callOf(call, `${path}.tool_calls[${at}]`));
  const legacy = optionalObject(fields, "function_call", path);
  if (legacy === null) return blocks;
  const name = textAt(legacy.name, `${path}.function_call.name`);
  const id = `call_${index}`;
  conversation.legacyIds.set(name, id);
  const said = argumentsText(legacy.arguments, `${path}.function_call.arguments`);
  return [...blocks, { kind: "tool_call", id, name, arguments: said, signature: "", flavour: "function", cache: null }];
}

type ResultPart = TextBlock | ImageBlock | DocumentBlock;

function isResultPart(block: Block): block is ResultPart {
  return block.kind === "text" || block.kind === "image" || block.kind === "document";
}

function resultContent(conversation: Conversation, { fields, path }: Message): ResultPart[] {
  const blocks = contentBlocks(fields.content, `${path}.content`);
  for (const block of blocks) if (!isResultPart(block)) conversation.losses.add(nameOfBlock(block));
  return blocks.filter(isResultPart);
}

function readToolResult(conversation: Conversation, message: Message): void {
  const { fields, path } = message;
  conversation.results.push({
    kind: "tool_result",
    callId: textAt(fields.tool_call_id, `${path}.tool_call_id`),
    name: optionalText(fields, "name", path) ?? "",
    content: resultContent(conversation, message),
    isError: fields.is_error === true,
    cache: cacheOf(fields),
  });
}

function readFunctionResult(conversation: Conversation, message: Message): void {
  const name = textAt(message.fields.name, `${message.path}.name`);
  conversation.results.push({
    kind: "tool_result",
    callId: conversation.legacyIds.get(name) ?? `call_${name}`,
    name,
    content: resultContent(conversation, message),
    isError: false,
    cache: cacheOf(message.fields),
  });
}
