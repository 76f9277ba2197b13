/** One place where an attempt can go: a direct model and how the caller's dialect reaches its provider. */
import type { ResolvedDirect } from "../config/snapshot.js";
import type { Target } from "../providers/target.js";

export interface Candidate {
  /** The model's name as a resource file or a caller says it; a pattern's is what was made of it. */
  readonly name: string;
  readonly model: ResolvedDirect;
  readonly target: Target;
}
