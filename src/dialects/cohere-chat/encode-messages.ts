/** System blocks and turns → messages of roles system, user, assistant and tool; documents go beside them. */
import { withoutAbsent } from "../json.js";
import type {
  Block,
  DocumentBlock,
  ImageBlock,
  JsonObject,
  LossList,
  TextBlock,
  ThinkingBlock,
  ToolCallBlock,
  ToolResultBlock,
  Turn,
} from "../semantic.js";
import { lossName } from "../loss-name.js";
import { urlOfSource } from "../media.js";
import type { AcceptedNames } from "../accepted-names.js";

export const WIRE = "cohere-chat";
/** Id of the thinking that stands in `tool_plan` on this wire. */
export const PLAN_ID = "tool_plan";

export interface EncodedMessages {
  readonly messages: JsonObject[];
  readonly documents: JsonObject[];
}

interface MessageState {
  readonly names: AcceptedNames;
  readonly losses: LossList;
  readonly messages: JsonObject[];
  readonly documents: JsonObject[];
}

/** One turn while it is read. */
interface OpenTurn {
  readonly role: "user" | "assistant";
  readonly content: JsonObject[];
  readonly results: JsonObject[];
  readonly calls: JsonObject[];
  plan: string;
}

/** The messages of a conversation; turns without anything to say are left out. */
export function encodeMessages(
  system: readonly TextBlock[],
  turns: readonly Turn[],
  names: AcceptedNames,
  losses: LossList,
): EncodedMessages {
  const state: MessageState = { names, losses, messages: [], documents: [] };
  const content = system.filter((block) => block.text !== "").map((block) => textPart(block, losses));
  if (content.length > 0) state.messages.push({ role: "system", content: plain(content) });
  for (const turn of turns) encodeTurn(turn, state);
  return { messages: state.messages, documents: state.documents };
}

function encodeTurn(turn: Turn, state: MessageState): void {
  if (turn.name !== null) state.losses.add("name");
  const open: OpenTurn = { role: turn.role, content: [], results: [], calls: [], plan: "" };
  for (const block of turn.blocks) {
    if ("cache" in block && block.cache !== null) state.losses.add("cache_control");
    const encode = ENCODERS[block.kind] as Encoder<Block["kind"]>;
    encode(block, open, state);
  }
  // Results answer the calls before them, so nothing may stand between.
  state.messages.push(...open.results);
  if (open.content.length + open.calls.length === 0 && open.plan === "") return;
  const message: JsonObject = { role: open.role };
  if (open.content.length > 0) message.content = plain(open.content);
  if (open.plan !== "") message.tool_plan = open.plan;
  if (open.calls.length > 0) message.tool_calls = open.calls;
  state.messages.push(message);
}

/** One text stands as a string: every model takes that. */
function plain(content: JsonObject[]): JsonObject[] | string {
  const only = content.length === 1 ? content[0] : undefined;
  return only?.type === "text" && typeof only.text === "string" ? only.text : content;
}

type Encoder<Kind extends Block["kind"]> = (
  block: Extract<Block, { readonly kind: Kind }>,
  open: OpenTurn,
  state: MessageState,
) => void;

const ENCODERS: { readonly [Kind in Block["kind"]]: Encoder<Kind> } = {
  text: (block, open, { losses }) => {
    if (block.annotations.length > 0) losses.add("annotations");
    if (block.text !== "") open.content.push(textPart(block, losses));
  },
  refusal: (block, open) => {
    if (block.text !== "") open.content.push({ type: "text", text: block.text });
  },
  image: (block, open, { losses }) => {
    const part = open.role === "user" ? imagePart(block) : null;
    if (part === null) losses.add("image");
    else open.content.push(part);
  },
  audio: (_block, _open, { losses }) => losses.add("audio"),
  document: (block, _open, { losses, documents }) => {
    const document = textDocument(block, losses);
    if (document !== null) documents.push(document);
  },
  thinking: encodeThinking,
  tool_call: (block, open, state) => void open.calls.push(toolCall(block, state)),
  tool_result: (block, open, state) => void open.results.push(toolMessage(block, state)),
  foreign: (block, _open, { losses }) => {
    // Citations of an answer describe it; the wire does not want them back.
    if (block.wire !== WIRE) losses.add(lossName(block.type, "foreign_block"));
  },
};

function textPart(block: TextBlock, losses: LossList): JsonObject {
  if (block.cache !== null) losses.add("cache_control");
  return { type: "text", text: block.text };
}

function imagePart({ source, detail }: ImageBlock): JsonObject | null {
  const url = urlOfSource(source, "image/jpeg");
  if (url === null) return null;
  return { type: "image_url", image_url: withoutAbsent({ url, detail }) };
}

/** A document of text, with what describes it; null, with a loss, for one of bytes. */
function textDocument(block: DocumentBlock, losses: LossList): JsonObject | null {
  if (block.text === null) {
    losses.add("document");
    return null;
  }
  const { title, context, text } = block;
  return { data: withoutAbsent({ title, context, text }) };
}

/** Thinking has no proof on this wire: its own and unclaimed thinking goes back, another vendor's is a loss. */
function encodeThinking(block: ThinkingBlock, open: OpenTurn, { losses }: MessageState): void {
  if (block.encrypted !== "" || (block.origin !== "" && block.origin !== WIRE)) losses.add("thinking");
  else if (block.text === "") return;
  else if (block.id === PLAN_ID) open.plan += block.text;
  else open.content.push({ type: "thinking", thinking: block.text });
}

function toolCall(block: ToolCallBlock, { names, losses }: MessageState): JsonObject {
  if (block.signature !== "") losses.add("thought_signature");
  const custom = block.flavour === "custom";
  const text = custom ? JSON.stringify({ input: block.arguments }) : block.arguments || "{}";
  return { id: block.id, type: "function", function: { name: names.name(block.name), arguments: text } };
}

function toolMessage(block: ToolResultBlock, { losses }: MessageState): JsonObject {
  const content: JsonObject[] = [];
  for (const part of block.content) {
    if (part.kind === "image") losses.add("image");
    else if (part.kind === "text" && !block.isError) content.push(textPart(part, losses));
    else if (part.kind === "text") content.push({ type: "document", document: { data: { error: part.text } } });
    else {
      const document = textDocument(part, losses);
      if (document !== null) content.push({ type: "document", document });
    }
  }
  const said = content.length === 0 ? "" : plain(content);
  return { role: "tool", tool_call_id: block.callId, content: said };
}
