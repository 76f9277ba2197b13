/**
 * Screens one text, whole or growing, with any number of finders. The text is cleared from its beginning up to
 * where some finder still needs to see more; what is cleared, and what is masked in it, does not depend on the
 * pieces in which the text came.
 */
import type { Finder, Found, RemoteVerdict, Replacement } from "./rule.js";

/** A finder and whose it is. */
export interface OwnedFinder {
  readonly finder: Finder;
  /** Index of its guardrail; of two masks on one place, that of the lower one stands. */
  readonly owner: number;
  /** Do its masks change the text? */
  readonly masks: boolean;
}

/** Hears of matches: of every one that is masked, of the first one of a finder whose are not. */
export type OnFound = (owner: number, found: Found) => void;

interface Cursor {
  readonly owned: OwnedFinder;
  readonly rank: number;
  /** Absolute: everything that begins before it is decided. */
  at: number;
}

interface OwnedReplacement extends Replacement {
  readonly owner: number;
  /** Of two with one owner, the lower one counts, whichever was found first. */
  readonly rank: number;
}

/** How much of the cleared text finders can look back at. */
const CONTEXT = 64;
/** Text is dropped from the beginning in pieces of at least this size. */
const TRIM = 4096;

export class TextScreen {
  /** Absolute: the text before it is decided. */
  cleared = 0;
  /** Replacements in the cleared text, absolute, ordered, merged where they overlapped. */
  readonly replacements: Replacement[] = [];
  readonly #onFound: OnFound;
  readonly #cursors: Cursor[];
  #text = "";
  /** Absolute position of the first unit of `#text`. */
  #origin = 0;
  /** Replacements that may still be merged with others. */
  #undecided: OwnedReplacement[] = [];

  constructor(finders: readonly OwnedFinder[], onFound: OnFound) {
    this.#onFound = onFound;
    this.#cursors = finders.map((owned, rank) => ({ owned, rank, at: 0 }));
  }

  /** Length of the text so far. */
  get length(): number {
    return this.#origin + this.#text.length;
  }

  append(text: string): void {
    this.#text = this.#text === "" ? text : this.#text + text;
  }

  /** Clears as much as can be cleared; all of it when the text has `ended`. */
  advance(ended: boolean): void {
    let cleared = this.length;
    for (const cursor of this.#cursors) {
      this.#search(cursor, ended);
      cleared = Math.min(cleared, cursor.at);
    }
    this.#decide(cleared);
    this.#trim();
  }

  /** A mask that somebody else asks for, over text that is not cleared yet. */
  mask(owner: number, replacement: Replacement): void {
    this.#undecided.push({ ...replacement, owner, rank: this.#cursors.length });
  }

  #search(cursor: Cursor, ended: boolean): void {
    const { finder, owner, masks } = cursor.owned;
    const text = this.#text;
    let from = cursor.at - this.#origin;
    if (from >= text.length) return;
    const open = ended ? text.length : finder.open(text, from);
    for (;;) {
      const found = finder.find(text, from);
      if (found === null || found.begins >= open) break;
      this.#onFound(owner, found);
      if (!masks || found.action === "block") {
        // What is known once is known: nobody asks how often.
        cursor.at = Number.POSITIVE_INFINITY;
        return;
      }
      this.#keep(cursor, found);
      from = Math.max(found.ends, from + 1);
    }
    cursor.at = this.#origin + Math.min(text.length, Math.max(from, open));
  }

  #keep({ rank, owned: { owner } }: Cursor, { start, end, text }: Found): void {
    this.#undecided.push({ owner, rank, start: this.#origin + start, end: this.#origin + end, text });
  }

  /** Merges what overlaps; what reaches beyond `limit` may still meet a match that is not known yet. */
  #decide(limit: number): void {
    this.cleared = Math.max(this.cleared, limit);
    if (this.#undecided.length === 0) return;
    const waiting = this.#undecided.sort((one, other) => one.start - other.start || compare(one, other));
    this.#undecided = [];
    let at = 0;
    while (at < waiting.length) {
      const first = at;
      let { end } = waiting[at++] as OwnedReplacement;
      while (at < waiting.length && (waiting[at] as OwnedReplacement).start < end) {
        end = Math.max(end, (waiting[at++] as OwnedReplacement).end);
      }
      const group = waiting.slice(first, at);
      const { start } = group[0] as OwnedReplacement;
      if (end > limit) {
        this.#undecided = waiting.slice(first);
        this.cleared = Math.min(this.cleared, start);
        return;
      }
      const chosen = group.reduce((best, one) => (compare(one, best) < 0 ? one : best));
      this.replacements.push({ start, end, text: chosen.text });
    }
  }

  #trim(): void {
    const needless = this.cleared - CONTEXT - this.#origin;
    if (needless < TRIM) return;
    this.#text = this.#text.slice(needless);
    this.#origin += needless;
  }
}

