/** Turns → contents: roles user and model in turns, tool results first, signatures where they came from. */
import { parseArguments, parseValue } from "../json.js";
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
import { isMadeUp } from "./call-ids.js";
import { lossName } from "../loss-name.js";
import { mediaPart } from "./media.js";
import type { ModelTraits } from "./models.js";
import type { AcceptedNames } from "../accepted-names.js";

export const WIRE = "gemini";

/**
 * Stands for a signature that is not to be had: a call made by another model, or by the client itself.
 * Documented by the vendor for just that; without any, newer models refuse the history.
 */
const NO_SIGNATURE = "skip_thought_signature_validator";

/** Parts of an answer that describe it; they are never sent back. */
export const METADATA_TYPES: ReadonlySet<string> = new Set([
  "groundingMetadata",
  "citationMetadata",
  "urlContextMetadata",
  "safetyRatings",
  "finishMessage",
]);

/** One content while it grows; consecutive turns of a role share it. */
interface OpenContent {
  readonly role: "user" | "model";
  readonly results: { readonly order: number; readonly part: JsonObject }[];
  readonly parts: JsonObject[];
}

export interface ContentState {
  readonly names: AcceptedNames;
  readonly traits: ModelTraits;
  readonly losses: LossList;
  /** Calls so far, by id: results name their function and stand in the calls' order. */
  readonly calls: Map<string, { readonly name: string; readonly order: number }>;
  readonly contents: OpenContent[];
}

/** The contents of a conversation; turns without anything to say are left out. */
export function encodeContents(turns: readonly Turn[], names: AcceptedNames, rest: ContentOptions): JsonObject[] {
  const state: ContentState = { names, ...rest, calls: new Map(), contents: [] };
  for (const turn of turns) encodeTurn(turn, state);
  return state.contents
    .filter(({ results, parts }) => results.length + parts.length > 0)
    .map((open) => closed(open, state));
}

export type ContentOptions = Pick<ContentState, "traits" | "losses">;

function encodeTurn(turn: Turn, state: ContentState): void {
  if (turn.name !== null) state.losses.add("name");
  const role = turn.role === "assistant" ? "model" : "user";
  let open = state.contents.at(-1);
  if (open?.role !== role) {
    open = { role, results: [], parts: [] };
    state.contents.push(open);
  }
  for (const block of turn.blocks) encodeBlock(block, open, state);
}

function closed(open: OpenContent, state: ContentState): JsonObject {
  // Stable: results of calls nobody made keep their place at the end.
  open.results.sort((left, right) => left.order - right.order);
  const parts = [...open.results.map((result) => result.part), ...open.parts];
  if (open.role === "model" && state.traits.needsSignatures) signFirstCall(parts, state.losses);
  return { role: open.role, parts };
}

/** Only the first call of a step is asked for a signature. */
function signFirstCall(parts: readonly JsonObject[], losses: LossList): void {
  const first = parts.find((part) => part.functionCall !== undefined);
  if (first === undefined || first.thoughtSignature !== undefined) return;
  first.thoughtSignature = NO_SIGNATURE;
  losses.add("thought_signature");
}

type Encoder<Kind extends Block["kind"]> = (
  block: Extract<Block, { readonly kind: Kind }>,
  open: OpenContent,
  state: ContentState,
) => void;

const ENCODERS: { readonly [Kind in Block["kind"]]: Encoder<Kind> } = {
  text: (block, open, state) => {
    if (block.annotations.length > 0) state.losses.add("annotations");
    if (block.text !== "") open.parts.push({ text: block.text });
  },
  refusal: (block, open) => {
    if (block.text !== "") open.parts.push({ text: block.text });
  },
  image: (block, open, state) => push(open.parts, imagePart(block, state)),
  audio: (block, open, state) => push(open.parts, mediaPart(block.source, "audio/wav", "audio", state.losses)),
  document: (block, open, state) => push(open.parts, documentPart(block, state)),
  thinking: encodeThinking,
  tool_call: (block, open, state) => open.parts.push(callPart(block, state)),
  tool_result: encodeResult,
  foreign: (block, open, state) => {
    if (block.wire !== WIRE) state.losses.add(lossName(block.type, "foreign_block"));
    else if (!METADATA_TYPES.has(block.type)) open.parts.push(block.raw);
  },
};

