/**
 * Proofs of other vendors inside `encrypted_content`. Callers of this dialect keep reasoning items and send
 * them back untouched, so thinking with a foreign signature, and the signature of a tool call, travel as
 * `weir.<origin>.<base64 of JSON>` and are unwrapped when they return.
 */
import { asString, parseObject } from "../json.js";
import type { JsonObject } from "../semantic.js";
import { WIRE } from "./shapes.js";

const TAG = "weir.";
/** Origin of a wrapped tool call signature; no wire has this name. */
const CALL = "call";

/** What a thinking block holds besides its visible text. */
export interface Proof {
  readonly origin: string;
  readonly text: string;
  readonly signature: string;
  readonly encrypted: string;
  readonly id: string;
}

/** What a wrapped value turned out to be. */
export type Unwrapped =
  | { readonly kind: "thinking"; readonly proof: Proof }
  | { readonly kind: "call"; readonly id: string; readonly signature: string }
  /** Not wrapped: the vendor's own encrypted content, or none. */
  | { readonly kind: "own" }
  /** Wrapped once, but cut or altered on its way. */
  | { readonly kind: "broken" };

function wrap(origin: string, payload: JsonObject): string {
  return `${TAG}${origin.replace(/[^a-z0-9-]/g, "")}.${Buffer.from(JSON.stringify(payload), "utf8").toString("base64")}`;
}

/**
 * `encrypted_content` for a thinking block; "" = nothing to keep. The text goes along with a signature, which
 * proves exactly that text; without one the visible text will do, and only the origin and the id are kept.
 */
export function wrapThinking(proof: Proof): string {
  const { origin, text, signature, encrypted, id } = proof;
  if (origin === WIRE) return encrypted;
  if (signature === "" && encrypted === "") return origin === "" ? "" : wrap(origin, id === "" ? {} : { id });
  const payload: JsonObject = {};
  if (text !== "") payload.text = text;
  if (signature !== "") payload.signature = signature;
  if (encrypted !== "") payload.encrypted = encrypted;
  if (id !== "") payload.id = id;
  return wrap(origin, payload);
}

/** `encrypted_content` of the reasoning item that stands before a call and holds its signature. */
export function wrapCallSignature(id: string, signature: string): string {
  return wrap(CALL, { id, signature });
}

/** What `encrypted_content` holds. */
export function unwrap(content: string): Unwrapped {
  if (!content.startsWith(TAG)) return { kind: "own" };
  const dot = content.lastIndexOf(".");
  if (dot < TAG.length) return { kind: "broken" };
  const payload = parseObject(Buffer.from(content.slice(dot + 1), "base64").toString("utf8"));
  if (payload === null) return { kind: "broken" };
  const origin = content.slice(TAG.length, dot);
  const signature = asString(payload.signature);
  const id = asString(payload.id);
  if (origin === CALL) return { kind: "call", id, signature };
  const { text, encrypted } = payload;
  return {
    kind: "thinking",
    proof: { origin, text: asString(text), signature, encrypted: asString(encrypted), id },
  };
}

const TAGGED_VALUE = Buffer.from(`"${TAG}`);

/**
 * Might these bytes of a request hold another vendor's proof? The vendor of this wire refuses to decrypt it,
 * so it must not pass unread even where the dialects are the same. Cheap: one byte search.
 */
export function mayCarryForeignProof(body: Buffer): boolean {
  return body.includes(TAGGED_VALUE);
}
