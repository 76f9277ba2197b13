/** What the operations use, and what of it is guessed where nobody says it. */
import type { Operation } from "../dialects/dialect.js";
import { countsHere } from "./count-here.js";

export interface OperationUse {
  /** It uses something that is counted: counting tokens does not. */
  readonly counted: boolean;
  /** Tokens of the request are guessed where the upstream does not say them. */
  readonly guessesInput: boolean;
  /** The same of the answer. */
  readonly guessesOutput: boolean;
}

const NOTHING: OperationUse = Object.freeze({ counted: false, guessesInput: false, guessesOutput: false });
const TEXT: OperationUse = Object.freeze({ counted: true, guessesInput: true, guessesOutput: true });
const INPUT_ONLY: OperationUse = Object.freeze({ counted: true, guessesInput: true, guessesOutput: false });
/** Paid for in units of its own; tokens count where the upstream tells of them. */
const UNITS: OperationUse = Object.freeze({ counted: true, guessesInput: false, guessesOutput: false });

const IN_UNITS: ReadonlySet<Operation> = new Set<Operation>([
  "rerank",
  "images",
  "image_edits",
  "image_variations",
  "transcriptions",
  "translations",
  "speech",
  "moderations",
]);

/** Keeping and looking up; what jobs use is counted when they have ended. */
const KEEPING: ReadonlySet<Operation> = new Set<Operation>([
  "files",
  "batches",
  "fine_tuning",
  "responses_items",
  "passthrough",
]);

/** What an operation uses. */
export function useOf(operation: Operation): OperationUse {
  if (KEEPING.has(operation)) return NOTHING;
  if (countsHere(operation)) return NOTHING;
  if (IN_UNITS.has(operation)) return UNITS;
  return operation === "embeddings" ? INPUT_ONLY : TEXT;
}