function encodeBlock(block: Block, open: OpenContent, state: ContentState): void {
  if ("cache" in block && block.cache !== null) state.losses.add("cache_control");
  const encode = ENCODERS[block.kind] as Encoder<Block["kind"]>;
  encode(block, open, state);
}

function push(parts: JsonObject[], part: JsonObject | null): void {
  if (part !== null) parts.push(part);
}

function imagePart(block: ImageBlock, state: ContentState): JsonObject | null {
  if (block.detail !== null && block.detail !== "auto") state.losses.add("image_detail");
  return mediaPart(block.source, "image/jpeg", "image", state.losses);
}

function documentPart(block: DocumentBlock, state: ContentState): JsonObject | null {
  if (block.title !== null) state.losses.add("document_title");
  if (block.context !== null) state.losses.add("document_context");
  if (block.citations) state.losses.add("citations");
  if (block.text !== null) return block.text === "" ? null : { text: block.text };
  return mediaPart(block.source, "application/pdf", "document", state.losses);
}

/**
 * Thoughts of this wire go back signed; unclaimed ones go back as plain thoughts; another vendor's are a loss.
 * A signature without words came with text or an image, and goes back on an empty part behind it.
 */
function encodeThinking(block: ThinkingBlock, open: OpenContent, state: ContentState): void {
  if (block.encrypted !== "" || (block.origin !== "" && block.origin !== WIRE)) {
    state.losses.add("thinking");
    return;
  }
  const part: JsonObject = { text: block.text };
  if (block.text !== "") part.thought = true;
  if (block.origin === WIRE && block.signature !== "") part.thoughtSignature = block.signature;
  else if (block.signature !== "") state.losses.add("thinking_signature");
  if (block.text !== "" || part.thoughtSignature !== undefined) open.parts.push(part);
}

function callPart(block: ToolCallBlock, state: ContentState): JsonObject {
  const name = state.names.name(block.name);
  state.calls.set(block.id, { name, order: state.calls.size });
  const functionCall: JsonObject = { name, args: callArguments(block) };
  if (!isMadeUp(block.id)) functionCall.id = block.id;
  const part: JsonObject = { functionCall };
  if (block.signature !== "") part.thoughtSignature = block.signature;
  return part;
}

/** Arguments are an object on this wire; anything else stands under `input`. */
function callArguments(block: ToolCallBlock): JsonObject {
  if (block.flavour === "custom") return { input: block.arguments };
  return parseArguments(block.arguments) ?? { input: parseValue(block.arguments) ?? block.arguments };
}

function encodeResult(block: ToolResultBlock, open: OpenContent, state: ContentState): void {
  const call = state.calls.get(block.callId);
  const name = call?.name ?? (block.name === "" ? "" : state.names.name(block.name));
  if (name === "") state.losses.add("tool_result_name");
  const said = block.content.map(resultText).filter((text) => text !== null);
  const media = resultMedia(block.content, state);
  const response: JsonObject = { [block.isError ? "error" : "output"]: said.join("\n") };
  const functionResponse: JsonObject = { name: name || "unknown_function", response };
  if (!isMadeUp(block.callId)) functionResponse.id = block.callId;
  if (media.length > 0 && state.traits.mixesTools) functionResponse.parts = media;
  // Older models read images of a result when they stand beside it.
  else open.parts.push(...media);
  open.results.push({ order: call?.order ?? Number.MAX_SAFE_INTEGER, part: { functionResponse } });
}

function resultText(block: TextBlock | ImageBlock | DocumentBlock): string | null {
  return block.kind === "image" ? null : block.text;
}

function resultMedia(content: ToolResultBlock["content"], state: ContentState): JsonObject[] {
  const media: JsonObject[] = [];
  for (const block of content) {
    if (block.cache !== null) state.losses.add("cache_control");
    if (block.kind === "image") push(media, imagePart(block, state));
    else if (block.kind === "document" && block.text === null) push(media, documentPart(block, state));
  }
  return media;
}
