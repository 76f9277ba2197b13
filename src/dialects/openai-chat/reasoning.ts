/**
 * Thinking in messages of the chat family, which the vendor's own types do not know. What Weir writes, and reads:
 *
 *   reasoning_content: string      the text of all thinking, for people and for clients that know no more
 *   reasoning_details: [           one entry for each thinking block that carries a proof or an id, or is another wire's
 *     { "type": "reasoning.text", "text", "signature", "id", "format", "index" }
 *     { "type": "reasoning.encrypted", "data", "id", "format", "index" } ]
 *
 * `format` names the wire whose thinking it is, and `index` the place of the block in the answer, so that an
 * answer sent back as history gives the same blocks in the same order. It also reads `reasoning` (string),
 * `reasoning.summary` entries, and `thinking_blocks` ({type: "thinking" | "redacted_thinking"}).
 */
import { asCount, asObjects, asString } from "../json.js";
import type { JsonObject, JsonValue, ThinkingBlock } from "../semantic.js";
import { WIRE } from "./wire-name.js";

/** What others call the formats of proofs; what stands in neither column is its own name. */
const FORMATS: ReadonlyArray<readonly [origin: string, format: string]> = [
  ["anthropic-messages", "anthropic-claude-v1"],
  ["openai-responses", "openai-responses-v1"],
  ["gemini", "google-gemini-v1"],
];
const FORMAT_OF = new Map(FORMATS);
const ORIGIN_OF = new Map(FORMATS.map(([origin, format]) => [format, origin]));

/** The wire that a `format` stands for; "" = unknown. */
export function originOf(format: string): string {
  return format === "unknown" ? "" : (ORIGIN_OF.get(format) ?? format);
}

/** A thinking block and its place among the message's blocks; -1 = not said. */
export interface PlacedThinking {
  readonly block: ThinkingBlock;
  readonly place: number;
}

/** Does the block hold what plain text cannot carry? */
export function hasProof(block: ThinkingBlock): boolean {
  return block.signature !== "" || block.encrypted !== "" || block.id !== "";
}

/** Does plain text say all of the block? A reader takes text without an entry for this wire's own. */
function isPlain(block: ThinkingBlock): boolean {
  if (hasProof(block)) return false;
  return block.text === "" || block.origin === "" || block.origin === WIRE;
}

/** The entries of `reasoning_details` for a block at this place: text and proof, or what is encrypted. */
export function detailsOf(block: ThinkingBlock, place: number): JsonObject[] {
  if (isPlain(block)) return [];
  const shared = {
    id: block.id === "" ? null : block.id,
    format: FORMAT_OF.get(block.origin) ?? (block.origin || "unknown"),
    index: place,
  };
  const details: JsonObject[] = [];
  if (block.text !== "" || block.signature !== "" || block.encrypted === "") {
    const signature = block.signature === "" ? null : block.signature;
    details.push({ type: "reasoning.text", text: block.text, signature, ...shared });
  }
  if (block.encrypted !== "") details.push({ type: "reasoning.encrypted", data: block.encrypted, ...shared });
  return details;
}

/** What one entry adds to a thinking block. */
export interface ReasoningDetail {
  readonly text: string;
  readonly signature: string;
  readonly encrypted: string;
  readonly id: string;
  readonly origin: string;
  /** -1 = not said. */
  readonly index: number;
}

/** Reads an entry; unknown types read as what text and proof they hold. */
export function readDetail(entry: JsonObject): ReasoningDetail {
  return {
    text: asString(entry.text) || asString(entry.summary),
    signature: asString(entry.signature),
    encrypted: asString(entry.data),
    id: asString(entry.id),
    origin: originOf(asString(entry.format)),
    index: asCount(entry.index),
  };
}

/** Do two entries belong to one block? Entries without an index, or with another one, never do. */
function joins(last: PlacedThinking | undefined, detail: ReasoningDetail): boolean {
  if (last === undefined || detail.index < 0 || last.place !== detail.index) return false;
  return (detail.id === "" || last.block.id === detail.id) && (last.block.encrypted === "" || detail.encrypted === "");
}

function blocksOfDetails(entries: readonly JsonObject[], origin: string): PlacedThinking[] {
  const placed: PlacedThinking[] = [];
  for (const entry of entries) {
    const detail = readDetail(entry);
    const last = placed.at(-1);
    if (last !== undefined && joins(last, detail)) {
      const { block } = last;
      const joined = {
        ...block,
        text: block.text + detail.text,
        signature: block.signature + detail.signature,
        encrypted: block.encrypted + detail.encrypted,
      };
      placed[placed.length - 1] = { block: joined, place: last.place };
    } else {
      const { text, signature, encrypted, id } = detail;
      const block: ThinkingBlock = {
        kind: "thinking",
        text,
        signature,
        encrypted,
        id,
        origin: detail.origin || origin,
      };
      placed.push({ block, place: detail.index });
    }
  }
  return placed;
}

/** Text of `reasoning_content` that no entry holds: what comes before or after the entries' own. */
function textBeside(content: string, placed: readonly PlacedThinking[]): string {
  const told = placed.map(({ block }) => block.text).join("");
  if (content.startsWith(told)) return content.slice(told.length);
  return content.endsWith(told) ? content.slice(0, content.length - told.length) : "";
}

function plain(text: string, origin: string): PlacedThinking[] {
  if (text === "") return [];
  return [{ block: { kind: "thinking", text, signature: "", encrypted: "", id: "", origin }, place: -1 }];
}

/** A part `{type: "thinking", thinking, signature}` or `{type: "redacted_thinking", data}`; null for any other. */
export function thinkingOfPart(part: JsonObject, origin: string): ThinkingBlock | null {
  const signature = asString(part.signature);
  const data = asString(part.data);
  const known: ThinkingBlock = {
    kind: "thinking",
    text: "",
    signature,
    encrypted: data,
    id: "",
    origin: signature === "" && data === "" ? origin : "anthropic-messages",
  };
  if (part.type === "redacted_thinking") return known;
  if (part.type !== "thinking") return null;
  return { ...known, encrypted: "", text: thinkingText(part.thinking) };
}

/** Thinking as a text, or as a list of text parts. */
function thinkingText(thinking: JsonValue | undefined): string {
  if (typeof thinking === "string") return thinking;
  return asObjects(thinking)
    .map((part) => asString(part.text))
    .join("");
}

/** All thinking of a message. `origin` is the wire whose unsigned thinking this is. */
export function readThinking(message: JsonObject, origin: string): PlacedThinking[] {
  const content = asString(message.reasoning_content) || asString(message.reasoning);
  const details = asObjects(message.reasoning_details);
  if (details.length > 0) {
    const placed = blocksOfDetails(details, origin);
    return [...plain(textBeside(content, placed), origin), ...placed];
  }
  const parts = asObjects(message.thinking_blocks);
  const blocks = parts.map((part) => thinkingOfPart(part, origin)).filter((block) => block !== null);
  if (blocks.length > 0) return blocks.map((block) => ({ block, place: -1 }));
  return plain(content, origin);
}

/** Puts thinking among the other blocks: at its place where that is known, else in front. */
export function withThinking<Other>(
  placed: readonly PlacedThinking[],
  others: readonly Other[],
): (Other | ThinkingBlock)[] {
  const blocks: (Other | ThinkingBlock)[] = [];
  let next = 0;
  for (const { block, place } of placed) {
    while (blocks.length < place && next < others.length) blocks.push(others[next++] as Other);
    blocks.push(block);
  }
  return [...blocks, ...others.slice(next)];
}
