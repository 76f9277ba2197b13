/**
 * What every kind of guardrail is. A local kind finds matches in a text, at once; a remote kind asks a service.
 * Positions count UTF-16 units, as JavaScript's strings do.
 */
import type { Replacement } from "../providers/safety/verdict.js";

export type { Direction, Question, RemoteRule, RemoteVerdict, Replacement } from "../providers/safety/verdict.js";

/** A match and what it calls for; `start` and `end` are what a mask covers. */
export interface Found extends Replacement {
  /** Where the match itself begins and ends; what is masked lies within it. */
  readonly begins: number;
  readonly ends: number;
  readonly action: "block" | "mask";
  /** What was found, never the match itself: "email". */
  readonly category: string;
}

/** Looks for one kind of thing in a text that may still grow. */
export interface Finder {
  /**
   * The leftmost match that begins at `from` or later; what stands before `from` is context. A match at the very
   * end may turn out longer, or none, when the text goes on: see `open`.
   */
  find(text: string, from: number): Found | null;
  /**
   * Where the earliest match may begin that the text's end leaves open; the text's length when none does. What
   * begins before it will not change, however the text goes on. Never before `from`.
   */
  open(text: string, from: number): number;
}
