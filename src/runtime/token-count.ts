/** Counts tokens without ever hanging: bounded text, bounded runs, bounded time. */

/** UTF-16 units looked at; what is beyond counts in proportion. */
const MAX_TEXT = 1024 * 1024;
const SLICE = 32 * 1024;
/**
 * The tokenizer is quadratic in the length of one word, and anything without a boundary is one word: 32 KiB
 * of one ideograph take seconds. Cutting a run here costs a token of accuracy at most.
 */
const MAX_RUN = 256;
const BUDGET_MS = 500;

const SPACE = 0;
const LETTER = 1;
const DIGIT = 2;
const SIGN = 3;

function classOf(code: number): number {
  if (code <= 0x20) return SPACE;
  if (code > 0x7f || (code >= 0x61 && code <= 0x7a) || (code >= 0x41 && code <= 0x5a)) return LETTER;
  return code >= 0x30 && code <= 0x39 ? DIGIT : SIGN;
}

/** Where the slice that begins at `start` ends: before a run grows too long, or when it is long enough. */
export function sliceEnd(text: string, start: number, limit: number): number {
  const last = Math.min(limit, start + SLICE);
  let runStart = start;
  let runClass = -1;
  for (let index = start; index < last; index += 1) {
    const found = classOf(text.charCodeAt(index));
    if (found !== runClass) {
      runClass = found;
      runStart = index;
    } else if (index - runStart >= MAX_RUN) {
      return isLowSurrogate(text, index) ? index + 1 : index;
    }
  }
  return last < limit && isLowSurrogate(text, last) ? last + 1 : last;
}

function isLowSurrogate(text: string, index: number): boolean {
  const code = text.charCodeAt(index);
  return code >= 0xdc00 && code <= 0xdfff;
}

/**
 * Tokens of `text`, counted slice by slice with `count`; when the text is too long, or the time is used up,
 * the rest is taken to be like the part that was counted. `now` is in milliseconds.
 */
export function countSliced(text: string, count: (slice: string) => number, now: () => number): number {
  return countedSlices(text, count, now).tokens;
}

/** The same; `whole`: the text was counted to its end. */
export function countedSlices(
  text: string,
  count: (slice: string) => number,
  now: () => number,
): { readonly tokens: number; readonly whole: boolean } {
  if (text.length === 0) return { tokens: 0, whole: true };
  const limit = Math.min(text.length, MAX_TEXT);
  const deadline = now() + BUDGET_MS;
  let tokens = 0;
  let position = 0;
  while (position < limit) {
    const end = sliceEnd(text, position, limit);
    tokens += count(text.slice(position, end));
    position = end;
    if (now() > deadline) break;
  }
  if (position >= text.length) return { tokens, whole: true };
  return { tokens: Math.round((tokens / position) * text.length), whole: false };
}