function compare(one: OwnedReplacement, other: OwnedReplacement): number {
  return one.owner - other.owner || one.rank - other.rank || one.start - other.start;
}

/** A text with its replacements made; they are ordered and do not overlap. */
export function replaced(text: string, replacements: readonly Replacement[]): string {
  let out = "";
  let at = 0;
  for (const { start, end, text: instead } of replacements) {
    out += text.slice(at, start) + instead;
    at = end;
  }
  return out + text.slice(at);
}

/** Screens a text that is there as a whole; null = nothing is masked in it. */
export function screenWhole(text: string, finders: readonly OwnedFinder[], onFound: OnFound): string | null {
  // In most texts there is nothing, and that is known sooner without keeping account of where.
  if (!finders.some(({ finder }) => finder.find(text, 0) !== null)) return null;
  const screen = new TextScreen(finders, onFound);
  screen.append(text);
  screen.advance(true);
  return screen.replacements.length === 0 ? null : replaced(text, screen.replacements);
}

/** What remote rules said about some texts, as far as it masks. */
export interface RemoteMask {
  readonly owner: number;
  readonly verdict: RemoteVerdict;
}

/** The masks of several remote rules on the text at `index`, merged where they overlap. */
export function mergedMasks(text: string, masks: readonly RemoteMask[], index: number): readonly Replacement[] {
  const screen = new TextScreen([], () => {});
  screen.append(text);
  for (const { owner, verdict } of masks) {
    if (verdict.action !== "mask") continue;
    for (const replacement of verdict.replacements[index] ?? []) screen.mask(owner, replacement);
  }
  screen.advance(true);
  return screen.replacements;
}

/** Texts with the masks that remote rules ask for, by the index of each text; null = as it was. */
export function maskedTexts(
  spans: readonly { readonly text: string }[],
  masks: readonly RemoteMask[],
): (string | null)[] {
  return spans.map(({ text }, index) => {
    const merged = mergedMasks(text, masks, index);
    return merged.length === 0 ? null : replaced(text, merged);
  });
}

/**
 * Two rounds of masks as one: `later` counts in the text that `earlier` has made. A later mask that touches an
 * earlier one takes all of its place.
 */
export function combined(earlier: readonly Replacement[], later: readonly Replacement[]): Replacement[] {
  const out: Replacement[] = [];
  let at = 0;
  /** How much longer the text has become by the earlier masks before `at`. */
  let grown = 0;
  for (const { start: from, end: to, text } of later) {
    for (; at < earlier.length; at++) {
      const one = earlier[at] as Replacement;
      if (one.start + grown + one.text.length > from) break;
      out.push(one);
      grown += one.text.length - (one.end - one.start);
    }
    let start = from - grown;
    let [before, after] = ["", ""];
    let end = to - grown;
    for (; at < earlier.length; at++) {
      const one = earlier[at] as Replacement;
      const shown = one.start + grown;
      if (shown >= to) break;
      if (shown < from) {
        start = one.start;
        before = one.text.slice(0, from - shown);
      }
      grown += one.text.length - (one.end - one.start);
      const past = shown + one.text.length - to;
      if (past > 0) after = one.text.slice(one.text.length - past);
      end = past > 0 ? one.end : to - grown;
    }
    out.push({ start, end, text: before + text + after });
  }
  return [...out, ...earlier.slice(at)];
}
