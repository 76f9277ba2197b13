import type { Tree } from "./tree.js";

/** One law of the house. */
export interface Law {
  readonly name: string;
  /** What to do when it is broken. */
  readonly advice: string;
  /** The breaches, each "path:line what". */
  check(tree: Tree): string[];
  /** Trees that break the law, so that a test can see the law bite. */
  readonly breaches: readonly Readonly<Record<string, string>>[];
  /** A tree near to those that keeps the law. */
  readonly kept: Readonly<Record<string, string>>;
}
