/** Which route of a semantic model a text belongs to. Pure. */
import type { SemanticRouting } from "../config/traffic.js";

/** The examples of a semantic model as vectors, route by route; each has length 1. */
export type ExampleVectors = readonly (readonly Float32Array[])[];

export interface Chosen {
  /** Name of the model that answers. */
  readonly target: string;
  /** Name of the route; "" = none fits, the default answers. */
  readonly route: string;
  /** Cosine of the best example of any route; -1 = there is none. */
  readonly similarity: number;
}

/** The vector with length 1; null for one that points nowhere. */
export function normalized(vector: ArrayLike<number>): Float32Array | null {
  let sum = 0;
  for (let index = 0; index < vector.length; index += 1) sum += (vector[index] as number) ** 2;
  const length = Math.sqrt(sum);
  if (!Number.isFinite(length) || length === 0) return null;
  return Float32Array.from(vector, (value) => value / length);
}

/** Cosine of two vectors of length 1; -1 when they are of different spaces. */
export function cosine(one: Float32Array, other: Float32Array): number {
  if (one.length !== other.length) return -1;
  let sum = 0;
  for (let index = 0; index < one.length; index += 1) sum += (one[index] as number) * (other[index] as number);
  return sum;
}

/** The route whose best example is nearest, among those that reach their threshold; else the default. */
export function chooseRoute(semantic: SemanticRouting, examples: ExampleVectors, text: Float32Array): Chosen {
  let chosen: Chosen = { target: semantic.defaultTarget, route: "", similarity: -1 };
  let nearest = -1;
  for (const [index, route] of semantic.routes.entries()) {
    const similarity = Math.max(-1, ...(examples[index] ?? []).map((example) => cosine(example, text)));
    nearest = Math.max(nearest, similarity);
    if (similarity < (route.threshold ?? semantic.threshold)) continue;
    if (chosen.route === "" || similarity > chosen.similarity) {
      chosen = { target: route.target, route: route.name, similarity };
    }
  }
  return chosen.route === "" ? { ...chosen, similarity: nearest } : chosen;
}
