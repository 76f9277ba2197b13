/** Names that both sides of this dialect share. */

/** This dialect and wire, as origins, foreign blocks and hosted tools name it. */
export const MESSAGES = "anthropic-messages";

/** Image types that the wire takes by value. */
export const IMAGE_TYPES: ReadonlySet<string> = new Set(["image/jpeg", "image/png", "image/gif", "image/webp"]);
