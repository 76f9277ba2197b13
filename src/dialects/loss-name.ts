/** Names for the loss report that come from others' words: only what looks like a field's name passes. */

const MAX_LENGTH = 48;
const PLAIN = /^[A-Za-z][A-Za-z0-9_.-]*$/;

/** The word as a loss name (lower case, underscores); `fallback` when it is no plain word or too long. */
export function lossName(word: string, fallback: string): string {
  if (word.length > MAX_LENGTH || !PLAIN.test(word)) return fallback;
  return word
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .replace(/[.-]/g, "_")
    .toLowerCase();
}
