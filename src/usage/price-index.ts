/** Finds the row of a price list that names a model best. */
import type { PriceRow } from "../config/prices.js";

interface Pattern {
  readonly text: string;
  /** Characters that are not `*`: more of them say more. */
  readonly literal: number;
  readonly order: number;
  readonly row: PriceRow;
}

/** Names are compared without case: vendors are not strict about it either. */
export class PriceIndex {
  readonly #exact = new Map<string, PriceRow>();
  readonly #patterns: readonly Pattern[];

  constructor(rows: readonly PriceRow[]) {
    const patterns: Pattern[] = [];
    for (const row of rows) {
      for (const provider of row.providers) {
        for (const model of row.models) {
          const text = keyOf(provider, model);
          if (!text.includes("*")) {
            if (!this.#exact.has(text)) this.#exact.set(text, row);
            continue;
          }
          patterns.push({ text, literal: text.replaceAll("*", "").length, order: patterns.length, row });
        }
      }
    }
    this.#patterns = patterns.sort((a, b) => b.literal - a.literal || a.order - b.order);
  }

  /** A name written out wins over patterns, the most literal characters over fewer, the earlier over the later. */
  find(provider: string, model: string): PriceRow | null {
    const key = keyOf(provider, model);
    const exact = this.#exact.get(key);
    if (exact !== undefined) return exact;
    for (const { text, row } of this.#patterns) if (covers(text, key)) return row;
    return null;
  }
}

function keyOf(provider: string, model: string): string {
  return `${provider}\n${model}`.toLowerCase();
}

/**
 * Does the pattern cover all of the text? Each `*` takes as little as it can and is the only one ever lengthened
 * again, so that the time is bounded by the product of the lengths. The line end between provider and model is no
 * `*`'s to take.
 */
export function covers(pattern: string, text: string): boolean {
  let at = 0;
  let from = 0;
  let star = -1;
  let resume = 0;
  while (from < text.length) {
    if (pattern[at] === "*") {
      star = at++;
      resume = from;
    } else if (at < pattern.length && pattern[at] === text[from]) {
      at += 1;
      from += 1;
    } else if (star >= 0 && text[resume] !== "\n") {
      at = star + 1;
      from = ++resume;
    } else return false;
  }
  while (pattern[at] === "*") at += 1;
  return at === pattern.length;
}
