/** Ids for calls that came without one, and how to know them again when they come back in a history. */
import type { JsonObject } from "../semantic.js";

/** Nothing of this wire's own begins so; a call that carries it goes back as it came, without an id. */
const MADE_UP = "call_unnamed_";
const REFUSED = /[^A-Za-z0-9_-]/g;
const MAX_BASE = 36;

/** Base of an answer's ids: the answer's own id, else the length of the conversation, which grows turn by turn. */
export function callIdBase(responseId: string, requestBody: JsonObject): string {
  const own = responseId.replace(REFUSED, "").slice(0, MAX_BASE);
  if (own !== "") return own;
  return String(Array.isArray(requestBody.contents) ? requestBody.contents.length : 0);
}

/** The id of the answer's `number`-th call (0 is the first). */
export function madeUpId(base: string, number: number): string {
  return `${MADE_UP}${base}_${number}`;
}

export function isMadeUp(id: string): boolean {
  return id === "" || id.startsWith(MADE_UP);
}
