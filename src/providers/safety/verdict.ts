/** What a service is asked about texts, and what it may say. Positions count UTF-16 units. */

export type Direction = "input" | "output";

/** One part of a text and what to put there. */
export interface Replacement {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

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
