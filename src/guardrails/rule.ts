/**
 * What every kind of guardrail is. A local kind finds matches in a text, at once; a remote kind asks a service.
 * Positions count UTF-16 units, as JavaScript's strings do.
 */

export type Direction = "input" | "output";

/** One part of a text and what to put there. */
export interface Replacement {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

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

/** What a remote kind is asked about. */
export interface Question {
  readonly direction: Direction;
  readonly texts: readonly string[];
  readonly requestId: string;
  /** The model as the caller named it. */
  readonly model: string;
  /** Name of the caller's key. */
  readonly apiKey: string;
}

export type RemoteVerdict =
  | { readonly action: "pass" }
  | { readonly action: "block"; readonly category: string }
  /** `replacements` by the index of the text they are for; ordered, not overlapping. */
  | { readonly action: "mask"; readonly category: string; readonly replacements: readonly (readonly Replacement[])[] };

export const PASS: RemoteVerdict = Object.freeze({ action: "pass" });

/** A rule that a service knows. */
export interface RemoteRule {
  /** Rejects when there is no verdict to be had: not reachable, not in time, or an answer that is none. */
  check(question: Question, signal: AbortSignal): Promise<RemoteVerdict>;
}

/** Why a service gave no verdict; its message holds neither text nor secret. */
export class RemoteError extends Error {
  override readonly name = "RemoteError";
}
