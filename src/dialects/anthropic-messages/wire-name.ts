/** Names that both sides of this dialect share. */

/** This dialect and wire, as origins, foreign blocks and hosted tools name it. */
export const MESSAGES = "anthropic-messages";

/** Image types that the wire takes by value. */
export const IMAGE_TYPES: ReadonlySet<string> = new Set(["image/jpeg", "image/png", "image/gif", "image/webp"]);

/** A name for the loss report: the vendor's word when it is a plain one, `fallback` otherwise. */
export function lossName(word: string, fallback: string): string {
  return /^[a-z][a-z0-9_]{0,63}$/.test(word) ? word : fallback;
}
