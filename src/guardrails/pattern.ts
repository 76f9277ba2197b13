/**
 * Patterns that users write, in RE2 syntax: no pattern can make a search take longer than in proportion to the text
 * (docs/guardrails.md tells how long that is).
 */
import { RE2JS } from "re2js";
import type { Finder, Found } from "./rule.js";

/** Longer patterns are refused. */
export const MAX_PATTERN_LENGTH = 1024;
/** How much of a stream is held back for a pattern, which may match text of any length: characters. */
export const PATTERN_WINDOW = 256;

/** What is wrong with a pattern; null = it can be used. */
export function patternProblem(pattern: string): string | null {
  if (pattern.length > MAX_PATTERN_LENGTH) return `is longer than ${MAX_PATTERN_LENGTH} characters`;
  try {
    RE2JS.compile(pattern);
    return null;
  } catch {
    // What the engine says repeats the pattern, and no message of a file's check may.
    return "must be a pattern in RE2 syntax (no look-around, no references back)";
  }
}

/** What a match of a pattern calls for. */
export interface PatternUse {
  readonly category: string;
  readonly action: "block" | "mask";
  /** What a mask puts in place of the match (of its first group, where there is one). */
  readonly replacement: string;
}

export class Pattern implements Finder {
  readonly #compiled: RE2JS;
  readonly #grouped: boolean;
  readonly #use: PatternUse;

  /** Throws on a pattern of which `patternProblem` says something. */
  constructor(pattern: string, use: PatternUse) {
    if (pattern.length > MAX_PATTERN_LENGTH) throw new Error("a pattern is too long");
    this.#compiled = RE2JS.compile(pattern);
    this.#grouped = this.#compiled.groupCount() > 0;
    this.#use = use;
  }

  find(text: string, from: number): Found | null {
    // The automaton that only says yes or no is ten times as fast as the one that says where (measured).
    if (from === 0 && !this.#compiled.test(text)) return null;
    const matcher = this.#compiled.matcher(text);
    for (let at = from; at <= text.length && matcher.find(at); ) {
      const found = this.#found(matcher.start(), matcher.end(), matcher);
      if (found.end > found.start) return found;
      // A match of nothing masks nothing and says nothing.
      at = Math.max(at, found.ends) + 1;
    }
    return null;
  }

  open(text: string, from: number): number {
    return Math.max(from, text.length - PATTERN_WINDOW);
  }

  #found(start: number, end: number, matcher: { start(group: number): number; end(group: number): number }): Found {
    const { action, category, replacement } = this.#use;
    const whole = { start, end, begins: start, ends: end, text: replacement, action, category };
    if (!this.#grouped || action === "block") return whole;
    const [from, to] = [matcher.start(1), matcher.end(1)];
    return from >= start && to > from ? { ...whole, start: from, end: to } : whole;
  }
}
