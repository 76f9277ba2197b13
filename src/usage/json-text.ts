/** JSON strings for lines: one physical line whatever is in a text, and nothing that a terminal would obey. */

/** Anything that is not printable ASCII, plus the two characters JSON must escape. */
const NEEDS_ESCAPE = /[^\x20-\x21\x23-\x5b\x5d-\x7e]/;
/**
 * What JSON leaves as it is and a terminal or a line-based reader does not: control characters of the
 * second kind, line separators, and the marks that reverse the reading direction.
 */
const INVISIBLE = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** The JSON string literal of `text`, one physical line whatever is in it. */
export function quote(text: string): string {
  if (!NEEDS_ESCAPE.test(text)) return `"${text}"`;
  return JSON.stringify(text).replace(INVISIBLE, escapeCharacter);
}
