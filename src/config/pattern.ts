/** Names with at most one `*`, which stands for any run of characters, also none. Exact case. */

export interface Pattern {
  readonly prefix: string;
  /** What follows the `*`; null when the pattern is a plain name. */
  readonly suffix: string | null;
}

/** Splits at the `*`. The schema has made sure that there is one at most. */
export function parsePattern(text: string): Pattern {
  const star = text.indexOf("*");
  if (star < 0) return { prefix: text, suffix: null };
  return { prefix: text.slice(0, star), suffix: text.slice(star + 1) };
}

/** What the `*` stands for in `name`; "" for an equal plain name; null when it does not match. */
export function capture(pattern: Pattern, name: string): string | null {
  const { prefix, suffix } = pattern;
  if (suffix === null) return name === prefix ? "" : null;
  if (name.length < prefix.length + suffix.length) return null;
  if (!name.startsWith(prefix) || !name.endsWith(suffix)) return null;
  return name.slice(prefix.length, name.length - suffix.length);
}

/** Puts the captured text where the `*` of `text` stands. */
export function fill(text: string, captured: string): string {
  const star = text.indexOf("*");
  return star < 0 ? text : text.slice(0, star) + captured + text.slice(star + 1);
}

export interface PatternMatch<T> {
  readonly value: T;
  readonly captured: string;
}

interface IndexedPattern<T> {
  readonly pattern: Pattern;
  readonly literals: number;
  readonly order: number;
  readonly value: T;
}

/**
 * Finds the best pattern for a name: a plain name first, then the one with the most literal characters,
 * then the one that came first. Patterns are bucketed by prefix, so that a name is compared with those
 * only whose prefix it has: thousands of patterns cost a few map lookups.
 */
export class PatternIndex<T> {
  readonly #exact = new Map<string, T>();
  readonly #buckets = new Map<string, IndexedPattern<T>[]>();
  readonly #prefixLengths: readonly number[];

  constructor(entries: Iterable<readonly [string, T]>) {
    const lengths = new Set<number>();
    let order = 0;
    for (const [text, value] of entries) {
      const pattern = parsePattern(text);
      if (pattern.suffix === null) {
        if (!this.#exact.has(text)) this.#exact.set(text, value);
        continue;
      }
      const literals = pattern.prefix.length + pattern.suffix.length;
      const bucket = this.#buckets.get(pattern.prefix);
      const indexed = { pattern, literals, order: order++, value };
      if (bucket === undefined) this.#buckets.set(pattern.prefix, [indexed]);
      else bucket.push(indexed);
      lengths.add(pattern.prefix.length);
    }
    for (const bucket of this.#buckets.values()) bucket.sort((a, b) => b.literals - a.literals || a.order - b.order);
    this.#prefixLengths = [...lengths].sort((a, b) => b - a);
  }

  /** undefined when nothing matches. */
  find(name: string): PatternMatch<T> | undefined {
    const exact = this.#exact.get(name);
    if (exact !== undefined) return { value: exact, captured: "" };
    let best: IndexedPattern<T> | undefined;
    for (const length of this.#prefixLengths) {
      if (length > name.length) continue;
      for (const candidate of this.#buckets.get(name.slice(0, length)) ?? []) {
        if (best !== undefined && !isBetter(candidate, best)) break;
        if (capture(candidate.pattern, name) === null) continue;
        best = candidate;
        break;
      }
    }
    if (best === undefined) return undefined;
    return { value: best.value, captured: capture(best.pattern, name) ?? "" };
  }
}

function isBetter<T>(candidate: IndexedPattern<T>, best: IndexedPattern<T>): boolean {
  return candidate.literals > best.literals || (candidate.literals === best.literals && candidate.order < best.order);
}
