/** One spelling for every JSON number that is the same, and for the words. */

/** Digits that a double holds exactly, whatever they are. */
const EXACT_DIGITS = 15;
/** Beyond these, doubles run out or lose digits. */
const LARGEST = 1e300;
const SMALLEST = 1e-300;

const PLAIN_INTEGER = /^-?(?:0|[1-9][0-9]{0,14})$/;
/** Fifteen digits at most and no zero too many: spelled as a double is. */
const PLAIN_FRACTION = /^-?(?:0|[1-9][0-9]{0,8})\.[0-9]{0,5}[1-9]$/;

/** The text is no JSON. */
export class NotJson extends Error {}

/** A word or a number. Throws NotJson. */
export function canonicalScalar(text: string): string {
  if (text === "") throw new NotJson();
  return text === "true" || text === "false" || text === "null" ? text : canonicalNumber(text);
}

/** 1.0, 1 and 1e0 are one number; one that a double does not hold exactly is spelled as it came. */
function canonicalNumber(text: string): string {
  if (PLAIN_INTEGER.test(text)) return text === "-0" ? "0" : text;
  if (PLAIN_FRACTION.test(text)) return text;
  const value = Number(text);
  if (Number.isNaN(value)) throw new NotJson();
  const digits = text
    .replace(/[eE].*$/, "")
    .replace(/[-+.]/g, "")
    .replace(/^0+/, "").length;
  if (digits === 0) return "0";
  const size = Math.abs(value);
  const exact = digits <= EXACT_DIGITS && size < LARGEST && size > SMALLEST;
  return exact ? String(value) : text;
}
