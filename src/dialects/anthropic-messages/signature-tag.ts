/**
 * Opaque data of other vendors inside this dialect. Callers keep `thinking.signature` and
 * `redacted_thinking.data` untouched and send them back, so that is where the signature, encrypted thinking
 * and item id of another vendor travel: `weir.<origin>.<base64url of JSON {signature, encrypted, id}>`,
 * fields that are empty left out. What came from this wire itself is never tagged. The signature of a tool
 * call stands, with the call's id, in a redacted_thinking block of origin `tool-call` before the call.
 */
import { asObject, asString, parseValue } from "../json.js";

export interface CarriedSignature {
  readonly origin: string;
  readonly signature: string;
  readonly encrypted: string;
  readonly id: string;
}

/** Origin of the blocks that carry the signature of a tool call; `id` is then the call's id. */
export const TOOL_CALL_ORIGIN = "tool-call";

const PREFIX = "weir.";
const TAG = /^weir\.([a-z0-9-]*)\.([A-Za-z0-9_-]*)$/;

/** The text that carries another vendor's data through this dialect. */
export function tagSignature(carried: CarriedSignature): string {
  const payload: Record<string, string> = {};
  if (carried.signature !== "") payload.signature = carried.signature;
  if (carried.encrypted !== "") payload.encrypted = carried.encrypted;
  if (carried.id !== "") payload.id = carried.id;
  const encoded = Buffer.from(JSON.stringify(payload), "utf8").toString("base64url");
  return `${PREFIX}${carried.origin.replace(/[^a-z0-9-]/g, "")}.${encoded}`;
}

/** What a tagged text carries; null when the text is not tagged: it is this vendor's own. */
export function readSignatureTag(text: string): CarriedSignature | null {
  if (!text.startsWith(PREFIX)) return null;
  const match = TAG.exec(text);
  if (match === null) return null;
  const payload = asObject(parseValue(Buffer.from(match[2] ?? "", "base64url").toString("utf8")));
  if (payload === null) return null;
  const { signature, encrypted, id } = payload;
  return {
    origin: match[1] ?? "",
    signature: asString(signature),
    encrypted: asString(encrypted),
    id: asString(id),
  };
}

const TAGGED_VALUE = Buffer.from(`"${PREFIX}`);

/**
 * Might these bytes of a request hold thinking of another vendor? The vendor of this wire refuses such
 * blocks, so they must not pass unread even where the dialects are the same. Cheap: one byte search.
 */
export function mayCarryForeignThinking(body: Buffer): boolean {
  return body.includes(TAGGED_VALUE);
}
